"""A real OpenSSH sshd on loopback with accounts of its own, by a mount namespace with another /etc/passwd and sudoers."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SSHD = "/usr/sbin/sshd"
SUDO_PASSWORD = "correct horse canary"
#: Account → (login shell, line in sudoers).
ACCOUNTS = {
    "asked": ("/bin/sh", "asked ALL=(ALL) ALL"),
    "trusted": ("/bin/sh", "trusted ALL=(ALL) NOPASSWD: ALL"),
    "stranger": ("/bin/sh", ""),
    "ttyonly": ("/bin/sh", "Defaults:ttyonly requiretty\nttyonly ALL=(ALL) NOPASSWD: ALL"),
    "noshell": ("/usr/sbin/nologin", ""),
    "restricted": ("/bin/rbash", ""),
    "noisy": ("/bin/bash", "noisy ALL=(ALL) NOPASSWD: ALL"),
}


def missing() -> str | None:
    """Why the bench cannot run here; None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in (SSHD, "/usr/bin/ssh-keygen", "/usr/bin/unshare"):
        if not Path(program).exists():
            return f"needs {program}"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "may not create a mount namespace"
    return None


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def keygen(path: Path, kind: str, passphrase: str = "") -> Path:
    bits = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", path.name, "-f", path], check=True)
    return path


def sha512_crypt(password: str) -> str:
    done = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password.encode(), capture_output=True, check=True)
    return done.stdout.decode().strip()


class Sshd:
    """A running sshd. ``log`` is what it logged; ``authenticated()`` counts, so that one connection is provably one."""

    def __init__(
        self,
        folder: Path,
        extra: str = "",
        first: str = "",
        host_keys: tuple[str, ...] = ("ed25519", "ecdsa", "rsa"),
        listen: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.port = free_port()
        self.log = folder / "sshd.log"
        self.host_keys = [keygen(folder / f"host_{kind}", kind) for kind in host_keys]
        self.user_key = keygen(folder / "user_key", "ed25519")
        shutil.copy(f"{self.user_key}.pub", folder / "authorized_keys")
        (folder / "authorized_keys").chmod(0o644)
        lines = [
            first,  # the first value of a keyword is the one that counts
            f"Port {self.port}",
            f"ListenAddress {listen}",
            *(f"HostKey {key}" for key in self.host_keys),
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "StrictModes no",
            "PidFile none",
            "UsePAM no",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UseDNS no",
            "LogLevel VERBOSE",
            "Subsystem sftp internal-sftp",
            extra,
        ]
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self._accounts()
        Path("/run/sshd").mkdir(exist_ok=True)
        self._start()

    def _accounts(self) -> None:
        crypted = sha512_crypt(SUDO_PASSWORD)
        own = self.folder / "home" / "root"  # root's .bashrc on this machine may do anything, and take any time
        own.mkdir(parents=True, exist_ok=True)
        passwd, shadow, sudoers = (
            re.sub(r"^(root:(?:[^:]*:){4})[^:]*", rf"\g<1>{own}", Path("/etc/passwd").read_text(), flags=re.MULTILINE),
            Path("/etc/shadow").read_text(),
            "Defaults use_pty\nroot ALL=(ALL) ALL\n",
        )
        for number, (name, (shell, rule)) in enumerate(ACCOUNTS.items()):
            home = self.folder / "home" / name
            home.mkdir(parents=True, exist_ok=True)
            passwd += f"{name}:x:{64000 + number}:65534::{home}:{shell}\n"
            shadow += f"{name}:{crypted}:19000:0:99999:7:::\n"
            sudoers += rule + "\n"
        (self.folder / "home/noisy/.bashrc").write_text("echo welcome to this machine\necho noise >&2\n")
        for name, text, mode in (("passwd", passwd, 0o644), ("shadow", shadow, 0o640), ("sudoers", sudoers, 0o440)):
            path = self.folder / f"etc-{name}"
            path.write_text(text)
            path.chmod(mode)

    def _start(self) -> None:
        etc = [name for name in ("passwd", "shadow", "sudoers") if Path("/etc", name).exists()]
        mounts = [f"mount --bind {self.folder}/etc-{name} /etc/{name}" for name in etc]
        script = "; ".join(["set -e", *mounts, f"exec {SSHD} -D -f {self.folder}/sshd_config -E {self.log}"])
        self._process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], start_new_session=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                if sock.recv(4) == b"SSH-":
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"sshd did not start: {self.log.read_text() if self.log.exists() else ''}")

    @property
    def name(self) -> str:
        return f"[127.0.0.1]:{self.port}"

    def known_hosts(self, *kinds: str) -> str:
        """Lines for the host keys of these kinds (all of them when none is given)."""
        keys = [Path(f"{key}.pub").read_text().split() for key in self.host_keys]
        return "".join(f"{self.name} {kind} {key}\n" for kind, key, *_ in keys if not kinds or kind in kinds)

    def connections(self) -> int:
        return self.log.read_text().count("Connection from 127.0.0.1")

    def authenticated(self) -> int:
        return self.log.read_text().count("Accepted ")

    def freeze(self) -> None:
        """Stop every process of this sshd: the kernel still acknowledges, nobody answers."""
        for pid in (self._process.pid, *_descendants(self._process.pid)):
            os.kill(pid, signal.SIGSTOP)

    def stop(self) -> None:
        for pid in (*_descendants(self._process.pid), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(5)


def _descendants(parent: int) -> list[int]:
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, check=True, text=True).stdout
    parents = {int(pid): int(ppid) for pid, ppid in (line.split() for line in listing.splitlines())}
    found = [parent]
    for known in found:
        found += [pid for pid, ppid in parents.items() if ppid == known]
    return found[1:]


@contextlib.contextmanager
def running(extra: str = "", **options: Any) -> Iterator[Sshd]:
    """A running sshd in a folder of its own, not pytest's: its accounts must reach their homes and keys."""
    with tempfile.TemporaryDirectory(prefix="kdump-bench-") as folder:
        sshd = Sshd(Path(folder), extra, **options)
        try:
            yield sshd
        finally:
            sshd.stop()
