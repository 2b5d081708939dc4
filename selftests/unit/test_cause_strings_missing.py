"""3.2: an old crash needs /usr/bin/strings, a newer one does not, a host without crash needs neither."""

import pytest

from kdump.verdict import Verdict
from selftests.judging import ask, host, says

OLD, NEW = "crash 7.3.0\n", "crash 8.0.2++\n"
HAVE = says("crash_program", "/usr/bin/crash")


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([HAVE, says("installed_crash", OLD), says("strings_program", "no")], Verdict.PRESENT),
        ([HAVE, says("installed_crash", OLD), says("strings_program", "yes")], Verdict.ABSENT),
        ([HAVE, says("installed_crash", NEW), says("strings_program", "no")], Verdict.ABSENT),
        ([HAVE, says("installed_crash", "gibberish"), says("strings_program", "no")], Verdict.UNDETERMINED),
        ([HAVE, says("installed_crash", "", "", 124), says("strings_program", "no")], Verdict.UNDETERMINED),
        ([says("crash_program", "none"), says("installed_crash", "", "not found", 127)], Verdict.NOT_APPLICABLE),
        ([], Verdict.UNDETERMINED),
    ],
)
def test_crash_has_the_strings_it_needs(readings, verdict):
    assert ask(host(*readings), "strings_missing", "crash_has_the_strings_it_needs")[0] is verdict
