"""A hardware watchdog resets the machine in the middle of the dump.

A timer that a daemon, systemd or the firmware keeps running is fed by nobody once the kernel has panicked. When it
expires, the machine is reset: a large memory or a slow disk makes the dump take longer than that. What stays is half a
dump, or none, and no log says why; the BMC's event log may. Lockup detectors (/proc/sys/kernel/watchdog) are not meant.

A timer that stands still today may run from the next boot on: systemd arms it where RuntimeWatchdogSec= has been set since the
last one, and so does a daemon that is enabled and was never started.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "hardware-watchdog-resets",
    stage=Stage.SAVE,
    severity=Severity.INCOMPLETE_VMCORE,
    remediation=(
        "Raise the watchdog's time-out above the time that the dump needs; or put its driver into the kdump initramfs, so that "
        "the capture kernel takes the timer over; or stop the timer (systemd's RuntimeWatchdogSec=, the daemon that feeds "
        "it, ipmitool mc watchdog off)."
    ),
    references=["https://docs.kernel.org/watchdog/watchdog-api.html"],
)


def test_no_watchdog_expires_before_the_dump_is_done(watchdogs_that_expire):
    assert not watchdogs_that_expire, "\n".join(watchdogs_that_expire)


def test_next_boot_arms_no_watchdog_that_expires(watchdogs_armed_at_boot):
    assert not watchdogs_armed_at_boot, "\n".join(watchdogs_armed_at_boot)


def test_bmc_does_not_expire_before_the_dump_is_done(bmc_that_expires):
    assert not bmc_that_expires, bmc_that_expires
