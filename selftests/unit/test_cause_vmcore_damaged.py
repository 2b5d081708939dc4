"""3.3: what is said of dumps that are whole, cut, empty, unfinished, unreadable, or not there."""

import pytest

from kdump.fact import UID
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

FILE = "vmcore_damaged"
PATH = "/var/crash/202601010101/dump.202601010101"
# head and tail of a flattened dump (makedumpfile.h, struct makedumpfile_header: signature, type 1, version 1)
FLAT = b"makedumpfile\0\0\0\0" + (1).to_bytes(8, "big") * 2


def evidence(path=PATH, size=0, *ranges):
    lines = [f"file {path}", f"size {size}", "mtime 1", *(f"@{offset} {data.hex()}" for offset, data in ranges)]
    return [says("dump_sizes", f"{size} {path}"), says("stored_dumps", "\n".join(lines))]


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        (evidence(), Verdict.PRESENT),
        (evidence(PATH, 100, (0, bytes(100))), Verdict.PRESENT),
        (evidence(PATH, 10, (0, b"KDUMP   ab")), Verdict.PRESENT),
        (evidence(PATH, 8192, (0, FLAT.ljust(512, b"\0"))), Verdict.UNDETERMINED),
        (evidence(PATH, 600, (0, b"something else".ljust(600, b"."))), Verdict.UNDETERMINED),
        ([says("dump_sizes", f"5 {PATH}"), says("stored_dumps", f"file {PATH}\nsize 5\nmtime 1\npermission denied")],
         Verdict.UNDETERMINED),
        ([says("dump_sizes", f"5 {PATH}"), says("stored_dumps", "")], Verdict.UNDETERMINED),
        ([says("dump_sizes", ""), says("stored_dumps", "")], Verdict.NOT_APPLICABLE),
        ([missing("dump_sizes"), missing("stored_dumps")], Verdict.NOT_APPLICABLE),
        ([denied("dump_sizes"), denied("stored_dumps")], Verdict.UNDETERMINED),
    ],
)  # fmt: skip
def test_dumps(readings, verdict):
    assert ask(host(Reading(UID, "0", "", 0), *readings), FILE, "dumps_are_complete")[0] is verdict


def test_a_name_that_says_unfinished_is_believed():
    path = "/var/crash/202601010101/dump-incomplete"
    readings = evidence(path, 600, (0, b"something else".ljust(600, b".")))
    verdict, words = ask(host(Reading(UID, "0", "", 0), *readings), FILE, "dumps_are_complete")
    assert verdict is Verdict.PRESENT
    assert "never ended" in words


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("/c/README.txt:If you see this text the crash dump is likely incomplete.", Verdict.PRESENT),
        ("/c/README.txt:vmcore status: saved successfully", Verdict.ABSENT),
        ("/c/vmcore-creation.status:fail kdump_test_id=1", Verdict.PRESENT),
        ("/c/vmcore-creation.status:success kdump_test_id=1", Verdict.ABSENT),
        ("", Verdict.NOT_APPLICABLE),
    ],
)
def test_notes(line, verdict):
    assert ask(host(says("dump_notes", line)), FILE, "tools_report_success")[0] is verdict


def test_notes_that_cannot_be_read():
    assert ask(host(denied("dump_notes")), FILE, "tools_report_success")[0] is Verdict.UNDETERMINED
