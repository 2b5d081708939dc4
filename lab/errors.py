"""What the lab raises for what a user can cause or repair."""

from __future__ import annotations


class LabError(RuntimeError):
    """Something is missing or went wrong; ``str()`` is one sentence that says what to do."""


class AlreadyUpError(LabError):
    """A machine of that name is running; nothing was tried."""
