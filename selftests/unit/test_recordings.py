"""Every recording is judged exactly as its remarks say: a miss and a false alarm both fail."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

from kdump import recording

ROOT = Path(__file__).parents[2]
RECORDINGS = sorted((ROOT / "recordings").glob("*.transcript"))


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory):
    """host -> verdict -> causes, of one run of the suite over all recordings."""
    folder = tmp_path_factory.mktemp("recordings")
    hosts = folder / "hosts.txt"
    hosts.write_text("".join(f"recording://{path}\n" for path in RECORDINGS))
    junit = folder / "junit.xml"
    options = [f"--hosts=@{hosts}", f"--junitxml={junit}", f"--html={folder / 'report.html'}", "-q"]
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


def test_there_are_recordings_of_every_flavour():
    names = {path.name for path in RECORDINGS}
    assert {"debian12-healthy.transcript", "kdumpctl-healthy.transcript", "suse-healthy.transcript"} <= names
