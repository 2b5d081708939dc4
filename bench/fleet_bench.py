"""What an audit of a fleet costs beside the fastest bare SSH clients and plain testinfra. `python bench/fleet_bench.py`

Everything is on loopback. "light" is a server that answers every command with a recorded transcript, so that the client is
the limit; "sshd" is OpenSSH, one process per connection, where both share the machine. Each row is a process of its own,
whose processor time and greatest memory are the kernel's account of it. Writes docs/benchmarks.md with --write.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import asyncssh
import paramiko

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "selftests" / "connection")]
import sshd_bench  # noqa: E402

TRANSCRIPT = ROOT / "recordings" / "debian12-healthy.transcript"
TESTS = "crashkernel or kaslr or operational or dump_disk or watchdog or strings or section"
COMMANDS = 23  # what an ordinary user of testinfra runs for the facts of about 15 checks
PLAIN = """
import pytest
@pytest.mark.parametrize("number", range({commands}))
def test_fact(host, number):
    assert host.run(f"echo fact {{number}}").rc == 0
"""


@dataclass(frozen=True)
class Fleet:
    """``addresses`` with one port, reached by ``config``; ``dead`` of them never answer."""

    name: str
    addresses: list[str]
    port: int
    key: str
    config: Path


@dataclass(frozen=True)
class Row:
    fleet: str
    system: str
    hosts: int
    wall: float
    cpu: float
    memory: float

    def cells(self, limit: float | None) -> str:
        ratio = f"{self.wall / limit:.1f}" if limit else "–"
        per_host = f"{1000 * self.cpu / self.hosts:.1f}"
        return f"| {self.fleet} | {self.system} | {self.hosts} | {self.wall:.2f} | {ratio} | {per_host} | {self.memory:.0f} |"


def measured(fleet: Fleet, system: str, command: list[str], cwd: Path, statuses: tuple[int, ...] = (0,)) -> Row:
    # as a user's second run: the compiled form of the tests is kept
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) not in statuses:
        raise SystemExit(f"{system} on {fleet.name} ended with {os.waitstatus_to_exitcode(status)}:\n{output[-3000:]}")
    return Row(fleet.name, system, len(fleet.addresses), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def bare(client: str, fleet: str, port: int, key: str) -> None:
    """Connect, send the same bytes, read the answer, close; in a process of its own."""
    addresses = Path(fleet).read_text().split()
    sent = subprocess.run([sys.executable, "-m", "kdump.probe"], cwd=ROOT, capture_output=True, check=True).stdout
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    started = time.monotonic()
    if client == "asyncssh":
        asyncio.run(_by_asyncssh(addresses, port, key, sent))
    else:
        private = paramiko.PKey.from_path(key)
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda address: _by_paramiko(address, port, private, sent), addresses))
    print(time.monotonic() - started)


async def _by_asyncssh(addresses: list[str], port: int, key: str, sent: bytes) -> None:
    private, gate = asyncssh.read_private_key(key), asyncio.Semaphore(100)

    async def ask(address: str) -> None:
        async with (
            gate,
            asyncssh.connect(address, port, username="root", client_keys=[private], known_hosts=None, config=None) as link,
        ):
            done = await link.run("/bin/sh -c 'echo kdump-start-bare; exec /bin/sh -s'", input=sent, encoding=None)
            assert b"# end" in done.stdout, done

    await asyncio.gather(*map(ask, addresses))


def _by_paramiko(address: str, port: int, key: paramiko.PKey, sent: bytes) -> None:
    import socket

    sock = socket.create_connection((address, port), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    try:
        transport.connect(username="root", pkey=key)
        channel = transport.open_session(timeout=30)
        channel.exec_command("/bin/sh -c 'echo kdump-start-bare; exec /bin/sh -s'")
        channel.sendall(sent)
        channel.shutdown_write()
        assert b"# end" in channel.makefile("rb").read()
    finally:
        transport.close()


def rows(fleet: Fleet, folder: Path, *, plain: bool, statuses: tuple[int, ...] = (0,), limits: bool = True) -> Iterator[Row]:
    names = folder / f"hosts-{len(fleet.addresses)}-{fleet.port}"
    names.write_text("\n".join(fleet.addresses) + "\n")
    for client in ("asyncssh", "paramiko") if limits else ():
        argv = [sys.executable, __file__, "--bare", client, str(names), str(fleet.port), fleet.key]
        yield measured(fleet, f"bare {client}", argv, folder)
    reports = [f"--html={folder}/r.html", f"--junitxml={folder}/r.xml"]
    hosts = folder / "specs"
    hosts.write_text("".join(f"root@{address}:{fleet.port}\n" for address in fleet.addresses))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hosts=@{hosts}", f"--ssh-config={fleet.config}"]
    argv += [*reports, f"--rootdir={ROOT}", f"-c{ROOT}/pytest.ini", "-k", TESTS, f"--history={folder}/history.sqlite", str(ROOT)]
    argv[-1] = str(ROOT / "tests")
    yield measured(fleet, "this suite, HTML and JUnit", argv, ROOT, statuses)
    if plain:
        (folder / "test_plain.py").write_text(PLAIN.format(commands=COMMANDS))
        few = Fleet(fleet.name, fleet.addresses[:10], fleet.port, fleet.key, fleet.config)
        listed = ",".join(f"paramiko://root@{address}:{fleet.port}" for address in few.addresses)
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--hosts={listed}",
            f"--ssh-config={fleet.config}",
        ]
        yield measured(few, f"plain testinfra, {COMMANDS} commands a host", [*argv, "test_plain.py"], folder)


@contextlib.contextmanager
def light(folder: Path, latency: float, probe: float) -> Iterator[tuple[int, str, str]]:
    host_key, user_key = sshd_bench.keygen(folder / "host", "ed25519"), sshd_bench.keygen(folder / "user", "ed25519")
    argv = [sys.executable, str(Path(__file__).parent / "light_server.py"), str(host_key), f"{user_key}.pub", str(TRANSCRIPT)]
    server = subprocess.Popen([*argv, str(latency), str(probe)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        direct, relayed = server.stdout.readline().split()
        yield int(relayed if latency else direct), str(user_key), Path(f"{host_key}.pub").read_text()
    finally:
        server.kill()
        server.wait(5)


def fleet_of(name: str, count: int, dead: int, port: int, key: str, public: str, folder: Path) -> Fleet:
    addresses = [f"127.{9 if number < dead else 1}.{number // 250}.{number % 250 + 1}" for number in range(count)]
    (folder / "known_hosts").write_text(f"[127.*]:{port} {' '.join(public.split()[:2])}\n")
    config = folder / "config"
    config.write_text(
        f"Host *\n IdentityFile {key}\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known_hosts\n"
        " StrictHostKeyChecking yes\n GlobalKnownHostsFile /dev/null\n"
    )
    return Fleet(name, addresses, port, key, config)


def run(short: bool) -> Iterator[Row]:
    most = 200 if short else 1000
    with tempfile.TemporaryDirectory(prefix="kdump-fleet-") as where:
        for latency, probe, count, dead in (
            (0.0, 0.0, 50, 0),
            (0.0, 0.0, most, 0),
            (0.02, 0.0, most, 0),
            (0.02, 0.5, most, 0),
            (0.02, 0.0, most, 3 * most // 10),
        ):
            folder = Path(where) / f"{latency}-{probe}-{count}-{dead}"
            folder.mkdir()
            words = f"light, {1000 * latency:.0f} ms" + (", probe takes 0.5 s" if probe else "") + (", 30 % dead" if dead else "")
            with light(folder, latency, probe) as (port, key, public):
                fleet = fleet_of(words, count, dead, port, key, public, folder)
                yield from rows(
                    fleet, folder, plain=not (dead or probe) and count == most, statuses=(0, 6) if dead else (0,), limits=not dead
                )
        reason = sshd_bench.missing()
        if reason:
            print(f"real sshd left out: {reason}", file=sys.stderr)
            return
        folder = Path(where) / "sshd"
        folder.mkdir()
        answer = folder / "answer"
        answer.write_text(
            '#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in *kdump-start-*) ;; *) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;; esac\n'
            "cat >/dev/null\nprintf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" | grep -o 'kdump-start-[0-9a-z]*'\n"
            "printf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" | grep -o 'kdump-shell-[0-9a-z]*' >&2\n"
            f"exec cat {TRANSCRIPT}\n"
        )
        answer.chmod(0o755)
        settings = f"MaxStartups 1000\nForceCommand {answer}"
        with sshd_bench.running(first=settings, host_keys=("ed25519",), listen="0.0.0.0") as sshd:  # noqa: S104
            public = sshd.known_hosts("ed25519").partition(" ")[2]
            fleet = fleet_of("sshd", 200, 0, sshd.port, str(sshd.user_key), public, folder)
            yield from rows(fleet, folder, plain=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="1,000 hosts in place of 200")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--bare", nargs=4, metavar=("CLIENT", "HOSTS", "PORT", "KEY"), help=argparse.SUPPRESS)
    option = parser.parse_args()
    if option.bare:
        bare(option.bare[0], option.bare[1], int(option.bare[2]), option.bare[3])
        return
    head = ["| fleet | system | hosts | wall, s | × limit | CPU, ms/host | memory, MB |", "|---|---|--:|--:|--:|--:|--:|"]
    print("\n".join(head), flush=True)
    found: list[Row] = []
    lines = []
    for row in run(short=not option.long):
        found.append(row)
        same = (one for one in found if (one.fleet, one.hosts) == (row.fleet, row.hosts) and one.system.startswith("bare"))
        limit = min((one.wall for one in same), default=None)
        lines.append(row.cells(limit))
        print(lines[-1], flush=True)
    if option.write:
        words = " ".join(
            [
                f"Python {platform.python_version()},",
                *(f"{name} {version(name)}," for name in ("pytest", "pytest-testinfra", "paramiko", "asyncssh")),
                f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end.",
            ]
        )
        text = [f"# Benchmarks\n\n{__doc__.partition(chr(10) * 2)[2].strip()}\n", words, "", *head, *lines, ""]
        (ROOT / "docs" / "benchmarks.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
