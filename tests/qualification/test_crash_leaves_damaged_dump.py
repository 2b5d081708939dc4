"""A real crash leaves a dump that is cut short, or that is of another crash.

A file lies where the dump should be, so everybody believes that the machine dumps. But the disk was full, a watchdog bit in the
middle, or what lies there is the dump of an older crash, kept under the same name. The dump's bytes say whether all of it is
there; the mark that was written into the kernel log just before the crash says whether it is of this one.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crash-leaves-damaged-dump",
    stage=Stage.SAVE,
    severity=Severity.INCOMPLETE_VMCORE,
    remediation="Follow the way out that the failing step names: free space, watchdog time-outs, one folder per dump.",
    references=["https://github.com/makedumpfile/makedumpfile/blob/master/IMPLEMENTATION"],
)


def test_dump_is_complete(crash_complete):
    assert crash_complete.happened, crash_complete.seen


def test_dump_is_of_this_crash(crash_ours):
    assert crash_ours.happened, crash_ours.seen
