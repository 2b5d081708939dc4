"""Verdicts, and the two ways in which a fact declines to give a value."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """What the suite says of one cause on one host."""

    ABSENT = "absent"
    PRESENT = "present"
    NOT_APPLICABLE = "not applicable"
    UNDETERMINED = "could not determine"


class NoValue(Exception):
    """A fact has no value to give; ``str()`` is the reason, one sentence."""


class CouldNotDetermine(NoValue):
    """The value exists but was not seen: denied, unreadable, timed out, tool missing, unparsable."""


class OnlyACrashTells(CouldNotDetermine):
    """All that can be looked at was looked at, and does not decide: the next crash of this boot does."""


class NotApplicable(NoValue):
    """The value cannot exist on this host, so the cause cannot bite here."""
