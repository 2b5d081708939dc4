"""Passwords of any kind appear in no output, whatever is asked to be shown."""

import sqlite3

import pytest
import zstandard

from kdump.transcript import Reading, Transcript

CANARY = "canary-4f1c9e"
SUITE = '''
"""Something is broken.

What breaks, how it looks to its victim, and why nothing else on the machine notices that it is broken at all.
"""
from kdump import Severity, Stage, cause, fact

pytestmark = cause("something-broken", stage=Stage.LOAD, severity=Severity.NO_VMCORE, remediation="Mend it.",
                   references=["https://example.org/"])
target_line = fact("target_line", "cat /target", str)


def test_target_is_local(target_line):
    assert target_line == "local", "the target is remote"
'''


def kept(history):
    """All that a history holds, unpacked."""
    if not history.exists():
        return
    with sqlite3.connect(history) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f"SELECT * FROM {table}"):
                for value in row:
                    yield table, zstandard.decompress(value).decode() if isinstance(value, bytes) else str(value)


@pytest.mark.hostility(21)
@pytest.mark.parametrize(
    ("hosts", "status"),
    [(f"root:{CANARY}@127.0.0.1:1", 4), ("root@127.0.0.1:1", 6), ("recording://h.transcript", 1), ("ansible://all", 6)],
)
def test_no_secret_in_any_output(pytester, monkeypatch, measured, hosts, status):
    monkeypatch.setenv("KDUMP_SSH_PASSWORD", CANARY)
    monkeypatch.setenv("KDUMP_SUDO_PASSWORD", CANARY)
    monkeypatch.setenv("BUILD_URL", f"https://ci:{CANARY}@ci.example.org/")
    pytester.makeconftest('pytest_plugins = ["kdump.plugin"]')
    pytester.makepyfile(test_something=SUITE)
    said = "\n".join(
        [
            f"nfs://dump:{CANARY}@store/crash",
            f"netroot=iscsi:chap:{CANARY}:back:{CANARY}@store::3260 cifspass={CANARY}",
            f"KDUMP_SMTP_PASSWORD='{CANARY} {CANARY}'",
            f"//store/x /x cifs username=u,pass={CANARY},ro",
        ]
    )
    reading = Reading("cat /target", said, f"mount: password={CANARY}", 0)
    pytester.path.joinpath("h.transcript").write_text(Transcript.of([reading]).render())
    variables = (
        f"ansible_host=127.0.0.1 ansible_port=1 ansible_password={CANARY} ansible_become=yes ansible_become_password={CANARY}"
    )
    pytester.path.joinpath("fleet.ini").write_text(f"db1 {variables}\n")
    given = {path: path.read_bytes() for path in pytester.path.rglob("*") if path.is_file()}
    shown = pytester.runpytest_subprocess(
        f"--hosts={hosts}",
        *(["--ansible-inventory=fleet.ini"] if hosts.startswith("ansible") else []),
        "--html=r.html",
        "--junitxml=r.xml",
        "--verdicts-json=r.json",
        "--prometheus=r.prom",
        "--history=h.sqlite",
        "--record=recorded",
        "-l",
        "-vv",
        "--tb=long",
    )
    assert shown.ret == status
    outputs = [path for path in pytester.path.rglob("*") if path.is_file() and path not in given and path.suffix != ".pyc"]
    leaks = [path.name for path in outputs if CANARY.encode() in path.read_bytes()]
    leaks += [f"{table} of the history" for table, text in kept(pytester.path / "h.sqlite") if CANARY in text]
    assert leaks == []
    if hosts.startswith("ansible"):
        assert "db1  unreachable (config: ansible_password is set)" in shown.stdout.str()
    said = shown.stdout.str() + shown.stderr.str()
    assert CANARY not in said
    refusals = [line for line in said.splitlines() if line.startswith("ERROR: ") or "ansible_password" in line]
    measured(
        refusals[0].strip().removeprefix("ERROR: ") if refusals else "",
        "0 bytes in terminal, history, recordings and every report",
    )
