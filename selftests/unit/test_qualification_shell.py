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


MARK = "[ 84.0] kdump-acceptance: TOKEN"
REFUSES = 'echo "Can\'t get valid ehdr." >&2; echo makedumpfile Failed. >&2; exit 1'
#: as makedumpfile does with a dump in the flattened format: its log is read after -R alone
FLATTENED = f"""case $1 in
-R) sed 1d >"$2" ;;
*) [ "$(head -c 12 "$2")" != makedumpfile ] || {{ {REFUSES}; }}; cat "$2" >"$3" ;;
esac"""


@pytest.mark.parametrize(
    ("makedumpfile", "dump", "beside", "expected"),
    [
        (f"echo '{MARK}' > $3", "", "nothing", [("dump", MARK), ("no-token", "BESIDE")]),
        (f"printf '%s\\n' '[ 99.0] the first' '{MARK}' > $3", "", "nothing", [("dump", MARK), ("no-token", "BESIDE")]),
        ("echo '[ 1.0] another' > $3", "", "", [("no-token", "the dump"), ("no-token", "BESIDE")]),
        ("echo '<6>[ 85.0] later' > $3", "", "[   90.5] later", [("cut", "the dump"), ("cut", "BESIDE")]),
        ("echo 'a log without time stamps' > $3", "", "", [("no-token", "the dump"), ("no-token", "BESIDE")]),
        (
            REFUSES,
            "",
            MARK,
            [("unreadable", "makedumpfile --dump-dmesg: Can't get valid ehdr."), ("beside", f"BESIDE: {MARK}")],
        ),
        (FLATTENED, f"makedumpfile\n{MARK}\n", "nothing", [("dump", MARK), ("no-token", "BESIDE")]),
        (
            REFUSES,
            "makedumpfile",
            MARK,
            [("unreadable", "makedumpfile -R: Can't get valid ehdr."), ("beside", f"BESIDE: {MARK}")],
        ),
    ],
)
def test_where_the_mark_stands(ask, tmp_path, monkeypatch, makedumpfile, dump, beside, expected):
    tools, folder, scratch = tmp_path / "bin", tmp_path / "2026", tmp_path / "scratch"
    for each in (tools, folder, scratch):
        each.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    (tools / "makedumpfile").write_text(f"#!/bin/sh\n{makedumpfile}\n")
    (tools / "makedumpfile").chmod(0o755)
    (folder / "dump.2026").write_text(dump)
    (folder / "dmesg.2026").write_text(beside + "\n")
    said = ask(asks.log(str(folder / "dump.2026"), "TOKEN", 84.0), str(tools))
    assert list(said) == [(kind, words.replace("BESIDE", str(folder / "dmesg.2026"))) for kind, words in expected]
    assert not list(scratch.iterdir())


def test_a_trigger_that_cannot_work_is_known_before(ask):
    assert any("processor 99999 is not there" in words for words in ask(asks.ready(parse("sysrq-c:cpu=99999"))))
    assert any("NO_SUCH_POINT" in words or "CONFIG_LKDTM" in words for words in ask(asks.ready(parse("lkdtm:NO_SUCH_POINT"))))
