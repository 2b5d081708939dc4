"""The suite's forecast of the next squashed image, its reading of an image, and what dracut then really builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdump.fact import CATALOGUE, Derived, Maybe
from kdump.facts.dracut import ROLES, Outcome, SquashedImage, predict
from kdump.facts.modules import SQUASH_MODULES, Availability, SquashModules, availability
from kdump.flavour import KDUMPCTL
from kdump.parsers.initramfs import Initramfs
from kdump.parsers.squash_rules import squash_rules
from lab.errors import LabError
from lab.faults.model import Judge
from lab.machine import Machine

IMAGE = "/root/squashed.img"
_CAUSE = "dracut-modules-missing"
_SHELL = Path(__file__).parents[2] / "kdump"
_BUILD_DEADLINE = 600.0
# As little as can be squashed, which is what squash depends on, and no more done to it than needs be: what is looked at is the
# modules beside the squash image. As mkdumprd does, squash is asked for by --add, so that dracut fails where it cannot have it.
BUILD = (
    f"rm -f {IMAGE}; dracut --force --hostonly --no-hostonly-cmdline --no-compress --no-early-microcode --nostrip --nohardlink "
    f"-m systemd-initrd --add squash {{}} {IMAGE} $(uname -r) 2>&1"
)
_LIST = f"[ ! -e {IMAGE} ] || cpio --quiet -t < {IMAGE} | grep -E '[.]ko|[.]img'"


def forecast(machine: Machine, judge: Judge) -> tuple[dict[str, set[str]], list[str], str]:
    """(verdict -> causes, disagreements with dracut and its image, both in words). Raises LabError."""
    answers = machine.check(_ask("modprobe_answers $(uname -r) " + " ".join(SQUASH_MODULES)))
    [(release, states)] = availability(answers).items()
    if judge is Judge.IMAGE:
        said = machine.check(_LIST)
        lacking = _lacking(machine, release, states)
        words = f"the image lacks: {', '.join(lacking) or 'nothing'}\n{said}"
        agrees = bool(lacking) is (_happened(f"status 0\n{said}", states) is Outcome.SILENT)
        return _found(bool(lacking)), [] if agrees else [f"IMAGE: the suite sees it lack {lacking}; it holds: {said}"], words
    rules = squash_rules(machine.check(_ask("squash_rules")))
    told = predict(rules, {role: states[role] for role in ROLES})
    words = "".join(f"{role}: {states[role].value}; {told[role].value}\n" for role in ROLES)
    broken = any(outcome not in (Outcome.HARMLESS, Outcome.UNSQUASHED) for outcome in told.values())
    if judge is Judge.DRACUT_TEXT:
        return _found(broken), [], words
    said = machine.run(f"{BUILD.format('')}; echo status $?; {_LIST}", deadline=_BUILD_DEADLINE).stdout
    happened = _happened(said, states)
    worst = Outcome.FATAL if Outcome.FATAL in told.values() else Outcome.SILENT if Outcome.SILENT in told.values() else None
    agrees = happened is worst if worst else happened is Outcome.HARMLESS and not broken
    problems = [] if agrees else [f"FORECAST: {worst.value if worst else 'harmless'}; dracut: {happened.value}"]
    if happened is not Outcome.FATAL and bool(lacking := _lacking(machine, release, states)) is not (happened is Outcome.SILENT):
        problems.append(f"IMAGE: the suite sees it lack {lacking}; dracut: {happened.value}")
    return _found(broken), problems, f"{words}dracut: {happened.value}\n{said}"


def _ask(question: str) -> str:
    """The probe's own shell, with a question at its end."""
    library = "".join((_SHELL / name).read_text() for name in ("probe.sh", "capture.sh", "squash.sh"))
    return f"{library}\ncapture_image_path() {{ echo {IMAGE}; }}\n{question}"


def _found(broken: bool) -> dict[str, set[str]]:
    return {"present" if broken else "absent": {_CAUSE}}


def _lacking(machine: Machine, release: str, states: Mapping[str, Availability]) -> list[str]:
    """What the suite's test of an image in use would miss in the one that dracut built, were it a kdumpctl machine's."""
    fact = CATALOGUE["squashed_image"]
    assert isinstance(fact, Derived)
    listing = Initramfs.parse(machine.check(_ask("capture_image_listing")))
    known: dict[str, Any] = {
        "flavour": KDUMPCTL,
        "maybe_initramfs": Maybe(listing),
        "maybe_capture_release": Maybe(release),
        "maybe_squash_modules": Maybe(SquashModules(release, states)),
    }
    image: SquashedImage = fact.function(**known)
    return sorted(set(image.modules.values()) - image.available)


def _happened(said: str, states: Mapping[str, Availability]) -> Outcome:
    """What a build came to, from dracut's exit status and the listing of its image."""
    if "status 0\n" not in said:
        return Outcome.FATAL
    if "root.img" not in said:
        raise LabError(f"dracut succeeded, and its image is not squashed: {said[-300:]!r}")
    there = {role for role in ROLES if f"/{role}.ko" in said or states[role] is Availability.BUILT_IN}
    return Outcome.HARMLESS if there == set(ROLES) else Outcome.SILENT
