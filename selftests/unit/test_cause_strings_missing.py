"""3.2: an old crash needs /usr/bin/strings, a newer one does not, a host without crash needs neither."""

import pytest

from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says

OLD, NEW, VENDOR = "crash 7.3.0\n", "crash 8.0.2++\n", "crash 7.3.2-4.el8_6\n"
NO_LIBRARY = "it does not run: /usr/bin/strings: error while loading shared libraries: libbfd-2.40-system.so: cannot open"
CANNOT_START = (
    "crash: error while loading shared libraries: libncurses.so.6: cannot open shared object file: No such file or directory"
)
WHOLE, CLOSED = says("vmlinux_candidates"), says("vmlinux_candidates", "file /usr/lib/debug/\nsize 0\npermission denied")
NONE_SPLIT, SPLIT = says("split_vmlinux"), says("split_vmlinux", "/usr/lib/debug/boot/vmlinux-6.4.0-1-default.debug")
HAVE = says("crash_program", "/usr/bin/crash")
MISSING = [HAVE, says("strings_complaint", "it is missing")]


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([HAVE, says("installed_crash", OLD), says("strings_complaint", "it is missing")], Verdict.PRESENT),
        ([HAVE, says("installed_crash", OLD), says("strings_complaint", "works")], Verdict.ABSENT),
        # a package that may have been given what is newer than its number
        ([HAVE, says("installed_crash", VENDOR), says("strings_complaint", "it is missing")], Verdict.UNDETERMINED),
        ([HAVE, says("installed_crash", VENDOR), says("strings_complaint", "works")], Verdict.ABSENT),
        ([*MISSING, says("installed_crash", "crash 8.0.2-3.el9"), NONE_SPLIT, WHOLE], Verdict.ABSENT),
        ([*MISSING, says("installed_crash", NEW), NONE_SPLIT, WHOLE], Verdict.ABSENT),
        ([*MISSING, says("installed_crash", NEW), NONE_SPLIT, CLOSED], Verdict.UNDETERMINED),
        ([HAVE, says("installed_crash", NEW), says("strings_complaint", "it is missing"), SPLIT], Verdict.PRESENT),
        ([HAVE, says("installed_crash", "crash 9.0.3"), says("strings_complaint", "it is missing"), SPLIT], Verdict.ABSENT),
        ([HAVE, says("installed_crash", "gibberish"), says("strings_complaint", "it is missing")], Verdict.UNDETERMINED),
        ([HAVE, says("installed_crash", "", "", 124), says("strings_complaint", "it is missing")], Verdict.UNDETERMINED),
        ([says("crash_program", "none"), says("installed_crash", "", "not found", 127)], Verdict.NOT_APPLICABLE),
        (
            [HAVE, says("installed_crash", "", CANNOT_START, 127), says("strings_complaint", "it is missing")],
            Verdict.UNDETERMINED,
        ),
        ([HAVE, says("installed_crash", OLD), says("strings_complaint", NO_LIBRARY)], Verdict.PRESENT),
        ([HAVE, says("installed_crash", OLD), denied("strings_complaint")], Verdict.UNDETERMINED),
        ([HAVE, says("installed_crash", OLD), says("strings_complaint", "", "", 124)], Verdict.UNDETERMINED),
        ([], Verdict.UNDETERMINED),
    ],
)
def test_crash_has_the_strings_it_needs(readings, verdict):
    assert ask(host(*readings), "strings_missing", "crash_has_the_strings_it_needs")[0] is verdict
