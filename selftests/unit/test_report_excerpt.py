"""Evidence is bounded, and safe to show."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdump.report.circumstances import command_line
from kdump.report.excerpt import COLUMNS, LINES, excerpts, render
from kdump.transcript import Reading


def one(text, budget=8192, errors=""):
    return next(excerpts([Reading("cat FILE", text, errors, 0)], budget))


def test_short_output_is_whole():
    assert one("a\n\nb").output == "a\n\nb"
    assert one("").output == ""


def test_long_output_keeps_head_and_tail_and_says_what_is_missing():
    made = one("\n".join(f"line {number}" for number in range(1000)))
    lines = made.output.split("\n")
    assert (lines[0], lines[-1]) == ("line 0", "line 999")
    assert f"… {made.left_out} lines left out …" in lines
    assert made.left_out == 1000 - (len(lines) - 1)


def test_comments_of_a_configuration_go_first():
    text = "\n".join([*(f"# word {number}" for number in range(60)), "USE_KDUMP=1", "", *("#",) * 60])
    made = next(excerpts([Reading("cat /etc/default/kdump-tools", text, "", 0)], 8192))
    assert made.output.split("\n") == ["… 121 lines without a setting left out …", "USE_KDUMP=1"]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=6), st.integers(200, 5000))
def test_size_is_bounded(texts, budget):
    readings = [Reading("cat FILE", text * 20, text, 0) for text in texts]
    made = list(excerpts(readings, budget))
    assert len(made) == len(readings)
    for excerpt in made:
        assert excerpt.output.count("\n") <= LINES
        assert max(map(len, excerpt.output.split("\n"))) <= max(COLUMNS, 60) + 1
    assert sum(len(render(excerpt)) for excerpt in made) <= 2 * budget + 1000 * len(made)


def test_one_line_of_ten_megabytes_costs_nothing():
    before = time.monotonic()
    assert len(one("x" * 10_000_000).output) <= COLUMNS + 1
    assert time.monotonic() - before < 0.5


def test_control_characters_and_passwords_are_not_shown():
    shown = render(one("\x1b[2J nfs://dump:s3cret@store \u202eabc", errors="\x07"))
    assert not any(character in shown for character in "\x1b\x07\u202e")
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "argument",
    [
        ["--hosts=ssh://root:CANARY@db1"],
        ["--hosts", "ssh://root:CANARY@db1"],
        ["--hosts=root:CANARY@db1,db2"],
        ["--hosts", "db2,root:CANARY@db1"],
        ["--become-password=CANARY"],
        ["--api-key", "CANARY"],
    ],
)
def test_command_line_hides_secrets(argument):
    assert "CANARY" not in command_line(argument)


def test_command_line_stays_readable():
    assert command_line(["--hosts=root@db1:22,[::1]:22", "-k", "a b"]) == "pytest --hosts=root@db1:22,[::1]:22 -k 'a b'"
