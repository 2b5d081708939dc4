"""Red, green and cannot-know of page exclusion."""

import pytest

from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says
from selftests.unit.test_cause_section_size_bits_mismatch import (
    DEFAULT,
    FAILS,
    NEEDLESS,
    ROOT,
    SILENT,
    SLOW,
    TABLE,
    UNRESERVED,
    WALKS,
)

TYPED = says("vmcoreinfo", "OSRELEASE=6.12.0\nNUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-452984832")


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
        (UNRESERVED, Verdict.UNDETERMINED),
        (denied("makedumpfile_trial"), Verdict.UNDETERMINED),
    ],
)
def test_free_pages(trial, verdict):
    for readings in ([trial], [trial, TYPED]):
        found, said = ask(host(ROOT, DEFAULT, *readings), "free_pages_not_excluded", "makedumpfile_recognises_free_pages")
        assert found is verdict, said


@pytest.mark.parametrize("trial", [FAILS, SLOW, NEEDLESS, denied("makedumpfile_trial")])
def test_an_older_kernel_has_no_types_that_could_be_misread(trial):
    """Its memory is walked only to learn whether makedumpfile knows the size of its sections."""
    found, said = ask(host(ROOT, DEFAULT, SILENT, trial), "free_pages_not_excluded", "makedumpfile_recognises_free_pages")
    assert found is Verdict.NOT_APPLICABLE, said
