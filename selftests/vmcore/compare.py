"""Our verdicts of the real dumps beside those of crash, drgn and makedumpfile: `python -m selftests.vmcore.compare`.

Needs the dumps of `python -m selftests.vmcore.dumps` and a vmlinux beside them; takes some minutes. Besides the whole and
the broken dumps, the first nine tenths of each format are shown to all.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kdump.bytesource import LocalFile
from kdump.open_dump import CannotOpen, open_dump, tools_here
from kdump.parsers.dump import State
from kdump.vmcore import judge
from selftests.vmcore import dumps

CUT = ("debian-default", "kdump-zlib-d31", "kdump-lzo-d31", "elf-d31", "flattened-elf-d31", "qemu-kdump-zlib")


def main() -> int:
    folder = dumps.folder()
    if folder is None or not (folder / "vmlinux").exists():
        print("no real dumps with a vmlinux: python -m selftests.vmcore.dumps makes the dumps")
        return 2
    whole = [one for one in sorted(folder.iterdir()) if one.is_file() and one.name not in ("done", "vmlinux")]
    print(f"{'dump':<28} {'here':<12} {'crash':<42} {'drgn':<42} makedumpfile --dump-dmesg")
    for path in [*whole, *sorted((folder / "broken").iterdir())]:
        row(path.name, path, folder / "vmlinux")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name in CUT:
            cut = Path(scratch) / name
            shutil.copyfile(folder / name, cut)
            with cut.open("r+b") as file:
                file.truncate(cut.stat().st_size * 9 // 10)
            row(f"{name}, 90 %", cut, folder / "vmlinux")
    return 0


def row(name: str, path: Path, vmlinux: Path) -> None:
    with LocalFile(path) as file:
        here = judge(file).complete
    said = {tool: words_of(tool, path, vmlinux).replace(str(path), "it")[:42] for tool in ("crash", "drgn")}
    with tempfile.TemporaryDirectory() as scratch:
        command = [dumps.MAKEDUMPFILE, "--dump-dmesg", str(path), f"{scratch}/dmesg"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    words = "ok" if done.returncode == 0 else " ".join(done.stderr.split())[:70]
    mark = {State.COMPLETE: "complete", State.INCOMPLETE: "INCOMPLETE", State.CANNOT_TELL: "cannot tell"}[here.state]
    print(f"{name:<28} {mark:<12} {said['crash']:<42} {said['drgn']:<42} {words}", flush=True)


def words_of(tool: str, path: Path, vmlinux: Path) -> str:
    if tool not in tools_here():
        return "not here"
    try:
        opened = open_dump(path, vmlinux, tool=tool)
    except CannotOpen as error:
        return str(error)
    return f"opens: {opened.task}, {opened.frames} frames" if opened.readable else (opened.complaint or "nothing comes out")


if __name__ == "__main__":
    sys.exit(main())
