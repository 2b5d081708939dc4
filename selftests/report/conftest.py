"""A small audit of hosts that are healthy, broken, unknown, dead and hostile; and a browser to look at its report."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from kdump.transcript import Reading, Transcript

CAUSE = '''
"""{title}.

What breaks, how it looks to its victim, and why nothing else notices.
"""
import pytest
from kdump import CouldNotDetermine, NotApplicable, Severity, Stage, cause, fact

pytestmark = cause("{id}", stage=Stage.{stage}, severity=Severity.{severity}, remediation="Mend {id}. Then reboot.",
                   references=["https://example.org/{id}", "javascript:document.title='owned'"])
'''
MEMORY = (
    CAUSE.format(title="No memory is reserved", id="no-memory", stage="RESERVE", severity="NO_VMCORE")
    + """
memory = fact("memory", "cat /memory", str)


def test_memory_is_reserved(memory):
    assert memory.startswith("some"), f"{memory}: nothing is reserved\\nsecond line"


@pytest.mark.parametrize("line", ["<img src=x onerror=document.title='owned'>"])
def test_memory_is_reserved_at_the_next_boot(memory, line):
    assert memory
"""
)
DISK = (
    CAUSE.format(title="The disk is not there", id="no-disk", stage="SAVE", severity="NO_VMCORE")
    + """
disk = fact("disk", "cat /disk", str, absent=NotApplicable("dumps go over the network"))


def test_disk_is_there(disk):
    assert disk == "there", f"the disk is {disk}"
"""
)
HOSTILE = "<script>document.title='owned'</script>\x1b[2J\x1b]0;owned\x07\u202e\"'><img src=x onerror=document.title='owned'>-->"
DISK_THERE = Reading("cat /disk", "there", "", 0)


def host(memory, *disk, release="6.1.0"):
    readings = [Reading("id -u", "0", "", 0), Reading("uname -r", release, "", 0), Reading("cat /memory", memory, "", 0)]
    return Transcript.of([*readings, *disk], taken="2026-01-31T12:00:00Z")


HOSTS = {
    "healthy": host("some", DISK_THERE),
    "broken": host("none", DISK_THERE),
    "network": host("some", Reading("cat /disk", "", "cat: /disk: No such file or directory", 1)),
    "denied": host("some", Reading("cat /disk", "", "cat: /disk: Permission denied", 1)),
    "hostile": host(HOSTILE, Reading("cat /disk", HOSTILE, HOSTILE, 0), release=HOSTILE),
}


def write_suite(folder):
    """The audit's files, and the hosts as recordings."""
    folder.joinpath("conftest.py").write_text('pytest_plugins = ["kdump.plugin"]')
    folder.joinpath("pytest.ini").write_text("[pytest]\nfilterwarnings = ignore")
    folder.joinpath("test_no_memory.py").write_text(MEMORY)
    folder.joinpath("test_no_disk.py").write_text(DISK)
    for name, transcript in HOSTS.items():
        folder.joinpath(name).write_bytes(transcript.render().encode())
    folder.joinpath("dead").write_text("Connection closed by remote host")


def recordings(names):
    return "--hosts=" + ",".join(f"recording://{name}" for name in names)


@pytest.fixture
def audit(pytester):
    """Run the audit on the named hosts (default: all of them and a dead one) in a process of its own."""
    write_suite(pytester.path)
    return lambda *options, hosts=(*HOSTS, "dead"): pytester.runpytest_subprocess(recordings(hosts), *options)


@dataclass
class Audited:
    status: int
    stdout: str
    folder: Path

    @property
    def html(self):
        return self.folder / "reports" / "kdump-acceptance.html"


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """One audit of all hosts, with all of its reports."""
    folder = tmp_path_factory.mktemp("audit")
    write_suite(folder)
    options = ["--metadata", "<b>key</b>", "<script>document.title='owned'</script>"]
    options += ["--junitxml=junit.xml", "--verdicts-json=out/verdicts.json"]
    command = [sys.executable, "-m", "pytest", recordings([*HOSTS, "dead"]), *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    return Audited(done.returncode, done.stdout, folder)


@pytest.fixture(scope="session")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (
            "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
            f"--disable-component-update --disable-sync --window-size=1280,1600 --user-data-dir={profile}"
        ).split():
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        driver.set_page_load_timeout(30)
        try:
            yield driver
        finally:
            driver.quit()
