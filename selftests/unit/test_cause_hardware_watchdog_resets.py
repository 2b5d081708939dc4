"""2.3: running hardware timers against the time that the dump needs."""

from dataclasses import replace

import pytest

from kdump.fact import UID
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

MEMORY = says("meminfo", "MemTotal: 1000000 kB\nMemFree: 500000 kB\nCached: 200000 kB\nAnonPages: 90000 kB\nSlab: 40000 kB")
LARGE = replace(MEMORY, text=MEMORY.text.replace("00 kB", "0000 kB"))
KDUMP_TOOLS = says("kdump_userspace", "/usr/sbin/kdump-config")
KDUMPCTL = says("kdump_userspace", "/usr/bin/kdumpctl")
ROOT = Reading(UID, "0", "", 0)
HOST = (
    ROOT,
    MEMORY,
    says("kdump_tools_defaults", "USE_KDUMP=1"),
    missing("core_collector_lines"),
    missing("kdump_conf_target"),
    missing("kdump_sysconfig"),
    missing("kexec_command"),
    says("cmdline", "root=/dev/vda ro crashkernel=256M"),
    says("built_in_modules", "kernel/drivers/watchdog/sbsa_gwdt.ko"),
    says("systemd_watchdog", "RuntimeWatchdogUSec=0"),
    says("bmc_watchdog", "no device"),
)


def dog(*later, **attributes):
    lines = [f"watchdog0 {name} {value}" for name, value in attributes.items()] + [f"watchdog0 later {value}" for value in later]
    return says("watchdogs", "\n".join(lines))


def core(dogs, handle_boot_enabled):
    return replace(dogs, text=f"core handle_boot_enabled {handle_boot_enabled}\n{dogs.text}")


def cmdline(words):
    return says("cmdline", f"root=/dev/vda ro crashkernel=256M {words}")


def image(*modules):
    files = "".join(f"file 10 usr/lib/modules/1/{name}.ko\n" for name in modules)
    return says("initramfs", f"image 1 1 /boot/i\n{files}total 10 10 1")


RUNNING = "Watchdog Timer Is:      Started/Running\nWatchdog Timer Action:  Hard Reset (0x01)\nInitial Countdown:      {} sec"
BMC_STOPPED = says("bmc_watchdog", RUNNING.format("20.0").replace("Started/Running", "Stopped"))
SHORT = {"identity": "i6300ESB timer", "state": "active", "timeout": 4, "driver": "i6300esb"}
LOCKED = {**SHORT, "nowayout": 1}
IDLE = {**LOCKED, "state": "inactive"}
MEDIUM = {**SHORT, "timeout": 31}
LONGER = {**SHORT, "timeout": 46}
HPWDT = {**MEDIUM, "timeout": 30, "driver": "hpwdt"}
TWO_DRIVERS = dog(**LONGER)
TWO_DRIVERS = replace(TWO_DRIVERS, text=f"{TWO_DRIVERS.text}\nwatchdog0 driver hpwdt")
LEGACY = "legacy identity /dev/watchdog\nlegacy driver ib700wdt\nlegacy users {}\nlegacy timeout {}"
IPMI_DRIVER = says("watchdogs", LEGACY.format(1, 4).replace("ib700wdt", "ipmi_watchdog"))
SBSA = {**IDLE, "identity": "SBSA Generic Watchdog", "driver": "sbsa_gwdt", "timeout": 10}
NOT_BUILT_IN = says("built_in_modules", "kernel/drivers/virtio/virtio_pci.ko")
SYSTEMD_4 = says("systemd_watchdog", "RuntimeWatchdogUSec=4s")
SYSTEMD_20 = says("systemd_watchdog", "RuntimeWatchdogUSec=20s")


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        # however short: the capture kernel's own driver may stop it before, unless it is locked
        ([KDUMP_TOOLS, dog(**LOCKED)], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(**SHORT)], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 1})], Verdict.UNDETERMINED),
        ([KDUMPCTL, dog(**SHORT)], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 600})], Verdict.ABSENT),
        # within what the estimate may be wrong by
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 40})], Verdict.UNDETERMINED),
        # a dump of all memory takes longer
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 50})], Verdict.ABSENT),
        (
            [KDUMP_TOOLS, says("kdump_tools_defaults", 'MAKEDUMP_ARGS="-c -d 1"'), dog(**{**LOCKED, "timeout": 50})],
            Verdict.PRESENT,
        ),
        (
            [KDUMP_TOOLS, says("kdump_tools_defaults", "KDUMP_COMPRESSION=xz"), dog(**{**SHORT, "timeout": 50})],
            Verdict.UNDETERMINED,
        ),
        # nobody opened it; whether the firmware did is not exported
        ([KDUMP_TOOLS, dog(**IDLE)], Verdict.UNDETERMINED),
        # this driver stops what the firmware started, unless that is locked
        ([KDUMP_TOOLS, dog(**{**IDLE, "nowayout": 0})], Verdict.ABSENT),
        ([KDUMP_TOOLS, dog(**{**IDLE, "nowayout": ""})], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(**{**IDLE, "nowayout": 0, "driver": "w83627hf_wdt"})], Verdict.UNDETERMINED),
        # started by the firmware: nobody opened it, the kernel feeds it (or not), and it counts
        ([KDUMP_TOOLS, dog(8, 7, **IDLE, timeleft=9)], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(12, 11, **IDLE, timeleft=11)], Verdict.PRESENT),
        # the udev of the system that is booted may load the driver in time, unless the timer is locked or nothing stops it
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 12})], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 30})], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(**{**LOCKED, "timeout": 12})], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(**HPWDT), cmdline("watchdog.handle_boot_enabled=0")], Verdict.PRESENT),
        ([KDUMP_TOOLS, dog(**{**HPWDT, "driver": "w83627hf_wdt"})], Verdict.UNDETERMINED),
        ([KDUMPCTL, dog(**{**SHORT, "timeout": 12})], Verdict.PRESENT),
        ([KDUMP_TOOLS, says("watchdogs", "")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, says("watchdogs", "core open_timeout 0")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(21, 21, **IDLE, timeleft=21)], Verdict.ABSENT),
        ([KDUMP_TOOLS, dog("", "", **IDLE, timeleft="")], Verdict.UNDETERMINED),
        # this one's timeleft goes on below zero where the timer stands still; what does not exceed the time-out may be its run
        ([KDUMPCTL, NOT_BUILT_IN, dog(2090719560, 2090719559, **SBSA, timeleft=2090719561)], Verdict.ABSENT),
        (
            [KDUMPCTL, NOT_BUILT_IN, dog(2090719560, 2090719559, **{**SBSA, "driver": "sbsa-gwdt"}, timeleft=2090719561)],
            Verdict.ABSENT,
        ),
        ([KDUMPCTL, NOT_BUILT_IN, image("ext4"), dog(2, 1, **{**SBSA, "timeout": 3}, timeleft=3)], Verdict.PRESENT),
        ([KDUMPCTL, NOT_BUILT_IN, image("ext4"), dog(2, 1, **{**SBSA, "timeout": ""}, timeleft=3)], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(identity="Software Watchdog", state="active", timeout=10, driver="softdog")], Verdict.ABSENT),
        ([KDUMP_TOOLS, says("watchdogs", "none")], Verdict.ABSENT),
        ([KDUMP_TOOLS, says("watchdogs", "", "/sys is not mounted, or hidden", 65)], Verdict.UNDETERMINED),
        # a kernel without the attributes: only systemd tells
        ([KDUMP_TOOLS, says("watchdogs", "watchdog0 driver hpwdt")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, says("watchdogs", "watchdog0 driver hpwdt"), SYSTEMD_4], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 0})], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, denied("watchdogs")], Verdict.UNDETERMINED),
        # how long the dump takes matters where there is a timer
        ([KDUMP_TOOLS, says("watchdogs", "none"), denied("meminfo")], Verdict.ABSENT),
        ([KDUMP_TOOLS, dog(**{**SHORT, "timeout": 600}), denied("meminfo")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS], Verdict.UNDETERMINED),
        # runs down twice before it resets
        ([KDUMP_TOOLS, dog(**{**SHORT, "driver": "iTCO_wdt", "timeout": 20})], Verdict.UNDETERMINED),
        # the capture kernel takes the timer over where its driver is in the image, or built in, and loads in time
        ([KDUMPCTL, LARGE, image("i6300esb"), dog(**LONGER)], Verdict.ABSENT),
        ([KDUMP_TOOLS, LARGE, image("i6300esb"), dog(**LONGER)], Verdict.ABSENT),
        ([KDUMP_TOOLS, denied("initramfs"), dog(**{**SHORT, "timeout": 12})], Verdict.UNDETERMINED),
        ([KDUMPCTL, image("i6300esb"), dog(**{**SHORT, "timeout": 12})], Verdict.UNDETERMINED),
        ([KDUMPCTL, image("i6300esb"), dog(**SHORT)], Verdict.UNDETERMINED),
        ([KDUMPCTL, image("virtio_blk"), dog(**{**MEDIUM, "timeout": 30})], Verdict.PRESENT),
        ([KDUMPCTL, image("iTCO_wdt"), dog(**{**MEDIUM, "driver": "iTCO_wdt", "below": "lpc_ich"})], Verdict.UNDETERMINED),
        (
            [KDUMPCTL, LARGE, image("iTCO_wdt", "lpc_ich"), dog(**{**LONGER, "driver": "iTCO_wdt", "below": "lpc_ich"})],
            Verdict.ABSENT,
        ),
        # a driver that names no device: one of those that use the watchdog core
        ([KDUMPCTL, LARGE, image("i6300esb"), TWO_DRIVERS], Verdict.UNDETERMINED),
        ([KDUMPCTL, LARGE, image("i6300esb", "hpwdt"), TWO_DRIVERS], Verdict.ABSENT),
        ([KDUMPCTL, denied("initramfs"), dog(**MEDIUM)], Verdict.UNDETERMINED),
        ([KDUMPCTL, denied("initramfs"), dog(**SHORT)], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, LARGE, dog(**{**LONGER, "driver": "sbsa-gwdt"})], Verdict.ABSENT),
        # the core does not feed a timer that ran before, or not for long; a driver that stops it needs no core
        ([KDUMPCTL, LARGE, image("hpwdt"), dog(**{**HPWDT, "timeout": 46})], Verdict.ABSENT),
        ([KDUMPCTL, image("hpwdt"), dog(**HPWDT), cmdline("watchdog.handle_boot_enabled=0")], Verdict.PRESENT),
        ([KDUMPCTL, image("hpwdt"), dog(**HPWDT), cmdline("watchdog.open_timeout=5")], Verdict.PRESENT),
        ([KDUMPCTL, image("hpwdt"), dog(**HPWDT), denied("cmdline")], Verdict.UNDETERMINED),
        ([KDUMPCTL, image("hpwdt"), core(dog(**HPWDT), "N")], Verdict.PRESENT),
        ([KDUMPCTL, LARGE, image("i6300esb"), core(dog(**LONGER), "N")], Verdict.ABSENT),
        # a timer that is locked in hardware; a driver of which it is not known
        ([KDUMPCTL, image("i6300esb"), dog(**{**MEDIUM, "timeout": 30, "nowayout": 1})], Verdict.PRESENT),
        ([KDUMPCTL, image("w83627hf_wdt"), dog(**{**MEDIUM, "driver": "w83627hf_wdt"})], Verdict.UNDETERMINED),
        # a driver outside the watchdog core: what it does when it loads is not known
        ([KDUMP_TOOLS, says("watchdogs", LEGACY.format(1, 4))], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, says("watchdogs", LEGACY.format(1, 20))], Verdict.UNDETERMINED),
        ([KDUMPCTL, says("watchdogs", LEGACY.format(1, 20))], Verdict.PRESENT),
        ([KDUMPCTL, says("watchdogs", LEGACY.format(1, 20)), image("ib700wdt")], Verdict.UNDETERMINED),
        ([KDUMP_TOOLS, says("watchdogs", LEGACY.format(0, 4))], Verdict.UNDETERMINED),
        ([KDUMPCTL, says("watchdogs", LEGACY.format(0, 4)), SYSTEMD_4], Verdict.PRESENT),
        ([KDUMP_TOOLS, says("watchdogs", "legacy identity /dev/watchdog")], Verdict.UNDETERMINED),
        # the BMC speaks for its own driver
        ([KDUMP_TOOLS, IPMI_DRIVER, BMC_STOPPED], Verdict.ABSENT),
        ([KDUMP_TOOLS, IPMI_DRIVER, denied("bmc_watchdog")], Verdict.UNDETERMINED),
        (
            [KDUMP_TOOLS, IPMI_DRIVER, says("bmc_watchdog", "no device"), says("watchdog_settings", "no systemd")],
            Verdict.PRESENT,
        ),
    ],
)
def test_watchdogs(readings, verdict):
    transcript = host(*HOST, image("virtio_blk"), *readings)
    assert ask(transcript, "hardware_watchdog_resets", "no_watchdog_expires_before_the_dump_is_done")[0] is verdict


CONF = "/etc/systemd/system.conf"
OWN = "/etc/systemd/system.conf.d/own.conf"
VENDOR = "/usr/lib/systemd/system.conf.d/own.conf"


def at_boot(*lines, files=(CONF, OWN)):
    return says("watchdog_settings", "\n".join([*(f"file {file}" for file in files), *lines]))


def systemd(value, file=OWN):
    return at_boot(f"{file}:RuntimeWatchdogSec={value}")


def entry(words):
    menu = f"menuentry 'A' {{\n linux /boot/vmlinuz-1 root=/dev/vda {words}\n}}"
    return says("boot_configuration", f"== /boot/grub/grub.cfg\n{menu}")


DAEMON = ("unit watchdog.service", "/etc/watchdog.conf:watchdog-device = /dev/watchdog")
WATCHDOG_CONF = (CONF, "/etc/watchdog.conf", "/etc/default/watchdog", "/etc/modules")
NEVER_STARTED = {**IDLE, "nowayout": 0, "timeout": 600, "max_timeout": 2046}
NONE = says("watchdogs", "none")


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([dog(**IDLE), systemd("4")], Verdict.PRESENT),
        ([dog(**NEVER_STARTED), systemd("4s")], Verdict.UNDETERMINED),
        ([dog(**{**NEVER_STARTED, "nowayout": 1}), systemd("4s")], Verdict.PRESENT),
        ([dog(**NEVER_STARTED), systemd("10min")], Verdict.ABSENT),
        ([dog(**NEVER_STARTED), systemd("default")], Verdict.ABSENT),
        ([dog(**IDLE), systemd("default")], Verdict.PRESENT),
        ([dog(**NEVER_STARTED), systemd("off")], Verdict.ABSENT),
        ([dog(**NEVER_STARTED), at_boot()], Verdict.ABSENT),
        # too close to call, for the same reasons as one that runs
        ([dog(**NEVER_STARTED), systemd("12")], Verdict.UNDETERMINED),
        # whether the driver takes so long a time-out
        ([dog(**IDLE), systemd("10min")], Verdict.UNDETERMINED),
        ([dog(**IDLE, max_timeout=60), systemd("10min")], Verdict.UNDETERMINED),
        ([dog(**IDLE, max_timeout=0), systemd("10min")], Verdict.ABSENT),
        # the drop-in in /etc hides that of its name in /usr; the last one counts; what is no time is not understood
        ([dog(**IDLE), at_boot(f"{VENDOR}:RuntimeWatchdogSec=4", files=(CONF, OWN, VENDOR))], Verdict.ABSENT),
        ([dog(**IDLE), at_boot(f"{CONF}:RuntimeWatchdogSec=off", f"{OWN}:RuntimeWatchdogSec=4")], Verdict.PRESENT),
        ([dog(**IDLE), at_boot(f"{CONF}:RuntimeWatchdogSec=4", f"{OWN}:RuntimeWatchdogSec=off")], Verdict.ABSENT),
        ([dog(**IDLE), systemd("soon")], Verdict.UNDETERMINED),
        # another device than the one that is there; one that this cannot name
        ([dog(**IDLE), at_boot(f"{OWN}:RuntimeWatchdogSec=4", f"{OWN}:WatchdogDevice=/dev/watchdog1")], Verdict.ABSENT),
        ([dog(**IDLE), at_boot(f"{OWN}:RuntimeWatchdogSec=4", f"{OWN}:WatchdogDevice=/dev/by-id/x")], Verdict.UNDETERMINED),
        # the kernel's command line speaks last
        ([dog(**IDLE), at_boot(), entry("systemd.watchdog_sec=4")], Verdict.PRESENT),
        ([dog(**IDLE), systemd("4"), entry("systemd.watchdog_sec=off")], Verdict.ABSENT),
        ([dog(**IDLE), at_boot(), denied("boot_configuration")], Verdict.UNDETERMINED),
        # a daemon that was never started, with and without a device, switched off, and one that is not known here
        ([dog(**NEVER_STARTED), at_boot(*DAEMON, files=WATCHDOG_CONF)], Verdict.ABSENT),
        (
            [dog(**IDLE), at_boot(*DAEMON, "/etc/watchdog.conf:watchdog-timeout = 4", files=WATCHDOG_CONF)],
            Verdict.PRESENT,
        ),
        ([dog(**IDLE), at_boot(DAEMON[0], files=WATCHDOG_CONF)], Verdict.ABSENT),
        ([dog(**IDLE), at_boot(*DAEMON, "/etc/default/watchdog:run_watchdog=0", files=WATCHDOG_CONF)], Verdict.ABSENT),
        ([dog(**IDLE), at_boot("unit sbd.service")], Verdict.UNDETERMINED),
        # no watchdog there: but a driver may come with the boot
        ([NONE, systemd("4")], Verdict.ABSENT),
        (
            [NONE, at_boot(f"{OWN}:RuntimeWatchdogSec=4", "/etc/modules:iTCO_wdt", files=(CONF, OWN, "/etc/modules"))],
            Verdict.UNDETERMINED,
        ),
        ([NONE, at_boot(*DAEMON, "/etc/default/watchdog:watchdog_module=iTCO_wdt", files=WATCHDOG_CONF)], Verdict.UNDETERMINED),
        ([dog(identity="Software Watchdog", state="inactive", timeout=10, driver="softdog"), systemd("4")], Verdict.ABSENT),
        # what runs, and nothing here knows why
        ([dog(**SHORT), at_boot()], Verdict.NOT_APPLICABLE),
        ([dog(**LOCKED), systemd("4")], Verdict.PRESENT),
        ([dog(**IDLE), denied("watchdog_settings")], Verdict.UNDETERMINED),
        ([dog(**IDLE), says("watchdog_settings", "")], Verdict.UNDETERMINED),
        ([dog(**IDLE), says("watchdog_settings", "no systemd")], Verdict.ABSENT),
    ],
)
def test_next_boot(readings, verdict):
    transcript = host(*HOST, KDUMP_TOOLS, image("virtio_blk"), cmdline("BOOT_IMAGE=/boot/vmlinuz-1"), entry(""), *readings)
    assert ask(transcript, "hardware_watchdog_resets", "next_boot_arms_no_watchdog_that_expires")[0] is verdict


@pytest.mark.parametrize(
    ("seconds", "driver", "verdict"),
    [
        # its start builds an image with the driver, which is in time for 30 s, and may be for less
        ("30", "virtio_blk", Verdict.UNDETERMINED),
        ("4", "virtio_blk", Verdict.UNDETERMINED),
        ("46", "i6300esb", Verdict.ABSENT),
    ],
)
def test_next_boot_of_kdumpctl_may_build_its_image_anew(seconds, driver, verdict):
    boot = (KDUMPCTL, image(driver), cmdline("BOOT_IMAGE=/boot/vmlinuz-1"), entry(""))
    transcript = host(*HOST, LARGE, *boot, dog(**NEVER_STARTED), systemd(seconds))
    assert ask(transcript, "hardware_watchdog_resets", "next_boot_arms_no_watchdog_that_expires")[0] is verdict


BMC_20 = says("bmc_watchdog", RUNNING.format("20.0"))
LOADS_IPMI = at_boot("/etc/modules:ipmi_watchdog", files=(CONF, "/etc/modules"))


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([BMC_20], Verdict.PRESENT),
        ([says("bmc_watchdog", RUNNING.format("900.0"))], Verdict.ABSENT),
        ([says("bmc_watchdog", RUNNING.format("40.0"))], Verdict.UNDETERMINED),
        ([BMC_STOPPED], Verdict.ABSENT),
        ([replace(BMC_20, text=BMC_20.text.replace("Hard Reset", "No action"))], Verdict.ABSENT),
        # something in the capture kernel may load ipmi_watchdog, which takes the timer's action away, sooner or later
        ([BMC_20, image("ipmi_watchdog")], Verdict.UNDETERMINED),
        ([BMC_20, image("ipmi_watchdog"), KDUMPCTL], Verdict.UNDETERMINED),
        ([BMC_20, says("built_in_modules", "kernel/drivers/char/ipmi/ipmi_watchdog.ko")], Verdict.UNDETERMINED),
        ([BMC_20, LOADS_IPMI], Verdict.UNDETERMINED),
        ([BMC_20, LOADS_IPMI, KDUMPCTL], Verdict.PRESENT),
        ([BMC_20, denied("initramfs")], Verdict.UNDETERMINED),
        ([BMC_20, denied("watchdog_settings")], Verdict.UNDETERMINED),
        ([says("bmc_watchdog", RUNNING.format("4.0")), image("ipmi_watchdog")], Verdict.UNDETERMINED),
        ([says("bmc_watchdog", RUNNING.format("4.0"))], Verdict.PRESENT),
        ([BMC_20, cmdline("crash_kexec_post_notifiers")], Verdict.UNDETERMINED),
        ([says("bmc_watchdog", "no device")], Verdict.NOT_APPLICABLE),
        ([says("bmc_watchdog", "no device\nfirmware names an IPMI interface: SMBIOS type 38")], Verdict.UNDETERMINED),
        ([says("bmc_watchdog", "", "timeout: failed to run command 'ipmitool'", 127)], Verdict.UNDETERMINED),
        ([says("bmc_watchdog", "")], Verdict.UNDETERMINED),
    ],
)
def test_bmc(readings, verdict):
    transcript = host(*HOST, image("virtio_blk"), at_boot(), KDUMP_TOOLS, *readings)
    assert ask(transcript, "hardware_watchdog_resets", "bmc_does_not_expire_before_the_dump_is_done")[0] is verdict


def test_an_ordinary_user_cannot_know_the_bmc():
    transcript = host(*HOST, Reading(UID, "1000", "", 0), KDUMP_TOOLS, says("bmc_watchdog", "no device"))
    test = "bmc_does_not_expire_before_the_dump_is_done"
    assert ask(transcript, "hardware_watchdog_resets", test)[0] is Verdict.UNDETERMINED
