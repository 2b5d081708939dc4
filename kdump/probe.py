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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .fact import UID, Fact, kernel_release
from .transcript import END, HEADER

SECONDS = 20
"""For all readings of a probe together: some of them may hang."""
# Readings of small text files; kdump/probe.sh has one function for all of them.
_FILES = re.compile(r"cat /[\w./-]+|first_of( /[\w./-]+)+")
# Slow readings run beside the fast ones: their pipe holds what they print until the fast ones are through.
_SCRIPT = """\
# Reads what the kdump acceptance suite needs to know. Read-only. Run as root (or with sudo) to let it see everything.
mark={mark} seconds={seconds} kernel_root={root} vmlinux_given={vmlinux}
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
unset LANGUAGE LANG IFS CDPATH ENV BASH_ENV
umask 077
{library}
slow() {{
exec 3>&1
{slow}
}}
fast() {{
exec 3>&1
{fast}
}}
main() {{
printf '%s{header}\\n' "$mark"
printf '%s# taken: %s\\n' "$mark" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
read -r top _ </proc/self/stat
read -r up _ </proc/uptime
until=$((${{up%.*}} + seconds))
guard >/dev/null &
guard=$!
work_out_once
slow | {{ fast; cat; }}
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
) -> str:
    """The script for these facts. ``mark`` is a word that no output can guess; it frames the readings.

    ``seconds``: how long it may run on the host. What has not ended by then is ended, and what was not begun is left out.
    ``kernel_root``: the folder in which the readings about an installed kernel look for it, in place of ``/``.
    ``vmlinux``: files of the host that are debuginfo, besides those that packages install.
    ``more``: shell functions besides the library's.
    """
    wanted = dict.fromkeys([UID], False)
    for fact in facts:
        wanted[fact.command] = wanted.get(fact.command, False) or fact.slow
    lanes = {lane: _readings([command for command, slow in wanted.items() if slow is lane]) for lane in (True, False)}
    return _SCRIPT.format(
        mark=mark or f"{secrets.token_hex(8)}:",
        seconds=round(seconds),
        root=shlex.quote(kernel_root),
        vmlinux=shlex.quote("\n".join(vmlinux)),
        library=library() + more,
        slow=lanes[True],
        fast=lanes[False],
        header=HEADER,
        end=END,
    )


def _readings(commands: list[str]) -> str:
    files = [command for command in commands if _FILES.fullmatch(command)]
    lines = [f"reading {shlex.quote(command)}" for command in commands if command not in files]
    if files:
        lines.append(f"file_readings {' '.join(map(shlex.quote, files))}")
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
