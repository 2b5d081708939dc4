"""The crashes: what must pass, and what must fail for the right reason."""

from __future__ import annotations

from kdump.qualification import steps
from lab.crashes.model import KILL, At, Case
from lab.faults import FAULTS
from lab.faults.model import DEBIAN12, Fault, Ground

_SOON = "--crash-timeout=240"
_PANIC = r"Kernel panic - not syncing: sysrq triggered crash"
_BEGINS = r"running makedumpfile (?!--dump-dmesg)"
_SAVED = r"kdump-tools: saved vmcore in"
_SET = "echo '{}' >> /etc/default/kdump-tools"
_KEPT = "ls /var/crash/2*/dump.* > /root/kept && cat $(cat /root/kept) > /root/older"


def _fault(name: str) -> Fault:
    (found,) = [fault for fault in FAULTS if fault.name == name]
    return found


_TOO_SMALL, _NO_DRIVER = _fault("reservation-too-small"), _fault("root-disk-without-driver")
_WATCHDOG, _FULL = _fault("watchdog-fed-by-a-daemon"), _fault("dump-disk-full")
_PATIENT, _BMC = _fault("watchdog-long-enough"), _fault("bmc-watchdog-not-running")
#: a makedumpfile that saves what an older crash left
_OLDER = (
    _KEPT,
    "mv /usr/bin/makedumpfile /usr/bin/makedumpfile.real",
    """printf '#!/bin/sh\\ncase "$*" in *-F*) cat /root/older ;; *) exec makedumpfile.real "$@" ;; esac\\n' \\
    > /usr/bin/makedumpfile""",
    "chmod 755 /usr/bin/makedumpfile",
)

CASES: tuple[Case, ...] = (
    # -- what must pass
    Case(
        "healthy",
        "a healthy machine leaves a proven dump",
        options=("{vmlinux}", "--crash-timeout=600"),
        shows=("left a proven dump",),
        strict=True,
        ci=True,
    ),
    Case(
        "two-without-a-console",
        "two crashes in a row, without a console: the steps that need one say so",
        console="",
        options=("--crash-cycles=2", "-v"),  # else only the reports say why a step is not applicable
        crashes=2,
        shows=(r"2 of 2 crashes left a proven dump \(100 %\)", "--console=HOST=FILE"),
    ),
    Case(
        "every-processor",
        "a crash on each processor, followed through a command that repeats the console's past",
        console="command",
        options=("--crash-trigger=sysrq-c:cpu=every",),
        crashes=2,
        shows=(r"2 of 2 crashes left a proven dump \(100 %\)", "by sysrq-c on processor 1 left"),
        prints=(r"CPU: 0 (UID: 0 )?PID: \d+ Comm: sh", r"CPU: 1 (UID: 0 )?PID: \d+ Comm: sh"),
    ),
    Case(
        "nmi-by-a-command",
        "an NMI that a command of the operator's sends, as ipmitool would",
        stage=("sysctl -q -w kernel.unknown_nmi_panic=1",),
        options=("--crash-trigger=command:{python} -m lab.crashes.nmi {qmp}", "{vmlinux}"),
    ),
    Case(
        "nmi-from-the-machine",
        "an NMI that the machine asks its own BMC for",
        ground=Ground(prepare=_BMC.ground.prepare),
        bmc=True,
        stage=("sysctl -q -w kernel.unknown_nmi_panic=1",),
        options=("--crash-trigger=nmi",),
    ),
    Case("out-of-memory", "vm.panic_on_oom, and a process that takes too much", options=("--crash-trigger=oom",)),
    Case(
        "hung-task",
        "kernel.hung_task_panic, and a task that waits for a frozen file system",
        options=("--crash-trigger=hung-task",),
        prints=("hung_task: blocked tasks",),
    ),
    Case(
        "over-ssh",
        "dumps go to an SSH server: they are watched and proven there",
        target="ssh",
        shows=(r"dumping \d+ s", "this one told: dump-disk-not-visible"),
        strict=True,
    ),
    Case(
        "over-nfs",
        "dumps go to an NFS server: they are watched and proven there",
        target="nfs",
        shows=(r"dumping \d+ s", "this one told: dump-disk-not-visible"),
        strict=True,
    ),
    Case(
        "on-a-second-disk",
        "dumps go to a second disk, which the capture kernel mounts",
        ground=_fault("dump-disk-on-virtio").ground,
        strict=True,
    ),
    Case(
        "watchdog-long-enough",
        "a hardware watchdog runs, and leaves the dump its time: how often it would fit is told",
        ground=_PATIENT.ground,
        stage=_PATIENT.stage,
        shows=(r"watchdog budget: .*\d+ s ÷ \d+ s = \d+\.\d",),
        strict=True,
    ),
    Case(
        "controller-killed",
        "the controller is killed after the trigger: resumed, the dump is found without another crash",
        at=(At(_PANIC, KILL),),
        resumed=True,
    ),
    # -- what must not even be tried
    Case(
        "refused-with-a-cause",
        "a machine that has a cause is not crashed",
        refused=r"not crashed: .*crashkernel-too-small is present",
        crashes=0,
        ground=_TOO_SMALL.ground,
        strict=True,
    ),
    Case(
        "refused-without-lkdtm",
        "a kernel that cannot be made to panic in that way is not tried",
        refused=r"not crashed: .*CONFIG_LKDTM",
        crashes=0,
        options=("--crash-trigger=softlockup",),
    ),
    # -- what must fail, and why
    Case(
        "reservation-too-small",
        _TOO_SMALL.why,
        steps.OUT_OF_MEMORY,
        within=240,
        ground=_TOO_SMALL.ground,
    ),
    Case(
        "driver-left-out",
        _NO_DRIVER.why,
        steps.DISK_MISSING,
        within=400,
        stage=_NO_DRIVER.stage,
    ),
    Case(
        "watchdog-armed",
        _WATCHDOG.why,
        steps.WATCHDOG_RESET,
        ground=_WATCHDOG.ground,
        stage=_WATCHDOG.stage,
    ),
    Case(
        "disk-full",
        _FULL.why,
        steps.DISK_FULL,
        stage=_FULL.stage,
    ),
    Case(
        "disk-full-without-a-console",
        f"{_FULL.why}, and no console tells it",
        steps.DISK_FULL,
        stage=_FULL.stage,
        console="",
    ),
    Case(
        "older-dump-lies-there",
        "the machine has the dump of an older crash, and now reboots without one",
        steps.NO_DUMP,
        ground=Ground(crash=_SAVED),
        stage=("kexec -p -u; sysctl -q -w kernel.panic=3",),
        console="",
    ),
    Case(
        "older-dump-saved-again",
        "what is saved is the dump of an older crash, under a new name",
        steps.OTHER_CRASH,
        ground=Ground(crash=_SAVED),
        stage=_OLDER,
    ),
    Case(
        "never-comes-back",
        "the dump is saved, and the machine stays off",
        steps.NEVER_CAME_BACK,
        within=300,
        options=(_SOON,),
        at=(At(_PANIC, "set-action", (("reboot", "shutdown"),)),),
    ),
    Case(
        "nothing-loaded",
        "no capture kernel is loaded, and the machine stands still after its panic",
        steps.CAPTURE_SILENT,
        within=300,
        stage=("kexec -p -u",),
        options=(_SOON,),
    ),
    Case(
        "bmc-refuses",
        "a BMC that knows no diagnostic interrupt: QEMU's own",
        steps.NEVER_WENT_DOWN,
        within=240,
        crashes=0,
        ground=_BMC.ground,
        stage=("sysctl -q -w kernel.unknown_nmi_panic=1",),
        options=("--crash-trigger=nmi",),
        shows=("the trigger said: .*Chassis Power Control",),
    ),
    Case(
        "never-goes-down",
        "an NMI that the kernel logs, and no more",
        steps.NEVER_WENT_DOWN,
        within=240,
        crashes=0,
        options=("--crash-trigger=command:{python} -m lab.crashes.nmi {qmp}",),
        prints=("Dazed and confused",),
    ),
    Case(
        "dump-stalls",
        "the machine is stopped in the middle of its dump; when it goes on, the dump is found without another crash",
        at=(At(_BEGINS, "stop"),),
        options=("--crash-timeout=480",),
        resumed=True,
        before=steps.DUMP_STALLED,
        on=(DEBIAN12,),
    ),
)
