"""The QEMU command line of a machine: pure, so that a frozen machine's hardware can be compared with a new one's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

BINARIES = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}

#: arch -> the board, and the processor that is emulated on it. Debian's arm64 kernel runs on a Cortex-A57 as well as on
#: "max", whose pointer authentication costs an emulator much.
_BOARDS = {"amd64": ("pc", "max"), "arm64": ("virt", "cortex-a57")}

# bus -> the controller it needs (if any) and the disk device
_BUSES = {
    "virtio": ((), "virtio-blk-pci"),
    "scsi": (("virtio-scsi-pci,id=scsi",), "scsi-hd,bus=scsi.0"),
    "nvme": ((), "nvme"),
    "sata": (("ich9-ahci,id=ahci",), "ide-hd"),
}


@dataclasses.dataclass(frozen=True)
class Disk:
    """A disk besides the root disk: *size* in MiB, *bus* one of virtio, scsi, nvme, sata; *serial* shows in the machine."""

    size: int
    bus: str = "virtio"
    serial: str = ""


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Everything that a machine can see of its hardware. Machines with equal Hardware may share a frozen state.

    *append* is the kernel's whole command line; *devices* are arguments of QEMU's ``-device``; *options* are any
    further QEMU arguments, such as ``("-action", "watchdog=reset")``.
    """

    arch: str
    accel: str
    memory: int
    cpus: int
    append: str
    disks: tuple[Disk, ...] = ()
    devices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Files:
    """The controller's files of one running machine; *disks* begins with the root disk. Relative paths are allowed."""

    kernel: Path
    initrd: Path
    disks: Sequence[Path]
    console: Path
    qmp: Path


def board_arguments(arch: str, accel: str) -> list[str]:
    """*accel*: ``kvm`` or ``tcg``. Without tb-size, the emulator's translation cache doubles a machine's memory."""
    board, processor = _BOARDS[arch]
    if accel == "kvm":
        return ["-machine", board, "-accel", "kvm", "-cpu", "host"]
    return ["-machine", board, "-accel", "tcg,thread=multi,tb-size=256", "-cpu", processor]


def kernel_arguments(accel: str) -> str:
    """What the kernel is told besides what it boots with elsewhere.

    An emulator translates a program anew for each address that it is loaded at: with the addresses chosen at random, most of
    what a short program costs is that. ``norandmaps`` has every program where it was before; the kernel's own addresses
    stay random.
    """
    return "" if accel == "kvm" else "norandmaps"


def command(hardware: Hardware, files: Files, incoming: Path | None = None) -> list[str]:
    """The whole command line. SSH is forwarded from a port on 127.0.0.1 that the system picks (see forwarded_port).

    *incoming* is a frozen machine's state, compressed by zstd.
    """
    line = [BINARIES[hardware.arch], "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"]
    line += board_arguments(hardware.arch, hardware.accel)
    line += ["-m", str(hardware.memory), "-smp", str(hardware.cpus)]
    line += ["-kernel", str(files.kernel), "-initrd", str(files.initrd), "-append", hardware.append]
    line += ["-chardev", f"file,id=console,path={files.console},append=on", "-serial", "chardev:console"]
    line += ["-qmp", f"unix:{files.qmp},server=on,wait=off"]
    line += ["-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:0-:22"]
    line += ["-device", "virtio-net-pci,netdev=net,romfile="]
    line += ["-device", "virtio-rng-pci"]
    controllers: list[str] = []
    for number, (disk, path) in enumerate(zip([Disk(0), *hardware.disks], files.disks, strict=True)):
        needed, device = _BUSES[disk.bus]
        for controller in needed:
            if controller not in controllers:
                controllers.append(controller)
                line += ["-device", controller]
        if disk.bus == "sata":
            device += f",bus=ahci.{number}"
        serial = f",serial={disk.serial or f'lab{number}'}" if number else ""
        line += ["-drive", f"if=none,id=disk{number},format=qcow2,file={_escaped(path)},discard=unmap"]
        line += ["-device", f"{device},drive=disk{number}{serial}"]
    for extra in hardware.devices:
        line += ["-device", extra]
    line += hardware.options
    if incoming is not None:
        line += ["-incoming", f"exec:zstd -q -d -c '{incoming}'"]
    return line


def forwarded_port(usernet: str) -> int | None:
    """The port on 127.0.0.1 that leads to the machine's port 22, from the monitor's ``info usernet``.

    >>> forwarded_port("  TCP[HOST_FORWARD]  11       127.0.0.1 40123       10.0.2.15    22     0     0")
    40123
    """
    match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\s", usernet)
    return int(match.group(1)) if match else None


def _escaped(path: Path) -> str:
    # In QEMU's option syntax a comma is written twice.
    return str(path).replace(",", ",,")
