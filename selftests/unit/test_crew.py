"""Hosts that keep us waiting do not keep others waiting; the limit of open files is kept."""

import resource
import threading
import time

import pytest

from kdump.crew import FIRST, Crew, room_for


def test_more_threads_only_while_the_controller_waits():
    crew, over, done = Crew(FIRST + 40), threading.Event(), threading.Event()
    for _ in range(FIRST + 20):
        crew.submit(over.wait)  # silent hosts
    crew.submit(done.set)
    assert done.wait(20), "a healthy host was kept waiting by silent ones"
    over.set()


def test_never_more_than_asked_for():
    crew, over, running = Crew(3), threading.Event(), []
    for _ in range(5):
        crew.submit(lambda: (running.append(1), over.wait()))
    time.sleep(0.5)
    assert len(running) == 3
    over.set()


@pytest.fixture
def limits(monkeypatch):
    state = {"now": (256, 256)}
    monkeypatch.setattr(resource, "getrlimit", lambda which: state["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda which, limit: state.update(now=limit))
    return state


@pytest.mark.parametrize(("limit", "forks", "room"), [((256, 256), 512, 96), ((256, 4096), 512, 512), ((1024, 1024), 64, 64)])
def test_open_files_bound_the_hosts_at_a_time(limits, limit, forks, room):
    limits["now"] = limit
    assert room_for(forks) == room
