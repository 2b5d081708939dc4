"""A kernel beside its baseline: what counts as new."""

import pytest

from kdump.report.comparison import Change, Row
from kdump.report.model import State


@pytest.mark.parametrize(
    ("kernel", "baseline", "change"),
    [
        (State.PRESENT, State.ABSENT, Change.NEW),
        (State.PRESENT, State.NOT_APPLICABLE, Change.NEW),
        (State.PRESENT, None, Change.NEW),
        (State.WAIVED, State.ABSENT, Change.NEW),
        (State.PRESENT, State.UNDETERMINED, Change.PERHAPS_NEW),
        (State.PRESENT, State.PRESENT, Change.SAME),
        (State.UNDETERMINED, State.ABSENT, Change.NEWLY_UNKNOWN),
        (State.UNDETERMINED, State.UNDETERMINED, Change.SAME),
        (State.UNDETERMINED, State.PRESENT, Change.SAME),  # not seen to be gone
        (State.ABSENT, State.PRESENT, Change.GONE),
        (State.ABSENT, State.UNDETERMINED, Change.SAME),
    ],
)
def test_change(kernel, baseline, change):
    assert Row("cause", kernel, baseline).change is change
