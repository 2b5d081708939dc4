"""What a build's programs leave behind when the build is killed: no process, no mount, and files in its own folder only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import runs, tools
from lab.errors import LabError

# A background job of a shell ignores SIGINT, and so do its children: a user's terminal does not.
BUILDER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from lab import runs, tools
work = Path(sys.argv[1])
with runs.locked(work / "lock", deadline=1) as lock:
    command, environment = tools.contained(["sh", "-c", sys.argv[2]], work)
    tools.run(command, sys.stdout.buffer, 600, lock=lock, environment=environment)
"""
# mmdebstrap's part: something mounted in a temporary folder, and a child that it does not wait for.
PROGRAM = """
there=$(mktemp -d "$TMPDIR/mmdebstrap.XXXXXX"); mkdir "$there/proc"; mount -t proc proc "$there/proc" && touch "$there/mounted"
sleep 600 &
echo "$there"; wait
"""


def as_root_in_a_namespace():
    return os.geteuid() == 0 and subprocess.run([*tools._UNSHARE, "true"], check=False).returncode == 0


@pytest.mark.skipif(not as_root_in_a_namespace(), reason="an ordinary user's mmdebstrap has namespaces of its own")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_killed_leaves_neither_mount_nor_process_and_its_files_in_its_folder(tmp_path, number):
    work = tmp_path / "work"
    work.mkdir()
    with subprocess.Popen([sys.executable, "-c", BUILDER, work, PROGRAM], stdout=subprocess.PIPE, text=True) as builder:
        name = Path(builder.stdout.readline().strip()).name
        builder.send_signal(number)
    left = list(tmp_path.rglob("mounted"))
    assert [path.parent.name for path in left] == [name], "what was unpacked lies in the build's own folder"
    assert not list((left[0].parent / "proc").iterdir())
    assert name not in Path("/proc/self/mountinfo").read_text()
    assert not list(Path("/var/tmp").glob(name)) and not list(Path("/tmp").glob(name))
    with runs.locked(work / "lock", deadline=5):  # held as long as any of its programs lives
        pass


def test_where_no_namespace_can_be_had_nothing_is_mounted(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.os, "geteuid", lambda: 0)
    monkeypatch.setattr(tools, "_UNSHARE", ("false",))
    command, environment = tools.contained(["mmdebstrap", "bookworm", "rootfs.tar"], tmp_path)
    assert command == ["mmdebstrap", "--skip=chroot/mount", "bookworm", "rootfs.tar"]
    assert environment["TMPDIR"] == str(tmp_path / "tmp")


def test_an_ordinary_users_mmdebstrap_is_left_to_its_own_namespaces(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1000)
    command, environment = tools.contained(["mmdebstrap", "bookworm"], tmp_path)
    assert command == ["mmdebstrap", "bookworm"] and environment == dict(os.environ)


def test_the_next_build_waits_for_what_is_left_of_the_last_one(tmp_path):
    builder = "import sys; from pathlib import Path; from lab import runs, tools\n"
    builder += "with runs.locked(Path(sys.argv[1]), deadline=1) as lock:\n"
    builder += "    tools.os.geteuid = lambda: 1000\n"
    builder += "    tools.run(['sh', '-c', 'echo $$; exec sleep 600'], sys.stdout.buffer, 600, lock=lock)\n"
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", builder, lock], stdout=subprocess.PIPE, text=True) as killed:
        left = int(killed.stdout.readline())
        killed.kill()
    with pytest.raises(LabError, match="Another process has held"), runs.locked(lock, deadline=0.3):
        pass
    os.kill(left, signal.SIGKILL)
    with runs.locked(lock, deadline=5):
        pass


def test_a_program_that_exceeds_its_deadline_is_ended_with_its_children(tmp_path):
    with runs.locked(tmp_path / "lock", deadline=1) as lock, (tmp_path / "out").open("wb") as output:
        started = time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):
            tools.run(["sh", "-c", "sleep 600 & wait"], output, 0.5, lock=lock)
        assert time.monotonic() - started < 30
    with runs.locked(tmp_path / "lock", deadline=5):
        pass
