"""The log of the units that load the capture kernel."""

from __future__ import annotations

from ..fact import fact
from ..parsers.systemd import log_lines
from ..verdict import CouldNotDetermine
from .service import UNITS

# journalctl ends with 0 and shows what it may: its own words tell the difference (systemd v252, src/shared/logs-show.c,
# src/shared/journal-util.c)
_DENIED = ("You are currently not seeing messages from", "insufficient permissions")
_EMPTY = ("No journal files were found", "No journal boot entry found", "no persistent journal was found")


def unit_log(text: str) -> tuple[str, ...]:
    """The lines of this boot, oldest first. Raises :class:`CouldNotDetermine` where this user may not see them.

    >>> unit_log("-- No entries --")
    ()
    """
    if any(words in text for words in _DENIED):
        raise CouldNotDetermine(
            "the journal shows this user nothing of the system: connect as root, use --sudo or the group systemd-journal"
        )
    if any(words in text for words in _EMPTY):
        raise CouldNotDetermine("the journal of this boot is empty or not kept on this host")
    return log_lines(text)


journal = fact("unit_log", f"unit_log {' '.join(UNITS)}", unit_log, statuses=(0, 1), slow=True)
