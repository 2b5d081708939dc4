"""What it costs to judge a dump: bytes read, requests and seconds, by size and format. `python bench/vmcore_bench.py`

The dumps are sparse files of the true layout: right headers, descriptors and tails, holes in between. So the figures
show how the cost grows with the size, which is what matters over a network; they say nothing of the disk.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kdump.bytesource import CountingSource, LocalFile
from kdump.parsers.dump import State
from kdump.vmcore import judge
from selftests.vmcore.writer import Plan, elf_writes, flat, kdump_writes, notes

SIZES = {"0.1 GB": 10**8, "1 GB": 10**9, "10 GB": 10**10, "100 GB": 10**11}
PAGE = 1000
"""Compressed bytes of a page, so that a dump of this size has size/1000 pages."""
SCRIPT = Path(__file__).resolve().parents[1] / "kdump" / "vmcore_evidence.sh"


def kdump_file(path: Path, size: int) -> None:
    """Kdump-compressed, every page LZO of the same size; memory is four times the pages."""
    pages = size // (PAGE + 24)
    plan = Plan(pages=(), zeros=(), max_mapnr=4 * pages, compression=2, level=30)
    writes = kdump_writes(plan)
    table = _table(plan, writes)
    data = table + 24 * pages
    with path.open("wb") as file:
        for offset, raw in (writes[0], writes[1], writes[2]):
            file.seek(offset)
            file.write(raw)
        for start in range(0, pages, 50_000):  # every descriptor: the judge may look at any
            file.seek(table + 24 * start)
            count = min(50_000, pages - start)
            file.write(b"".join(struct.pack("<qIIQ", data + PAGE * i, PAGE, 2, 0) for i in range(start, start + count)))
        for i in range(0, pages, max(1, pages // 5)):
            file.seek(data + PAGE * (i + 1) - 3)
        for share in range(6):
            file.seek(data + PAGE * ((pages - 1) * share // 5 + 1) - 3)
            file.write(b"\x11\0\0")


def flattened_file(path: Path, size: int) -> None:
    """The same as a pipe leaves it: records of bitmaps of 4096 bytes, pages in between, the end record."""
    pages = size // (PAGE + 24)
    plan = Plan(pages=(), zeros=(), max_mapnr=4 * pages, compression=2, level=30)
    writes = kdump_writes(plan)
    table = _table(plan, writes)
    data = table + 24 * pages
    descriptors = [struct.pack("<qIIQ", data + PAGE * i, PAGE, 2, 0) for i in (*range(60), *range(pages - 60, pages))]
    with path.open("wb") as file:
        file.write(flat([w for w in writes if w[0] < table] + [(table, b"".join(descriptors[:60]))], end=False))
        file.seek(data + PAGE * (pages - 60) - file.tell(), 1)
        last = (data + PAGE * (pages - 60), bytes(PAGE * 60)), (data - 24 * 60, b"".join(descriptors[60:]))
        file.write(flat(last)[4096:])


def elf_file(path: Path, size: int) -> None:
    segments = [(0x1000, 600_000), (0x100000, size // 2), (1 << 32, size - size // 2 - 600_000)]
    writes = elf_writes([(paddr, 0) for paddr, _ in segments], note_bytes=notes(cpus=64))
    at = max(offset + len(raw) for offset, raw in writes)
    phdrs = bytearray(next(raw for offset, raw in writes[1:] if offset == 64))
    for index, (_, length) in enumerate(segments, 1):
        struct.pack_into("<Q", phdrs, 56 * index + 8, at)
        struct.pack_into("<QQ", phdrs, 56 * index + 32, length, length)
        at += length
    with path.open("wb") as file:
        for offset, raw in [*writes, (64, bytes(phdrs))]:
            file.seek(offset)
            file.write(raw)
        file.truncate(at)


FORMATS: dict[str, Callable[[Path, int], None]] = {
    "kdump-compressed": kdump_file,
    "flattened": flattened_file,
    "ELF": elf_file,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to make the sparse files (2.5 GB of disk; default: /tmp)")
    options = parser.parse_args()
    print(
        f"{'format':<18} {'size':>7} {'verdict':<11} {'requests':>8} {'bytes':>8} {'seconds':>8}"
        f"   shell: {'text':>6} {'seconds':>8}"
    )
    grown = []
    for name, make in FORMATS.items():
        costs = []
        for label, size in SIZES.items():
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                path = Path(folder) / "dump"
                make(path, size)
                with LocalFile(path) as file:
                    source = CountingSource(file)
                    start = time.perf_counter()
                    dump = judge(source)
                    taken = time.perf_counter() - start
                start = time.perf_counter()
                command = ["sh", "-c", '. "$0"; vmcore_evidence "$1"', str(SCRIPT), str(path)]
                text = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
                shell = time.perf_counter() - start
            verdict = str(dump.complete.state)
            print(
                f"{name:<18} {label:>7} {verdict:<11} {source.requests:>8} {source.bytes:>8} {taken:>8.4f}"
                f"          {len(text):>6} {shell:>8.3f}"
            )
            if dump.complete.state is not State.COMPLETE:
                print(f"  unexpected: {dump.complete.reason}")
                return 1
            costs.append(source.bytes)
        grown.append(costs[-1] / costs[1])
    print(f"bytes for 100 GB over bytes for 1 GB: at most {max(grown):.2f}")
    return 0 if max(grown) <= 2 else 1


def _table(plan: Plan, writes: list[tuple[int, bytes]]) -> int:
    """Where the page descriptors begin: right after the last bitmap write."""
    offset, raw = writes[-1]
    return offset + len(raw)


if __name__ == "__main__":
    sys.exit(main())
