"""The terminal: one line per host, what is wrong with its fix, in the words of the suite."""

import re

import pytest


def test_hosts_have_one_line_each(audited):
    lines = audited.stdout.split("\n")
    start = next(number for number, line in enumerate(lines) if line.strip("= ") == "hosts")
    assert [line[:76] for line in lines[start + 1 : start + 7]] == [
        "healthy  would dump (2 causes absent)",
        "broken   would not dump: reserve – no-memory – Mend no-memory",
        "network  would dump (1 cause absent, 1 not applicable)",
        "denied   could not determine: no-disk – disk: permission denied: connect as ",
        "hostile  would not dump: reserve – no-memory – Mend no-memory (and 1 more pr",
        "dead     unreachable: no line reads '# kdump transcript 1': this is not a tr",
    ]
    assert audited.status == 1


def test_details_come_with_their_fix_and_reason(audit):
    audit("-v", hosts=["broken", "network", "denied"]).stdout.fnmatch_lines(
        [
            "broken  PRESENT  no-memory  (reserve: no vmcore)",
            "    none: nothing is reserved",
            "    Fix: Mend no-memory. Then reboot.",
            "network  NOT APPLICABLE  no-disk",
            "    dumps go over the network",
            "denied  COULD NOT DETERMINE  no-disk",
            "    *permission denied*",
        ]
    )


def test_letters_tell_the_verdicts_apart(audited):
    for host, letters in {"healthy": "...", "broken": "P..", "network": "..n", "denied": "..?", "dead": "???"}.items():
        assert re.search(rf"^{host} +{re.escape(letters)}( +\[100%\])?$", audited.stdout, re.MULTILINE), host


@pytest.mark.hostility(39)
def test_dead_host_costs_two_lines(audited):
    """Its letters, and its line among the hosts."""
    assert len(re.findall(r"^dead\b", audited.stdout, re.MULTILINE)) == 2


def test_quiet_is_the_host_lines(audit):
    result = audit("-q", hosts=["healthy", "broken"])
    assert "Fix:" not in result.stdout.str()
    result.stdout.fnmatch_lines(["broken   would not dump: *"])


@pytest.mark.hostility(20)
@pytest.mark.parametrize("options", [[], ["-vv", "-rA", "-l", "--tb=long", "-s"]])
def test_hostile_text_does_not_drive_the_terminal(audit, measured, options):
    result = audit("--color=no", *options)
    for text in (result.stdout.str(), result.stderr.str()):
        assert not set(text) & set("\x1b\x07\x00\x9b\u202e\r")
    shown = next(line for line in result.stdout.str().splitlines() if "\\x1b" in line)
    measured(f"`{shown.strip()}`", "0 control characters in the terminal")


def test_words_of_pytest_do_not_stand_for_verdicts(audited):
    last = audited.stdout.rstrip().split("\n")[-1]
    assert all(word in last for word in ("present", "absent", "could not determine", "not applicable"))
    assert not any(word in last for word in ("passed", "failed", "skipped", "error"))
