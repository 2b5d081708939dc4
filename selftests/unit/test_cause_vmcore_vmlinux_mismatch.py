"""3.1: the vmlinux of the running kernel, by build-id."""

import subprocess
from pathlib import Path

import pytest

from kdump.probe import library
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says

FILE, TEST = "vmcore_vmlinux_mismatch", "vmlinux_opens_dumps_of_the_running_kernel"
BUILD_ID = "00112233445566778899aabbccddeeff00112233"
NOTES = "04 00 00 00 14 00 00 00 03 00 00 00 47 4e 55 00 " + " ".join(BUILD_ID[at : at + 2] for at in range(0, 40, 2))
RUNNING = [says("kernel_release", "6.1.0"), says("running_build_id", NOTES)]


@pytest.fixture(scope="module")
def vmlinux(tmp_path_factory):
    """What the probe prints of a real ELF file with a build-id, DWARF or not."""

    def made(build_id, debug=True):
        folder = tmp_path_factory.mktemp("6.1.0")
        source, path = folder / "a.c", folder / "vmlinux-6.1.0"
        source.write_text("int main(void) { return 0; }")
        # like a kernel, without the C library's notes
        options = ["-g" if debug else "-s", "-nostdlib", "-static", "-fcf-protection=none", "-Wl,-e,main"]
        subprocess.run(["gcc", *options, f"-Wl,--build-id=0x{build_id}", source, "-o", path], check=True)
        script = f"{library()}\nvmlinux_evidence '{path}'"
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout

    return made


@pytest.mark.parametrize(
    ("build_id", "debug", "verdict"),
    [(BUILD_ID, True, Verdict.ABSENT), ("ff" * 20, True, Verdict.PRESENT), (BUILD_ID, False, Verdict.PRESENT)],
)
def test_build_ids(vmlinux, build_id, debug, verdict):
    found = says("vmlinux_candidates", vmlinux(build_id, debug))
    assert ask(host(*RUNNING, found), FILE, TEST)[0] is verdict, found.text


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([says("vmlinux_candidates", "")], Verdict.NOT_APPLICABLE),
        ([says("vmlinux_candidates", "file /boot/vmlinux-6.1.0\nsize 9\nmtime 1\n@0 4d5a00000000000000")], Verdict.UNDETERMINED),
        ([denied("vmlinux_candidates")], Verdict.UNDETERMINED),
        ([says("vmlinux_candidates", ""), denied("running_build_id")], Verdict.UNDETERMINED),
        ([], Verdict.UNDETERMINED),
    ],
)
def test_without_a_readable_one(readings, verdict):
    assert ask(host(*RUNNING, *readings), FILE, TEST)[0] is verdict


def test_there_is_a_compiler():
    assert Path("/usr/bin/gcc").exists(), "make test installs gcc"
