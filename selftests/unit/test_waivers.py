"""Waiver files: what is refused, with its line; which waiver covers a finding; how an entry stands after a run."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from kdump.cause import Cause, Severity, Stage
from kdump.report.model import Finding, HostState, Waiver, WaiverReview, WaiverStanding
from kdump.verdict import Verdict
from kdump.waiver_file import load
from kdump.waivers import BadWaivers, Entry, Waivers, check, joined

TODAY = date(2028, 2, 29)  # a leap day
GOOD = {"cause": "no-memory", "hosts": '[db1, "web*", spare]', "justification": "known", "owner": "ops", "expires": "2028-12-31"}
HOSTS = {"db1": (), "web1": (), "web2": ("spare",), "app": ("spare",)}


def text(**changed):
    fields = {**GOOD, **changed}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "- " + "\n  ".join(lines) + "\n"


def entries(tmp_path, *texts):
    path = tmp_path / "waivers.yml"
    path.write_bytes(b"".join(one if isinstance(one, bytes) else one.encode() for one in texts))
    found = load(path, TODAY)
    check(found, Path("waivers.yml"), {"no-memory", "no-disk"}, HOSTS)
    return found


@pytest.mark.hostility(20)
def test_its_words_can_be_shown_and_written(tmp_path):
    """YAML knows escapes for what drives a terminal, and for what is no text in UTF-8."""
    (entry,) = entries(tmp_path, text(justification=r'"\e[2Jknown \ud800"'))
    assert entry.waiver.justification == r"\x1b[2Jknown \ud800"


@pytest.mark.hostility(24)
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "holds no waiver"),
        ("just words", ":1: must be a list"),
        ("- just words", ":1: an entry must have"),
        ("- [", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        (b"\xff\xfe\x00", "is not"),
        (text(owner=None), ":1: the entry has no owner"),
        (text(owner='"  "'), ":4: owner must be a text"),
        (text(justification="null"), ":3: justification must be a text"),
        (text(hosts="[]"), ":2: hosts is empty"),
        (text(hosts="{a: b}"), ":2: hosts must be"),
        (text(until="2028-01-01"), ":6: unknown field 'until'"),
        (text(expiry="2028-01-01"), "did you mean 'expires'?"),
        (text() + "  owner: me\n", ":6: the field 'owner' stands twice"),
        (text(expires="2027-02-29"), ":5: expires must be a day that exists"),
        (text(expires="tomorrow"), ":5: expires must be a day"),
        (text(expires="20280401"), ":5: expires must be a day"),
        (text() + "  ? [a, b]\n  : c\n", ":6: the name of a field must be one word"),
        (text(hosts="&a [*a]"), ":2: hosts must be"),
        (text(expires="[2028-01-01]"), ":5: expires must be a day"),
        (text(expires="2029-03-02"), ":5: expires 2029-03-02, more than a year ahead"),
        (text(cause="no-memori"), ":1: unknown cause 'no-memori' (did you mean 'no-memory'?)"),
        (text() + text(hosts="db2"), ":6: 'db2' matches no host and no group of this run (4 hosts) (did you mean 'db1'?)"),
        (b"#" * (1 << 21), "this is no waiver file"),
    ],
)
def test_what_is_refused(tmp_path, measured, content, sentence):
    with pytest.raises(BadWaivers) as caught:
        entries(tmp_path, content)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    if "mean" in sentence or "year" in sentence:
        measured(str(caught.value), "")


@pytest.mark.hostility(24)
@pytest.mark.parametrize(("today", "latest"), [(date(2026, 11, 25), date(2027, 11, 25)), (date(2028, 2, 29), date(2029, 3, 1))])
def test_a_year_is_a_year(tmp_path, today, latest):
    path = tmp_path / "waivers.yml"
    for day in (latest, latest + timedelta(1)):
        path.write_text(text(expires=day))
        if day == latest:
            assert load(path, today)[0].waiver.expires == latest
    with pytest.raises(BadWaivers, match=f"choose {latest} or earlier"):
        load(path, today)


def test_a_year_ahead_and_a_byte_order_mark_are_accepted(tmp_path):
    assert entries(tmp_path, b"\xef\xbb\xbf" + text(expires="2029-03-01").encode())[0].waiver.expires == date(2029, 3, 1)


CAUSE = Cause("no-memory", Stage.RESERVE, Severity.NO_VMCORE, "Mend it.", ("x",), "No memory", "Why.")


def found(host, verdict=Verdict.PRESENT):
    return Finding(host, "node", CAUSE, "memory is there", verdict)


@pytest.mark.parametrize(
    ("host", "verdict", "day", "covered"),
    [
        ("db1", Verdict.PRESENT, TODAY, True),
        ("web1", Verdict.PRESENT, TODAY, True),
        ("app", Verdict.PRESENT, TODAY, True),
        ("db11", Verdict.PRESENT, TODAY, False),
        ("db1", Verdict.UNDETERMINED, TODAY, False),
        ("db1", Verdict.PRESENT, date(2028, 12, 31), True),
        ("db1", Verdict.PRESENT, date(2029, 1, 1), False),
    ],
)
def test_which_findings_are_covered(tmp_path, host, verdict, day, covered):
    waivers = Waivers(tuple(entries(tmp_path, text())), day)
    assert (waivers.of(found(host, verdict), HOSTS.get(host, ())) is not None) is covered


@pytest.mark.hostility(24)
@pytest.mark.parametrize(
    ("ends_in", "findings", "standing"),
    [
        (100, [found("db1")], WaiverStanding.IN_FORCE),
        (14, [found("db1")], WaiverStanding.EXPIRES_SOON),
        (0, [found("db1")], WaiverStanding.EXPIRES_SOON),
        (-1, [found("db1")], WaiverStanding.EXPIRED),
        (100, [found("db1", Verdict.ABSENT), found("other")], WaiverStanding.NOT_NEEDED),
        (100, [found("db1", Verdict.UNDETERMINED)], WaiverStanding.IN_FORCE),
        (100, [], WaiverStanding.IN_FORCE),
    ],
)
def test_how_an_entry_stands_after_a_run(tmp_path, ends_in, findings, standing):
    waivers = Waivers(tuple(entries(tmp_path, text(expires=TODAY + timedelta(ends_in)))), TODAY)
    hosts = {name: HostState(name, groups=groups) for name, groups in HOSTS.items()}
    assert [review.standing for review in waivers.review(findings, hosts)] == [standing]


def test_a_dead_host_does_not_make_a_waiver_look_needless(tmp_path):
    waivers = Waivers(tuple(entries(tmp_path, text())), TODAY)
    hosts = {"db1": HostState("db1", reached=False), "x": HostState("x")}
    assert waivers.review([found("x", Verdict.ABSENT)], hosts)[0].standing is WaiverStanding.IN_FORCE


def test_a_waiver_of_another_shards_hosts_does_not_look_needless(tmp_path):
    waivers = Waivers(tuple(entries(tmp_path, text())), TODAY)
    assert waivers.review([found("x", Verdict.ABSENT)], {"x": HostState("x")}) == []


def test_the_reviews_of_shards_are_joined():
    waiver = Waiver("known", "ops", TODAY)
    expired, needless = [
        WaiverReview("strings-missing", ("db*",), waiver, present_on, standing)
        for present_on, standing in ((("db2",), WaiverStanding.EXPIRED), ((), WaiverStanding.NOT_NEEDED))
    ]
    assert joined([[needless], [needless]]) == [needless]
    assert joined([[needless], [expired], []]) == [expired]


def test_the_example_can_be_read():
    path = Path(__file__).parents[2] / "inventories" / "waivers.yml"
    assert load(path, date(2026, 12, 1))[0].hosts == ("databases",)


def test_an_address_in_brackets_is_a_name():
    """To a glob alone, [::1]:22 is one of two characters, and a port."""
    hosts = ["root@[::1]:22", "root@[::10]:22", "root@1:22", "db1", "db2"]
    waiver = Waiver("known", "ops", TODAY)

    def covered(pattern):
        return [host for host in hosts if Entry("no-memory", (pattern,), waiver, 1).covers(host, ())]

    assert covered("root@[::1]:22") == hosts[:1]
    assert covered("*@[::*]:22") == hosts[:2]
    assert covered("db[1-2]") == hosts[3:]
