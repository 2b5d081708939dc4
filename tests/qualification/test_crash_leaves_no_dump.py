"""A real crash leaves no vmcore.

Everything that can be read says that this machine would dump, and then it does not: a driver that does not survive
the panic, a disk that the capture kernel does not see, a firmware that stops. Only a crash tells. The machine is
marked, crashed once, and watched until it is back with a dump that was not there before. Where it stops, the step
that fails names the end it came to, the way out, and the cause to read on with. Nothing else notices, because a
machine that is never crashed never shows it.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crash-leaves-no-dump",
    stage=Stage.BOOT,
    severity=Severity.NO_VMCORE,
    remediation="Follow the way out that the failing step names, then crash again; a serial console (--console) tells most.",
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html"],
)


def test_nothing_speaks_against_a_crash(crash_preflight):
    assert crash_preflight.happened, crash_preflight.seen


def test_kernel_log_takes_the_mark(crash_mark):
    assert crash_mark.happened, crash_mark.seen


def test_trigger_is_taken(crash_trigger):
    assert crash_trigger.happened, crash_trigger.seen


def test_machine_goes_down(crash_down):
    assert crash_down.happened, crash_down.seen


def test_capture_kernel_boots(crash_capture):
    assert crash_capture.happened, crash_capture.seen


def test_dump_is_written(crash_dumping):
    assert crash_dumping.happened, crash_dumping.seen


def test_machine_comes_back(crash_back):
    assert crash_back.happened, crash_back.seen


def test_new_dump_lies_there(crash_found):
    assert crash_found.happened, crash_found.seen
