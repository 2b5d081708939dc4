"""A dump on this host is damaged or incomplete.

The machine was reset in the middle of saving, the disk was full, or makedumpfile died. kdump-tools and SUSE's kdump give
such a file its final name nevertheless: the service called it saved, and a size above zero proves nothing. crash then
ends without a word, or shows half a memory. Here a dump's own tables are compared with the bytes that are there.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "vmcore-damaged",
    stage=Stage.ANALYSE,
    severity=Severity.INCOMPLETE_VMCORE,
    remediation=(
        "This dump cannot be completed: save what can be read, find what cut it short (disk full, watchdog, out of "
        "memory; the other tests and the console's log tell), mend that, and provoke a new dump to prove it."
    ),
    references=["https://github.com/makedumpfile/makedumpfile/blob/master/diskdump_mod.h"],
)


def test_dumps_are_complete(damaged_dumps):
    assert not damaged_dumps, "\n".join(damaged_dumps)


def test_tools_report_success(failed_saves):
    assert not failed_saves, "\n".join(failed_saves)


def test_dumps_can_be_opened(dumps_that_do_not_open):
    assert not dumps_that_do_not_open, "\n".join(dumps_that_do_not_open)
