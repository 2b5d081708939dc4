"""Kernels on disk, made up: the packaged configuration with changes, as an unpacked package or as a build tree."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

RELEASE = "6.1.0-56-amd64"
VERSION = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-10-30)"

#: what Debian's linux-image-6.1.0-56-amd64 sets of the options that judgements ask for
PACKAGED: Mapping[str, str] = {
    "X86_64": "y",
    "X86": "y",
    "SYSFS": "y",
    "MODULES": "y",
    "KALLSYMS": "y",
    "BLK_DEV_INITRD": "y",
    "KEXEC": "y",
    "KEXEC_FILE": "y",
    "CRASH_DUMP": "y",
    "RELOCATABLE": "y",
    "RANDOMIZE_BASE": "y",
    "PROC_KCORE": "y",
    "PROC_VMCORE": "y",
    "DEBUG_INFO": "y",
    "SQUASHFS": "m",
    "SQUASHFS_ZSTD": "y",
    "EROFS_FS": "m",
    "BLK_DEV_LOOP": "m",
    "OVERLAY_FS": "m",
}
_MODULES = {
    "SQUASHFS": "fs/squashfs/squashfs",
    "EROFS_FS": "fs/erofs/erofs",
    "BLK_DEV_LOOP": "drivers/block/loop",
    "OVERLAY_FS": "fs/overlayfs/overlay",
}


def configuration(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The packaged configuration with other values; None: not set."""
    return {option: value for option, value in {**PACKAGED, **changes}.items() if value is not None}


def x86_image(release: str = RELEASE, version: str = VERSION, init_size: int = 58 << 20) -> bytes:
    """The front of a bzImage: what its header says of itself."""
    image = bytearray(0x1000)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<H", image, 0x20E, 0x600)
    struct.pack_into("<I", image, 0x260, init_size)
    text = f"{release} (debian-kernel@lists.debian.org) {version}\0".encode()
    image[0x800 : 0x800 + len(text)] = text
    return bytes(image)


def package(folder: Path, changes: Mapping[str, str | None] = {}, image: bytes | None = None, release: str = RELEASE) -> Path:
    """An unpacked package: boot/ and lib/modules/."""
    options = configuration(changes)
    (folder / "boot").mkdir(parents=True)
    _write_configuration(folder / f"boot/config-{release}", options)
    (folder / f"boot/vmlinuz-{release}").write_bytes(x86_image(release) if image is None else image)
    modules = folder / "lib/modules" / release
    built_in = []
    for option, path in _MODULES.items():
        if options.get(option) == "m":
            file = modules / f"kernel/{path}.ko.xz"
            file.parent.mkdir(parents=True)
            file.touch()
        elif options.get(option) == "y":
            built_in.append(f"kernel/{path}.ko\n")
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "modules.builtin").write_text("".join(built_in))
    return folder


def build_tree(folder: Path, changes: Mapping[str, str | None] = {}, *, built: bool) -> Path:
    """The folder of a kernel's source, configured, and perhaps built."""
    options = configuration(changes)
    folder.mkdir(parents=True)
    _write_configuration(folder / ".config", options)
    if built:
        for name, content in {
            "include/config/kernel.release": RELEASE.encode(),
            "arch/x86/boot/bzImage": x86_image(),
            "modules.builtin": _lines(f"kernel/{path}.ko" for option, path in _MODULES.items() if options.get(option) == "y"),
            "modules.order": _lines(f"{path}.o" for option, path in _MODULES.items() if options.get(option) == "m"),
            **{f"{path}.ko": b"" for option, path in _MODULES.items() if options.get(option) == "m"},
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


def _write_configuration(file: Path, options: Mapping[str, str]) -> None:
    header = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.187 Kernel Configuration\n#\n"
    file.write_text(header + "".join(f"CONFIG_{option}={value}\n" for option, value in options.items()))


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
