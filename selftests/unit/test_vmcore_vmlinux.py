"""The build-id, the banners and the debugging data of a vmlinux, and which dump it opens."""

from __future__ import annotations

import gzip
import lzma
import struct
import zlib

import pytest
import zstandard

from kdump.bytesource import CountingSource, Memory
from kdump.parsers import vmlinux
from kdump.parsers.dump import State
from kdump.parsers.unreadable import Unreadable
from kdump.vmcore import judge, match, read_vmlinux
from selftests.vmcore.writer import BUILD_ID, RELEASE, VERSION, Plan, kdump, note

BANNER = f"Linux version {RELEASE} (builder@host) (gcc-12 (Debian 12.2.0-14)) {VERSION}"
WEAK_BANNER = f"Linux version {RELEASE} (builder@host) (gcc-12 (Debian 12.2.0-14)) # SMP PREEMPT_DYNAMIC"


def image(
    *, build_id: str = BUILD_ID, dwarf: bool = True, notes_in: str = "segment", banner: str = BANNER, wide: bool = True
) -> bytes:
    """A small vmlinux: ELF with PT_NOTE, .notes, .rodata and .debug_info (Xen's note of type 3 comes first, as on x86)."""
    ehdr_size, phdr_size = (64, 56) if wide else (52, 32)
    notes = note(b"Xen", 3, b"\0\0\0\x80\xff\xff\xff\xff")
    notes += note(b"GNU", 3, bytes.fromhex(build_id)) if build_id else b""
    rodata = b"\0junk\0" + WEAK_BANNER.encode() + b"\0" + bytes(70_000) + banner.encode() + b"\n\0"
    names = b"\0.notes\0.rodata\0.debug_info\0.shstrtab\0"
    at = {}
    body = bytearray(ehdr_size + 2 * phdr_size)
    for name, data in (("notes", notes), ("rodata", rodata), ("debug", b"DWARF" * 20), ("names", names)):
        body += bytes(-len(body) % 16)
        at[name] = (len(body), len(data))
        body += data
    body += bytes(-len(body) % 16)
    kinds = [(0, 0, (0, 0)), (1, 7, at["notes"]), (8, 1, at["rodata"]), (28, 3, at["names"])]
    if dwarf:
        kinds.insert(3, (16, 1, at["debug"]))
    shoff = len(body)
    for name, kind, (offset, size) in kinds:
        fields = (name, kind, 0, 0, offset, size, 0, 0, 1, 0)
        body += struct.pack("<IIQQQQIIQQ" if wide else "<IIIIIIIIII", *fields)
    where = at["notes"] if notes_in == "segment" else (0, 0)
    for index, (kind, (offset, size)) in enumerate(((1, (0, len(body))), (4, where))):
        if wide:
            phdr = struct.pack("<IIQQQQQQ", kind, 5, offset, 0, 0, size, size, 4)
        else:
            phdr = struct.pack("<IIIIIIII", kind, offset, 0, 0, size, size, 5, 4)
        body[ehdr_size + phdr_size * index : ehdr_size + phdr_size * (index + 1)] = phdr
    machine = 62 if wide else 3
    body[:ehdr_size] = (b"\x7fELF" + bytes([2 if wide else 1, 1, 1])).ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH",
        *(2, machine, 1, 0, ehdr_size, shoff, 0, ehdr_size, phdr_size, 2, 64 if wide else 40, len(kinds), len(kinds) - 1),
    )
    return bytes(body)


@pytest.mark.parametrize("notes_in", ["segment", "sections"])
@pytest.mark.parametrize("wide", [True, False])
def test_build_id_is_gnus_not_xens(notes_in, wide):
    found = vmlinux.read(Memory(image(notes_in=notes_in, wide=wide)))
    assert found.build_id == BUILD_ID
    assert found.has_dwarf is True


def test_few_reads():
    source = CountingSource(Memory(image()))
    vmlinux.read(source)
    assert source.requests < 12
    assert source.bytes < 8192


def test_every_banner_is_found():
    assert vmlinux.read(Memory(image()), banners=True).banners == (WEAK_BANNER, BANNER)


def with_window(data: bytes, exponent: int) -> bytes:
    """An .xz file whose header claims another window (The .xz File Format, 5.3.1: 2 << exponent / 2 + 11)."""
    header = bytearray(data[12 : 12 + (data[12] + 1) * 4 - 4])
    header[header.index(b"\x21\x01") + 2] = exponent
    return data[:12] + bytes(header) + struct.pack("<I", zlib.crc32(header)) + data[12 + len(header) + 4 :]


def with_zstd_window(data: bytes, exponent: int) -> bytes:
    """These bytes in a .zst file that claims this window (RFC 8878, 3.1.1.1.2: 2 ** exponent)."""
    frame = bytearray(zstandard.ZstdCompressor(write_content_size=False).compress(data))
    frame[5] = exponent - 10 << 3
    return bytes(frame)


def test_memory_that_a_compressed_dump_may_take():
    dump = lzma.compress(kdump())
    assert judge(Memory(dump)).release == RELEASE
    for hostile in (with_window(dump, 28), with_window(dump, 40), with_zstd_window(kdump(), 31)):
        found = judge(Memory(hostile))
        assert found.complete.state is State.CANNOT_TELL


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(0x202) + b"HdrS" + bytes(100), "vmlinuz"),
        (b"MZ" + bytes(54) + b"ARM\x64" + bytes(100), "vmlinuz"),
        (gzip.compress(image()), "could not be undone"),
        (b"MZ\0\0zimg" + bytes(100), "vmlinuz"),
        (b"", "empty"),
        (b"#!/bin/sh\n", "not an ELF"),
        (kdump(), "not an ELF"),
        (image()[:3000], "cut short"),
    ],
)
def test_what_is_no_vmlinux(data, reason):
    with pytest.raises(Unreadable, match=reason):
        vmlinux.read(Memory(data))


def verdict(dump: bytes, vmlinux_image: bytes) -> tuple[bool | None, str]:
    judged = judge(Memory(dump))
    found = match(judged, read_vmlinux(Memory(vmlinux_image), [judged]))
    return found.matches, found.reason


def test_match_by_build_id():
    assert verdict(kdump(), image())[0] is True
    # Same release and version, another build: only the build-id tells.
    matches, reason = verdict(kdump(), image(build_id="00" * 20))
    assert matches is False
    assert BUILD_ID in reason
    matches, reason = verdict(kdump(), image(dwarf=False))
    assert matches is False
    assert "DWARF" in reason
    assert verdict(kdump(), image(wide=False))[0] is False
    assert verdict(kdump(), image(build_id=""))[0] is None


def test_match_by_banner_where_the_kernel_exports_no_build_id():
    old = kdump(Plan(version=2))  # no VMCOREINFO in these
    matches, reason = verdict(old, image())
    assert matches is True
    assert "not proof" in reason
    assert verdict(old, image(banner=BANNER.replace("#1 SMP", "#2 SMP")))[0] is False
    other = image().replace(RELEASE.encode(), b"6.1.0-99-amd64")
    assert verdict(old, other)[0] is False
