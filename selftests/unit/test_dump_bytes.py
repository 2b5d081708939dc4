"""What SFTP adds to the probe's bytes: parts of a split dump. Nothing else of what the suite knows needs it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from kdump import dump_bytes, vmcore_evidence
from kdump.bytesource import LocalFile
from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.parsers.dump import State
from kdump.parsers.unreadable import Unreadable
from kdump.vmcore import judge
from selftests.judging import host, says
from selftests.unit.test_vmcore_evidence import run
from selftests.unit.test_vmcore_judge import COMPLETE
from selftests.vmcore.writer import Plan, kdump, split_plans


@dataclass(eq=False)
class Sftp:
    """A target whose files are here."""

    problem: Exception | None = None
    read: list[str] = field(default_factory=list)

    @property
    def backend(self) -> "Sftp":
        return self

    def sftp_read(self, path: str) -> LocalFile:
        self.read.append(path)
        if self.problem:
            raise self.problem
        return LocalFile(path)


WIDE = Plan(pages=tuple(range(3, 90000, 40)), zeros=(), max_mapnr=1 << 18)


@pytest.fixture
def transcript(tmp_path):
    """A small dump, and parts of a split one whose bitmap is more than the probe prints."""
    (tmp_path / "vmcore").write_bytes(kdump())
    paths = [tmp_path / "vmcore"]
    for number, plan in enumerate(split_plans(WIDE, 2)):
        paths.append(tmp_path / f"part{number}")
        paths[-1].write_bytes(kdump(plan))
    paths[-1].write_bytes(paths[-1].read_bytes()[:-5000])
    return host(says("stored_dumps", run("dash", "vmcore_evidence", *paths).rstrip("\n")))


def states(transcript):
    return [one.dump().complete.state for one in vmcore_evidence.parse(transcript.readings["dump_evidence"].text)]


def test_a_part_of_a_split_dump_is_judged(transcript):
    target: Any = Sftp()
    assert states(transcript) == [State.COMPLETE, State.CANNOT_TELL, State.CANNOT_TELL]
    more = dump_bytes.completed(target, transcript)
    assert states(more) == [State.COMPLETE, State.COMPLETE, State.INCOMPLETE]
    assert [path.rpartition("/")[2] for path in target.read] == ["part0", "part1"]


@pytest.mark.parametrize(
    "problem", [ConnectionProblem(Kind.NO_SFTP, "h", Phase.SESSION, "no SFTP", "x"), Unreadable("permission denied")]
)
def test_without_sftp_the_known_reason_stays(transcript, problem):
    target: Any = Sftp(problem)
    assert dump_bytes.completed(target, transcript) is transcript
    no_ssh: Any = type("Target", (), {"backend": object()})()
    assert dump_bytes.completed(no_ssh, transcript) is transcript


def test_every_other_dump_is_judged_by_the_probe(tmp_path):
    for number, (name, data) in enumerate(COMPLETE.items()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        whole = judge(LocalFile(path))
        unjudged = dump_bytes.unjudged(run("dash", "vmcore_evidence", path).rstrip("\n"))
        assert unjudged == [] or whole.split, name
