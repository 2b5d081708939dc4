"""The fleet's page in a real browser: matrix, filters, a host's findings; small and quick for thousands of hosts."""

import time
from random import Random

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from bench.fleet_page_bench import fleet as made_up
from kdump.report import fleet_page
from kdump.report.model import Finding, HostState, Run
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.hostility.strictness import REAL, slack
from selftests.unit.test_report_model import INFO, RESERVE


class Page:
    def __init__(self, browser):
        self.browser = browser

    def all(self, selector):
        return [found for found in self.browser.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]

    def names(self):
        return self.browser.execute_script("return [...document.querySelectorAll('#rows th a')].map((one) => one.textContent)")

    def choose(self, field, value):
        Select(self.browser.find_element(By.ID, field)).select_by_visible_text(value)

    def until(self, condition):
        return WebDriverWait(self.browser, 10).until(lambda _: condition())


def open_page(browser, path):
    browser.get_log("browser")
    browser.get("about:blank")  # a page that differs by its fragment alone would not be loaded again
    browser.get(path.as_uri())
    return Page(browser)


@pytest.fixture
def page(audited, browser):
    made = open_page(browser, audited.html.with_name(fleet_page.NAME))
    yield made
    assert browser.title == "kdump fleet report"
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_the_worst_comes_first(page):
    assert page.names()[:2] == ["broken", "hostile"]
    assert set(page.names()) == {"healthy", "broken", "network", "denied", "hostile", "dead"}
    cells = {row.find_element(By.TAG_NAME, "a").text: [cell.text for cell in row.find_elements(By.CSS_SELECTOR, ".cell")]
             for row in page.all("#rows tr")}  # fmt: skip
    assert cells["broken"] == ["✗", "✓"]
    assert cells["network"] == ["✓", "–"]
    assert cells["denied"] == ["✓", "?"]
    assert cells["dead"] == ["·", "·"]


def test_filters(page):
    page.browser.find_element(By.ID, "words").send_keys("DEAD")
    assert page.names() == ["dead"]
    page.all("button[type=reset]")[0].click()
    page.until(lambda: len(page.names()) == 6)
    page.choose("answer", "would dump")
    assert sorted(page.names()) == ["healthy", "network"]
    page.choose("answer", "all")
    page.choose("stage", "save")
    assert sorted(page.names()) == ["denied", "hostile"]
    page.choose("state", "not applicable")
    assert page.names() == ["network"]


def test_a_cause_leads_to_its_hosts_and_a_column_sorts(page):
    page.all('[data-cause="no-memory"]')[0].click()
    assert sorted(page.names()) == ["broken", "hostile"]
    page.all("button[type=reset]")[0].click()
    page.until(lambda: len(page.names()) == 6)
    page.all('[data-sort="name"]')[0].click()
    assert page.names() == sorted(page.names())


@pytest.mark.hostility(20)
def test_a_host_opens_with_its_evidence_and_runs_nothing_of_it(page):
    page.browser.find_element(By.LINK_TEXT, "hostile").click()
    page.until(lambda: page.all("#one details"))
    page.browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    text = page.browser.find_element(By.ID, "one").text
    assert "<script>document.title='owned'</script>" in text
    assert "$ cat /memory" in text
    assert "Mend no-memory. Then reboot." in text
    page.all("#one a")[0].click()
    page.until(lambda: len(page.names()) == 6)


def test_a_dead_host_shows_its_reason(page):
    page.browser.find_element(By.LINK_TEXT, "dead").click()
    page.until(lambda: "unreachable" in page.browser.find_element(By.ID, "one").text)


def test_a_narrow_window_does_not_scroll_sideways(page):
    metrics = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for fragment in ("", "#host=hostile"):
            page.browser.execute_script("location.hash = arguments[0]", fragment)
            page.until(lambda: page.all("#one details") or page.all("#matrix"))
            assert page.browser.execute_script("return document.documentElement.scrollWidth") <= 420
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.hostility(20)
def test_the_policy_stops_a_script_that_is_not_the_pages_own(page):
    page.browser.execute_script(
        "const made = document.createElement('script'); made.textContent = 'document.title=`owned`'; document.body.append(made)"
    )
    assert page.browser.title == "kdump fleet report"
    page.browser.get_log("browser")  # the refusal is what was wanted


def fleet(number, lines=0):
    run = Run(INFO)
    for host in range(number):
        name = f"db{host}"
        run.hosts[name] = HostState(name, groups=(f"rack{host % 7}",))
        reading = Reading("cat /x", "\n".join(Random(host).randbytes(30).hex() for _ in range(lines)), "", 0)
        verdict = Verdict.PRESENT if lines or host % 10 == 0 else Verdict.ABSENT
        run.findings.append(Finding(name, "node", RESERVE, "it is there", verdict, "", (reading,)))
    return run


def test_only_rows_in_view_are_drawn_and_scrolling_draws_the_others(browser, tmp_path):
    path = tmp_path / "fleet.html"
    path.write_text(fleet_page.render(fleet(5000), notice="INCOMPLETE: 1 of 2").html, encoding="utf-8")
    page = open_page(browser, path)
    assert "INCOMPLETE: 1 of 2" in browser.find_element(By.CSS_SELECTOR, ".banner").text
    assert len(page.names()) < 150
    browser.execute_script("document.getElementById('scroll').scrollTop = 1e9")
    page.until(lambda: "db4999" in page.names())
    page.all("#rows th a")[3].send_keys(Keys.TAB)  # scrolls, and draws anew
    browser.execute_script("document.getElementById('scroll').scrollTop -= 30")
    page.until(lambda: browser.execute_script("return document.activeElement.textContent").startswith("db"))
    page.choose("group", "rack3")
    assert browser.find_element(By.ID, "count").text == "714 of 5000 hosts"
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#rows th a")) == 714
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert [one.text for one in page.all(".matrix thead th")] == ["Host", "Answer", RESERVE.id, "First reason"]
        assert not page.all(".matrix thead button")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


SIZES = [(1000, 1, 5), (10_000, 2, 15)] if REAL else [(1000, 1, 5)]


@pytest.mark.hostility(38)
@pytest.mark.parametrize(("hosts", "seconds", "megabytes"), SIZES)
def test_thousands_of_hosts_open_at_once(browser, tmp_path, measured, hosts, seconds, megabytes):
    """All causes, 65 tests, one in a hundred present, with evidence from a real transcript."""
    path = tmp_path / "fleet.html"
    path.write_text(fleet_page.render(made_up(hosts)).html, encoding="utf-8")
    began = time.perf_counter()
    open_page(browser, path)
    took, size = time.perf_counter() - began, path.stat().st_size / 1e6
    assert took < seconds + slack(4.0)
    assert size < megabytes
    measured("the matrix", f"{hosts} hosts: {took:.2f} s, {size:.1f} MB")


def test_evidence_is_left_out_before_the_page_grows_too_large(monkeypatch):
    monkeypatch.setattr(fleet_page, "DETAILS_SMALL", 60_000)
    page = fleet_page.render(fleet(1000, lines=20))
    assert 0 < page.without_evidence < 1000
    assert f"no evidence of {page.without_evidence} hosts" in page.html
    assert len(page.html) < 200_000
