"""The HTML report in a real browser: it is whole, it works, and no host's text runs in it."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .conftest import HOSTS

TITLE = "kdump acceptance report"


class Page:
    def __init__(self, browser):
        self.browser = browser

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def rows(self):
        """The visible rows: (verdict, host, stage, cause)."""
        columns = ("verdict", "host", "stage", "cause")
        rows = [row for row in self.all("#results-table .collapsible") if row.is_displayed()]
        return [
            tuple(row.find_element(By.CSS_SELECTOR, f".col-{name}").text.lstrip("▸▾✗?✓–⚑ ") or "–" for name in columns)
            for row in rows
        ]

    def errors(self):
        return [entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture
def page(audited, browser):
    browser.get(audited.html.as_uri())
    browser.execute_script("sessionStorage.clear()")  # what was sorted and unfolded before
    browser.get(audited.html.as_uri())
    made = Page(browser)
    yield made
    assert made.errors() == []
    assert browser.title == TITLE


def test_verdict_comes_first(page):
    assert page.one("section.verdict").text.split("\n") == [
        "✗ 2 hosts would not dump",
        "? 1 host unreachable",
        "? 1 host could not be determined",
        "✓ 2 hosts would dump",
    ]
    fixes = [row.text for row in page.all(".hosts tbody .fix")]
    assert "reserve – No memory is reserved" in fixes[1]
    assert "Fix: Mend no-memory. Then reboot." in fixes[1]
    assert fixes[5].startswith("unreachable: no line reads")


def test_matrix_shows_the_verdicts_in_words(page):
    cells = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, ".cell")] for row in page.all(".matrix tbody tr")]
    memory, disk = cells
    assert memory == ["✓absent", "✗present", "✓absent", "✓absent", "✗present", "?could not determine"]
    assert disk == ["✓absent", "✓absent", "–not applicable", "?could not determine", "✗present", "?could not determine"]


def test_one_row_per_test_and_one_per_dead_host(page):
    rows = page.rows()
    assert len(rows) == 5 * 3 + 1
    assert [row for row in rows if row[1] == "dead"] == [("could not determine", "dead", "–", "all causes")]
    assert [row[0] for row in rows] == sorted(
        (row[0] for row in rows), key=["present", "could not determine", "absent", "not applicable"].index
    )


def test_row_unfolds_to_all_that_is_known(page):
    row = next(one for one in page.all("tbody") if one.text.startswith(("▸", "✗")) and "broken" in one.text)
    assert "Mend" not in row.text
    row.find_element(By.CSS_SELECTOR, ".col-verdict").click()
    details = next(one for one in page.all(".details") if one.is_displayed()).text
    for words in (
        "memory is reserved",
        "none: nothing is reserved\nsecond line",
        "No memory is reserved – reserve stage, no vmcore",
        "What breaks, how it looks to its victim",
        "Mend no-memory. Then reboot.",
        "$ cat /memory\n  none\n[0]",
    ):
        assert words in details


def test_references_are_links_only_where_they_lead_to_the_web(page):
    page.one(".col-verdict").click()
    links = [link.get_attribute("href") for link in page.all(".details a") if link.is_displayed()]
    assert links == ["https://example.org/no-memory"]


# The one row of a dead host stands for all causes.
ORDERS = {
    "verdict": ["present", "could not determine", "absent", "not applicable"],
    "host": sorted([*HOSTS, "dead"]),
    "stage": ["–", "reserve", "save"],
    "cause": ["all causes", "no-disk", "no-memory"],
}


@pytest.mark.parametrize("column", ORDERS)
def test_sorting(page, column):
    def shown():
        return [ORDERS[column].index(row[list(ORDERS).index(column)]) for row in page.rows()]

    head = f'th[data-column-type="{column}"]'
    if column != "verdict":  # the initial order
        page.one(head).click()
    assert shown() == sorted(shown())
    page.one(head).click()
    assert shown() == sorted(shown(), reverse=True)


def test_filter_boxes_speak_of_verdicts(page):
    labels = [label.text for label in page.all(".filters > span") if label.is_displayed()]
    assert labels == ["3 present", "2 could not determine", "10 absent", "1 not applicable"]
    for box in page.all(".filters > input"):
        if box.is_displayed() and box.get_attribute("data-test-result") != "skipped":
            box.click()
    assert [row[:2] for row in page.rows()] == [("not applicable", "network")]


def test_matrix_cell_leads_to_its_rows(page):
    page.one('[data-show-host="broken"][data-show-cause="no-memory"]').click()
    assert {row[1:] for row in page.rows()} == {("broken", "reserve", "no-memory")}
    assert page.one("#find-count").text == "2 of 16 rows"
    page.one("#find-clear").click()
    assert len(page.rows()) == 16


def test_text_and_stage_filters_outlive_an_unfolded_row(page):
    page.one("#find-text").send_keys("NETWORK")
    page.one("#find-stage").send_keys("save")
    expected = [("not applicable", "network", "save", "no-disk")]
    assert page.rows() == expected
    next(cell for cell in page.all(".col-verdict") if cell.is_displayed()).click()
    assert page.rows() == expected


def test_keyboard_unfolds_a_row(page):
    page.one(".col-verdict").send_keys(Keys.ENTER)
    assert page.one(".details").is_displayed()
    assert page.browser.switch_to.active_element.get_attribute("aria-expanded") == "true"


@pytest.mark.hostility(20)
def test_hostile_text_is_text(page, audited, measured):
    page.one("#show_all_details").click()
    assert not page.all("body img[src=x], .details script, .collapsible script, #environment script, #environment b")
    shown = page.one("body").text
    assert "<script>document.title='owned'</script>" in shown
    assert "\\x1b[2J" in shown
    source = audited.html.read_text()
    assert not set(source) & set("\x00\x1b\x07\u202e")
    measured("", "0 scripts run, 0 control characters in the page")


def test_page_is_one_file(page, audited):
    assert page.browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert sorted(path.name for path in audited.html.parent.iterdir()) == [
        "history.sqlite",
        "kdump-acceptance.html",
        "kdump-fleet.html",
    ]


def test_words_of_pytest_do_not_stand_for_verdicts(page):
    page.one("#show_all_details").click()
    shown = page.one("body").text
    assert not any(word in shown for word in ("Passed", "Failed", "Skipped", "Error"))


def test_more_hosts_turn_the_matrix(audit, pytester, browser):
    names = [f"db{number}" for number in range(12)]
    for name in names:
        pytester.path.joinpath(name).write_bytes(pytester.path.joinpath("healthy").read_bytes())
    audit(hosts=[*names, "dead"])
    browser.get(pytester.path.joinpath("reports/kdump-acceptance.html").as_uri())
    page = Page(browser)
    rows = page.all(".matrix.by-host tbody tr")
    assert [len(row.find_elements(By.CSS_SELECTOR, ".cell")) for row in rows] == [2] * 12 + [0]
    assert "unreachable" in rows[-1].text
    assert page.errors() == []
