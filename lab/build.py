"""Builds an image once: file system, first boot, frozen machine. Two builders of one image wait for one another."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable

from lab import image, keys, rootfs, state
from lab.errors import LabError
from lab.image import Image
from lab.machine import Machine, tell
from lab.paths import images_dir, logs_dir
from lab.recipe import Recipe
from lab.runs import locked

# A build takes minutes; a second builder waits for the first at most this long.
LOCK_DEADLINE = 3600.0
FIRST_BOOT_DEADLINE = 900.0
# Images of older recipes that no machine was started from for this long are removed after a build.
KEEP_OLD = 3 * 86400.0


def ensure(recipe: Recipe, say: Callable[[str], None] = tell) -> Image:
    """The recipe's image, built now if the cache has none, and its ordinary machine frozen. Raises LabError."""
    state.qemu_version(recipe.arch)
    rootfs.check_tools(recipe)

    def waiting() -> None:
        say(f"Another process is building {recipe.name}: waiting for it.")

    with locked(images_dir() / f".{recipe.name}.lock", deadline=LOCK_DEADLINE, waiting=waiting) as lock:
        folder = image.folder_of(recipe)
        if (folder / "image.json").exists():
            built = image.load(recipe, folder)
        else:
            built = _build(recipe, lock, say)
            _remove_old(recipe)
        if not state.find(built.folder, Machine(built, say=say).hardware()).exists():
            started = time.monotonic()
            say(f"Freezing a booted {recipe.name}, so that the next start takes seconds: usually 1 minute.")
            with Machine(built, say=say) as machine:
                machine.start()
                machine.wait_for_ssh()
                machine.settle()
                machine.freeze()
            say(f"Frozen after {time.monotonic() - started:.0f} s.")
    return built


def _build(recipe: Recipe, lock: int, say: Callable[[str], None]) -> Image:
    final = image.folder_of(recipe)
    work = final.with_name(f".{final.name}.building")
    shutil.rmtree(work, ignore_errors=True)  # of a builder that was killed; we hold the lock
    work.mkdir(mode=0o700)
    log = logs_dir() / f"{recipe.name}-build.log"
    log.write_bytes(b"")
    started = time.monotonic()
    try:
        keys.generate(work / "keys")
        how_long = "10 minutes, under emulation" if rootfs.is_foreign(recipe) else "2 minutes"
        say(f"Building {recipe.name} from Debian's packages ({recipe.suite}): usually {how_long}. Details: {log}")
        facts = rootfs.build(recipe, work, (work / "keys" / "user.pub").read_text(), work / "keys" / "host", log, lock)
        say(f"Built after {time.monotonic() - started:.0f} s. First boot, which makes the kdump initramfs: usually 2 minutes.")
        (work / "image.json").write_text(json.dumps({"root_uuid": facts.root_uuid, "kernel": facts.kernel}))
        built = image.load(recipe, work)
        _first_boot(built, say)
        work.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{recipe.name} is ready after {time.monotonic() - started:.0f} s.")
    return image.load(recipe, final)


def _first_boot(built: Image, say: Callable[[str], None]) -> None:
    """Boots on the base disk itself, waits until kdump is loaded (or says that it is not), and shuts down cleanly."""
    with Machine(built, say=say) as machine:
        machine.start(on_base=True)
        machine.wait_for_ssh(FIRST_BOOT_DEADLINE)
        settled = machine.settle(FIRST_BOOT_DEADLINE)
        if settled != "running":
            failed = machine.run("systemctl --failed --plain --no-legend").stdout.strip()
            raise LabError(f"The new {built.recipe.name} did not come up well ({settled}; {failed}): its recipe is wrong.")
        if machine.check("cat /sys/kernel/kexec_crash_loaded").strip() != "1":
            raise LabError(f"The new {built.recipe.name} has no capture kernel loaded: its recipe is wrong.")
        for command in built.recipe.first_boot:
            machine.check(command, deadline=300)
        machine.check("rm -rf /var/log/journal; sync")
        machine.power_off(120)


def _remove_old(recipe: Recipe) -> None:
    for folder in images_dir().glob(f"{recipe.name}-*"):
        used = folder / "image.json"
        if folder != image.folder_of(recipe) and used.exists() and time.time() - used.stat().st_mtime > KEEP_OLD:
            shutil.rmtree(folder, ignore_errors=True)
