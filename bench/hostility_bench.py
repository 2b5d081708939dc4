"""What a user sees of hosts that misbehave, and how long it takes. `python bench/hostility_bench.py`

Each server on loopback goes wrong in one way for real; the deadlines are a second for the connection and one for the probe,
so the seconds are what a fault costs beyond nothing. The same servers are the suite's own tests (selftests/connection).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "selftests" / "connection")]
import misbehaving  # noqa: E402
import sshd_bench  # noqa: E402
from ssh_client import Client  # noqa: E402
from test_connection_faults import FAULTS, REDIALLED  # noqa: E402

from kdump import connection  # noqa: E402


def main() -> int:
    connection.register()
    failed = 0
    print("| fault | what the user sees | seconds | connections | executions |\n|---|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as where:
        client = Client(Path(where), sshd_bench.keygen(Path(where) / "key", "ed25519"))
        for fault, kind, phase, seconds, executions in FAULTS:
            with misbehaving.running(fault) as server:
                client.configure(server.known_hosts)
                started = time.monotonic()
                try:
                    backend = client.backend(f"root@127.0.0.1:{server.port}")
                    words = f"answered: {connection.execute(backend, 'echo hi', deadline=1.0, cap=1 << 20)}"
                    as_meant = False
                except connection.ConnectionProblem as problem:
                    words, as_meant = str(problem), (problem.kind, problem.phase) == (kind, phase)
                took = time.monotonic() - started
                asked = server.connections <= REDIALLED.get(fault, 1) and server.executions == executions
                good = as_meant and asked and took < seconds + 2.0
                failed += not good
                note = "" if good else " **not as it should be**"
                print(f"| {fault} | {words}{note} | {took:.2f} | {server.connections} | {server.executions} |", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
