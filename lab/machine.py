"""A lab machine: an image, some hardware, and verbs.

::

    with Machine(image.find("debian12"), crashkernel="96M") as machine:
        machine.boot()
        print(machine.run("cat /sys/kernel/kexec_crash_loaded").stdout)

Every machine runs on throw-away overlays, its SSH port is reachable from 127.0.0.1 only, and it ends with the process
that started it, however that ends (see lab/supervisor.py). Every wait has a deadline in seconds and raises LabError.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from lab import accel, keys, qemu, runs, ssh, state
from lab.errors import AlreadyUpError, LabError
from lab.image import Image
from lab.qmp import Qmp

SUPERVISOR = Path(__file__).with_name("supervisor.py")
START_DEADLINE = 30.0
SSH_DEADLINE = 240.0
SETTLE_DEADLINE = 240.0
FREEZE_DEADLINE = 120.0


def tell(line: str) -> None:
    """Where progress lines go unless the caller has another place for them."""
    print(f"lab: {line}", file=sys.stderr, flush=True)


class Machine:
    """*crashkernel*: None for the recipe's, "" for none at all. *cmdline*: kernel arguments appended to the recipe's.

    *devices* are arguments of QEMU's ``-device`` ("i6300esb"), *options* any other QEMU arguments
    (("-action", "watchdog=reset")), *disks* empty disks besides the root disk. *console* is a file for the serial
    console; without it, one in the run folder, which goes with the machine (console() keeps its last text).
    A *detached* machine survives this process from disown() on. With *one_connection*, all commands share one, and who panics
    or resets the machine calls drop_connection().
    """

    def __init__(
        self,
        image: Image,
        *,
        crashkernel: str | None = None,
        cmdline: str = "",
        memory: int | None = None,
        cpus: int | None = None,
        disks: tuple[qemu.Disk, ...] = (),
        devices: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        console: Path | None = None,
        detached: bool = False,
        one_connection: bool = False,
        say: Callable[[str], None] = tell,
    ) -> None:
        self.image = image
        self.crashkernel = image.recipe.crashkernel if crashkernel is None else crashkernel
        self.cmdline = cmdline
        self.memory = memory or image.recipe.memory
        self.cpus = cpus or image.recipe.cpus
        self.disks = disks
        self.devices = devices
        self.options = options
        self.detached = detached
        self.one_connection = one_connection
        self.say = say
        self.restored = False
        self.port = 0
        self.folder: Path | None = None
        self._console = console.resolve() if console else None
        self._last_console = ""
        self._lock: int | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._died = False  # did QEMU end of itself, before stop()?
        self._over = False  # see end()
        self._qmp: Qmp | None = None

    # -- hardware, before the start ----------------------------------------------------------------------------

    def add_disk(self, size: int, bus: str = "virtio", serial: str = "") -> None:
        """An empty disk of *size* MiB on bus virtio, scsi, nvme or sata, from the next start on."""
        self.disks = (*self.disks, qemu.Disk(size, bus, serial))

    def add_device(self, argument: str, *options: str) -> None:
        """One more ``-device``, and any other QEMU arguments, from the next start on."""
        self.devices = (*self.devices, argument)
        self.options = (*self.options, *options)

    def hardware(self) -> qemu.Hardware:
        """What the machine will see; finds out about KVM the first time (up to 8 s)."""
        recipe = self.image.recipe
        state.qemu_version(recipe.arch)
        chosen = accel.choose(self.image.vmlinuz, recipe.arch, self.say)
        arguments = self.image.append(self.crashkernel, self.cmdline)
        return qemu.Hardware(
            arch=recipe.arch,
            accel=chosen,
            memory=self.memory,
            cpus=self.cpus,
            append=f"{arguments} {qemu.kernel_arguments(chosen)}".strip(),
            disks=self.disks,
            devices=self.devices,
            options=self.options,
        )

    # -- start and end -----------------------------------------------------------------------------------------

    def boot(self, *, freeze: bool = False) -> None:
        """Up, reachable and settled: thawed where this hardware was frozen before, else booted cold.

        With *freeze*, a cold boot is frozen for the next time. After a cold boot with other kernel arguments than the
        recipe's, the next boot's entry is brought into line with them, as on a machine that was booted by it.
        """
        saved = state.find(self.image.folder, self.hardware())
        if saved.exists():
            try:
                self.restore()
                self.wait_for_ssh()
                return
            except AlreadyUpError:
                raise
            except LabError as error:
                if self._over:
                    raise
                self.say(f"The frozen {self.image.recipe.name} could not be thawed ({error}); booting it anew.")
                self.stop()
                if self._died:  # QEMU cannot read it. A machine that was merely slow may be thawed another time.
                    shutil.rmtree(saved.folder, ignore_errors=True)
        self.say(f"Booting {self.image.recipe.name}: usually 5 s with KVM, 30 to 60 s emulated.")
        self.start()
        self.wait_for_ssh()
        self.settle()
        self._align_boot_entry()
        if freeze:
            self.freeze()
            self.restore()
            self.wait_for_ssh()

    def start(self, *, on_base: bool = False) -> None:
        """Powers the machine on over fresh overlays and returns when QEMU runs; the kernel has not booted then.

        *on_base* writes into the image itself: only for the build.
        """
        base = self.image.base
        self._launch([base], incoming=None, on_base=on_base)

    def restore(self) -> None:
        """Continues this hardware's frozen state on fresh overlays. LabError when there is none or QEMU refuses it."""
        saved = state.find(self.image.folder, self.hardware())
        if not saved.exists():
            raise LabError(f"{self.image.recipe.name} was never frozen with this hardware: boot() it with freeze=True first.")
        self._launch(saved.disks(), incoming=saved.memory, on_base=False)
        self.restored = True
        # The machine was stopped when it was frozen, and a migrated machine wakes up as it went to sleep.
        self._wait(lambda: self.qmp("query-status")["status"] in ("paused", "running"), START_DEADLINE, "to be thawed")
        self.qmp("cont")

    def freeze(self) -> state.State:
        """Saves memory and disks for restore() and ends the machine."""
        self.drop_connection()
        saved = state.find(self.image.folder, self.hardware())
        folder = self._folder()
        fresh = folder / "state"  # goes with the machine if we are killed before it is complete
        fresh.mkdir(mode=0o700)
        saved.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.qmp("stop")
            self.qmp("migrate-set-parameters", {"max-bandwidth": 1 << 40})
            self.qmp("migrate", {"uri": f"exec:zstd -q -1 -T0 > {shlex.quote(str(fresh / 'memory.zst'))}"})
            self._wait(self._migrated, FREEZE_DEADLINE, "to be frozen")
            self._quit()
            for number in range(1 + len(self.disks)):
                shutil.move(folder / f"disk{number}.qcow2", fresh / f"disk{number}.qcow2")
            if not saved.exists():
                fresh.rename(saved.folder)
        finally:
            self.stop()
        return saved

    def disown(self) -> None:
        """From now on a detached machine lives until somebody ends it; a start that is killed before leaves nothing behind."""
        assert self.detached and self._supervisor is not None
        self._supervisor.send_signal(signal.SIGUSR1)

    def power_off(self, deadline: float = 60.0) -> None:
        """A clean shutdown from inside; LabError when the machine does not end in time."""
        self.run("systemctl poweroff", deadline=30)
        self._wait(lambda: not self.alive(), deadline, "to power off")
        self.stop()

    def reset(self) -> None:
        """What the reset button does."""
        self.qmp("system_reset")

    def stop(self) -> None:
        """Ends the machine at once and removes its overlays. Safe to call at any time, more than once."""
        self.hang_up()
        supervisor, self._supervisor = self._supervisor, None  # another thread's stop() must not take our end for QEMU's own
        if supervisor is not None:
            self._died = supervisor.poll() is not None
            if not self._died:
                supervisor.terminate()
                try:
                    supervisor.wait(10)
                except subprocess.TimeoutExpired:
                    supervisor.kill()
                    supervisor.wait(10)
        if self.folder is not None:
            self._last_console = self.console()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.restored = False

    kill = stop

    def end(self) -> None:
        """Stops it for good: a boot() that another thread is in the middle of raises LabError, and starts nothing anew."""
        self._over = True
        self.stop()

    def alive(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    # -- inside ------------------------------------------------------------------------------------------------

    @property
    def address(self) -> ssh.Address:
        shared = self._folder() / "ssh-%r" if self.one_connection else None
        return ssh.Address(self.port, self.image.keys / "user", self._folder() / "known_hosts", shared)

    def drop_connection(self) -> None:
        """Ends the connection that commands share: the next one makes another."""
        if self.one_connection:
            ssh.hang_up(self.address)

    @property
    def ssh_config(self) -> Path:
        """An ssh_config(5) file in which the machine has its target's name."""
        return self._folder() / "ssh_config"

    def run(self, command: str, *, user: str = "root", deadline: float = 60.0, stdin: bytes = b"") -> ssh.Result:
        """Runs *command* in the machine over a connection of its own. LabError when it exceeds *deadline*."""
        return ssh.run(self.address, command, user=user, deadline=deadline, stdin=stdin)

    def check(self, command: str, *, user: str = "root", deadline: float = 60.0, stdin: bytes = b"") -> str:
        """run(), for what must succeed: its standard output, or LabError with its standard error."""
        result = self.run(command, user=user, deadline=deadline, stdin=stdin)
        if result.status != 0:
            raise LabError(
                f"In the machine, this failed with status {result.status}: {command[:200]} ({result.stderr.strip()[-300:]})"
            )
        return result.stdout

    def wait_for_ssh(self, deadline: float = SSH_DEADLINE) -> None:
        """Until a command can be run; sets the clock of a thawed machine, whose own stood still."""
        until = time.monotonic() + deadline
        self._wait(lambda: ssh.has_banner(self.port), deadline, "to answer on SSH")
        command = f"date -u -s @{time.time():.0f} >/dev/null" if self.restored else "true"
        while True:
            result = self.run(command, deadline=max(5.0, until - time.monotonic()))
            if result.status == 0:
                return
            # pam_nologin turns logins away while the machine is still booting.
            if time.monotonic() > until or "Permission denied" in result.stderr:
                raise LabError(f"The machine refuses root's SSH login: {result.stderr.strip()[-300:]}")
            time.sleep(0.5)

    def settle(self, deadline: float = SETTLE_DEADLINE) -> str:
        """Until systemd has no start jobs left (kdump's loading is one); the state's name, such as running or degraded."""
        return self.run("systemctl is-system-running --wait", deadline=deadline).stdout.strip()

    # -- console and monitor -----------------------------------------------------------------------------------

    @property
    def console_path(self) -> Path:
        return self._console or self._folder() / "console.log"

    def console(self) -> str:
        """All of the serial console so far, lines ending in plain newlines; after the machine's end, its last text."""
        if self._console is None and self.folder is None:
            return self._last_console
        try:
            return self.console_path.read_bytes().decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        except FileNotFoundError:
            return ""

    def wait_console(self, pattern: str, deadline: float, *, after: int = 0) -> re.Match[str]:
        """Until the console's text, from character *after* on, matches *pattern* (multi-line regular expression)."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.compile(pattern, re.MULTILINE).search(self.console(), after)
            if match:
                found.append(match)
            return bool(match)

        self._wait(look, deadline, f"to print {pattern!r} on its console")
        return found[0]

    def qmp(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        """One command of QEMU's monitor protocol."""
        if self._qmp is None:
            self._qmp = Qmp(self.monitor)
        return self._qmp.execute(name, arguments)

    @property
    def monitor(self) -> Path:
        """The socket of QEMU's monitor, which talks to one at a time: hang_up() before somebody else does."""
        return self._folder() / "qmp.sock"

    def hang_up(self) -> None:
        """Leaves the monitor; the next qmp() calls again."""
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None

    def inject_nmi(self) -> None:
        """What a BMC's "diagnostic interrupt" does: an NMI on every processor."""
        self.qmp("inject-nmi")

    # -- within ------------------------------------------------------------------------------------------------

    def _launch(self, disks: list[Path], *, incoming: Path | None, on_base: bool) -> None:
        if self.folder is not None:
            raise LabError(f"{self.image.recipe.name} is already running: stop it first.")
        if self._over:
            raise LabError(f"{self.image.recipe.name} was ended while it booted.")
        hardware = self.hardware()
        os.utime(self.image.folder / "image.json")  # it is in use: builds of newer recipes leave it alone
        run_folder = runs.create(self.image.recipe.name, detached=self.detached)
        self.folder = run_folder.path
        # Held by the supervisor too; we keep it until stop(), else another process could sweep the folder of a machine
        # that powered off while we still want its disks and its console.
        self._lock, self._died = run_folder.lock, False
        try:
            overlays = [self.folder / f"disk{number}.qcow2" for number in range(1 + len(self.disks))]
            for number, overlay in enumerate(overlays):
                if number < len(disks):
                    if not on_base:
                        state.create_disk(overlay, backing=disks[number])
                else:
                    state.create_disk(overlay, size=self.disks[number - 1].size)
            names = [self.image.base if on_base and not number else Path(disk.name) for number, disk in enumerate(overlays)]
            files = qemu.Files(
                self.image.vmlinuz, self.image.initrd, names, self._console or Path("console.log"), Path("qmp.sock")
            )
            (self.folder / "command.json").write_text(json.dumps(qemu.command(hardware, files, incoming)))
            with (self.folder / "qemu.log").open("ab") as log:
                self._supervisor = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(SUPERVISOR), str(self.folder), str(os.getpid())],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=(run_folder.lock,),
                )  # fmt: skip
            self._wait((self.folder / "qmp.sock").exists, START_DEADLINE, "to start")
            self.port = self._forwarded_port()
            self._describe(hardware)
        except BaseException:
            if self._supervisor is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._supervisor.wait(0.5)  # a QEMU that hung up on us is about to end: stop() notes whether it did
            self.stop()
            raise

    def _forwarded_port(self) -> int:
        answer = str(self.qmp("human-monitor-command", {"command-line": "info usernet"}))
        port = qemu.forwarded_port(answer)
        if port is None:
            raise LabError(f"QEMU does not say which port leads to the machine: {answer[-200:]!r}")
        return port

    def _describe(self, hardware: qemu.Hardware) -> None:
        folder, name = self._folder(), self.image.recipe.name
        known_hosts = folder / "known_hosts"
        known_hosts.write_text(keys.known_hosts_line(self.image.keys, self.port))
        self.ssh_config.write_text(keys.ssh_config(self.image.keys, known_hosts, name, self.port))
        facts = {
            "name": name,
            "port": self.port,
            "identity": str(self.image.keys / "user"),
            "console": str(self.console_path),
            "hardware": dataclasses.asdict(hardware),
        }
        (folder / "machine.json").write_text(json.dumps(facts, indent=1))

    def _align_boot_entry(self) -> None:
        recipe = self.image.recipe
        if self.crashkernel == recipe.crashkernel and not self.cmdline:
            return
        arguments = self.image.arguments(self.crashkernel, self.cmdline)
        pattern = r"/single/!s|^(\s*linux\s+\S+)\s.*|\1 " + re.sub(r"([\\&|])", r"\\\1", arguments) + "|"
        wanted = f"{recipe.cmdline} {self.cmdline}".strip()
        default = f'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="{wanted}"\n'
        kdump = f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel={self.crashkernel}"\n'
        self.check(
            f"set -e; sed -i -E {shlex.quote(pattern)} /boot/grub/grub.cfg; "
            f"printf %s {shlex.quote(default)} > /etc/default/grub; "
            f"printf %s {shlex.quote(kdump if self.crashkernel else '')} > /etc/default/grub.d/kdump-tools.cfg"
        )

    def _migrated(self) -> bool:
        answer = self.qmp("query-migrate")
        if answer.get("status") in ("failed", "cancelled"):
            raise LabError(f"QEMU could not freeze the machine: {answer.get('error-desc', answer['status'])}")
        return bool(answer.get("status") == "completed")

    def _quit(self) -> None:
        self.qmp("quit")
        self._wait(lambda: not self.alive(), 30, "to quit")

    def _folder(self) -> Path:
        if self.folder is None:
            raise LabError(f"The lab machine {self.image.recipe.name} is not running.")
        return self.folder

    def _wait(self, happened: Callable[[], bool], deadline: float, what: str) -> None:
        until = time.monotonic() + deadline
        while not happened():
            gone = not self.alive()
            if gone and not happened():
                raise LabError(f"QEMU ended before the machine had the time {what}: {self._last_words()}")
            if time.monotonic() > until:
                raise LabError(
                    f"The machine needed more than {deadline:.0f} s {what}; its console ends with: {self._console_tail()}"
                )
            time.sleep(0.1)

    def _last_words(self) -> str:
        try:
            text = (self._folder() / "qemu.log").read_text(errors="replace").strip()
        except OSError:
            text = ""
        return text[-400:] or f"it said nothing; its console ends with: {self._console_tail()}"

    def _console_tail(self) -> str:
        lines = [line for line in self.console().splitlines() if line.strip()]
        return repr(lines[-1][-200:]) if lines else "nothing"


def terminate(folder: Path, deadline: float = 10.0) -> None:
    """Ends the machine of a run folder that another process started, and removes the folder."""
    until = time.monotonic() + deadline
    while runs.is_running(folder):
        with contextlib.suppress(OSError, ValueError):  # not written yet, or it is ending: look again
            os.kill(int((folder / "supervisor.pid").read_text()), signal.SIGTERM)
        if time.monotonic() > until:
            raise LabError(f"The machine in {folder} did not end within {deadline:.0f} s.")
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)
