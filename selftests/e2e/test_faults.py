"""Causes staged for real on a real machine, judged over real SSH: each named exactly, a healthy machine silent.

`make bench-faults` stages many more.
"""

import pytest

from lab.faults import FAULTS
from lab.faults.model import DEBIAN12
from lab.faults.staging import Staging


@pytest.fixture(scope="module")
def staging():
    with Staging() as staged:
        yield staged


# those on one ground stand together, so that they share its machine
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.ci], ids=lambda fault: fault.name)
def test_is_named_exactly(fault, staging, tmp_path):
    outcome = staging.run(DEBIAN12, fault, tmp_path)
    assert not outcome.problems, f"{outcome.problems}\n{outcome.output}"
