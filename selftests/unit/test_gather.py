"""Hosts are asked no faster than they are judged, and never so that anybody waits for ever."""

import threading
import time

from kdump.connection import Executed
from kdump.gather import AHEAD, Gatherer
from kdump.hosts import Target
from kdump.transcript import Transcript

ANSWER = Executed(Transcript.of([]).render().encode(), b"", 0)


class Answering:
    """A backend that answers at once; ``asked`` counts all of them."""

    def __init__(self, asked: threading.Semaphore) -> None:
        self._asked = asked

    def execute(self, command: str, **bounds: object) -> Executed:
        self._asked.release()
        return ANSWER


def begin(hosts: int, forks: int) -> tuple[Gatherer, list[Target], threading.Semaphore]:
    gatherer = Gatherer("", forks=forks, deadline=20.0, cap=1 << 10)
    asked = threading.Semaphore(0)
    targets = [Target(f"db{number}", Answering(asked), None) for number in range(hosts)]  # type: ignore[arg-type]
    gatherer.start(targets)
    return gatherer, targets, asked


def test_nobody_is_asked_far_ahead_of_the_judgement() -> None:
    gatherer, targets, asked = begin(hosts=9, forks=3)
    for _ in range(AHEAD * 3):
        assert asked.acquire(timeout=20)
    assert not asked.acquire(timeout=0.3), "hosts were asked whose answers would only lie in wait"
    for number in range(3):
        gatherer.forget(targets[number])
        assert asked.acquire(timeout=20), "a host was judged, and no other was asked in its place"
    gatherer.stop()


def test_whoever_is_waited_for_is_asked_whatever_is_still_to_be_judged() -> None:
    gatherer, targets, _ = begin(hosts=9, forks=3)
    assert gatherer.transcript(targets[-1]).readings == {}
    gatherer.stop()


def test_whoever_waits_for_room_is_not_asked_after_the_end() -> None:
    gatherer, _, asked = begin(hosts=9, forks=3)
    for _ in range(AHEAD * 3):
        assert asked.acquire(timeout=20)
    gatherer.stop()
    time.sleep(0.3)
    assert not asked.acquire(blocking=False)
