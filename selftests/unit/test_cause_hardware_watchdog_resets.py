"""2.3: running hardware timers against the time that the dump needs."""

import pytest

from kdump.fact import UID
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says

MEMORY = says("meminfo", "MemTotal: 1000000 kB\nSlab: 40000 kB")
KDUMP_TOOLS = says("kdump_userspace", "/usr/sbin/kdump-config")
KDUMPCTL = says("kdump_userspace", "/usr/bin/kdumpctl")
ROOT = Reading(UID, "0", "", 0)


def dog(**attributes):
    return says("watchdogs", "\n".join(f"watchdog0 {name.replace('_', '-')} {value}" for name, value in attributes.items()))


def image(*modules):
    files = "".join(f"file 10 usr/lib/modules/1/{name}.ko\n" for name in modules)
    return says("initramfs", f"image 1 1 /boot/i\n{files}total 10 10 1")


SHORT = {"identity": "i6300ESB timer", "state": "active", "timeout": 12, "driver": "i6300esb"}


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([KDUMP_TOOLS, dog(**SHORT)], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 600})], Verdict.ABSENT),
        # nobody opened it; whether the firmware did is not exported
        ([KDUMP_TOOLS, dog(**{**SHORT, "state": "inactive"})], Verdict.UNDETERMINED),
        # started by the firmware: nobody opened it, and it counts
        ([KDUMP_TOOLS, dog(**{**SHORT, "state": "inactive"}, timeleft=9, timeleft_later=7)], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(**{**SHORT, "state": "inactive"}, timeleft=21, timeleft_later=21)], Verdict.ABSENT),
        ([KDUMP_TOOLS, dog(identity="Software Watchdog", state="active", timeout=10, driver="softdog")], Verdict.ABSENT),
        ([KDUMP_TOOLS, says("watchdogs", "", "ls: cannot access: No such file or directory", 2)], Verdict.ABSENT),
        ([KDUMP_TOOLS, says("watchdogs", "watchdog0 driver iTCO_wdt")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, denied("watchdogs")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS], Verdict.UNDETERMINED),
        # the capture kernel takes the timer over where its driver is in the image and loads in time
        ([KDUMPCTL, image("i6300esb"), dog(**{**SHORT, "timeout": 31})], Verdict.ABSENT),
        ([KDUMPCTL, image("virtio_blk"), dog(**{**SHORT, "timeout": 31})], Verdict.PRESENT),
    ],
)
def test_watchdogs(readings, verdict):
    transcript = host(ROOT, MEMORY, *readings)
    assert ask(transcript, "hardware_watchdog_resets", "no_watchdog_expires_before_the_dump_is_done")[0] is verdict


RUNNING = "Watchdog Timer Is:      Started/Running\nWatchdog Timer Action:  Hard Reset (0x01)\nInitial Countdown:      {} sec"


@pytest.mark.parametrize(
    ("reading", "verdict"),
    [
        (says("bmc_watchdog", RUNNING.format("20.0")), Verdict.PRESENT),
        (says("bmc_watchdog", RUNNING.format("900.0")), Verdict.ABSENT),
        (says("bmc_watchdog", RUNNING.format("20.0").replace("Started/Running", "Stopped")), Verdict.ABSENT),
        (says("bmc_watchdog", RUNNING.format("20.0").replace("Hard Reset", "No action")), Verdict.ABSENT),
        (says("bmc_watchdog", "no device"), Verdict.NOT_APPLICABLE),
        (says("bmc_watchdog", "no device\nfirmware names an IPMI interface: SMBIOS type 38"), Verdict.UNDETERMINED),
        (says("bmc_watchdog", "", "timeout: failed to run command 'ipmitool'", 127), Verdict.UNDETERMINED),
        (says("bmc_watchdog", ""), Verdict.UNDETERMINED),
    ],
)
def test_bmc(reading, verdict):
    transcript = host(ROOT, MEMORY, reading)
    assert ask(transcript, "hardware_watchdog_resets", "bmc_does_not_expire_before_the_dump_is_done")[0] is verdict


def test_an_ordinary_user_cannot_know_the_bmc():
    transcript = host(Reading(UID, "1000", "", 0), MEMORY, says("bmc_watchdog", "no device"))
    test = "bmc_does_not_expire_before_the_dump_is_done"
    assert ask(transcript, "hardware_watchdog_resets", test)[0] is Verdict.UNDETERMINED
