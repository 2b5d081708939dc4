"""Small dumps of every format, broken at random: what the fuzzers feed to the parsers."""

from __future__ import annotations

import gzip
import lzma
import random
import struct

from kdump.bytesource import ByteSource, CountingSource, Memory, Sparse
from kdump.parsers import vmlinux
from kdump.parsers.dump import Dump, State
from kdump.parsers.unreadable import Unreadable
from kdump.vmcore import judge, match
from selftests.unit.test_vmcore_vmlinux import image, with_window, with_zstd_window
from selftests.vmcore.writer import Plan, elf_writes, flat, kdump, kdump_writes, notes, plain, split_plans

SMALL = Plan(pages=(3, 7, 12), zeros=(5,), max_mapnr=64)
SEEDS = (
    kdump(SMALL),
    kdump(Plan(pages=tuple(range(9)), zeros=(), compression=2, machine="i686", version=3)),
    kdump(Plan(pages=(1,), zeros=tuple(range(2, 1000)), eraseinfo=b"erase x size 8\n")),
    kdump(split_plans(SMALL, 2)[0]),
    flat(kdump_writes(SMALL)),
    flat(kdump_writes(Plan(pages=(3,), zeros=(), max_mapnr=200_000))),
    plain(elf_writes(((0, 500), (8192, 600)))),
    plain(elf_writes(((0, 50),), extended=True, note_bytes=notes(cpus=40))),
    plain(elf_writes(((0, 50), (4096, 0)), wide=False, machine=3)),
    flat(elf_writes(((0, 500),))),
    gzip.compress(flat(kdump_writes(SMALL))),
    lzma.compress(flat(kdump_writes(SMALL))),
    with_window(lzma.compress(kdump(SMALL)), 40),
    with_zstd_window(kdump(SMALL), 23),
    with_zstd_window(kdump(SMALL), 31),
    image()[:400] + image()[70_000:],
    image(notes_in="sections"),
)
MOST_REQUESTS = 2000
MOST_BYTES = 16 << 20

_INTERESTING = (0, 1, 2, 3, 7, 8, 15, 16, 23, 24, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
_INTERESTING += (2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def mutate(data: bytes, rnd: random.Random) -> bytes:
    """One to eight changes, most of them to numbers near the front, where the headers are."""
    out = bytearray(data)
    for _ in range(rnd.randint(1, 8)):
        if not out:
            break
        where = rnd.choice((512, 1200, 4700, len(out)))
        at = min(rnd.randrange(min(where, len(out))), len(out) - 1)
        if where == 4700 and len(out) > 4700:
            at = 4096 + at % 604
        kind = rnd.randrange(6)
        if kind == 0:
            out[at] = rnd.randrange(256)
        elif kind == 1:
            out[at : at + 4] = struct.pack(rnd.choice("<>") + "I", rnd.choice(_INTERESTING) & 0xFFFFFFFF)
        elif kind == 2:
            at = at & ~7
            out[at : at + 8] = struct.pack(rnd.choice("<>") + "Q", rnd.choice(_INTERESTING))
        elif kind == 3:
            del out[at : at + rnd.choice((1, 8, 16, 24, 4096))]
        elif kind == 4:
            del out[rnd.randrange(len(out)) :]
        else:
            out[at : at + 24] = out[(other := rnd.randrange(len(out))) : other + 24]
    return bytes(out)


def check(data: bytes) -> Dump:
    """Judge these bytes in every way; fails for any exception but `Unreadable` and for reading without end."""
    source = CountingSource(Memory(data))
    dump = judge(source)
    assert source.requests <= MOST_REQUESTS, f"{source.requests} requests"
    assert source.bytes <= MOST_BYTES, f"{source.bytes} bytes"
    assert dump.complete.reason
    holes = judge(Sparse({0: data[:600], max(len(data) - 64, 0): data[-64:]}, len(data)))
    assert holes.complete.state in (dump.complete.state, State.CANNOT_TELL, State.INCOMPLETE)
    source = CountingSource(Memory(data))
    for read in (vmlinux.read, _read_packed):
        try:
            found = read(source, banners=True)
        except Unreadable as unreadable:
            assert unreadable.reason
        else:
            match(dump, found)
    assert source.requests <= MOST_REQUESTS, f"{source.requests} requests"
    assert source.bytes <= MOST_BYTES, f"{source.bytes} bytes"
    return dump


def _read_packed(source: ByteSource, *, banners: bool) -> vmlinux.Vmlinux:
    """These bytes, as if they were what is inside a compressed vmlinux, and that file itself."""
    return vmlinux.read_front(source, "gzip", source, None)
