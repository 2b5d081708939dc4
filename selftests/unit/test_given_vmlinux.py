"""--vmlinux: files of this machine and of the host are judged alike, and what is no file is said before anything is asked."""

import pytest

from kdump.given_vmlinux import GivenVmlinux
from kdump.verdict import Verdict
from selftests.judging import ask, host, says
from selftests.unit.test_vmcore_vmlinux import image
from selftests.vmcore.writer import BUILD_ID

FILE, TEST = "vmcore_vmlinux_mismatch", "vmlinux_opens_dumps_of_the_running_kernel"


def running(build_id):
    notes = "04 00 00 00 14 00 00 00 03 00 00 00 47 4e 55 00 " + " ".join(build_id[at : at + 2] for at in range(0, 40, 2))
    return [says("kernel_release", "6.1.0"), says("running_build_id", notes)]


@pytest.mark.parametrize(
    ("build_id", "verdict", "word"), [(BUILD_ID, Verdict.ABSENT, ""), ("ab" * 20, Verdict.PRESENT, "controller:")]
)
def test_a_file_of_this_machine(tmp_path, build_id, verdict, word):
    path = tmp_path / "my vmlinux"
    path.write_bytes(image())
    on_the_host = says("vmlinux_candidates", f"file {path}\ngiven\nnot here")
    known = GivenVmlinux([str(path)]).add_to(host(*running(build_id), on_the_host))
    got, words = ask(known, FILE, TEST)
    assert got is verdict and word in words


def test_a_file_of_the_host_only():
    given = GivenVmlinux(["/srv/nowhere/vmlinux"])
    transcript = host(*running(BUILD_ID), says("vmlinux_candidates", "file /srv/nowhere/vmlinux\ngiven\nnot here"))
    assert given.add_to(transcript) is transcript
    verdict, words = ask(transcript, FILE, TEST)
    assert verdict is Verdict.UNDETERMINED and "there is no such file" in words


@pytest.mark.parametrize("path", ["", "a\nb", "nowhere/vmlinux", "/tmp"])
def test_what_is_no_file(path):
    with pytest.raises(pytest.UsageError, match="--vmlinux"):
        GivenVmlinux([path])


def test_what_is_no_vmlinux(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(b"MZ" + bytes(600))
    known = GivenVmlinux([str(path)]).add_to(host(*running(BUILD_ID), says("vmlinux_candidates", "")))
    verdict, words = ask(known, FILE, TEST)
    assert verdict is Verdict.UNDETERMINED and "vmlinux" in words
