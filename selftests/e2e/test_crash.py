"""One full crash cycle on a real machine: panic, capture kernel, dump, reboot, and the proof that the dump is of this crash.

`make bench-crash` stages many more.
"""

import pytest

from lab.crashes import CASES
from lab.crashes.staging import run
from lab.faults.model import DEBIAN12


@pytest.mark.parametrize("case", [case for case in CASES if case.ci], ids=lambda case: case.name)
def test_ends_as_it_should(case, tmp_path):
    outcome = run(DEBIAN12, case, tmp_path / "crash")
    assert not outcome.problems, (outcome.problems, (tmp_path / "crash/terminal.txt").read_text())
