"""Whatever name leads to it, the machine that runs the suite is not crashed: here it is behind a real sshd."""

from pathlib import Path

import pytest
import sshd_bench as bench
from ssh_client import Client

from kdump.qualification.machine import BOOT_ID, Clock, Remote
from kdump.qualification.plugin import _own_boot_id
from kdump.qualification.record import Store
from kdump.qualification.run import Crash, Setting, new_record
from kdump.qualification.steps import Step
from kdump.qualification.trigger import parse
from kdump.verdict import CouldNotDetermine, NotApplicable


def test_it_is_refused_before_anything_is_written(bench_client: Client, sshd: bench.Sshd, tmp_path: Path) -> None:
    trigger = parse("command:true")  # harmless, should it ever be run
    host = Remote("db1", bench_client.backend(f"root@127.0.0.1:{sshd.port}"))
    fired: list[str] = []
    crash = Crash(
        new_record("db1", trigger, 1),
        Setting(trigger, trigger.limits(60), own_boot_id=_own_boot_id(), command=lambda text: fired.append(text) or ""),
        host=host,
        place=host,
        console=lambda offset: None,
        store=Store(tmp_path),
        clock=Clock(),
    )
    assert _own_boot_id() == Path(BOOT_ID).read_text().strip()
    with pytest.raises(CouldNotDetermine, match="the very kernel that this suite runs on"):
        crash.reach(Step.PREFLIGHT)
    with pytest.raises(NotApplicable, match="not crashed"):
        crash.reach(Step.OPENS)
    assert not fired and not list(tmp_path.glob("*.json"))
