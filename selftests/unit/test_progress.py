"""What is said while a run waits: little, in time, and gone when the waiting ends."""

import io

import pytest

from kdump.connection.local import LocalBackend
from kdump.gather import Gatherer
from kdump.hosts import Target
from kdump.progress import Gathering, Progress, Waiting


class Writer:
    fullwidth = 60

    def __init__(self):
        self._file = io.StringIO()
        self.width_of_current_line = 10

    @property
    def text(self):
        return self._file.getvalue()

    def line(self, s=""):
        self._file.write(s + "\n")
        self.width_of_current_line = 0


def after(seconds, overwrites):
    now = 0.0
    writer = Writer()
    progress = Progress(writer, overwrites=overwrites, clock=lambda: now)
    while now <= seconds:
        progress.show(Gathering(1, 4, now + 0.01, [Waiting("db1", now, "probe", 60 - now)]))
        now += 0.5
    return progress, writer


@pytest.mark.parametrize(("seconds", "overwrites", "lines"), [(0.5, True, 0), (3, True, 5), (29, False, 0), (65, False, 2)])
def test_how_often(seconds, overwrites, lines):
    _, writer = after(seconds, overwrites)
    assert writer.text.count("gathering 1/4") == lines


def test_a_terminals_line_is_wiped_away():
    progress, writer = after(3, True)
    progress.done()
    assert writer.text.endswith("\r\x1b[K")
    assert writer.text.startswith("\n") and writer.text.count("\n") == 1  # a line of its own


def test_the_slow_ones_that_are_left_are_told_by_their_deadlines():
    left = [Waiting("db1", 5.0, "connect", 5.0), Waiting("db2", 8.0, "probe", 52.0)]
    assert (
        Gathering(98, 100, 10.0, left).line(200).startswith("gathering 98/100, about 52 s left, waiting for db1 (connect, 5 s)")
    )
    assert "at most 52 s left" in Gathering(99, 100, 10.0, left[1:]).line(200)
    assert "about 10 s left" in Gathering(50, 100, 10.0, left).line(200)
    assert "left" not in Gathering(0, 100, 10.0, left).line(200)


def test_a_line_never_wraps():
    many = [Waiting(f"a-very-long-name-of-host-{number}.example.org", 3.0, "connect", 7.0) for number in range(50)]
    assert len(Gathering(1, 51, 3.0, many).line(59)) == 59
    assert Gathering(1, 51, 3.0, many).line(500).endswith("and 47 more")
    assert Gathering(1, 51, 3.0, many).line(110).endswith("host-0.example.org (connect, 3 s) and 49 more")


def test_a_terminal_that_cannot_show_an_ellipsis():
    now = iter((0.0, 0.0, 2.0))
    writer = Writer()
    writer._file = io.TextIOWrapper(shown := io.BytesIO(), encoding="latin-1")
    progress = Progress(writer, overwrites=True, clock=lambda: next(now))
    for _ in range(2):
        progress.show(Gathering(1, 2, 3.0, [Waiting("a-very-long-name-of-a-host.example.org", 3.0, "connect", 7.0)]))
    assert shown.getvalue().endswith(b"waiting for a-very-long-nam?")


def test_a_slow_machine_that_is_this_one():
    """It has no connection that would say what it does."""
    backend, told = LocalBackend(""), []
    gatherer = Gatherer("sleep 1", forks=1, deadline=20.0, cap=1 << 10)
    gatherer.start([target := Target("here", backend, None)])
    assert gatherer.next_done(told.append) is target
    assert told and told[0].waiting[0].host == "here"
