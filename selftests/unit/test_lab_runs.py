"""The folders of running machines: kept while somebody holds them, swept when nobody does."""

import os

import pytest

from lab import accel, runs, state
from lab.errors import LabError
from lab.image import Image
from lab.machine import Machine
from lab.recipe import DEBIAN12


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_folder_of_a_killed_owner_is_swept_and_no_other():
    dead, alive = runs.create("debian12"), runs.create("debian12")
    (dead.path / "disk0.qcow2").write_text("an overlay")
    os.close(dead.lock)
    newest = runs.create("debian12")
    assert not dead.path.exists()
    assert alive.path.exists() and newest.path.exists()
    assert runs.is_running(alive.path) and not runs.is_running(dead.path)
    for folder in (alive, newest):
        os.close(folder.lock)
    runs.sweep()
    assert not alive.path.exists() and not newest.path.exists()


def test_one_name_is_up_once():
    first = runs.create("debian12", detached=True)
    with pytest.raises(LabError, match=r"already up.*lab down debian12"):
        runs.create("debian12", detached=True)
    os.close(first.lock)
    os.close(runs.create("debian12", detached=True).lock)


def test_a_lock_that_is_held_ends_in_a_sentence_after_its_deadline(tmp_path):
    waited = []
    with (
        runs.locked(tmp_path / "lock", deadline=1),
        pytest.raises(LabError, match="Another process has held"),
        runs.locked(tmp_path / "lock", deadline=0.3, waiting=lambda: waited.append(1)),
    ):
        pass
    assert waited == [1], "the one who waits is told so, once"


def test_what_a_machine_that_is_not_running_cannot_do_is_said(tmp_path):
    machine = Machine(Image(DEBIAN12, tmp_path, "1234-uuid", "6.1.0-1-amd64"))
    machine.stop()
    assert machine.console() == ""
    with pytest.raises(LabError, match="debian12 is not running"):
        machine.run("true")


def test_a_machine_that_is_up_already_does_not_cost_its_frozen_state(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "qemu_version", lambda arch: "QEMU")
    monkeypatch.setattr(accel, "choose", lambda kernel, arch, say: "tcg")
    (tmp_path / "image.json").write_text("{}")
    machine = Machine(Image(DEBIAN12, tmp_path, "1234-uuid", "6.1.0-1-amd64"), detached=True)
    saved = state.find(tmp_path, machine.hardware())
    saved.folder.mkdir(parents=True)
    saved.memory.write_text("memory")
    running = runs.create("debian12", detached=True)
    with pytest.raises(LabError, match="already up"):
        machine.boot()
    assert saved.exists() and running.path.exists()
    os.close(running.lock)
