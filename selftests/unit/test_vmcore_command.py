"""python -m kdump.vmcore, and the sources it reads from."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdump.bytesource import LocalFile, NotRecorded, Sparse
from kdump.parsers.unreadable import Unreadable
from kdump.vmcore import judge, main
from selftests.unit.test_vmcore_vmlinux import image
from selftests.vmcore.writer import BUILD_ID, RELEASE, Plan, kdump, split_plans


@pytest.fixture
def write(tmp_path):
    def write(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


def test_complete_and_matching(write, capsys):
    assert main([write("dump", kdump()), "--vmlinux", write("vmlinux", image())]) == 0
    shown = capsys.readouterr().out
    for part in ("yes: all 548 pages", RELEASE, BUILD_ID, "2026-11-23 07:16:16 UTC", "matches: same build-id"):
        assert part in shown


def test_damaged(write, capsys):
    assert main([write("whole", kdump()), write("cut", kdump()[:-5])]) == 1
    assert "NO: the file ends 5 bytes before its last page does (5 bytes missing)" in capsys.readouterr().out


def test_not_matching(write):
    assert main([write("dump", kdump()), f"--vmlinux={write('vmlinux', image(build_id='11' * 20))}"]) == 1


def test_compressed_vmlinux(write, capsys):
    packed = lzma.compress(image())
    assert main([write("dump", kdump()), "--vmlinux", write("vmlinux.xz", packed)]) == 0
    assert main([write("dump", kdump()), "--vmlinux", write("vmlinux.xz", packed[:-1])]) == 2
    assert "cannot tell: it is cut short" in capsys.readouterr().out


def test_cannot_tell(write, capsys):
    assert main([write("text", b"hello " * 100)]) == 2
    assert main([write("dump", kdump()), "--vmlinux=/nonexistent"]) == 2
    assert main(["/nonexistent/dump"]) == 2
    assert "cannot open /nonexistent/dump: No such file or directory" in capsys.readouterr().out


def test_wrong_usage_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "required: FILE" in capsys.readouterr().err


def test_files_of_a_split_dump_are_judged_together(write, capsys):
    files = [write(f"dump{i}", kdump(plan)) for i, plan in enumerate(split_plans(Plan(), 3))]
    assert main(files) == 0
    assert main(files[1:]) == 1
    assert main(files[:1]) == 1
    assert "is missing" in capsys.readouterr().out
    main([*files, "--json"])
    assert {one["together"]["state"] for one in json.loads(capsys.readouterr().out)} == {"complete"}


def test_a_file_of_a_split_dump_that_is_named_twice(write):
    files = [write(f"dump{i}", kdump(plan)) for i, plan in enumerate(split_plans(Plan(), 3))]
    assert main([*files, write("copy", Path(files[1]).read_bytes())]) == 0
    assert main([files[0], files[1], write("copy", Path(files[1]).read_bytes())]) == 1
    assert main([*files, write("cut", Path(files[1]).read_bytes()[:-1])]) == 1


def test_files_of_two_split_dumps_of_one_crash(write, capsys):
    thirds, halves = split_plans(Plan(), 3), split_plans(Plan(), 2)
    files = [write(f"dump{i}", kdump(plan)) for i, plan in enumerate([*thirds[:2], halves[1]])]
    assert main(files) == 2
    assert "not of one split dump" in capsys.readouterr().out


def test_a_part_of_a_split_dump_beside_another_dump_is_not_whole(write):
    first, *_ = split_plans(Plan(), 3)
    assert main([write("part", kdump(first)), write("whole", kdump())]) == 1


def test_parts_of_two_crashes_do_not_make_one_dump(write, capsys):
    first, *rest = (kdump(plan) for plan in split_plans(Plan(), 3))
    later = [one.replace(b"CRASHTIME=17954", b"CRASHTIME=17955") for one in rest]
    assert main([write(f"dump{i}", one) for i, one in enumerate([first, *later])]) == 1
    assert capsys.readouterr().out.count("together     incomplete") == 2


def test_json(write, capsys):
    main([write("dump", kdump()), "--json"])
    (dump,) = json.loads(capsys.readouterr().out)
    assert (dump["complete"]["state"], dump["build_id"], dump["pages"]) == ("complete", BUILD_ID, 548)
    assert dump["crash_time"] == "2026-11-23T07:16:16+00:00"


@pytest.mark.hostility(30)
def test_a_terabyte_of_nothing_is_told_at_once(tmp_path, capsys):
    """Sparse: a dump of some kilobytes, and then a hole."""
    path = tmp_path / "vmcore"
    path.write_bytes(b"\0")
    os.truncate(path, 1 << 40)
    began = time.process_time()
    assert main([str(path)]) != 0
    with path.open("r+b") as file:
        file.write(kdump())
    main([str(path)])
    assert time.process_time() - began < 10
    assert "1099511627776 bytes" in capsys.readouterr().out


@pytest.mark.hostility(30)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_a_device_is_no_dump(tmp_path, device):
    (tmp_path / "vmcore").symlink_to(device)
    assert main([str(tmp_path / "vmcore")]) == 2


@pytest.mark.hostility(30)
def test_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "vmcore")
    assert main([str(tmp_path / "vmcore")]) == 2


def test_sparse_and_local_files_agree_where_bytes_are_known(tmp_path):
    data = bytes(range(256)) * 4
    (tmp_path / "file").write_bytes(data)
    sparse = Sparse({0: data[:10], 5: data[5:20], 20: data[20:30], 1000: data[1000:]}, len(data))
    with LocalFile(tmp_path / "file") as local:
        for offset, length in ((0, 30), (3, 9), (1000, 24), (1010, 500), (1024, 5), (5000, 1)):
            assert sparse.read_at(offset, length) == local.read_at(offset, length)
    for offset, length in ((0, 31), (500, 1), (999, 2)):
        with pytest.raises(NotRecorded):
            sparse.read_at(offset, length)


def test_a_directory_is_no_dump(tmp_path):
    with pytest.raises(Unreadable, match="regular"):
        LocalFile(tmp_path)
    assert Path(tmp_path).is_dir()


def test_files_of_proc_have_no_size(capsys):
    assert main(["/proc/self/status"]) == 2
    assert "/proc/self/status has no size" in capsys.readouterr().out


def test_a_file_that_changes_while_it_is_read_is_not_judged(write, monkeypatch, capsys):
    for change in (-1, 1):
        path = write("vmcore", kdump())
        monkeypatch.setattr("kdump.vmcore.judge", lambda source, at=path, by=change: _judge_and_resize(source, at, by))
        assert main([path]) == 2
        assert "while it was read" in capsys.readouterr().out


def _judge_and_resize(source, path, by):
    dump = judge(source)
    os.truncate(path, source.size + by)
    return dump


def test_a_name_that_the_terminal_cannot_show(write):
    path = write("d\N{LATIN SMALL LETTER U WITH DIAERESIS}mp", kdump())
    command = [sys.executable, "-m", "kdump.vmcore", path]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "d\\xfcmp" in done.stdout


def test_a_name_adds_no_line_of_its_own(write, capsys):
    assert main([write("a\n  complete   yes\x1b[8m", kdump()[:-5])]) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and shown.count("\n  complete ") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_no_verdict(write):
    command = [sys.executable, "-m", "kdump.vmcore", write("dump", kdump())]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], check=False
        )
    assert (ended.returncode, ended.stderr) == (2, "kdump.vmcore: the answer could not be written: No space left on device\n")
