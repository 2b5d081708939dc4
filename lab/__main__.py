"""``python -m lab build|up|down|status|ssh|console [NAME]``: lab machines by hand.

Exit status: 0 done, 1 the lab could not do it (one sentence says why), 2 usage; ``ssh`` passes on what the remote
command ended with.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lab import build, image, machine, recipe, runs
from lab.errors import LabError
from lab.machine import Machine
from lab.paths import runs_dir
from lab.ssh import Address


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab", description="Real kdump machines under QEMU.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("build", "build the image, if it is not built yet"),
        ("up", "boot the machine and leave it running until `down`"),
        ("down", "end a machine that `up` started"),
        ("status", "say which images are built and which machines are up"),
        ("ssh", "a shell in the machine, or one command after --"),
        ("console", "print the machine's serial console"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("name", nargs="?", default=recipe.DEFAULT_TARGET, help="the target (%(default)s)")
        if name == "up":
            command.add_argument("--crashkernel", help="another reservation than the recipe's; empty for none")
            command.add_argument("--cmdline", default="", help="more kernel arguments")
        if name == "console":
            command.add_argument("-f", "--follow", action="store_true", help="go on until the machine ends, or Ctrl-C")
        if name == "ssh":
            command.usage = "%(prog)s [-h] [name] [-- COMMAND ...]"
    words = sys.argv[1:] if arguments is None else arguments
    # argparse would take a command's first word for the machine's name.
    split = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:split])
    options.remote = words[split + 1 :]
    if options.remote and options.command != "ssh":
        parser.error(f"{options.command} takes no command after --")
    for number in (signal.SIGTERM, signal.SIGHUP):  # the end of a build or a boot that tidies up, as Ctrl-C is
        signal.signal(number, lambda received, frame: sys.exit(128 + received))
    try:
        recipe.target(options.name)
        return int(globals()[f"_{options.command}"](options))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _build(options: argparse.Namespace) -> int:
    built = build.ensure(recipe.target(options.name))
    print(f"{options.name} is built: {built.folder}")
    return 0


def _up(options: argparse.Namespace) -> int:
    started = Machine(image.find(options.name), crashkernel=options.crashkernel, cmdline=options.cmdline, detached=True)
    try:
        started.boot()
        started.disown()
    except BaseException:
        started.stop()
        raise
    print(f"{options.name} is up: python -m lab ssh {options.name}, or ssh -F {started.ssh_config} {options.name}")
    return 0


def _down(options: argparse.Namespace) -> int:
    machine.terminate(_folder(options.name))
    print(f"{options.name} is down.")
    return 0


def _status(options: argparse.Namespace) -> int:
    runs.sweep()
    for name in recipe.TARGETS:
        try:
            state = f"built ({image.find(name).folder})"
        except LabError:
            state = f"not built (python -m lab build {name})"
        if runs.is_running(_place(name)):
            try:
                state += f", up on port {_facts(name)['port']}"
            except LabError as error:
                state += f", {error}"
        print(f"{name}: {state}")
    return 0


def _ssh(options: argparse.Namespace) -> int:
    facts = _facts(options.name)
    address = Address(facts["port"], Path(facts["identity"]), _folder(options.name) / "known_hosts")
    program = shutil.which("ssh")
    if program is None:
        raise LabError("The lab needs ssh, which is not installed: apt-get install openssh-client")
    line = [*address.command(tty=not options.remote and sys.stdin.isatty()), *options.remote]
    os.execv(program, line)  # noqa: S606  # the shell is the user's from here on


def _console(options: argparse.Namespace) -> int:
    place = Path(_facts(options.name)["console"])
    with place.open(errors="replace", newline="") as source:
        while True:
            up = runs.is_running(_place(options.name))
            sys.stdout.write(source.read())
            sys.stdout.flush()
            if not (options.follow and up):
                return 0
            time.sleep(0.2)


def _place(name: str) -> Path:
    return runs_dir() / f"{runs.DETACHED_PREFIX}{name}"


def _folder(name: str) -> Path:
    if not runs.is_running(_place(name)):
        raise LabError(f"{name} is not up: start it with `python -m lab up {name}`.")
    return _place(name)


def _facts(name: str) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((_folder(name) / "machine.json").read_text())
    except (OSError, ValueError):
        raise LabError(f"{name} is just being started: try again in a moment.") from None
    return facts


if __name__ == "__main__":
    sys.exit(main())
