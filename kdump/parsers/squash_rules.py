"""By which rules the installed dracut and kdump-utils squash an initramfs: read from their own scripts.

Versions do not tell, because distributions carry patches; these lines do.

- dracut 049 and 051 and later take the modules where they are (``instmods squashfs loop overlay``); 050 insists on a
  file for each (``instmods -c``, 90ac0a2d), so that a built-in one fails too.
- 051, 058 and later refuse the squash module where modprobe knows no such kernel module (``check_kernel_module``,
  ``require_kernel_modules``); the others ask the kernel's configuration, or nothing.
- kdump-utils before v1.0.45 asks for squash only where modprobe knows all modules (``is_squash_available``), and does so
  whatever compression dracut_args asks for; later ones ask for it wherever mksquashfs (or mkfs.erofs) is installed and
  dracut_args has no compression (eee580c, e2b8463).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^(?P<file>/[^:]+):(?P<text>.*)$")
_SQUASH = re.compile(r"/modules\.d/\d\d(?P<name>squash[a-z-]*)/")


@dataclass(frozen=True)
class SquashRules:
    """``dracut_modules``: which of dracut's squash modules are installed."""

    dracut_modules: frozenset[str]
    insists_on_files: bool
    #: dracut asks modprobe for each kernel module
    checks_modules: bool
    #: kdump-utils asks modprobe before it asks dracut for squash
    gate: bool
    #: with that gate: whether its dracut module does without squash where squash is left out; None where that is not seen
    optional: bool | None
    #: kdump-utils leaves squash out where dracut_args names a compression
    yields_to_compression: bool
    #: the compressor that kdump-utils names for dracut's squash module of that name
    compressors: Mapping[str, str]


def squash_rules(text: str) -> SquashRules:
    """Read grep's ``FILE:LINE`` of the deciding lines, and the bare names of the module-setup.sh files.

    Raises :class:`ValueError` where there are none: what makes the image is not where it is looked for.

    >>> squash_rules("/usr/lib/dracut/modules.d/99squash/module-setup.sh:    instmods -c squashfs").insists_on_files
    True
    """
    if not text.strip():
        raise ValueError("neither dracut's nor kdump-utils' scripts are in it")
    names = set()
    compressors: dict[str, str] = {}
    added = "squash"
    insists = checks = gate = yields = False
    optional: bool | None = None
    for line in text.splitlines():
        match = _LINE.match(line)
        file, code = (match["file"], match["text"]) if match else (line, "")
        if squash := _SQUASH.search(file):
            names.add(squash["name"])
            insists |= re.search(r"\binstmods\s+-c\b", code) is not None
            checks |= re.search(r"\b(require_kernel_modules|check_kernel_module)\b", code) is not None
        else:
            gate |= "is_squash_available" in code
            if asks := re.search(r"(_dep|add_opt_module) squash\b", code):
                optional = asks[1] == "add_opt_module"
            if asked := re.search(r"--add[ =](squash[a-z-]*)", code):
                added, yields = asked[1], True
            if compressor := re.search(r"--squash-compressor\W+(\w+)", code):
                compressors.setdefault(added, compressor[1])
    return SquashRules(frozenset(names), insists, checks, gate and not yields, optional, yields, compressors)
