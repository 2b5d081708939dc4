"""Runs the programs of a build so that a build that ends, however it ends, leaves nothing of them behind.

mmdebstrap mounts /proc, /sys and /dev in the system that it unpacks. As an ordinary user it does so in namespaces of its own.
As root it uses the controller's (mmdebstrap 1.3.5, ``get_unshare_cmd`` is for its mode "unshare" alone), where a mount outlives
a program that was killed: whoever then clears the temporary folder away deletes in the controller's /proc and /sys. So root
gives it a mount namespace, which ends with its last process, and a process namespace, which ends with its first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
# mmdebstrap needs this long to remove what it had unpacked.
_END_DEADLINE = 60.0
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--")
_BOUND = 'mount --bind "$1" "$TMPDIR" && shift && exec "$@"'


def contained(command: Sequence[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """An mmdebstrap *command* line and its environment, with all that it leaves when it is killed within *folder*.

    An ordinary user's mmdebstrap unpacks in /tmp: those that it becomes in its user namespace may not enter *folder*. It tidies
    up by itself. Where root may not have namespaces (a container without CAP_SYS_ADMIN), nothing is mounted at all.
    """
    environment = dict(os.environ)
    if os.geteuid() != 0:
        return list(command), environment
    scratch = folder.resolve() / "tmp"
    scratch.mkdir(mode=0o755, exist_ok=True)
    # apt downloads as a user who may not enter *folder* either, but whatever is bound to a public place.
    environment["TMPDIR"] = "/tmp" if scratch.is_relative_to("/var/tmp") else "/var/tmp"  # noqa: S108  # of the namespace
    prefix = [*_UNSHARE, "/bin/sh", "-c", _BOUND, "sh", str(scratch)]
    probe = subprocess.run(
        [*prefix, "true"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    if probe.returncode == 0:
        return [*prefix, *command], environment
    environment["TMPDIR"] = str(scratch)
    return [command[0], "--skip=chroot/mount", *command[1:]], environment


def run(
    command: Sequence[str], output: IO[bytes], deadline: float, *, lock: int, environment: Mapping[str, str] | None = None
) -> int:
    """Its exit status. Raises FileNotFoundError, and subprocess.TimeoutExpired after *deadline* seconds.

    *lock* is a descriptor of the build's lock, which is held as long as any of the programs runs: the next build waits for
    what is left of this one.
    """
    # In a session of its own, the terminal's Ctrl-C reaches us alone, and we end it in our way.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True,
        pass_fds=(lock,), preexec_fn=_die_with_parent if os.geteuid() == 0 else None,
    ) as program:  # fmt: skip
        try:
            return program.wait(deadline)
        except BaseException:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(_END_DEADLINE)
            raise


def _die_with_parent() -> None:
    """Runs between fork and exec. Not for an ordinary user, whose mmdebstrap must live to remove what it unpacked in /tmp."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
