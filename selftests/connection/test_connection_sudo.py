"""Real sudo behind a real sshd: with and without a password, refused in every mood; and odd login shells."""

import contextlib
import getpass
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import sshd_bench as bench
from ssh_client import Ask, Client
from testinfra.host import Host

from kdump import connection
from kdump.connection import ConnectionProblem, Executed, Kind, Phase
from kdump.fact import Fact
from kdump.gather import Gatherer
from kdump.hosts import Target
from kdump.probe import script
from kdump.verdict import CouldNotDetermine
from selftests.hostility.strictness import slack

pytestmark = pytest.mark.skipif(not Path("/usr/bin/sudo").exists(), reason="needs sudo")

ROOT = Path(__file__).parents[2]
PROMPT = b"sudo password for the hosts of this run: "
SCRIPT = b"id -un\necho to-stderr >&2\nexit 7\n"
RIGHT, WRONG = bench.SUDO_PASSWORD, "wrong battery canary"


@pytest.mark.parametrize("scheme", ["paramiko", "ssh"])
@pytest.mark.parametrize(
    ("account", "password"),
    [("trusted", None), ("trusted", RIGHT), ("trusted", WRONG), ("asked", RIGHT), ("noisy", RIGHT), ("root", None)],
)
def test_sudo_works(
    bench_client: Client,
    sshd: bench.Sshd,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    account: str,
    password: str | None,
) -> None:
    if password is not None:
        monkeypatch.setenv("KDUMP_SUDO_PASSWORD", password)
    answer = ask(bench_client.backend(f"{scheme}://{account}@127.0.0.1:{sshd.port}", sudo=True), SCRIPT)
    assert isinstance(answer, Executed), str(answer)
    assert (answer.stdout, answer.status) == (b"root\n", 7)
    assert answer.stderr.endswith(b"to-stderr\n") and b"kdump-" not in answer.stderr
    assert RIGHT.encode() not in answer.stdout + answer.stderr


@pytest.mark.hostility(25)
@pytest.mark.parametrize(
    ("account", "password", "kind", "words"),
    [
        ("asked", None, Kind.NO_SUDO, "KDUMP_SUDO_PASSWORD"),
        ("asked", WRONG, Kind.NO_SUDO, "refused the password"),
        ("stranger", None, Kind.NO_SUDO, "password is required"),
        ("stranger", RIGHT, Kind.NO_SUDO, "not in the sudoers"),
        ("ttyonly", None, Kind.NO_SUDO, "requiretty"),
    ],
)
def test_sudo_refused(
    bench_client: Client,
    sshd: bench.Sshd,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    account: str,
    password: str | None,
    kind: Kind,
    words: str,
) -> None:
    if password is not None:
        monkeypatch.setenv("KDUMP_SUDO_PASSWORD", password)
    answer = ask(bench_client.backend(f"{account}@127.0.0.1:{sshd.port}", sudo=True), SCRIPT)
    assert isinstance(answer, ConnectionProblem) and (answer.kind, answer.phase) == (kind, Phase.SUDO)
    assert words in str(answer)
    assert "canary" not in str(answer) + repr(answer.stdout + answer.stderr)


@pytest.mark.hostility(25)
@pytest.mark.hostility(25)
def test_what_needs_no_root_is_judged_where_sudo_refuses(bench_client: Client, sshd: bench.Sshd, measured) -> None:
    """The probe is sent again, as the user; whatever needs root says in sudo's words why it is not known."""
    started = time.monotonic()
    backend = bench_client.backend(f"asked@127.0.0.1:{sshd.port}", sudo=True)
    facts = [
        Fact("open", "cat /proc/cmdline", str),
        Fact("closed", "cat /etc/shadow", str),
        Fact("rooted", "id -u", str, root=True),
    ]
    gatherer = Gatherer(script(facts), forks=1, deadline=20.0, cap=1 << 20)
    target = Target("db1", backend, Host(backend))
    gatherer.start([target])
    transcript = gatherer.transcript(target)
    took = time.monotonic() - started
    assert facts[0].of(transcript)
    for one in facts[1:]:
        with pytest.raises(CouldNotDetermine) as caught:
            one.of(transcript)
        assert "sudo: a password is required; set KDUMP_SUDO_PASSWORD" in str(caught.value)
    assert took < 1 + slack(5.0)
    measured(str(caught.value), f"{took:.2f} s, the rest judged as the user")


def test_sudo_missing(bench_client: Client, sshd: bench.Sshd, ask: Ask) -> None:
    """By a PATH without sudo, set as a login would have it."""
    (sshd.folder / "home/trusted/.ssh").mkdir(exist_ok=True)
    answer = ask(bench_client.backend(f"trusted@127.0.0.1:{sshd.port}", sudo=True), b"true\n")
    assert isinstance(answer, Executed)
    with_empty_path = sshd.folder / "without-sudo"
    with_empty_path.mkdir(exist_ok=True)
    with bench.running(f"SetEnv PATH={with_empty_path}") as other:
        bench_client.key = other.user_key
        bench_client.configure(other.known_hosts(), connect_timeout=10.0)
        answer = ask(bench_client.backend(f"trusted@127.0.0.1:{other.port}", sudo=True), b"true\n")
    assert isinstance(answer, ConnectionProblem) and answer.kind is Kind.NO_SUDO, str(answer)
    assert "install sudo" in str(answer)


def test_sudo_to_another_user_and_drafts(bench_client: Client, sshd: bench.Sshd) -> None:
    backend = bench_client.backend(f"trusted@127.0.0.1:{sshd.port}", sudo=True, sudo_user="asked")
    try:
        done = backend.run("id -un; exit %s", "3")
        assert (done.stdout, done.rc) == ("asked\n", 3)
    finally:
        backend.close()


def test_password_is_asked_once_for_all_hosts(
    bench_client: Client, sshd: bench.Sshd, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("kdump.connection.sudo._interactive", lambda: True)
    monkeypatch.setattr("kdump.connection.sudo._terminal_as_it_was", contextlib.nullcontext)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: asked.append(prompt) or RIGHT)
    for account in ("trusted", "asked", "asked"):
        assert isinstance(ask(bench_client.backend(f"{account}@127.0.0.1:{sshd.port}", sudo=True)), Executed)
        assert len(asked) == (account == "asked")


@pytest.mark.hostility(25)
def test_wrong_password_costs_one_attempt(
    bench_client: Client, sshd: bench.Sshd, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not three, of which two would be lines of the script: accounts are locked after a few."""
    provided: list[int] = []
    secret = connection.settings.Secret(WRONG)
    settings = connection.settings.current()
    bench_client.configure(sshd.known_hosts(), connect_timeout=10.0, sudo_password=lambda: provided.append(1) or secret)
    assert settings is not connection.settings.current()
    answer = ask(bench_client.backend(f"asked@127.0.0.1:{sshd.port}", sudo=True), b"guess1\nguess2\nguess3\n")
    assert isinstance(answer, ConnectionProblem) and answer.stderr.count(b"try again") == 1
    assert provided == [1]


@pytest.mark.hostility(26)
@pytest.mark.parametrize(("account", "words"), [("noshell", "not available"), ("restricted", "restricted")])
def test_login_without_posix_shell(bench_client: Client, sshd: bench.Sshd, ask: Ask, account: str, words: str) -> None:
    for sudo in (False, True):
        answer = ask(bench_client.backend(f"{account}@127.0.0.1:{sshd.port}", sudo=sudo), SCRIPT)
        assert isinstance(answer, ConnectionProblem) and answer.kind is Kind.NOT_POSIX
        assert words in str(answer)


@pytest.mark.hostility(26)
def test_noise_of_login_scripts_is_not_output(bench_client: Client, sshd: bench.Sshd, ask: Ask) -> None:
    answer = ask(bench_client.backend(f"noisy@127.0.0.1:{sshd.port}"), SCRIPT)
    assert isinstance(answer, Executed) and (answer.stdout, answer.status) == (b"noisy\n", 7)


@pytest.mark.hostility(21)
def test_password_is_on_no_command_line(
    bench_client: Client, sshd: bench.Sshd, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDUMP_SUDO_PASSWORD", RIGHT)
    for scheme in ("paramiko", "ssh"):
        backend = bench_client.backend(f"{scheme}://asked@127.0.0.1:{sshd.port}", sudo=True)
        answer = ask(backend, b"ps -eo args; cat /proc/self/environ\n")
        assert isinstance(answer, Executed) and b"sudo" in answer.stdout
        assert b"canary" not in answer.stdout
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout
    assert b"canary" not in listing


@pytest.fixture
def audit(bench_client: Client, sshd: bench.Sshd, tmp_path: Path) -> list[str]:
    """The command line of a run over three hosts of which two ask for a password."""
    hosts = [f"asked@127.0.0.1:{sshd.port}", f"asked@localhost:{sshd.port}", f"trusted@127.0.0.1:{sshd.port}"]
    config = bench_client.folder / "config"
    config.write_text("Host localhost\nHostName 127.0.0.1\nHost *\n" + config.read_text())
    return [
        *(sys.executable, "-m", "pytest", "-q", f"--hosts={','.join(hosts)}", "--sudo", f"--ssh-config={config}"),
        *("-k", "reservation", f"--html={tmp_path}/report.html", "--no-history", f"--rootdir={ROOT}", f"{ROOT}/tests"),
    ]


def test_a_run_says_once_where_sudo_refused(audit: list[str]) -> None:
    done = subprocess.run(
        audit, cwd=ROOT, start_new_session=True, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if "sudo refused" in line]
    assert len(told) == 1, done.stdout
    assert "asked@127.0.0.1" in told[0] and "asked@localhost" in told[0] and "trusted" not in told[0]
    assert "sudo: a password is required; set KDUMP_SUDO_PASSWORD" in told[0]


@pytest.mark.parametrize("answer", [RIGHT.encode() + b"\n", b"\x03"], ids=["answered", "interrupted"])
def test_a_run_on_a_terminal_asks_once_and_leaves_the_terminal_as_it_was(audit: list[str], answer: bytes) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it, and what it starts does, too
            signal.alarm(60)
            os.chdir(ROOT)
            # it is no worker of pytest-xdist, though this test may run in one: those ask nobody
            os.execve(audit[0], audit, {name: value for name, value in os.environ.items() if "XDIST" not in name})
        finally:
            os._exit(127)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody is there any more
        while part := os.read(terminal, 65536):
            before, shown = shown, shown + part
            if PROMPT in shown and PROMPT not in before:
                time.sleep(0.2)  # getpass asks before it listens
                os.write(terminal, answer)
    shows_what_is_typed = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert shown.count(PROMPT) == 1, shown.decode()
    assert shows_what_is_typed
    assert RIGHT.encode() not in shown and b"sudo refused" not in shown
    assert (status == 2) is (answer == b"\x03"), shown.decode()
