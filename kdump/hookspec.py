"""The suite's own hooks, for plugins that follow a run host by host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .fact import Knowledge
    from .report.model import Finding, HostState


@pytest.hookspec()
def pytest_kdump_host_finished(host: HostState, findings: Sequence[Finding], knowledge: Knowledge | None) -> None:
    """All tests of a host have been judged, or all have failed because it could not be asked (``knowledge`` is None).

    Called once per host, in the process that judged it; not for a host of which an interrupted run left tests out.
    """
