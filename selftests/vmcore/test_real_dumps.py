"""Dumps of real crashes: none accused, every cut found, the same verdict as crash and makedumpfile, where these exist.

`python -m selftests.vmcore.dumps` makes the dumps (about ten minutes, 5 GB).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kdump import vmcore_evidence
from kdump.bytesource import CountingSource, LocalFile
from kdump.parsers.dump import Dump, State
from kdump.vmcore import judge, judge_split, match, read_vmlinux
from selftests.vmcore import dumps

FOLDER = dumps.folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="no real dumps: make them with python -m selftests.vmcore.dumps")
WHOLE = sorted(one for one in FOLDER.iterdir() if one.is_file() and one.name not in ("done", "vmlinux")) if FOLDER else []
FOREIGN = sorted((FOLDER / "foreign").iterdir()) if FOLDER else []
BROKEN = sorted((FOLDER / "broken").iterdir()) if FOLDER else []
RELEASE = FOLDER.name if FOLDER else ""
SCRIPT = Path(vmcore_evidence.__file__).with_suffix(".sh")


def judged(path: Path) -> Dump:
    with LocalFile(path) as file:
        return judge(file)


def evidence_of(path: Path) -> vmcore_evidence.Evidence:
    command = ["dash", "-c", '. "${0%/*}/files.sh"; . "$0"; vmcore_evidence "$1"', str(SCRIPT), str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert len(text) < 64 << 10
    (evidence,) = vmcore_evidence.parse(text)
    return evidence


class Cut:
    """The first `size` bytes of another source."""

    def __init__(self, source: LocalFile, size: int) -> None:
        self.source = source
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        return self.source.read_at(offset, max(0, min(length, self.size - offset)))


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_whole_dump_is_complete(path):
    with LocalFile(path) as file:
        source = CountingSource(file)
        dump = judge(source)
    assert dump.complete.state is State.COMPLETE, dump.complete
    assert dump.release == RELEASE
    assert dump.machine == "x86_64"
    assert dump.build_id
    assert source.bytes < 400_000
    if not path.name.startswith("qemu"):  # QEMU dumps a running kernel, which has not crashed
        assert dump.crash_time


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_broken_dump_is_found(path):
    with LocalFile(path) as file:
        assert judge(file).complete.state is State.INCOMPLETE


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.name)
def test_dump_of_another_architecture_is_complete(path):
    dump = judged(path)
    assert dump.complete.state is State.COMPLETE, dump.complete
    assert dump.machine in (path.name.partition("-")[0], "i686", None)


@pytest.mark.parametrize("path", WHOLE + FOREIGN, ids=lambda path: path.name)
def test_every_cut_is_found(path):
    with LocalFile(path) as file:
        # QEMU puts section names after the last memory segment: to lose them is to lose nothing.
        size = file.size - (16 if "elf" in path.name and (path in FOREIGN or "qemu" in path.name) else 0)
        cuts = {size * i // 220 for i in range(220)} | {size - back for back in (1, 2, 8, 15, 16, 17, 24, 25, 64, 512, 4096)}
        cuts |= {1, 100, 463, 464, 4096, 4112, 4200, 8192, 12288, 20_000, 40_000}
        missed = [cut for cut in sorted(cuts) if judge(Cut(file, cut)).complete.state is not State.INCOMPLETE]
    assert missed == []


@pytest.mark.parametrize("path", WHOLE + BROKEN, ids=lambda path: path.name)
def test_transcript_gives_the_same_verdict(path):
    told, whole = evidence_of(path).dump(), judged(path)
    if told.split and told.complete.state is State.CANNOT_TELL:
        return  # its bitmap is not in the transcript: it is judged with its sisters, below
    assert told.complete.state is whole.complete.state, told.complete
    assert (told.release, told.build_id, told.crash_time) == (whole.release, whole.build_id, whole.crash_time)


@pytest.mark.parametrize("from_transcript", [False, True])
def test_files_of_a_split_dump(from_transcript):
    paths = [path for path in WHOLE if path.name.startswith("kdump-split")]
    parts = [evidence_of(path).dump() if from_transcript else judged(path) for path in paths]
    assert len(parts) == 3
    assert judge_split(parts).state is State.COMPLETE
    assert judge_split(parts[1:]).state is State.INCOMPLETE


def test_vmlinux_matches():
    image = FOLDER / "vmlinux"
    if not image.exists():
        pytest.skip(f"no vmlinux: put the one of {RELEASE} at {image}")
    with LocalFile(image) as file:
        source = CountingSource(file)
        found = read_vmlinux(source)
    assert found.has_dwarf
    assert source.bytes < 100_000
    for path in WHOLE:
        with LocalFile(path) as file:
            assert match(judge(file), found).matches is True, path.name


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_makedumpfile_reads_what_is_called_complete(path, tmp_path):
    """`makedumpfile --dump-dmesg` finds the panic (not in flattened files, parts, or QEMU's ELF)."""
    if "split" in path.name or "flattened" in path.name or path.name in ("debian-default", "qemu-kdump-zlib", "qemu-elf"):
        pytest.skip("makedumpfile does not read this format directly")
    if not shutil.which(dumps.MAKEDUMPFILE):
        pytest.fail("makedumpfile is needed: see selftests/packages.txt")
    built_with = subprocess.run([dumps.MAKEDUMPFILE, "-v"], capture_output=True, text=True, check=False).stdout
    for compression in ("snappy", "zstd"):
        if compression in path.name and not re.search(rf"{compression}\s+enabled", built_with):
            pytest.skip(f"this machine's makedumpfile was built without {compression}")
    log = tmp_path / "dmesg"
    command = [dumps.MAKEDUMPFILE, "--dump-dmesg", str(path), str(log)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sysrq triggered crash" in log.read_text(errors="replace") or path.name.startswith("qemu")
