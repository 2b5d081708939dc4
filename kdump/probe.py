"""The probe: one POSIX-sh script that reads all the facts a run needs, in one exec per host.

``python -m kdump.probe`` prints the script that the whole suite needs, to be audited, or to be run by hand
(``sudo sh probe.sh > HOST.transcript``) where there is no network; ``pytest --hosts=recording://HOST.transcript``
judges what it printed.
"""

from __future__ import annotations

import argparse
import re
import secrets
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .fact import UID, Fact, kernel_release
from .transcript import END, HEADER

SECONDS = 20
"""For all readings of a probe together, some of which may hang."""
MOST = 55
"""Seconds that a slow machine is given; its transcript is waited for 60 s (kdump/plugin.py)."""
_FILE = r"(?P<file>/[\w./-]+)"
# Readings of small text files, for all of which kdump/probe.sh has one function. Expressions that every awk reads as
# grep does; those with classes and braces old ones do not.
_FILES = [
    (re.compile(rf"cat {_FILE}"), ""),
    (re.compile(r"first_of(?P<file>( /[\w./-]+)+)"), ""),
    (re.compile(rf"cut -d ' ' -f 1,2 {_FILE}( \| head -n 2000)?"), "columns"),
    (re.compile(rf"grep -m 1 '?(?P<words>[\w ^$]+?)'? {_FILE}"), "first "),
    (re.compile(rf"grep -e (?P<words>\w+) {_FILE}"), "pattern "),
    (re.compile(rf"grep -h?E '(?P<words>[\w ^$:()|]+)' {_FILE}"), "pattern "),
    (re.compile(rf"grep -h?E '[^']+' {_FILE}"), "itself"),
]
# One program and its arguments, without anything that a shell would do.
_PLAIN = re.compile(r"(id|od|ls|grep|getconf|cut) ([\w./:,+= -]|'[^']*')+")
_LIMITED = re.compile(r"limit \d+ ([\w./:,+= -]|'[^']*')+")
LANES = 3
"""Readings run one beside the other in so many lanes, whose pipes hold what they print until those after them are through."""
_SCRIPT = """\
# Reads what the kdump acceptance suite needs to know. Read-only. Run as root (or with sudo) to let it see everything.
mark={mark} seconds={seconds} most={most} kernel_root={root} vmlinux_given={vmlinux}
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
unset LANGUAGE LANG IFS CDPATH ENV BASH_ENV
umask 077
{library}
{lanes}
main() {{
printf '%s{header}\\n' "$mark"
printf '%s# taken: %s\\n' "$mark" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
read -r top _ </proc/self/stat
read -r up _ </proc/uptime
until=$((${{up%.*}} + most))
guard >/dev/null &
guard=$!
work_out_once
{pipeline}
printf '%s{end}\\n' "$mark"
kill "$guard"
}}
main </dev/null 2>/dev/null | indent
"""


def library() -> str:
    """The shell functions that readings may call."""
    parts = sorted(Path(__file__).parent.glob("*.sh"), key=lambda path: (path.name != "probe.sh", path.name))
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def script(
    facts: Iterable[Fact[Any]],
    mark: str | None = None,
    kernel_root: str = "",
    vmlinux: Iterable[str] = (),
    more: str = "",
    seconds: float = SECONDS,
    most: float = MOST,
) -> str:
    """The script for these facts. ``mark`` is a word that no output can guess; it frames the readings.

    ``seconds``: how long it may run on the host. What hangs then is ended, and what was not begun is left out. A machine
    that is slow, and not hanging, is given ``most`` seconds.
    ``kernel_root``: the folder in which the readings about an installed kernel look for it, in place of ``/``.
    ``vmlinux``: files of the host that are debuginfo, besides those that packages install.
    ``more``: shell functions besides the library's.
    """
    wanted: dict[str, float] = {UID: 0}
    for fact in facts:
        wanted[fact.command] = max(wanted.get(fact.command, 0), fact.slow)
    lanes = _lanes(wanted)
    return _SCRIPT.format(
        mark=mark or f"{secrets.token_hex(8)}:",
        seconds=round(seconds),
        most=round(max(seconds, most)),
        root=shlex.quote(kernel_root),
        vmlinux=shlex.quote("\n".join(vmlinux)),
        library=library() + more,
        lanes="\n".join(f"lane_{number}() {{\nexec 3>&1\n{_readings(lane)}\n}}" for number, lane in enumerate(lanes)),
        pipeline=" | ".join(f"{{ lane_{number}; exec cat; }}" if number else "lane_0" for number in range(len(lanes))),
        header=HEADER,
        end=END,
    )


def _lanes(wanted: Mapping[str, float]) -> list[list[str]]:
    """The commands of each lane, so that none takes much longer than the others."""
    lanes: list[list[str]] = [[] for _ in range(LANES)]
    taken = [0.0] * LANES
    for command in sorted(wanted, key=lambda command: -wanted[command]):
        shortest = taken.index(min(taken))
        if any(form.fullmatch(command) for form, _ in _FILES):
            shortest = LANES - 1  # one process for all of them
        else:
            taken[shortest] += wanted[command] or 0.4
        lanes[shortest].append(command)
    return [lane for lane in lanes if lane]


def _readings(commands: list[str]) -> str:
    lines, files = [], []
    for command in commands:
        found = next(((match, kept) for form, kept in _FILES if (match := form.fullmatch(command))), None)
        if found is None:
            before = "exec" if _PLAIN.fullmatch(command) else "in_place=exec;" if _LIMITED.fullmatch(command) else ""
            lines.append(shlex.join(["reading", command, *filter(None, [before])]))
        else:
            match, kept = found
            files += [command, match["file"].strip(), kept + match.groupdict().get("words", "")]
    if files:
        lines.append(shlex.join(["file_readings", *files]))
    return "\n".join(lines) or ":"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kdump.probe", description=__doc__)
    parser.add_argument(
        "--kernel",
        action="append",
        default=[],
        type=kernel_release,
        metavar="RELEASE",
        help="read what can be known of this installed kernel, too (may be given several times)",
    )
    asked = parser.parse_args()
    from .catalogue import suite_facts

    print(script(suite_facts(asked.kernel)), end="")


if __name__ == "__main__":
    main()
