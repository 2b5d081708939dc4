"""Kill the controller at random moments: is a host ever lost that was finished?

Each round judges recordings with the whole suite, is killed (SIGKILL) at a random moment between the start and the end, and
compares the hosts that were reported as finished with those in the history. The last round resumes.

    python bench/kill_bench.py [--rounds 50] [--hosts 40]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from kdump.history.store import Store  # noqa: E402

ACKNOWLEDGE = """
import os
import pytest

@pytest.hookimpl(trylast=True)  # when the history has kept it
def pytest_kdump_host_finished(host):
    os.write(int(os.environ["ACKNOWLEDGE"]), (host.name + "\\n").encode())
"""


def start(folder: Path, *options: str) -> tuple[subprocess.Popen[bytes], int]:
    read, write = os.pipe()
    environment = {**os.environ, "ACKNOWLEDGE": str(write), "PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "acknowledge", f"--hosts=@{folder}/fleet", f"--html={folder}/x.html"]
    process = subprocess.Popen(
        [*command, f"--history={folder}/history.sqlite", *options],
        cwd=ROOT,
        env=environment,
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    return process, read


def drain(read: int) -> set[str]:
    with os.fdopen(read, "rb") as pipe:
        return set(pipe.read().decode().split())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--hosts", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.joinpath("acknowledge.py").write_text(ACKNOWLEDGE)
        for number in range(options.hosts):
            shutil.copy(ROOT / "recordings" / "debian12-healthy.transcript", folder / f"h{number}.transcript")
        lines = [f"recording://{folder}/h{number}.transcript" for number in range(options.hosts)]
        folder.joinpath("fleet").write_text("\n".join(lines))
        began = time.monotonic()
        process, read = start(folder)
        everything = drain(read)
        process.wait()
        takes = time.monotonic() - began
        print(f"an undisturbed run: {len(everything)} hosts in {takes:.1f} s; killing {options.rounds} at random moments")
        lost = 0
        finished: list[int] = []
        for _ in range(options.rounds):
            process, read = start(folder)
            pipe = os.fdopen(read, "rb")
            # every moment of the judging: after so many hosts, and a little later
            acknowledged = {pipe.readline().decode().strip() for _ in range(random.randrange(options.hosts))}  # noqa: S311
            time.sleep(random.uniform(0, takes / options.hosts))  # noqa: S311
            process.send_signal(signal.SIGKILL)
            process.wait()
            acknowledged |= set(pipe.read().decode().split())
            pipe.close()
            with sqlite3.connect(folder / "history.sqlite") as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the history is damaged"
            with closing(Store(folder / "history.sqlite")) as store:
                kept = set(store.finished(store.run().id)) if acknowledged else set()
            lost += len(acknowledged - kept)
            finished.append(len(acknowledged))
        print(f"finished hosts when killed: {sorted(finished)}")
        print(f"lost: {lost} of {sum(finished)} finished hosts")
        process, read = start(folder, "--resume")
        rest = drain(read)
        process.wait()
        with closing(Store(folder / "history.sqlite")) as store:
            complete = store.run().complete
        print(f"resumed: {len(rest)} hosts were asked, the run is {'complete' if complete else 'INCOMPLETE'}")
        return int(bool(lost) or not complete)


if __name__ == "__main__":
    sys.exit(main())
