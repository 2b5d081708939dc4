"""Transcripts: what the probe prints under every shell, what a parser makes of noise, cuts and hostile text."""

import os
import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdump.fact import Fact
from kdump.probe import script
from kdump.transcript import END, HEADER, NotATranscript, Reading, Transcript

SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]
lines = st.text(st.characters(blacklist_categories=("C", "Z")) | st.just(" "), max_size=30).filter(
    lambda line: line.splitlines() in ([], [line])
)


def probed(shell, *facts, **how):
    if shutil.which(shell[0]) is None:
        pytest.fail(f"{shell[0]} is not installed: make test installs it")
    done = subprocess.run([*shell, "-s"], input=script(facts, **how).encode(), capture_output=True, timeout=30)
    assert done.stderr == b""
    return Transcript.parse(done.stdout)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
class TestProbeUnder:
    def read(self, shell, command, **how):
        return probed(shell, Fact("it", command, str, **how)).readings[command]

    @pytest.mark.hostility(26)
    @pytest.mark.parametrize(
        ("command", "text"),
        [
            ("printf 'a\\nb\\n'", "a\nb"),
            ("printf 'no newline'", "no newline"),
            ("printf 'a\\n\\n\\n  b\\n'", "a\n\n\n  b"),
            ("true", ""),
            ("printf '$ forged\\n[0]\\n# end\\n'", "$ forged\n[0]\n# end"),
            ("printf '\\303\\244 \\377 \\033[2J'", "ä \\xff \\x1b[2J"),
        ],
    )
    def test_output_arrives_as_it_was(self, shell, command, text):
        assert self.read(shell, command) == Reading(command, text, "", 0)

    def test_errors_and_status_are_kept_apart_from_output(self, shell):
        command = "echo out; echo '* [5] $x' >&2; exit 7"
        assert self.read(shell, command) == Reading(command, "out", "* [5] $x", 7)

    def test_what_hangs_is_stopped(self, shell):
        assert self.read(shell, "limit 1 sleep 30", slow=True).status == 124

    def test_the_whole_probe_is_stopped_and_what_was_seen_is_kept(self, shell, tmp_path):
        os.mkfifo(tmp_path / "nobody-writes")
        commands = {
            "echo seen": 0,
            "echo slowly": 0,
            f"read -r line <{tmp_path}/nobody-writes": 137,  # the shell itself hangs
            "sh -c 'trap \"\" TERM; sleep 30; :'": 137,  # and a command, with a child
            "echo too late": 124,
        }
        started = time.monotonic()
        facts = [Fact(command, command, str, slow=command.startswith(("read", "echo s"))) for command in commands]
        transcript = probed(shell, *facts, seconds=3)  # a busy machine takes more than one to begin
        assert time.monotonic() - started < 20
        assert transcript.complete
        assert {command: transcript.readings[command].status for command in commands} == commands

    def test_readings_without_a_process_of_their_own_say_what_the_command_says(self, shell, tmp_path):
        (tmp_path / "text").write_text("# words\n\npath /var/crash\nMemTotal: 1 kB\nMemFree: 2 kB\nlast _stext")
        text, missing = tmp_path / "text", tmp_path / "missing"
        commands = [
            "grep -hE '^[[:space:]]*path[[:space:]]' {}",
            "grep -E '^(Mem(Total|Free)|Cached):' {}",
            "grep -m 1 '^MemF' {}",
            "grep -e nothing {}",
            "grep -m 1 ' _stext$' {}",
            "cut -d ' ' -f 1,2 {}",
            "cat {}",
            "first_of /nowhere {}",
            "od -An -v -tx1 {}",
        ]
        facts = [Fact(command, command, str) for form in commands for command in map(form.format, (text, missing))]
        transcript = probed(shell, *facts)
        for command, read in transcript.readings.items():
            both = "cat /nowhere" if str(missing) in command else "cat"
            alone = ["env", "LC_ALL=C", "sh", "-c", command.replace("first_of /nowhere", both)]
            done = subprocess.run(alone, capture_output=True, text=True, check=False)
            words = done.stdout.replace("\n \n", "\n\n").rstrip("\n"), done.stderr.strip("\n"), done.returncode
            assert (read.text.replace("\n \n", "\n\n"), read.errors, read.status) == words, command

    def test_commands_get_no_input(self, shell):
        assert self.read(shell, "cat").text == ""

    def test_much_output_from_both_lanes_is_not_mixed(self, shell):
        many = "i=0; while [ $i -lt 9000 ]; do echo slow line $i; i=$((i+1)); done"
        few = many.replace("slow", "fast")
        transcript = probed(shell, Fact("slow", many, str, slow=True), Fact("fast", few, str))
        assert transcript.complete
        assert transcript.readings[many].text.count("slow line") == 9000
        assert transcript.readings[few].text.count("slow") == 0


@given(
    st.lists(
        st.tuples(lines.map(lambda line: f"x{line}"), st.lists(lines), st.lists(lines), st.integers(0, 255)),
        max_size=5,
        unique_by=lambda reading: reading[0],
    )
)
def test_what_is_rendered_is_read_back(parts):
    readings = [
        Reading(command, "\n".join(out).rstrip("\n"), "\n".join(err).strip("\n"), status) for command, out, err, status in parts
    ]
    transcript = Transcript.of(readings, source="a test")
    assert Transcript.parse(transcript.render()) == transcript


def test_a_login_message_before_it_is_skipped():
    assert Transcript.parse(f"Welcome!\n$ not a command\n{HEADER}\n$ true\n[0]\n{END}\n").complete


@pytest.mark.hostility(10)
def test_a_cut_is_noticed_at_every_byte():
    whole = Transcript.of([Reading("cat a", "1\n2", "", 0), Reading("cat b", "", "no", 1)])
    text = whole.render()
    for end in range(len(HEADER) + 1, len(text) - 1):
        cut = Transcript.parse(text[:end])
        assert not cut.complete
        assert all(cut.readings[command] == whole.readings[command] for command in cut.readings)


@pytest.mark.parametrize("text", ["", "hello", HEADER[:-1], b"\xff\xfe"])
def test_something_else_is_refused(text):
    with pytest.raises(NotATranscript):
        Transcript.parse(text)


@pytest.mark.hostility(29)
@given(st.binary(max_size=200))
def test_hostile_bytes_do_no_harm(data):
    transcript = Transcript.parse(HEADER.encode() + b"\n" + data)
    for reading in transcript.readings.values():
        assert reading.text.replace("\t", " ").replace("\n", " ").isprintable() or not any(
            ord(char) < 32 and char not in "\t\n" for char in reading.text
        )


@pytest.mark.hostility(9)
def test_remarks_are_few_and_short():
    """A target may write as many as it likes between its readings."""
    lines = ["# kdump transcript 1", "# taken: 2026-01-31T12:00:00Z", f"# long: {'x' * 1_000_000}"]
    lines += [f"# {number}: x" for number in range(10_000)]
    remarks = Transcript.parse("\n".join([*lines, "# end"])).remarks
    assert remarks["taken"] == "2026-01-31T12:00:00Z"
    assert sum(len(key) + len(value) for key, value in remarks.items()) < 30_000
