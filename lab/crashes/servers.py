"""Servers on the controller's loopback that take dumps, and machines configured for them.

A machine sees the controller's loopback as 10.0.2.2 (QEMU's user-mode network).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab.errors import LabError
from lab.faults.staging import STAGE_DEADLINE
from lab.machine import Machine

_SSHD = "/usr/sbin/sshd"
_GANESHA = """\
NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; }}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {place}; }}
EXPORT {{
    Export_Id = 1; Path = {dumps}; Pseudo = /dumps; Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Protocols = 4;
    FSAL {{ Name = VFS; }}
}}
"""
#: the capture kernel boots this very system: without it, nothing there waits for the network
_WAIT_FOR_NETWORK = "systemctl unmask systemd-networkd-wait-online && systemctl enable systemd-networkd-wait-online"


@contextlib.contextmanager
def serving(kind: str, machine: Machine, folder: Path) -> Iterator[Path]:
    """A server of that *kind* ("ssh", "nfs"), for which *machine* is configured. Yields the folder that dumps come to;
    *folder* is for it and the server's log. Raises LabError."""
    dumps = folder / "dumps"
    dumps.mkdir()
    serve = {"ssh": _ssh, "nfs": _nfs}[kind]
    with (
        tempfile.TemporaryDirectory(prefix="kdump-lab-server-") as place,
        serve(machine, Path(place), dumps, folder / "server.txt"),
    ):
        machine.check(_WAIT_FOR_NETWORK)
        yield dumps


@contextlib.contextmanager
def _ssh(machine: Machine, place: Path, dumps: Path, log: Path) -> Iterator[None]:
    port = _free_port()
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {place / 'host'}", "StrictModes no", "UsePAM no"]
    lines += [f"AuthorizedKeysFile {place / 'user.pub'}", "PidFile none", "PermitRootLogin yes", "Subsystem sftp internal-sftp"]
    (place / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where its privilege separation goes
    with _running([_SSHD, "-D", "-e", "-f", str(place / "sshd_config")], "openssh-server", port, log):
        known = f"[10.0.2.2]:{port} {' '.join((place / 'host.pub').read_text().split()[:2])}\n"
        machine.check("install -d -m 700 /root/.ssh && cat > /root/.ssh/known_hosts", stdin=known.encode())
        machine.check("umask 77 && cat > /root/.ssh/kdump_id_rsa", stdin=(place / "user").read_bytes())
        machine.check(f"printf 'Host 10.0.2.2\\n Port {port}\\n BatchMode yes\\n' > /root/.ssh/config")
        _configure(machine, f'SSH="{getpass.getuser()}@10.0.2.2"', f'KDUMP_COREDIR="{dumps}"')
        yield


@contextlib.contextmanager
def _nfs(machine: Machine, place: Path, dumps: Path, log: Path) -> Iterator[None]:
    port = _free_port()
    (place / "ganesha.conf").write_text(_GANESHA.format(port=port, place=place, dumps=dumps))
    command = ["ganesha.nfsd", "-F", "-f", str(place / "ganesha.conf"), "-L", "/dev/stderr", "-p", str(place / "pid")]
    with _running(command, "nfs-ganesha nfs-ganesha-vfs", port, log):
        machine.check(f"printf '[ NFSMount_Global_Options ]\\nPort={port}\\n' > /etc/nfsmount.conf")
        machine.check(
            "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold "
            "--no-install-recommends install nfs-common",
            deadline=STAGE_DEADLINE,
        )
        _configure(machine, 'NFS="10.0.2.2:/dumps"')
        yield


def _configure(machine: Machine, *settings: str) -> None:
    machine.check("cat >> /etc/default/kdump-tools", stdin="".join(f"{line}\n" for line in settings).encode())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _running(command: Sequence[str], package: str, port: int, log: Path) -> Iterator[None]:
    if shutil.which(command[0]) is None:
        raise LabError(f"The lab needs {command[0]}, which is not installed: apt-get install {package}")
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        until = time.monotonic() + 30
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > until:
                raise LabError(f"{command[0]} does not listen: {log.read_text(errors='replace')[-300:]}")
            time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
