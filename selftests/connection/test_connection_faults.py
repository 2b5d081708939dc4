"""Servers that misbehave: which word the user gets, in which phase, how soon, and how often the server was asked."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import misbehaving
import pytest
from ssh_client import Client

from kdump.connection import ConnectionProblem, Executed, Kind, Phase, execute
from selftests.hostility.strictness import slack

SLACK = slack(2.0)
#: fault → kind, phase, at most so many seconds (deadlines here: connect 1 s, command 1 s), executions.
FAULTS = [
    ("refused", Kind.REFUSED, Phase.TCP, 0.5, 0),
    ("black hole", Kind.TIMED_OUT, Phase.TCP, 1.5, 0),
    ("no banner", Kind.TIMED_OUT, Phase.BANNER, 1.5, 0),
    ("drips its banner", Kind.TIMED_OUT, Phase.BANNER, 1.5, 0),
    ("silent at kex", Kind.TIMED_OUT, Phase.KEX, 1.5, 0),
    ("speaks HTTP", Kind.NOT_SSH, Phase.BANNER, 1.5, 0),
    ("hangs up", Kind.NOT_SSH, Phase.BANNER, 1.5, 0),
    ("endless junk", Kind.NOT_SSH, Phase.BANNER, 1.5, 0),
    ("silent at auth", Kind.TIMED_OUT, Phase.AUTH, 1.5, 0),
    ("refuses keys", Kind.AUTHENTICATION_FAILED, Phase.AUTH, 1.0, 0),
    ("silent at session", Kind.TIMED_OUT, Phase.SESSION, 1.8, 0),
    ("refuses sessions", Kind.LOST, Phase.SESSION, 1.0, 0),
    ("silent at exec", Kind.TIMED_OUT, Phase.EXEC, 1.8, 1),
    ("refuses exec", Kind.LOST, Phase.EXEC, 1.0, 1),
    ("hangs", Kind.TIMED_OUT, Phase.EXEC, 1.8, 1),
    ("drips", Kind.TIMED_OUT, Phase.EXEC, 1.8, 1),
    ("floods stdout", Kind.OUTPUT_CAPPED, Phase.EXEC, 3.0, 1),
    ("floods stderr", Kind.OUTPUT_CAPPED, Phase.EXEC, 3.0, 1),
    ("no exit status", Kind.LOST, Phase.EXEC, 1.0, 1),
    ("cut mid-output", Kind.LOST, Phase.EXEC, 1.5, 1),
    ("cut after the status", Kind.LOST, Phase.EXEC, 1.5, 1),
    ("hangs up at exec", Kind.LOST, Phase.EXEC, 1.5, 1),
    ("reset at exec", Kind.LOST, Phase.EXEC, 1.5, 1),
]
#: Another attempt is made where the server hung up before its banner: it had seen nothing by then.
REDIALLED = {"hangs up": 3}


@pytest.mark.parametrize(("fault", "kind", "phase", "seconds", "executions"), FAULTS, ids=[row[0] for row in FAULTS])
def test_fault_is_named_in_time_and_never_repeated(
    client: Client, fault: str, kind: Kind, phase: Phase, seconds: float, executions: int
) -> None:
    with misbehaving.running(fault) as server:
        client.configure(server.known_hosts)
        backend = client.backend(f"root@127.0.0.1:{server.port}")
        started, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ConnectionProblem) as caught:
            execute(backend, "echo hi", deadline=1.0, cap=1 << 20)
        problem = caught.value
        assert (problem.kind, problem.phase) == (kind, phase), str(problem)
        assert time.monotonic() - started < seconds + SLACK
        assert str(problem).startswith("127.0.0.1: ") and "\n" not in str(problem) and "\x1b" not in str(problem)
        assert problem.remedy
        assert server.executions == executions
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 32 * 1024  # KiB

        if phase not in (Phase.SESSION, Phase.EXEC):  # the failure is remembered: nobody waits or is asked again
            connections, again = server.connections, time.monotonic()
            with pytest.raises(ConnectionProblem, match="unreachable"):
                execute(backend, "echo hi", deadline=1.0, cap=1 << 20)
            assert time.monotonic() - again < 0.5
            assert server.connections == connections
        assert server.connections <= REDIALLED.get(fault, 1)
        assert server.attempts <= 1


FLOODED = """
import resource, sys
from pathlib import Path
from ssh_client import Client
from kdump import connection

connection.register()
client = Client(Path(sys.argv[1]), Path(sys.argv[2]))
client.configure(sys.argv[3] + sys.argv[4], connect_timeout=10.0)
before = 0
for line in sys.argv[3:]:
    backend = client.backend("root@127.0.0.1:" + line.split()[0].rpartition(":")[2])
    try:
        connection.execute(backend, "echo hi", deadline=30.0, cap=4 << 20)
    except connection.ConnectionProblem as problem:
        print(problem.kind.name, problem, sep="\\n")
    backend.close()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(after - before)
    before = after
"""


@pytest.mark.hostility(9)
@pytest.mark.parametrize("fault", ["floods stdout", "floods stderr"])
def test_a_flood_costs_little_memory(tmp_path: Path, user_key: Path, measured, fault: str) -> None:
    """One line of 300 MB, or 5 MB of errors, after a host that answers as it should; in a process of its own."""
    with misbehaving.elsewhere("") as healthy, misbehaving.elsewhere(fault) as flooding:
        command = [sys.executable, "-c", FLOODED, str(tmp_path), str(user_key), healthy.known_hosts, flooding.known_hosts]
        path = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    _, kind, words, grown = done.stdout.splitlines()
    assert kind == "OUTPUT_CAPPED"
    assert int(grown) < 16 * 1024  # KiB
    measured(words.partition(": ")[2], f"{int(grown) / 1024:.1f} MiB more than for a host that is well")


@pytest.mark.hostility(7)
@pytest.mark.parametrize("fault", ["hangs", "drips", "no exit status", "cut mid-output"])
def test_partial_output_is_evidence_only(client: Client, fault: str) -> None:
    with misbehaving.running(fault) as server:
        client.configure(server.known_hosts)
        with pytest.raises(ConnectionProblem) as caught:
            execute(client.backend(f"root@127.0.0.1:{server.port}"), "echo hi", deadline=0.6, cap=1 << 20)
        assert caught.value.stdout.startswith((b"partial", b"."))


@pytest.mark.hostility(8)
@pytest.mark.parametrize(
    ("fault", "stdout", "seconds"),
    [("", b"fine\xff\x00\n", 0.8), ("keeps stdout open", b"complete\n", 2.0), ("overloaded once", b"fine\xff\x00\n", 1.5)],
)
def test_odd_but_healthy(client: Client, measured, fault: str, stdout: bytes, seconds: float) -> None:
    with misbehaving.running(fault) as server:
        client.configure(server.known_hosts)
        started = time.monotonic()
        done = execute(client.backend(f"root@127.0.0.1:{server.port}"), "echo hi", deadline=5.0, cap=1 << 20)
        assert done == Executed(stdout, b"", 0)
        took = time.monotonic() - started
        assert took < seconds + SLACK
        assert server.executions == 1
        if "stdout" in fault:
            measured("a normal answer", f"{took:.1f} s, status 0, all of the output")


def test_unknown_name(client: Client) -> None:
    client.configure("")
    with pytest.raises(ConnectionProblem) as caught:
        execute(client.backend("no-such-host.invalid"), "true", deadline=1.0, cap=1)
    assert (caught.value.kind, caught.value.phase) in (
        (Kind.UNKNOWN_NAME, Phase.DNS),
        (Kind.TIMED_OUT, Phase.DNS),  # a resolver that does not answer within the second
    )
