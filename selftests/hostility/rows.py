"""The table of faults and hostility: what is done to the suite, and the figure that it holds.

A test shows a row by the mark ``hostility(row)`` and tells by the fixture ``measured`` what a user sees and what was measured.
``bench/hostility_bench.py`` runs them all and prints the table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "hostility"


@dataclass(frozen=True)
class Row:
    """What is injected, and the figure that must hold, with 10 s to connect and 30 s for the probe."""

    fault: str
    figure: str


ROWS = {
    1: Row("port closed", "≤ 1 s in all, 1 connection"),
    2: Row("SYN black hole (full backlog)", "≤ 11 s (connect deadline + 1 s), whatever the number of tests"),
    3: Row("no banner, a dripping banner, silent in the key exchange", "≤ 11 s (connect deadline + 1 s)"),
    4: Row("silent in the authentication", "≤ 11 s (connect deadline + 1 s)"),
    5: Row("authentication refused", "1 connection, 1 attempt per key, ≤ 2 s"),
    6: Row("session or exec never answered", "≤ 35 s (probe deadline + 5 s)"),
    7: Row("command hangs or drips", "≤ 31 s (probe deadline + 1 s), partial output kept"),
    8: Row("a child keeps stdout open after the exit", "≤ 2 s, the right status"),
    9: Row("5 MB of stderr, one line of 300 MB on stdout", "no deadlock, ≤ 2 s, ≤ 16 MiB per host"),
    10: Row("cut or reset in the command, no exit status", "never a pass, partial output never judged"),
    11: Row("reset on exec, a server that counts", "1 execution"),
    12: Row("black hole after the connect, a stopped sshd", "≤ probe deadline + 15 s"),
    13: Row(
        "bastion down, silent, refusing, unknown",
        "≤ 11 s (connect deadline + 1 s), CPU ≤ 5 % of the deadline, the hop's words, never a direct connection",
    ),
    14: Row(
        "host keys changed, unknown, revoked, hashed, by wildcard and authority; 10,000 lines of known_hosts",
        "all of the wrong ones refused; read in ≤ 0.5 s, once",
    ),
    15: Row("ssh_config with Include, Match, several keys", "as `ssh -G` has it, for 50 generated configurations"),
    16: Row("1 hanging host of 100", "≤ the probe deadline + 10 %, 99 complete"),
    17: Row(
        "30 % of 1,000 hosts dead",
        "≤ 2 × the time of healthy ones + 1 deadline; files ≤ workers + 50, threads ≤ workers + 10",
    ),
    18: Row("ulimit -n 256 with 1,000 hosts", "all are judged, and it is said"),
    19: Row("MaxStartups 1:100:1", "tried again with jitter within the connect deadline, all answer"),
    20: Row(
        "control characters, markup and odd bytes in what a host says", "0 raw in terminal and log, 0 scripts run, XML parses"
    ),
    21: Row("passwords everywhere (canaries)", "0 bytes of any output, with -l -vv --tb=long"),
    22: Row("malformed inventories and host specs", "exit 4 in ≤ 3 s with file and line, 0 connections"),
    23: Row("a pattern that matches nothing, no hosts", "exit 4"),
    24: Row("malformed waivers, odd days", "exit 4 with file and line, or a documented state"),
    25: Row("sudo in all its moods, no root", "≤ 1 s, said in its words; never taken for an answer"),
    26: Row("busybox, csh, fish, rbash, noise of login scripts", "no crash, framing immune to noise"),
    27: Row(
        "read-only root, full or missing /tmp, hidepid, dmesg and kptr restricted, every reading denied, "
        "files denied to root as by SELinux (EACCES, injected)",
        "the probe writes nothing; same verdicts as root, as a user nothing that root does not see",
    ),
    28: Row("locales, time zones, clocks ten years off", "identical verdicts; more than 300 s off is said"),
    29: Row("garbage in what is parsed, 2,000 cases per parser", "never an exception, never a pass from what is missing"),
    30: Row(
        "10,000 mutilated dumps, every cut, a sparse terabyte, FIFOs and devices", "no crash, bounded memory, 0 wrongly valid"
    ),
    31: Row(
        "kill -9 at 50 moments, SIGTERM, SIGHUP, SIGINT of the controller",
        "0 finished hosts lost, report ≤ 5 s, --resume asks the rest",
    ),
    32: Row("disk full, reports that cannot be written", "exit 3 or 4, a good file is never replaced by a part"),
    33: Row("three runs at once, an older schema, a corrupt history", "all are kept; it is migrated; it is refused"),
    34: Row("shards missing, twice, differing", "exit 4 by name"),
    35: Row("a worker is killed", "its hosts could not be determined, the others are judged"),
    36: Row("a crashed host stays away, comes back oddly, half a dump", "1 trigger, bounded wait, a named phase"),
    37: Row("a crash without consent, or of this machine", "0 triggers, exit 4"),
    38: Row("1,000 and 10,000 hosts of 65 tests on the page", "≤ 1 s and ≤ 2 s, ≤ 5 MB and ≤ 15 MB"),
    39: Row("noise of a dead host", "≤ 3 lines, 1 row of HTML"),
    40: Row("xdist no longer keeps a host on one worker", "a test fails"),
}


def rows_in(folder: Path) -> Iterator[tuple[int, str]]:
    """Row and file of every mark in the test files below a folder."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARK:
                yield from ((arg.value, path.name) for arg in node.args if isinstance(arg, ast.Constant))
