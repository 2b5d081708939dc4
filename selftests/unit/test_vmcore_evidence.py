"""What the probe's shell prints of a file gives the same verdict as the whole file."""

from __future__ import annotations

import gzip
import lzma
import random
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from kdump import vmcore_evidence
from kdump.bytesource import Memory
from kdump.parsers import vmlinux
from kdump.parsers.dump import State
from kdump.parsers.unreadable import Unreadable
from kdump.parsers.vmlinux import Vmlinux
from kdump.vmcore import judge, match
from selftests.unit.test_vmcore_judge import COMPLETE, CUT
from selftests.unit.test_vmcore_vmlinux import image, with_window, with_zstd_window
from selftests.vmcore.writer import (
    BUILD_ID,
    Plan,
    elf_writes,
    flat,
    kdump,
    kdump_writes,
    plain,
    split_plans,
    with_incomplete_flag,
)

SCRIPT = Path(vmcore_evidence.__file__).with_suffix(".sh")
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}


def run(shell: str, function: str, *files: Path) -> str:
    command = [*SHELLS[shell], "-c", f'. "${{0%/*}}/files.sh"; . "$0"; {function} "$@"', str(SCRIPT), *map(str, files)]
    if not shutil.which(command[0]):
        pytest.fail(f"{command[0]} is needed: see selftests/packages.txt")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    return done.stdout


def assert_same_verdict(tmp_path: Path, shell: str, cases: dict[str, bytes]) -> None:
    for number, (name, data) in enumerate(cases.items()):
        file = tmp_path / f"{number}"
        file.write_bytes(data)
        text = run(shell, "vmcore_evidence", file)
        assert len(text) < 64 << 10, name
        (evidence,) = vmcore_evidence.parse(text)
        assert evidence.size == len(data)
        whole, sparse = judge(Memory(data)), evidence.dump()
        # Where the shell does not print enough, it is "cannot tell", never another verdict.
        same = replace(sparse.complete, missing_pages=None), replace(whole.complete, missing_pages=None)
        assert same[0].state is same[1].state or name in TOLD_BY_THE_WHOLE_FILE, (name, sparse.complete)
        if name in TOLD_BY_THE_WHOLE_FILE:
            assert sparse.complete.state is State.CANNOT_TELL
            continue
        assert replace(whole, complete=sparse.complete, pages=sparse.pages) == sparse, name


TOLD_BY_THE_WHOLE_FILE = {"gzip of a small dump", "QEMU, flattened"}
"""One is decompressed, which the shell does not do; the last record of the other is larger than what it prints."""


@pytest.mark.parametrize("shell", SHELLS)
def test_whole_dumps(tmp_path, shell):
    parts = {f"part {i}": kdump(plan) for i, plan in enumerate(split_plans(Plan(), 3))}
    cases = list((COMPLETE | parts).items())
    assert_same_verdict(tmp_path, shell, dict(cases[::2] if shell == "dash" else cases[1::4]))


@pytest.mark.parametrize("shell", SHELLS)
def test_damaged_dumps(tmp_path, shell):
    writes, elf = kdump_writes(Plan()), elf_writes()
    cases = {"empty": b"", "zeros": bytes(9000), "text": b"not a dump\n" * 99, "flag": with_incomplete_flag(kdump())}
    cases |= {f"killed {i}": plain(writes[:i]) for i in range(1, len(writes), 3)}
    cases |= {f"flattened, killed {i}": flat(writes[:i], end=False) for i in range(1, len(writes), 3)}
    cases |= {"last bytes": kdump()[:-8] + bytes(8), "ELF, last bytes": plain(elf)[:-190_000] + bytes(190_000)}
    cases |= {f"ELF, killed {i}": plain(elf[:i]) for i in range(1, len(elf), 2)}
    for name in CUT:
        data = COMPLETE[name]
        cases |= {f"{name}, cut {i}": data[: len(data) * i // 5 + 11 * i + 3] for i in range(5)}
    assert_same_verdict(tmp_path, shell, dict(list(cases.items())[:: 2 if shell == "dash" else 5]))


@pytest.mark.parametrize("shell", SHELLS)
def test_vmlinux(tmp_path, shell):
    for number, data in enumerate((image(), image(notes_in="sections"), image(dwarf=False), image(wide=False))):
        file = tmp_path / f"vmlinux{number}"
        file.write_bytes(data)
        (evidence,) = vmcore_evidence.parse(run(shell, "vmlinux_evidence", file))
        assert evidence.vmlinux() == vmlinux.read(Memory(data), banners=True)


COMPRESS = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": lambda data: zstandard.ZstdCompressor().compress(data)}


def told(tmp_path: Path, data: bytes, shell: str = "dash") -> Vmlinux:
    """What the shell tells of a vmlinux of these bytes. Raises `Unreadable`."""
    file = tmp_path / "vmlinux"
    file.write_bytes(data)
    (evidence,) = vmcore_evidence.parse(run(shell, "vmlinux_evidence", file))
    return evidence.vmlinux()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_vmlinux(tmp_path, shell, name):
    plain = vmlinux.read(Memory(image()), banners=True)
    found = told(tmp_path, COMPRESS[name](image()), shell)
    assert found == replace(plain, compression=name, has_dwarf=None)


@pytest.mark.parametrize("name", COMPRESS)
def test_a_compressed_vmlinux_that_was_cut_short_matches_nothing(tmp_path, name):
    data = COMPRESS[name](image() + random.Random(7).randbytes(60_000))
    for cut in (len(data) // 2, len(data) - 2000, len(data) - 9, len(data) - 1):
        with pytest.raises(Unreadable, match=r"cut short|does not find its end|does not undo it"):
            told(tmp_path, data[:cut])


@pytest.mark.parametrize("name", COMPRESS)
def test_a_compressed_vmlinux_whose_end_was_not_seen(tmp_path, name):
    """As in a transcript that was taken before the end was looked at, and where zstd cannot list."""
    file = tmp_path / "vmlinux"
    file.write_bytes(COMPRESS[name](image() + random.Random(7).randbytes(9000)))
    text = re.sub(r"(?m)^(@[1-9]\d* .*\n(?=inside)|listed\n)", "", run("dash", "vmlinux_evidence", file))
    (evidence,) = vmcore_evidence.parse(text)
    found = evidence.vmlinux()
    assert not found.end_seen
    judged = match(judge(Memory(kdump())), found)
    assert judged.matches is True and "only the beginning" in judged.reason


def test_a_signature_behind_a_compressed_vmlinux_is_no_loss(tmp_path):
    assert told(tmp_path, gzip.compress(image() + b"~Module signature appended~")).end_seen


@pytest.mark.parametrize("shell", SHELLS)
def test_memory_that_a_compressed_vmlinux_may_take(tmp_path, shell):
    packed = lzma.compress(image())
    assert told(tmp_path, with_window(packed, 28), shell).build_id == BUILD_ID  # 64 MiB, xz -9
    for hostile in (with_window(packed, 40), with_zstd_window(image(), 31)):  # 4 GiB, 2 GiB
        with pytest.raises(Unreadable, match=r"in 68 MiB of memory: .*[Mm]emory"):
            told(tmp_path, hostile, shell)


def test_streams_one_after_the_other(tmp_path):
    data = image()
    assert told(tmp_path, lzma.compress(data[:9000]) + bytes(8) + lzma.compress(data[9000:])).build_id == BUILD_ID


def test_compressed_and_damaged(tmp_path):
    with pytest.raises(Unreadable, match="does not undo it"):
        told(tmp_path, b"\x1f\x8b" + bytes(range(250)) * 4)


def test_no_program_to_undo_it(tmp_path, monkeypatch):
    for name in ("od", "sed", "grep", "head", "ls", "stat", "date", "dash", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreadable, match="compressed with xz, which could not be undone"):
        told(tmp_path, lzma.compress(image()))


def test_nothing_is_printed_of_what_is_no_file(tmp_path):
    assert run("dash", "vmcore_evidence", tmp_path / "missing") == ""
    assert run("dash", "vmcore_evidence") == ""
    assert run("dash", "vmcore_evidence", tmp_path) == ""


def test_numbers_too_large_for_the_shell_end_the_search(tmp_path):
    data = bytearray(kdump())
    for at in (4096 + 32, 4096 + 48, 16384):  # VMCOREINFO, notes, first descriptor
        struct.pack_into("<Q", data, at, 1 << 63 | 5)
    assert_same_verdict(tmp_path, "dash", {"large": bytes(data)})


@pytest.mark.parametrize("level", [0, 31])
def test_room_that_was_reserved_and_not_filled(tmp_path, level):
    data = kdump(Plan(compression=0, level=level, zeros=()))
    assert_same_verdict(tmp_path, "dash", {"padded": data[: len(data) // 2].ljust(len(data), b"\0")})


@pytest.mark.parametrize("text", ["@0 00", "file x\nsize -1", "file x\n@0 0", "file x\nhello"])
def test_what_is_no_evidence(text):
    with pytest.raises(Unreadable):
        vmcore_evidence.parse(text)
