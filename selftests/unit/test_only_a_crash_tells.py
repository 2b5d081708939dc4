"""What no look can decide is told apart from what was not seen, and that alone keeps nobody from a crash."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdump import recording
from kdump.fact import CATALOGUE, Knowledge
from kdump.qualification.plugin import Qualification
from kdump.report import wire
from kdump.report.model import Finding
from kdump.transcript import Transcript
from kdump.verdict import CouldNotDetermine, OnlyACrashTells, Verdict
from selftests.judging import denied, says

RECORDED = recording.load(Path(__file__).parents[2] / "recordings/debian12-healthy.transcript").readings
WAY = "host nas\naddress 10.0.0.5\nroute 10.0.0.5 dev eth0\ninterface eth0 -\ndriver virtio_net virtio_net"
NFS = [says("kdump_tools_defaults", 'USE_KDUMP=1\nNFS="nas:/srv"'), says("network_path", WAY)]
DISK = "mount 254:0 /dev/vda ext4 rw,relatime /\nspace {} 1000\nfolder /var/crash\n{}layer vda -\ndriver virtio_blk virtio_blk"
LUKS = DISK.format(4000000, "layer dm-0 CRYPT-LUKS2-ab-luks luks\n")
DOG = "{0} identity i6300ESB timer\n{0} state active\n{0} timeout {1}\n{0} driver i6300esb"


def reserved(mebibytes):
    """The recorded machine, which reserved 256 MiB, with another reservation."""
    iomem, meminfo = (RECORDED[CATALOGUE[name].command] for name in ("address_map", "meminfo"))
    end = (0x20000000 + (mebibytes << 20)) - 1
    total = re.sub(r"(?<=MemTotal:)\s+\d+", lambda match: f" {int(match[0]) + (256 - mebibytes << 10)}", meminfo.text)
    ranges = re.sub(r"\S+(?= : Crash kernel)", f"20000000-{end:08x}", iomem.text)
    return [replace(iomem, text=ranges), replace(meminfo, text=total)]


@pytest.mark.parametrize(
    ("fact", "readings", "kind"),
    [
        ("target_that_answered", NFS, OnlyACrashTells),
        ("target_that_answered", [*NFS, denied("network_path")], CouldNotDetermine),
        ("unlocked_disk", [says("dump_storage", LUKS)], OnlyACrashTells),
        ("unlocked_disk", [denied("dump_storage")], CouldNotDetermine),
        ("refused_writes", [says("dump_storage", DISK.format(20000, ""))], OnlyACrashTells),
        ("refused_writes", [denied("dump_storage")], CouldNotDetermine),
        ("capture_memory", reserved(112), OnlyACrashTells),
        ("capture_memory", [*reserved(112), denied("initramfs")], CouldNotDetermine),
        ("watchdogs_that_expire", [says("watchdogs", DOG.format("watchdog0", 40))], OnlyACrashTells),
        ("watchdogs_that_expire", [says("watchdogs", DOG.format("watchdog0", 0))], CouldNotDetermine),
        (
            "watchdogs_that_expire",
            [says("watchdogs", DOG.format("watchdog0", 40) + "\n" + DOG.format("watchdog1", 0))],
            CouldNotDetermine,
        ),
    ],
)
def test_kind_of_what_is_unknown(fact, readings, kind):
    known = Knowledge(Transcript({**RECORDED, **{reading.command: reading for reading in readings}}), "")
    assert type(known.maybe(fact).reason) is kind, known.maybe(fact).reason or known.get(fact)


def finding(verdict, **more):
    return Finding("db1", "tests/test_x.py::test_y", None, "all is well", verdict, "seen", **more)


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (finding(Verdict.ABSENT), False),
        (finding(Verdict.UNDETERMINED, crash_tells=True), False),
        (finding(Verdict.UNDETERMINED), True),
        (finding(Verdict.PRESENT), True),
    ],
)
def test_a_crash_that_would_tell_is_not_refused(found, refused):
    carried = wire.from_data(wire.to_data(found))
    host = SimpleNamespace(name="db1")
    given = SimpleNamespace(
        _option=SimpleNamespace(crash_anyway=False),
        _findings={"db1": [carried]},
        _cause_files=lambda: [Path("test_x.py")],
        _to_judge={"db1": {carried.nodeid: "test_x.py"}},
    )
    assert bool(Qualification._objections(given, host)) is refused
