"""--kernel, --kernel-tree and --baseline, as a release engineer meets them."""

import json
from pathlib import Path

import pytest

from kdump import recording
from kdump.catalogue import suite_facts
from kdump.fact import CATALOGUE, facts_behind, of_kernels
from kdump.kernels import overlaid, read_here
from selftests.kernel_trees import RELEASE, package

ROOT = Path(__file__).parents[2]
BASELINE = "6.1.0-9-amd64"
suite_facts()


@pytest.fixture
def suite(pytester):
    """Runs the tests about kernels, and one test about a host, in a folder with the tree "new" and the host "db1"."""
    pytester.makeconftest(
        'pytest_plugins = ["kdump.plugin"]\n'
        "import kdump.gather\n"
        "original = kdump.gather.recording.load\n"
        "def load(path):\n"
        "    with open('asked', 'a') as file:\n"
        "        file.write(f'{path}\\n')\n"
        "    return original(path)\n"
        "kdump.gather.recording.load = load\n"
    )
    for file in (ROOT / "tests/qualification").glob("test_kernel_*.py"):
        (pytester.path / file.name).write_bytes(file.read_bytes())
    pytester.makepyfile(test_host="def test_of_a_host(kernel_release):\n    assert kernel_release\n")
    package(pytester.path / "new", {"KEXEC": None, "KEXEC_FILE": None, "CRASH_DUMP": None, "BLK_DEV_LOOP": "y"})
    package(pytester.path / "two")
    (pytester.path / "two/lib/modules/6.9.0").mkdir(parents=True)
    (pytester.path / "empty").mkdir()

    def run(*options):
        return pytester.runpytest_subprocess("--html=report.html", "-p", "no:cacheprovider", *options)

    return run


@pytest.fixture
def db1(pytester):
    """A recorded host with the baseline and the new kernel installed."""
    about_kernels = [fact for fact in facts_behind(list(CATALOGUE)) if fact.of_a_kernel]
    host = recording.load(ROOT / "recordings/kdumpctl-healthy.transcript")
    host = overlaid(host, read_here(of_kernels(about_kernels, [BASELINE]), str(package(pytester.path / "old", release=BASELINE))))
    host = overlaid(host, read_here(of_kernels(about_kernels, [RELEASE]), str(pytester.path / "new")))
    recording.save(host, pytester.path, "db1")
    return "--hosts=recording://db1.transcript"


def test_without_a_kernel_its_tests_are_deselected(suite, db1):
    result = suite(db1)
    assert (result.ret, result.parseoutcomes()["absent"]) == (0, 1)
    result = suite(db1, "test_kernel_incomplete.py")
    assert result.ret == 4
    assert "--kernel=RELEASE or --kernel-tree=DIR" in result.stdout.str()


def test_a_tree_alone_asks_no_host(suite, pytester):
    result = suite("--kernel-tree=new")
    assert result.ret == 1
    text = result.stdout.str()
    assert f"tree:{RELEASE}" in text
    assert "nothing found against it" in suite("--kernel-tree=new", "test_kernel_without_debuginfo.py").stdout.str()
    assert "neither CONFIG_KEXEC nor CONFIG_KEXEC_FILE is set" in text
    assert not (pytester.path / "asked").exists()


def test_a_kernel_of_a_host_against_its_baseline(suite, db1, pytester):
    result = suite(db1, f"--kernel={RELEASE}", f"--baseline={BASELINE}", "--verdicts-json=verdicts.json")
    result.stdout.fnmatch_lines([f"*{RELEASE}@db1 against {BASELINE}@db1: 1 new: kernel-without-kexec"])
    result.stdout.fnmatch_lines(["  kernel-without-kexec * present * absent * new"])
    (compared,) = json.loads((pytester.path / "verdicts.json").read_text())["comparisons"]
    assert compared["new"] == ["kernel-without-kexec"]
    assert f"{RELEASE}@db1 against" in (pytester.path / "report.html").read_text()
    assert (pytester.path / "asked").read_text().split() == ["db1.transcript"], "one exec for host, kernel and baseline"


def test_a_tree_on_a_host(suite, db1):
    text = suite(db1, "--kernel-tree=new", f"--baseline={BASELINE}").stdout.str()
    assert f"tree:{RELEASE}@db1 against {BASELINE}@db1: 1 new" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kernel=6.1;reboot"], "is not the release of a kernel"),
        (["--kernel=-rf"], "is not the release of a kernel"),
        (["--kernel=../../etc"], "is not the release of a kernel"),
        (["--kernel="], "is not the release of a kernel"),
        (["--baseline=6.1"], "add --kernel="),
        (["--kernel=6.1", "--baseline=6.1"], "nothing to compare"),
        (["--kernel-tree=new", "--baseline=6.1"], "with --hosts"),
        (["--kernel-tree=missing"], "unpacked kernel package"),
        (["--kernel-tree=/"], "unpacked kernel package"),
        (["--kernel-tree=empty"], "no kernel in it"),
        (["--kernel-tree=two"], "there are several kernels in it"),
        (["--kernel-tree=two", "--kernel=5.10"], "no kernel 5.10 in it"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(suite, options, words):
    result = suite(*options)
    assert result.ret == 4
    errors = result.stderr.str().strip()
    assert words in errors
    assert len(errors.splitlines()) == 1


def test_a_release_that_is_not_installed_is_said_once(suite, db1):
    result = suite(db1, "--kernel=9.9.9")
    assert result.ret == 6
    assert "COULD NOT DETERMINE" in result.stdout.str()
