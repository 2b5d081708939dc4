"""The lab: real machines under QEMU."""
