"""What a qualification asks of a host, really asked: of this machine's shells, in folders made for it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kdump import qualification
from kdump.fact import Fact
from kdump.probe import script
from kdump.qualification import asks
from kdump.qualification.trigger import parse
from kdump.transcript import Transcript

SHELLS = [["dash"], ["busybox", "sh"]]
LIBRARY = (Path(qualification.__file__).parent / "crash.sh").read_text()


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def ask(request):
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"{request.param[0]} is not installed")

    def run(fact: Fact, path: str = ""):
        text = script([fact], more=LIBRARY)
        environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
        done = subprocess.run([*request.param, "-s"], input=text.encode(), capture_output=True, env=environment, check=False)
        return fact.of(Transcript.parse(done.stdout))

    return run


def test_files_where_dumps_go_and_no_others(ask, tmp_path):
    folder = tmp_path / "202601010101"
    folder.mkdir()
    for name in ("dump.202601010101", "dump-incomplete", "dmesg.202601010101", "README"):
        (folder / name).write_text("x" * len(name))
    (tmp_path / "link").symlink_to(tmp_path)
    found = ask(asks.listing(str(tmp_path / "link")))
    assert {Path(path).name: file.size for path, file in found.items()} == {
        "dump.202601010101": 17,
        "dump-incomplete": 15,
        "dmesg.202601010101": 18,
    }
    assert all(file.changed for file in found.values())
    assert ask(asks.listing(str(tmp_path / "not made yet"))) == {}
    assert ask(asks.space(str(tmp_path / "not made yet"))) > 0


@pytest.mark.skipif(not os.access("/run", os.W_OK), reason="a log is read by root alone, whose scratch folder is in /run")
@pytest.mark.parametrize(
    ("makedumpfile", "beside", "expected"),
    [
        (
            "echo '[ 1.0] kdump-acceptance: TOKEN' > $3",
            "nothing",
            [("dump", "[ 1.0] kdump-acceptance: TOKEN"), ("no-token", "BESIDE")],
        ),
        ("echo '[ 1.0] another' > $3", "", [("no-token", "the dump"), ("no-token", "BESIDE")]),
        (
            'echo "Can\'t get valid ehdr." >&2; echo makedumpfile Failed. >&2; exit 1',
            "[ 1.0] kdump-acceptance: TOKEN",
            [
                ("unreadable", "makedumpfile --dump-dmesg: Can't get valid ehdr."),
                ("beside", "BESIDE: [ 1.0] kdump-acceptance: TOKEN"),
            ],
        ),
    ],
)
def test_where_the_mark_stands(ask, tmp_path, makedumpfile, beside, expected):
    tools, folder = tmp_path / "bin", tmp_path / "2026"
    tools.mkdir()
    folder.mkdir()
    (tools / "makedumpfile").write_text(f"#!/bin/sh\n{makedumpfile}\n")
    (tools / "makedumpfile").chmod(0o755)
    (folder / "dump.2026").touch()
    (folder / "dmesg.2026").write_text(beside + "\n")
    said = ask(asks.log(str(folder / "dump.2026"), "TOKEN"), str(tools))
    assert list(said) == [(kind, words.replace("BESIDE", str(folder / "dmesg.2026"))) for kind, words in expected]


def test_a_trigger_that_cannot_work_is_known_before(ask):
    assert any("processor 99999 is not there" in words for words in ask(asks.ready(parse("sysrq-c:cpu=99999"))))
    assert any("NO_SUCH_POINT" in words or "CONFIG_LKDTM" in words for words in ask(asks.ready(parse("lkdtm:NO_SUCH_POINT"))))
