"""A real crash leaves a dump that crash does not open.

The dump is whole and of this crash, and still nobody can read it: the vmlinux at hand is of another build, crash is
too old for this kernel, or the pages it needs first were excluded. That shows on the day of the analysis. Where crash
and the kernel's vmlinux are at hand the dump is opened now, and the panicking task, its backtrace, the log and the
modules have to come out.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crash-leaves-unreadable-dump",
    stage=Stage.ANALYSE,
    severity=Severity.UNREADABLE_VMCORE,
    remediation="Install the debuginfo package of exactly this kernel and a crash that knows it, then open the dump again.",
    references=["https://crash-utility.github.io/"],
)


def test_dump_opens(crash_opens):
    assert crash_opens.happened, crash_opens.seen
