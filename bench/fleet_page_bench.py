"""The fleet's page for many hosts: seconds to write, megabytes, seconds to load and to filter in headless Chromium.

    python bench/fleet_page_bench.py [hosts …]

The hosts are made up: 65 tests of all causes of the suite, one in a hundred present, with evidence taken from a real
transcript and altered from host to host.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from kdump import recording  # noqa: E402
from kdump.catalogue import declared_causes  # noqa: E402
from kdump.cause import Cause, Severity, Stage  # noqa: E402
from kdump.report import fleet_page  # noqa: E402
from kdump.report.model import Finding, HostState, Run, RunInfo  # noqa: E402
from kdump.verdict import Verdict  # noqa: E402

STAGES = list(Stage)
TESTS = 65


def fleet(number: int) -> Run:
    chance = random.Random(1)  # noqa: S311 -- the same fleet every time
    names = sorted(declared_causes(ROOT, ["tests"]))
    causes = [
        Cause(
            id,
            STAGES[place * 5 // len(names)],
            Severity.NO_VMCORE,
            "Mend it. Then reboot.",
            ("https://example.org/",),
            id,
            "Why.",
        )
        for place, id in enumerate(names)
    ]
    readings = list(recording.load(ROOT / "recordings" / "debian12-healthy.transcript").readings.values())
    run = Run(RunInfo(datetime.now(UTC), "bench", "0", "pytest"))
    for host in range(number):
        name = f"db{host:05}.example.org"
        dead = chance.random() < 0.03
        run.hosts[name] = HostState(
            name, not dead, f"unreachable: refused by 10.0.0.{host % 250}" if dead else "", groups=(f"rack{host % 20}",)
        )
        for test in range(TESTS):
            cause = causes[test % len(causes)]
            draw = chance.random()
            verdict = (
                Verdict.UNDETERMINED if dead or 0.01 <= draw < 0.015 else Verdict.PRESENT if draw < 0.01
                else Verdict.NOT_APPLICABLE if draw < 0.2 else Verdict.ABSENT
            )  # fmt: skip
            shown = () if verdict in (Verdict.ABSENT, Verdict.NOT_APPLICABLE) else chance.sample(readings, 4)
            evidence = tuple(replace(one, text=f"{one.text}\n{name}") for one in shown)
            run.findings.append(
                Finding(name, f"{cause.id}[{test}]", cause, f"property {test}", verdict, "64 MiB reserved", evidence)
            )
    return run


def browser(profile: str) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,1200", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def main() -> None:
    print(f"{'hosts':>7} {'write s':>8} {'MB':>6} {'load s':>7} {'filter s':>9} {'without evidence':>17}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        driver = browser(f"{folder}/profile")
        try:
            for number in [int(word) for word in sys.argv[1:]] or [100, 1000, 10_000]:
                run = fleet(number)
                began = time.perf_counter()
                page = fleet_page.render(run)
                written = time.perf_counter() - began
                path = Path(folder, "page.html")
                path.write_text(page.html, encoding="utf-8")
                began = time.perf_counter()
                driver.get(path.as_uri())
                loaded = time.perf_counter() - began
                began = time.perf_counter()
                driver.execute_script(
                    "find = document.getElementById('words'); find.value = 'db0003'; find.form.dispatchEvent(new Event('input'))"
                )
                filtered = time.perf_counter() - began
                size = path.stat().st_size / 1e6
                print(f"{number:>7} {written:>8.2f} {size:>6.2f} {loaded:>7.2f} {filtered:>9.3f} {page.without_evidence:>17}")
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
