"""What an audit of a fleet costs beside bare SSH clients, plain testinfra and Ansible. `python bench/fleet_bench.py`

Everything is on loopback, servers and clients share the machine. "sshd" is OpenSSH, one process per connection; "light" is a
server that answers with a recorded transcript, so that the client is the limit. "20 ms" is a round trip, by a relay. Every
host has a root filesystem of its own, so that no two say the same. All systems send the same probe and read the same answer,
but for Ansible, whose raw command sends none, and plain testinfra, which runs 23 commands a host as an ordinary user of it
would for these facts. This suite judges every answer and writes HTML, fleet page, JUnit and history. Each row is a process of
its own, whose start is counted in; its processor time, that of its children included, and its greatest memory are the
kernel's account.

--light=N and --sshd=N ask fewer hosts; --write writes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).parent
sys.path[:0] = [str(ROOT), str(ROOT / "selftests" / "connection")]
import sshd_bench  # noqa: E402

from kdump.report.model import Answer  # noqa: E402

TRANSCRIPT = ROOT / "recordings" / "debian12-healthy.transcript"
TESTS = [
    "crashkernel_not_reserved",
    "crashkernel_too_small",
    "dump_disk_not_visible",
    "hardware_watchdog_resets",
    "kaslr_hides_kernel_layout",
    "kdump_not_operational",
    "section_size_bits_mismatch",
    "strings_missing",
]
COMMANDS = 23
PLAIN_HOSTS = 10  # plain testinfra asks one after the other: more would only take longer
PLAIN = """
import pytest
@pytest.mark.parametrize("number", range({commands}))
def test_fact(host, number):
    assert host.run(f"echo fact {{number}}").rc == 0
"""
SUITE = "this suite"
HEALTHY = Answer.NOTHING_AGAINST.of_hosts  # as some tests only are run, nobody is told that a host would dump
DEADLINE = 10.0  # s, --connect-timeout's default
SOAK_ROUNDS, HOGS = 3, 3


@dataclass(frozen=True)
class Fleet:
    """``addresses`` with one port, reached by ``config``; ``dead`` of them never answer."""

    name: str
    addresses: list[str]
    dead: int
    port: int
    key: str
    config: Path
    folder: Path


@dataclass(frozen=True)
class Row:
    """``cpu``: s. ``memory``: MB. ``healthy``: hosts that this suite judged so; ``tests`` that it ran."""

    fleet: str
    system: str
    hosts: int
    wall: float
    cpu: float
    memory: float
    healthy: int = 0
    tests: int = 0

    @property
    def per_host(self) -> float:
        return 1000 * self.cpu / self.hosts

    def cells(self, limit: float | None) -> str:
        ratio = f"{self.wall / limit:.2f}" if limit else "–"
        cells = [self.fleet, self.system, self.hosts, f"{self.wall:.2f}", ratio, f"{self.per_host:.1f}", f"{self.memory:.0f}"]
        return f"| {' | '.join(map(str, cells))} |"


def measured(fleet: Fleet, system: str, argv: list[str], cwd: Path, *, statuses: tuple[int, ...] = (0,), hosts: int = 0) -> Row:
    # as a user's second run: the compiled form of the tests is kept
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["ANSIBLE_CONFIG"] = str(fleet.folder / "ansible.cfg")
    environment["ANSIBLE_SSH_ARGS"] = f"-F {fleet.config} -o ControlMaster=no"
    started = time.monotonic()
    process = subprocess.Popen(argv, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) not in statuses:
        raise SystemExit(f"{system} on {fleet.name} ended with {os.waitstatus_to_exitcode(status)}:\n{output[-3000:]}")
    healthy = re.search(rf"^(\d+) (?:other )?hosts {HEALTHY}", output, re.MULTILINE)
    tests = re.findall(r"(\d+) (?:absent|not applicable|present|could not determine)", output.rpartition(HEALTHY)[2])
    count, memory = hosts or len(fleet.addresses), usage.ru_maxrss / 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Row(fleet.name, system, count, wall, cpu, memory, int(healthy[1]) if healthy else 0, sum(map(int, tests)))


def suite(fleet: Fleet, *options: str) -> Row:
    specs = fleet.folder / "specs"
    specs.write_text("".join(f"root@{address}:{fleet.port}\n" for address in fleet.addresses))
    # a user's installation has none of the plugins that only the suite's own tests need
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:xdist"]
    argv += [f"--hosts=@{specs}", f"--ssh-config={fleet.config}", f"--rootdir={ROOT}", f"-c{ROOT}/pytest.ini"]
    argv += [f"--html={fleet.folder}/r.html", f"--junitxml={fleet.folder}/r.xml", f"--history={fleet.folder}/history.sqlite"]
    argv += [*options, *(f"{ROOT}/tests/test_{name}.py" for name in TESTS)]
    return measured(fleet, SUITE, argv, ROOT, statuses=(0, 6) if fleet.dead else (0,))


def bare(fleet: Fleet, client: str) -> Row:
    argv = [sys.executable, str(HERE / "bare_clients.py"), client, str(_names(fleet))]
    argv += [str(fleet.port), fleet.key, str(_probe(fleet))]
    return measured(fleet, f"bare {client}", argv, ROOT)


def by_ssh(fleet: Fleet) -> Row:
    ssh = f'ssh -F {fleet.config} -p {fleet.port} root@"$1" {_command()!r} <{_probe(fleet)} | grep -q "^# end"'
    argv = ["xargs", "-a", str(_names(fleet)), "-P32", "-n1", "sh", "-c", ssh, "sh"]
    return measured(fleet, "ssh by xargs -P32", argv, fleet.folder)


def by_ansible(fleet: Fleet) -> Row:
    inventory = fleet.folder / "inventory"
    inventory.write_text("".join(f"{address} ansible_port={fleet.port} ansible_user=root\n" for address in fleet.addresses))
    fleet.folder.joinpath("ansible.cfg").touch()  # Ansible's defaults, whatever stands in /etc
    # raw has no input and does not end it: the server takes the probe as read
    argv = [str(Path(sys.executable).with_name("ansible")), "-i", str(inventory), "-f", "50", "all", "-m", "raw", "-a"]
    return measured(fleet, "Ansible raw, 50 forks", [*argv, "echo kdump-start-raw"], fleet.folder)


def by_testinfra(fleet: Fleet) -> Row:
    (fleet.folder / "test_plain.py").write_text(PLAIN.format(commands=COMMANDS))
    few = fleet.addresses[:PLAIN_HOSTS]
    listed = ",".join(f"paramiko://root@{address}:{fleet.port}" for address in few)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_plain.py"]
    argv += [f"--hosts={listed}", f"--ssh-config={fleet.config}"]
    return measured(fleet, f"plain testinfra, {COMMANDS} commands a host", argv, fleet.folder, hosts=len(few))


def clients() -> list[Callable[[Fleet], Row]]:
    names = [name for name, module in (("asyncssh", "asyncssh"), ("paramiko", "paramiko"), ("libssh2", "ssh2")) if _has(module)]
    return [lambda fleet, name=name: bare(fleet, name) for name in names]  # type: ignore[misc]


def everyone() -> list[Callable[[Fleet], Row]]:
    found = [*clients(), by_ssh, suite]
    if Path(sys.executable).with_name("ansible").exists():
        found.append(by_ansible)
    return [*found, by_testinfra]


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _names(fleet: Fleet) -> Path:
    path = fleet.folder / "names"
    path.write_text("\n".join(fleet.addresses) + "\n")
    return path


def _command() -> str:
    return "/bin/sh -c 'echo kdump-start-bare; exec /bin/sh -s'"


def _probe(fleet: Fleet) -> Path:
    path = fleet.folder / "probe.sh"
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-m", "kdump.probe"], cwd=ROOT, stdout=file, check=True)
    return path


@contextlib.contextmanager
def served(argv: list[str]) -> Iterator[int]:
    """A server of ours, whose first line is its port."""
    server = subprocess.Popen([sys.executable, *argv], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait(5)


@contextlib.contextmanager
def at_distance(port: int, latency: float) -> Iterator[int]:
    if not latency:
        yield port
        return
    with served([str(HERE / "far_away.py"), str(port), str(latency)]) as far:
        yield far


@contextlib.contextmanager
def light(name: str, count: int, latency: float, probe: float = 0.0, dead: int = 0) -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="kdump-fleet-") as where:
        folder = Path(where)
        host_key, user_key = sshd_bench.keygen(folder / "host", "ed25519"), sshd_bench.keygen(folder / "user", "ed25519")
        argv = [str(HERE / "light_server.py"), str(host_key), f"{user_key}.pub", str(TRANSCRIPT), str(probe)]
        with served(argv) as port, at_distance(port, latency) as far:
            yield fleet_of(name, count, dead, far, str(user_key), Path(f"{host_key}.pub").read_text(), folder)


@contextlib.contextmanager
def real(name: str, count: int, latency: float) -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="kdump-fleet-") as where:
        folder = Path(where)
        answer = folder / "answer"
        # What a host would answer, for the time that it takes to ask sshd: the probe itself would keep this machine busy.
        answer.write_text(
            '#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in *kdump-start-*) ;; *) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;; esac\n'
            "case $SSH_ORIGINAL_COMMAND in *kdump-start-raw*) ;; *) cat >/dev/null ;; esac\n"
            "for mark in start shell; do\n"
            "case $SSH_ORIGINAL_COMMAND in *kdump-$mark-*) ;; *) continue ;; esac\n"
            "rest=${SSH_ORIGINAL_COMMAND##*kdump-$mark-}\nword=kdump-$mark-${rest%%[!0-9a-z]*}\n"
            'case $mark in start) echo "$word" ;; *) echo "$word" >&2 ;; esac\ndone\n'
            "set -- $SSH_CONNECTION\nIFS=.\nset -- $3\n"
            f"exec sed \"s/$(printf %s '{_uuid()}')/$(printf '{_uuid()[:-19]}%04x-%04x-%04x-%04x' $1 $2 $3 $4)/\" {TRANSCRIPT}\n"
        )
        answer.chmod(0o755)
        folder.chmod(0o755)
        settings = f"MaxStartups 1000\nForceCommand {answer}"
        with (
            sshd_bench.running(first=settings, host_keys=("ed25519",), listen="0.0.0.0") as sshd,  # noqa: S104
            at_distance(sshd.port, latency) as far,
        ):
            public = sshd.known_hosts("ssh-ed25519").partition(" ")[2]
            yield fleet_of(name, count, 0, far, str(sshd.user_key), public, folder)


def _uuid() -> str:
    found = re.search(r"root=UUID=([0-9a-f-]{36})", TRANSCRIPT.read_text())
    assert found
    return found[1]


def fleet_of(name: str, count: int, dead: int, port: int, key: str, public: str, folder: Path) -> Fleet:
    addresses = [f"127.{9 if number < dead else 1}.{number // 250}.{number % 250 + 1}" for number in range(count)]
    (folder / "known_hosts").write_text(f"[127.*]:{port} {' '.join(public.split()[:2])}\n")
    config = folder / "config"
    config.write_text(
        f"Host *\n IdentityFile {key}\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known_hosts\n"
        " StrictHostKeyChecking yes\n GlobalKnownHostsFile /dev/null\n BatchMode yes\n LogLevel ERROR\n"
    )
    return Fleet(name, addresses, dead, port, key, config, folder)


@contextlib.contextmanager
def hogs() -> Iterator[None]:
    """Other work, more of it than there are processors."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(HOGS)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait(5)


def run(most: int, sshds: int) -> Iterator[Row]:
    with light("light, 0 ms", 1, 0.0) as fleet:
        suite(fleet)  # compiles what it needs
    reason = sshd_bench.missing()
    if reason:
        print(f"real sshd left out: {reason}", file=sys.stderr)
    for milliseconds in () if reason else (0, 20):
        with real(f"sshd, {milliseconds} ms", sshds, milliseconds / 1000) as fleet:
            for ask in everyone():
                yield ask(fleet)
    for count in (50, most):
        with light("light, 0 ms", count, 0.0) as fleet:
            for ask in (*clients(), suite):
                yield ask(fleet)
    for words, probe, dead in (("", 0.0, 0), (", probe takes 0.5 s", 0.5, 0), (", 30 % dead", 0.0, 3 * most // 10)):
        with light(f"light, 20 ms{words}", most, 0.02, probe, dead) as fleet:
            for ask in (*([] if dead else clients()), suite):
                yield ask(fleet)
    for number in range(SOAK_ROUNDS):
        with light(f"light, 20 ms, 0.5 s, busy, round {number + 1}", most, 0.02, 0.5) as fleet, hogs():
            yield suite(fleet)


@dataclass
class Goals:
    """What the rows say of each goal, in sentences."""

    rows: list[Row]
    lines: list[str] = field(default_factory=list)

    def one(self, fleet: str, system: str, hosts: int = 0) -> Row | None:
        found = [row for row in self.rows if row.fleet == fleet and row.system.startswith(system)]
        return next((row for row in found if not hosts or row.hosts == hosts), None)

    def limit(self, fleet: str, hosts: int) -> float | None:
        """The wall time of the fastest that does nothing but ask."""
        there = [row for row in self.rows if (row.fleet, row.hosts) == (fleet, hosts)]
        return min((row.wall for row in there if row.system.startswith(("bare", "ssh"))), default=None)

    def say(self, words: str, is_so: bool, goal: str) -> None:
        self.lines.append(f"- {words} ({'goal met' if is_so else 'GOAL MISSED'}: {goal}).")

    def sentences(self, most: int, sshds: int) -> list[str]:
        for name in ("sshd, 0 ms", "sshd, 20 ms"):
            self._beside_others(name, sshds)
        far = self.one("light, 20 ms", SUITE)
        limit = self.limit("light, 20 ms", most)
        if far and limit:
            goal = limit + 0.0002 * far.tests + 0.6
            words = f"{most:,} hosts, {far.tests:,} tests, 20 ms away: {far.wall:.1f} s, the limit being {limit:.1f} s"
            self.say(words, far.wall <= goal, f"{goal:.1f} s")
            self.say(f"there, {far.per_host:.1f} ms of processor per host", far.per_host <= 8, "8 ms")
            self.say(f"there, {far.memory:.0f} MB", far.memory <= 300, "300 MB")
        small, large = self.one("light, 0 ms", SUITE, 50), self.one("light, 0 ms", SUITE, most)
        if small and large:
            further = most - 50
            wall, cpu = 1000 * (large.wall - small.wall) / further, 1000 * (large.cpu - small.cpu) / further
            memory = 1024 * (large.memory - small.memory) / further
            self.lines.append(
                f"- From 50 to {most:,} hosts each further host costs {wall:.1f} ms, {cpu:.1f} ms of processor, {memory:.0f} KB."
            )
        slow, slow_limit = self.one("light, 20 ms, probe takes 0.5 s", SUITE), self.limit("light, 20 ms, probe takes 0.5 s", most)
        if slow and slow_limit and far:
            words = f"Where the probe takes 0.5 s: {slow.wall:.1f} s, the limit being {slow_limit:.1f} s"
            self.say(words, slow.wall <= far.wall + 0.5 * most / 100, "no more than a hundred at once would take")
        dead = self.one("light, 20 ms, 30 % dead", SUITE)
        if dead and far:
            alive, goal = most - 3 * most // 10, 2 * far.wall + DEADLINE
            words = f"With 30 % of {most:,} hosts dead {dead.wall:.1f} s; {dead.healthy} of {alive} healthy hosts judged healthy"
            is_so = dead.wall <= goal and dead.healthy == alive
            self.say(words, is_so, f"twice the all-healthy time and a deadline, {goal:.1f} s")
        soaked = [row for row in self.rows if "busy" in row.fleet]
        if soaked:
            judged, asked = sum(row.healthy for row in soaked), sum(row.hosts for row in soaked)
            words = (
                f"Beside {HOGS} processes that keep the machine busy, {judged:,} of {asked:,} healthy hosts were judged healthy"
            )
            self.say(words, judged == asked, "all")
        return self.lines

    def _beside_others(self, name: str, hosts: int) -> None:
        ours, limit = self.one(name, SUITE), self.limit(name, hosts)
        if not ours or not limit:
            return
        self.say(f"{name}, {hosts} hosts: {ours.wall / limit:.2f} × the fastest bare client", ours.wall <= 1.5 * limit, "1.5 ×")
        if plain := self.one(name, "plain"):
            times = (plain.wall / plain.hosts) / (ours.wall / ours.hosts)
            self.say(f"{name}: {times:.0f} times as fast as plain testinfra", times >= 10, "10 times")
        if ansible := self.one(name, "Ansible"):
            self.say(f"{name}: {ansible.wall / ours.wall:.1f} times as fast as Ansible", ansible.wall > ours.wall, "ahead of it")
        else:
            self.lines.append(f"- {name}: Ansible was not measured: ansible-core is not installed beside this Python.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--light", type=int, default=1000, metavar="N", help="light hosts (1000)")
    parser.add_argument("--sshd", type=int, default=200, metavar="N", help="hosts behind real sshd processes (200)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    option = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # servers are not left behind
    most, sshds = option.light, option.sshd
    began, load = time.monotonic(), os.getloadavg()[0]
    head = ["| fleet | system | hosts | wall, s | × limit | CPU, ms/host | memory, MB |", "|---|---|--:|--:|--:|--:|--:|"]
    print("\n".join(head), flush=True)
    goals = Goals([])
    for row in run(most, sshds):
        goals.rows.append(row)
        print(row.cells(None), flush=True)
    lines = [row.cells(goals.limit(row.fleet, row.hosts)) for row in goals.rows]
    sentences = goals.sentences(most, sshds)
    print("\n".join(["", *head, *lines, "", *sentences]))
    if option.write:
        minutes = (time.monotonic() - began) / 60
        machine = (
            f"{os.cpu_count()} processors ({_processor()}), {platform.system()} {platform.release()}; load {load:.1f} at the"
        )
        machine += f" start; the whole took {minutes:.0f} minutes. Python {platform.python_version()}, {_versions()}."
        about = __doc__.split("\n\n")[1].strip()
        text = [
            "# Benchmarks",
            "",
            f"`make bench` writes this file anew. {about}",
            "",
            machine,
            "",
            *sentences,
            "",
            *head,
            *lines,
            "",
        ]
        (ROOT / "docs" / "benchmarks.md").write_text("\n".join(text))


def _processor() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
    return platform.machine()


def _versions() -> str:
    named = []
    for name in ("pytest", "pytest-testinfra", "pytest-html", "paramiko", "asyncssh", "ssh2-python", "ansible-core"):
        with contextlib.suppress(PackageNotFoundError):
            named.append(f"{name} {version(name)}")
    if ssh := shutil.which("ssh"):
        said = subprocess.run([ssh, "-V"], capture_output=True, text=True, check=False).stderr
        named.append(said.partition(",")[0].strip())
    return ", ".join(named)


if __name__ == "__main__":
    main()
