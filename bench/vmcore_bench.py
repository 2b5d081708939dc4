"""What it costs to judge a dump: bytes read, requests and seconds, by size, format and way. `python bench/vmcore_bench.py`

The ways: the parsers on a local file; the parsers over SFTP (paramiko and OpenSSH's sftp-server, without a network); the
probe's shell, whose text the parsers judge.

The dumps are sparse files of the true layout: right headers, descriptors and tails, holes in between. So the figures
show how the cost grows with the size, which is what matters over a network; they say nothing of the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kdump import vmcore_evidence
from kdump.bytesource import ByteSource, CountingSource, LocalFile
from kdump.connection.sftp import SftpFile
from kdump.parsers.dump import Dump, State
from kdump.parsers.kdump_compressed import MORE_SAMPLES
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
        file.seek(table - -(-plan.max_mapnr // (8 * plan.block)) * plan.block)  # the second bitmap
        file.write(b"\xff" * (pages // 8) + bytes([(1 << pages % 8) - 1]))
        for share in range(MORE_SAMPLES + 1):  # and at these pages' data
            file.seek(data + PAGE * ((pages - 1) * share // MORE_SAMPLES + 1) - 3)
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
        file.seek(-64, 2)
        file.write(b"\xff" * 64)  # the top of memory, which a kernel uses


FORMATS: dict[str, Callable[[Path, int], None]] = {
    "kdump-compressed": kdump_file,
    "flattened": flattened_file,
    "ELF": elf_file,
}


class Pipe(socket.socket):
    """A socket, with what paramiko asks of a channel besides."""

    def get_name(self) -> str:
        return "bench"


@contextlib.contextmanager
def over_sftp(path: Path) -> Iterator[SftpFile]:
    server = shutil.which("sftp-server", path="/usr/lib/openssh:/usr/libexec/openssh:/usr/lib/ssh")
    if server is None:
        raise SystemExit("OpenSSH's sftp-server is needed: see selftests/packages.txt")
    mine, there = socket.socketpair()
    with subprocess.Popen([server], stdin=there, stdout=there) as process, Pipe(fileno=mine.detach()) as here:
        there.close()
        with SftpFile("here", here, str(path), 30.0) as source:
            yield source
        process.terminate()


def cost(source: ByteSource) -> tuple[CountingSource, Dump, float]:
    counting = CountingSource(source)
    start = time.perf_counter()
    dump = judge(counting)
    return counting, dump, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to make the sparse files (2.5 GB of disk; default: /tmp)")
    options = parser.parse_args()
    print(f"{'':<34}{'requests':>8} {'bytes':>8} {'local, s':>9} {'SFTP, s':>8}   probe: {'text':>6} {'seconds':>8}")
    factors = []
    for name, make in FORMATS.items():
        costs = []
        for label, size in SIZES.items():
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                path = Path(folder) / "dump"
                make(path, size)
                with LocalFile(path) as file:
                    counting, dump, local = cost(file)
                with over_sftp(path) as remote:
                    counted, same, sftp = cost(remote)
                start = time.perf_counter()
                command = ["sh", "-c", '. "$0"; vmcore_evidence "$1"', str(SCRIPT), str(path)]
                text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
                shell = time.perf_counter() - start
            # The sparse file takes no room on the disk, which is what the probe would tell of a dump with holes.
            (told,) = vmcore_evidence.parse(re.sub(r"(?m)^allocated \d+\n", "", text))
            parsed = f"{counting.requests:>8} {counting.bytes:>8} {local:>9.4f} {sftp:>8.4f}"
            print(f"{name:<18} {label:>7} complete {parsed}          {len(text):>6} {shell:>8.3f}")
            for one in (dump, same, told.dump()):
                if one.complete.state is not State.COMPLETE:
                    print(f"  unexpected: {one.complete.reason}")
                    return 1
            assert (counted.requests, counted.bytes) == (counting.requests, counting.bytes)
            costs.append((counting.bytes, len(text), counting.requests))
        factors.append(max(large / small for small, large in zip(costs[1], costs[-1], strict=True)))
    print(f"100 GB over 1 GB, in bytes, requests and the probe's text: at most {max(factors):.2f}")
    return 0 if max(factors) <= 2 else 1


def _table(plan: Plan, writes: list[tuple[int, bytes]]) -> int:
    """Where the page descriptors begin: right after the last bitmap write."""
    offset, raw = writes[-1]
    return offset + len(raw)


if __name__ == "__main__":
    sys.exit(main())
