"""The one exception of the dump parsers."""

from __future__ import annotations


class Unreadable(Exception):
    """The bytes do not say what was asked. `reason` is one sentence without a full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EndsEarly(Unreadable):
    """The file ends before the bytes that its own headers promise. `missing` is the least number of lost bytes."""

    def __init__(self, what: str, missing: int) -> None:
        super().__init__(f"the file ends inside {what}")
        self.what = what
        self.missing = missing
