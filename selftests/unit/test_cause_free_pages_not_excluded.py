"""Red, green and cannot-know of page exclusion."""

import pytest

from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says
from selftests.unit.test_cause_section_size_bits_mismatch import DEFAULT, FAILS, NEEDLESS, ROOT, SLOW, TABLE, WALKS


@pytest.mark.parametrize(
    ("trial", "verdict"),
    [
        (WALKS, Verdict.ABSENT),
        # makedumpfile 1.7.6 on Linux 6.12
        (says("makedumpfile_trial", TABLE.format(free=0)), Verdict.PRESENT),
        # too little is free to tell a miscount from what came and went
        (says("makedumpfile_trial", TABLE.format(free=1000).replace("573724", "20000")), Verdict.UNDETERMINED),
        (NEEDLESS, Verdict.NOT_APPLICABLE),
        (FAILS, Verdict.UNDETERMINED),
        (SLOW, Verdict.UNDETERMINED),
        (denied("makedumpfile_trial"), Verdict.UNDETERMINED),
    ],
)
def test_free_pages(trial, verdict):
    found, said = ask(host(ROOT, DEFAULT, trial), "free_pages_not_excluded", "makedumpfile_recognises_free_pages")
    assert found is verdict, said
