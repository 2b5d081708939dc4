"""Dumps that leave the host: nobody is crashed for a dump that could not be looked for."""

import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdump import recording
from kdump.catalogue import suite_facts
from kdump.fact import Knowledge
from kdump.qualification.plugin import _out_of_sight, _run_here
from kdump.transcript import Transcript
from selftests.judging import says

DEBIAN12 = recording.load(Path(__file__).parents[2] / "recordings/debian12-healthy.transcript")
DB1 = SimpleNamespace(name="db1")
suite_facts()


@pytest.mark.parametrize(
    ("readings", "place", "words"),
    [
        ([], None, ""),
        ([says("kdump_tools_defaults", 'SSH="crash@nas"')], None, "dumps go to ssh crash@nas: .* --crash-dumps=db1="),
        ([says("kdump_tools_defaults", 'NFS="nas:/srv"')], None, "nfs nas:/srv"),
        ([says("kdump_tools_defaults", 'SSH="crash@nas"')], DB1, ""),
    ],
)
def test_a_dump_on_a_server_needs_a_place_to_look(readings, place, words):
    known = Knowledge(Transcript({**DEBIAN12.readings, **{reading.command: reading for reading in readings}}), "")
    found = _out_of_sight(known, DB1, place)
    assert bool(found) is bool(words)
    if words:
        assert re.search(words, found[0])


def test_the_operators_command_is_waited_for_and_not_what_it_leaves_running():
    before = time.monotonic()
    assert _run_here("sleep 20 & echo no such chassis; exit 3") == "the command ended with status 3: no such chassis"
    assert _run_here("sleep 20 &") == ""
    assert time.monotonic() - before < 10
