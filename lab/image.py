"""A finished image in the cache, and how to find it. lab/build.py makes them.

Folder ``images/NAME-HASH/``, complete as soon as it has that name (it is renamed into place): ``base.qcow2``
(read-only from then on, its first boot already done), ``vmlinuz``, ``initrd.img``, ``keys/`` (see lab/keys.py),
``image.json`` ({"root_uuid": …, "kernel": …}), ``states/`` (see lab/state.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from lab.errors import LabError
from lab.paths import images_dir
from lab.recipe import Recipe, target


@dataclasses.dataclass(frozen=True)
class Image:
    recipe: Recipe
    folder: Path
    root_uuid: str
    kernel: str

    @property
    def base(self) -> Path:
        return self.folder / "base.qcow2"

    @property
    def vmlinuz(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def arguments(self, crashkernel: str, extra: str = "") -> str:
        """The kernel arguments as GRUB's generated configuration orders them; an empty *crashkernel* leaves it out."""
        words = [f"root=UUID={self.root_uuid}", "ro", self.recipe.cmdline]
        words += [f"crashkernel={crashkernel}"] if crashkernel else []
        return " ".join([*words, extra] if extra else words)

    def append(self, crashkernel: str, extra: str = "") -> str:
        """The whole command line, as GRUB would hand it over."""
        return f"BOOT_IMAGE=/boot/vmlinuz-{self.kernel} {self.arguments(crashkernel, extra)}"


def edited_kernel(image: Image, old: str, new: str) -> Path:
    """The image's kernel with one text in the place of another of the same length, in a file beside it.

    Raises LabError where the kernel does not hold *old* exactly once, as one that is compressed does not.
    """
    data = image.vmlinuz.read_bytes()
    if len(old) != len(new) or data.count(old.encode()) != 1:
        raise LabError(f"{image.vmlinuz} does not hold {old!r} once, to be replaced by {new!r}.")
    edited = data.replace(old.encode(), new.encode())
    path = image.vmlinuz.with_name(f"vmlinuz-{hashlib.sha256(edited).hexdigest()[:12]}")
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(edited)
    draft.replace(path)
    return path


def folder_of(recipe: Recipe) -> Path:
    return images_dir() / f"{recipe.name}-{recipe.digest()}"


def load(recipe: Recipe, folder: Path) -> Image:
    facts = json.loads((folder / "image.json").read_text())
    return Image(recipe, folder, facts["root_uuid"], facts["kernel"])


def find(name: str) -> Image:
    """The finished image of the target *name*. LabError says which command builds it when there is none."""
    recipe = target(name)
    folder = folder_of(recipe)
    try:
        return load(recipe, folder)
    except FileNotFoundError:
        command = "make lab" if name == "debian12" else f"python -m lab build {name}"
        raise LabError(
            f"The lab machine {name} is not built yet (or its recipe changed since): run `{command}`, some minutes."
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"The lab image in {folder} cannot be read ({error}): delete it and run `make lab`.") from error
