"""What is said while a run waits: little, in time, and gone when the waiting ends."""

import io

import pytest

from kdump.progress import Gathering, Progress, Waiting


class Writer:
    fullwidth = 60
    width_of_current_line = 10

    def __init__(self):
        self._file = io.StringIO()

    @property
    def text(self):
        return self._file.getvalue()

    def line(self, s=""):
        self._file.write(s + "\n")


def after(seconds, overwrites):
    now = 0.0
    writer = Writer()
    progress = Progress(writer, overwrites=overwrites, clock=lambda: now)
    while now <= seconds:
        progress.show(Gathering(1, 4, now + 0.01, [Waiting("db1", now, "probe")]))
        now += 0.5
    return progress, writer


@pytest.mark.parametrize(("seconds", "overwrites", "lines"), [(0.5, True, 0), (3, True, 5), (29, False, 0), (65, False, 2)])
def test_how_often(seconds, overwrites, lines):
    _, writer = after(seconds, overwrites)
    assert writer.text.count("gathering 1/4") == lines


def test_a_terminals_line_is_wiped_away():
    progress, writer = after(3, True)
    progress.done()
    assert writer.text.endswith("\x1b8\x1b[K")
    assert "\n" not in writer.text


def test_a_line_never_wraps():
    many = [Waiting(f"a-very-long-name-of-host-{number}.example.org", 3.0, "connect") for number in range(50)]
    assert len(Gathering(1, 51, 3.0, many).line(59)) == 59
    assert Gathering(1, 51, 3.0, many).line(500).endswith("and 47 more")
