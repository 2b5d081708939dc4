"""Whether the installed makedumpfile can save dumps of an installed kernel that does not run."""

from __future__ import annotations

from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.page_layout import CHANGES, HORIZON, KEYS, Makedumpfile, version_of
from ..verdict import CouldNotDetermine, NotApplicable
from .installed_kernel import Options
from .kernel_identity import Words
from .makedumpfile import SECTION_SIZE, PageExclusion

installed_makedumpfile = fact(
    "installed_makedumpfile",
    f"makedumpfile_traits {' '.join(repr(key) for key in KEYS)}",
    Makedumpfile.parse,
    tool_missing=NotApplicable("makedumpfile is not installed"),
)


@dataclass(frozen=True)
class Support:
    """``losses``: what makedumpfile will do wrong with this kernel's dumps."""

    losses: tuple[str, ...]


@derived
def makedumpfile_support(
    saved_by_makedumpfile: bool,
    judged_release: str,
    installed_makedumpfile: Makedumpfile,
    maybe_kernel_release: Maybe[str],
    maybe_page_exclusion: Maybe[PageExclusion],
) -> Support:
    """The changes up to this kernel that makedumpfile does not know of."""
    try:
        kernel = version_of(judged_release)
    except ValueError as problem:
        raise CouldNotDetermine(str(problem)) from problem
    known = {change: installed_makedumpfile.knows(change) for change in CHANGES if change.since <= kernel}
    losses = tuple(
        f"{installed_makedumpfile.name} does not read {change.key}, which came with Linux {_dotted(change.since)}: {change.loss}"
        for change, answer in known.items()
        if answer is False
    )
    if losses:
        return Support(losses)
    for change, answer in known.items():
        if answer is None and not _tried(change.since, maybe_kernel_release, maybe_page_exclusion):
            raise CouldNotDetermine(
                f"{installed_makedumpfile.name} is older than Linux {_dotted(change.since)} needs (without that {change.loss}); "
                "whether the distribution added that is not to be seen: boot the kernel and judge it as it runs"
            )
    if kernel > HORIZON:
        raise CouldNotDetermine(
            f"whether {installed_makedumpfile.name} knows Linux {_dotted(kernel)} is not known: page structures may have changed"
        )
    return Support(())


def _tried(since: tuple[int, int], running: Maybe[str], exclusion: Maybe[PageExclusion]) -> bool:
    """Whether makedumpfile was tried on a running kernel that has the change, and did well."""
    if not running.known or not exclusion.known:
        return False
    try:
        return version_of(running.value) >= since and exclusion.value.recognised * 2 >= exclusion.value.free
    except ValueError:
        return False


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


@derived
def judged_section_size(
    saved_by_makedumpfile: bool,
    judged_options: Options,
    maybe_kernel_image_words: Maybe[Words | None],
    maybe_makedumpfile_reads_section_size: Maybe[bool],
) -> str:
    """How it is known that kernel and makedumpfile agree on the size of a memory section."""
    if judged_options.on("X86_64"):
        raise NotApplicable("on x86_64 a memory section has had the same size in every kernel and every makedumpfile")
    if not judged_options.on("SPARSEMEM"):
        raise NotApplicable("the kernel is built without CONFIG_SPARSEMEM: it has no memory sections")
    told, reads = maybe_kernel_image_words.value, maybe_makedumpfile_reads_section_size.value
    if told is None or not told.exports_section_size:
        raise CouldNotDetermine(
            f"the kernel does not export {SECTION_SIZE}, so makedumpfile uses the number that it was built with: whether that is "
            "the kernel's shows only when it runs"
        )
    if not reads:
        raise CouldNotDetermine(
            f"makedumpfile does not read the kernel's {SECTION_SIZE}: whether the number it was built with is the kernel's shows "
            "only when it runs"
        )
    return f"the kernel exports {SECTION_SIZE} and makedumpfile reads it"
