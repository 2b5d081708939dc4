"""3.3: what is said of dumps that are whole, cut, empty, unfinished, unreadable, or not there."""

import pytest

from kdump.fact import Knowledge
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says
from selftests.vmcore.writer import Plan, kdump, split_plans

FILE = "vmcore_damaged"
PATH = "/var/crash/202601010101/dump.202601010101"
# head and tail of a flattened dump (makedumpfile.h, struct makedumpfile_header: signature, type 1, version 1)
FLAT = b"makedumpfile\0\0\0\0" + (1).to_bytes(8, "big") * 2


def evidence(path=PATH, size=0, *ranges):
    lines = [f"file {path}", f"size {size}", "mtime 1", *(f"@{offset} {data.hex()}" for offset, data in ranges)]
    return [listing(size, path), says("stored_dumps", "\n".join(lines))]


def listing(size, path=PATH, *more):
    return says("dump_listing", "\n".join(["folder /var/crash", f"dump {size} 1 {path}", *more]))


NOT_MOUNTED = "unknown the dump target UUID=ab is not mounted: its dumps cannot be seen"


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        (evidence(), Verdict.PRESENT),
        (evidence(PATH, 100, (0, bytes(100))), Verdict.PRESENT),
        (evidence(PATH, 10, (0, b"KDUMP   ab")), Verdict.PRESENT),
        (evidence(PATH, 8192, (0, FLAT.ljust(512, b"\0"))), Verdict.UNDETERMINED),
        (evidence(PATH, 600, (0, b"something else".ljust(600, b"."))), Verdict.UNDETERMINED),
        ([listing(5), says("stored_dumps", f"file {PATH}\nsize 5\nmtime 1\npermission denied")], Verdict.UNDETERMINED),
        ([listing(5), says("stored_dumps", f"file {PATH}\nsize 5\nmtime 1\nno time left")], Verdict.UNDETERMINED),
        ([listing(5), says("stored_dumps", "")], Verdict.UNDETERMINED),
        ([listing(5), denied("stored_dumps")], Verdict.UNDETERMINED),
        ([listing(0), denied("stored_dumps")], Verdict.PRESENT),
        ([says("dump_listing", "folder /var/crash"), says("stored_dumps", "")], Verdict.NOT_APPLICABLE),
        ([says("dump_listing", "missing /var/crash"), says("stored_dumps", "")], Verdict.NOT_APPLICABLE),
        ([says("dump_listing", "elsewhere ops@vault\nfolder /var/crash"), says("stored_dumps", "")], Verdict.NOT_APPLICABLE),
        ([says("dump_listing", f"{NOT_MOUNTED}\nfolder /var/crash"), says("stored_dumps", "")], Verdict.UNDETERMINED),
        ([listing(0, PATH, NOT_MOUNTED), says("stored_dumps", "")], Verdict.PRESENT),
        ([says("dump_listing", ""), says("stored_dumps", "")], Verdict.UNDETERMINED),
        ([missing("dump_listing"), missing("stored_dumps")], Verdict.UNDETERMINED),
        ([denied("dump_listing"), denied("stored_dumps")], Verdict.UNDETERMINED),
    ],
)
def test_dumps(readings, verdict):
    assert ask(host(*readings), FILE, "dumps_are_complete")[0] is verdict


def parts(*plans):
    """The files of a split dump in the folder of dumps."""
    texts, rows = [], []
    for number, data in enumerate(map(kdump, plans)):
        path = f"/var/crash/2026/vmcore-{number}"
        rows.append(f"dump {len(data)} 1 {path}")
        texts.append(f"file {path}\nsize {len(data)}\nmtime 1\n@0 {data.hex()}")
    return [says("dump_listing", "\n".join(["folder /var/crash", *rows])), says("stored_dumps", "\n".join(texts))]


def test_split_dumps_are_judged_together():
    first, second, third = split_plans(Plan(), 3)
    assert ask(host(*parts(third, first, second)), FILE, "dumps_are_complete")[0] is Verdict.ABSENT
    verdict, words = ask(host(*parts(first, third)), FILE, "dumps_are_complete")
    assert verdict is Verdict.UNDETERMINED and "is missing" in words  # it may lie on another disk


def test_a_name_that_says_unfinished_is_believed():
    path = "/var/crash/202601010101/dump-incomplete"
    readings = evidence(path, 600, (0, b"something else".ljust(600, b".")))
    verdict, words = ask(host(*readings), FILE, "dumps_are_complete")
    assert verdict is Verdict.PRESENT
    assert "never ended" in words


ID = "kdump_test_id=1790000000-5"
OF_SERVICE = "/var/lib/kdump/vmcore-creation.status"
OF_CAPTURE = "/var/crash/kdump-test-1790000000-5/vmcore-creation.status"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("file /c/README.txt\nsays If you see this text the crash dump is likely incomplete.\nend", Verdict.PRESENT),
        ("file /c/README.txt\nsays vmcore status: saved successfully\nend", Verdict.ABSENT),
        ("file /c/README.txt\nsays vmcore status: saved successfully", Verdict.UNDETERMINED),
        ("file /c/README.txt\nclosed\nend", Verdict.UNDETERMINED),
        (f"file {OF_SERVICE}\nsays success {ID}\nend", Verdict.ABSENT),
        (f"file {OF_SERVICE}\nsays fail {ID}\nend", Verdict.PRESENT),
        (f"file {OF_SERVICE}\nsays manual {ID}\nend", Verdict.UNDETERMINED),
        # kdumpctl test crashed the machine, and what became of it was never looked up
        (f"file {OF_SERVICE}\nsays pending {ID}\nend", Verdict.UNDETERMINED),
        (f"file {OF_SERVICE}\nsays pending {ID}\nfile /c/README.txt\nsays vmcore status: skipped\nend", Verdict.UNDETERMINED),
        (f"file {OF_SERVICE}\nsays pending {ID}\nfile {OF_CAPTURE}\nsays success {ID}\nend", Verdict.ABSENT),
        (f"file {OF_SERVICE}\nsays pending {ID}\nfile {OF_CAPTURE}\nsays fail {ID}\nend", Verdict.PRESENT),
        (f"file {OF_SERVICE}\nsays pending {ID}\nfile {OF_CAPTURE}\nsays success kdump_test_id=1-2\nend", Verdict.UNDETERMINED),
        (f"file {OF_SERVICE}\nend", Verdict.NOT_APPLICABLE),
        ("end", Verdict.NOT_APPLICABLE),
        ("", Verdict.UNDETERMINED),
    ],
)
def test_notes(text, verdict):
    folder = says("dump_listing", "folder /var/crash")
    assert ask(host(folder, says("dump_notes", text)), FILE, "tools_report_success")[0] is verdict


def test_notes_that_cannot_be_read():
    assert ask(host(denied("dump_notes")), FILE, "tools_report_success")[0] is Verdict.UNDETERMINED


def test_identity_of_a_dump():
    data = kdump()
    text = f"file {PATH}\nsize {len(data)}\nmtime 1\n@0 {data.hex()}"
    log = f"file {PATH.replace('/dump.', '/dmesg.')}\npanic [   84.1][  T461] Kernel panic - not syncing: x\nend"
    known = Knowledge(host(listing(len(data)), says("stored_dumps", text), says("dump_notes", log)))
    (one,) = known.get("dump_identities")
    assert (one.path, one.size, one.mtime, one.release) == (PATH, len(data), 1, "6.1.0-50-amd64")
    assert one.crash_time and one.build_id
    assert one.panic == "Kernel panic - not syncing: x"


def test_panic_of_a_dump_without_a_log_that_was_opened():
    data = kdump()
    text = f"file {PATH}\nsize {len(data)}\nmtime 1\n@0 {data.hex()}"
    for words, panic in (("Kernel panic - not syncing: y; task 1 sh, 9 frames", "Kernel panic - not syncing: y"), ("no x", None)):
        said = f"dump {PATH}\nby crash\n{'opened' if panic else 'cannot'} {words}"
        known = Knowledge(host(listing(len(data)), says("stored_dumps", text), says("opened_dumps", said)))
        (one,) = known.get("dump_identities")
        assert one.panic == panic
