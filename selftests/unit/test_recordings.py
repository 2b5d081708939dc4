"""Every recording is judged exactly as its remarks say: a miss and a false alarm both fail."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from functools import cached_property
from itertools import product
from pathlib import Path

import pytest

from kdump import catalogue, recording
from kdump.fact import CATALOGUE, Knowledge, _shared_derived, _shared_value
from kdump.flavour import FLAVOURS
from kdump.transcript import Reading, Transcript
from kdump.verdict import CouldNotDetermine, Verdict
from selftests.judging import ask, every_test

ROOT = Path(__file__).parents[2]
RECORDINGS = sorted((ROOT / "recordings").glob("*.transcript"))


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory):
    """host -> verdict -> causes, of one run of the suite over all recordings."""
    folder = tmp_path_factory.mktemp("recordings")
    hosts = folder / "hosts.txt"
    hosts.write_text("".join(f"recording://{path}\n" for path in RECORDINGS))
    junit = folder / "junit.xml"
    options = [f"--hosts=@{hosts}", f"--junitxml={junit}", f"--html={folder / 'report.html'}", "--no-history", "-q"]
    done = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1, 6), done.stdout + done.stderr
    found = defaultdict(lambda: defaultdict(set))
    for case in ET.parse(junit).iter("testcase"):
        properties = {one.get("name"): one.get("value") for one in case.iter("property")}
        if "cause" in properties:
            found[properties["host"]][properties["verdict"]].add(properties["cause"])
    return found


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_is_judged_exactly(path, verdicts):
    remarks = recording.load(path).remarks
    assert remarks.get("source"), "a recording says where its lines come from"
    for verdict, remark in (("present", "expect"), ("could not determine", "undetermined")):
        wanted = {word.strip() for word in remarks.get(remark, "").split(",") if word.strip()}
        assert verdicts[path.stem][verdict] == wanted, verdict


# A cause that a flavour cannot have has no recording of it: its tests say that it does not apply.
CANNOT_BE = {
    ("kdump-tools", "dracut-modules-missing"): "initramfs-tools makes its image, and never squashes it",
    ("SUSE kdump", "dracut-modules-missing"): "its mkdumprd compresses the image, and never squashes it",
}


def known(path):
    return Knowledge(recording.load(path))


def test_every_cause_is_recorded_of_every_flavour():
    """Of each flavour a healthy machine of either architecture, and one machine with each cause."""
    healthy, broken = set(), set()
    for path in RECORDINGS:
        host = known(path)
        flavour = host.get("flavour").name
        causes = [word.strip() for word in host.transcript.remarks.get("expect", "").split(",") if word.strip()]
        broken.update((flavour, cause) for cause in causes)
        if not causes:
            healthy.add((flavour, host.get("kernel_machine")))
    assert healthy == set(product((one.name for one in FLAVOURS), ("x86_64", "aarch64")))
    causes = {file.replace("_", "-") for file, _, _ in every_test()}
    assert broken == set(product((one.name for one in FLAVOURS), causes)) - set(CANNOT_BE)


@pytest.mark.parametrize("path", [path for path in RECORDINGS if "healthy" in path.stem], ids=lambda path: path.stem)
def test_a_cause_that_cannot_be_does_not_apply(path):
    host = known(path)
    for flavour, cause in CANNOT_BE:
        for file, test, parameters in every_test():
            if flavour == host.get("flavour").name and file == cause.replace("-", "_"):
                assert ask(host.transcript, file, test, **parameters)[0] is Verdict.NOT_APPLICABLE


def test_hosts_that_share_values_leave_them_alone():
    """What one host's facts did to a shared value would be said of the next host."""
    catalogue.modules()
    transcripts = [recording.load(path) for path in RECORDINGS]
    for transcript in transcripts:
        _all_that_is_known(Knowledge(transcript))
    for path, transcript in zip(RECORDINGS, transcripts, strict=True):
        after_others = _all_that_is_known(Knowledge(transcript))
        for cache in (_shared_value, _shared_derived):
            cache.cache_clear()
        alone = _all_that_is_known(Knowledge(transcript))
        assert after_others == alone, path.stem


def _all_that_is_known(known):
    found = {name: known.maybe(name) for name in CATALOGUE}
    return {name: _shown(one.value) if one.known else repr(one.reason) for name, one in found.items()}


def test_a_reason_that_hosts_share_holds_on_to_none_of_them():
    transcript = Transcript.of([Reading("cat /proc/cmdline", "", "cat: /proc/cmdline: Permission denied", 1)])
    for _ in range(2):
        with pytest.raises(CouldNotDetermine):
            Knowledge(transcript).get("cmdline")
    reason = Knowledge(transcript).maybe("cmdline").reason
    assert reason.__traceback__ is None and reason is Knowledge(transcript).maybe("cmdline").reason


def _shown(value):
    own = getattr(value, "__dict__", {}).items()
    kept = {name: one for name, one in own if not isinstance(getattr(type(value), name, None), cached_property)}
    return re.sub(r" at 0x[0-9a-f]+", "", f"{value!r} {kept!r}")
