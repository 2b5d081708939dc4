"""The suite's forecast of the next squashed image, and the image that dracut then really builds."""

from __future__ import annotations

from pathlib import Path

from kdump.facts.dracut import Outcome, predict
from kdump.facts.modules import SQUASH_MODULES, Availability, availability
from kdump.parsers.squash_rules import squash_rules
from lab.machine import Machine

_SHELL = Path(__file__).parents[2] / "kdump"
_ROLES = ("squashfs", "loop", "overlay")
_BUILD_DEADLINE = 600.0
# As little as can be squashed: what is looked at is the modules beside the squash image. As mkdumprd does, squash is asked for
# by --add, so that dracut fails where it cannot have it.
_BUILD = (
    "rm -f /root/squashed.img; dracut --force --hostonly --no-hostonly-cmdline --no-compress --no-early-microcode -m base "
    "--add squash /root/squashed.img $(uname -r) 2>&1; echo status $?; "
    "[ ! -e /root/squashed.img ] || cpio --quiet -t < /root/squashed.img | grep -E '[.]ko|[.]img'"
)


def forecast(machine: Machine, build: bool) -> tuple[dict[str, set[str]], list[str], str]:
    """(verdict -> causes, disagreements with dracut, both in words); without *build*, dracut is not asked. Raises LabError."""
    script = "".join((_SHELL / name).read_text() for name in ("probe.sh", "squash.sh"))
    rules = squash_rules(machine.check(f"{script}\nsquash_rules"))
    answers = machine.check(f"{script}\nmodprobe_answers $(uname -r) {' '.join(SQUASH_MODULES)}")
    [states] = availability(answers).values()
    told = predict(rules, {role: states[role] for role in _ROLES})
    words = "".join(f"{role}: {states[role].value}; {told[role].value}\n" for role in _ROLES)
    broken = any(outcome not in (Outcome.HARMLESS, Outcome.UNSQUASHED) for outcome in told.values())
    found = {"present" if broken else "absent": {"dracut-modules-missing"}}
    if not build:
        return found, [], words
    said = machine.run(_BUILD, deadline=_BUILD_DEADLINE).stdout
    happened = _happened(said, {role for role in _ROLES if states[role] is Availability.BUILT_IN})
    worst = Outcome.FATAL if Outcome.FATAL in told.values() else Outcome.SILENT if Outcome.SILENT in told.values() else None
    agrees = happened is worst if worst else happened is Outcome.HARMLESS and not broken
    problems = [] if agrees else [f"FORECAST: {worst.value if worst else 'harmless'}; dracut: {happened.value}"]
    return found, problems, f"{words}dracut: {happened.value}\n{said}"


def _happened(said: str, built_in: set[str]) -> Outcome:
    """What a build came to, from dracut's exit status and the listing of its image."""
    if "status 0\n" not in said:
        return Outcome.FATAL
    there = {role for role in _ROLES if f"/{role}.ko" in said}
    return Outcome.HARMLESS if there | built_in >= set(_ROLES) else Outcome.SILENT
