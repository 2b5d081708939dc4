"""The SSH keys of an image: generated with it, used by nothing else, no password anywhere.

A folder ``keys/`` holds ``user`` and ``user.pub`` (what the controller shows), ``host`` and ``host.pub`` (what the
machine shows). The host key is known before the first connection, so it is always verified.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.errors import LabError


def generate(folder: Path) -> None:
    """Writes an Ed25519 key pair for the user and one for the machine into *folder*, private parts mode 0600."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("user", "host"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"kdump-lab-{name}", "-f", str(folder / name)]
        try:
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise LabError(f"The lab cannot generate SSH keys ({error}): install the package openssh-client.") from error


def known_hosts_line(folder: Path, port: int) -> str:
    """The line for a known_hosts file that ties ``[127.0.0.1]:port`` to the image's host key."""
    kind, key = (folder / "host.pub").read_text().split()[:2]
    return f"[127.0.0.1]:{port} {kind} {key}\n"


def ssh_config(folder: Path, known_hosts: Path, name: str, port: int) -> str:
    """An ssh_config(5) section by which ``ssh -F FILE NAME`` reaches the machine as root."""
    return (
        f"Host {name}\n"
        "    HostName 127.0.0.1\n"
        f"    Port {port}\n"
        "    User root\n"
        f'    IdentityFile "{folder / "user"}"\n'
        "    IdentitiesOnly yes\n"
        f'    UserKnownHostsFile "{known_hosts}"\n'
        "    StrictHostKeyChecking yes\n"
    )
