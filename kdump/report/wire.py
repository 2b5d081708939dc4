"""Findings as plain data: on their way between processes, and in the history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from ..cause import Cause, Severity, Stage
from ..transcript import Reading
from ..verdict import Verdict
from .model import Finding, HostState, Waiver, WaiverReview, WaiverStanding


def cause_to_data(cause: Cause) -> dict[str, Any]:
    """A cause as a dict of strings and lists."""
    return {**asdict(cause), "stage": cause.stage.value, "severity": cause.severity.value, "references": list(cause.references)}


def cause_from_data(data: Mapping[str, Any]) -> Cause:
    """The cause that :func:`cause_to_data` wrote."""
    enums = {"stage": Stage(data["stage"]), "severity": Severity(data["severity"])}
    return Cause(**{**data, **enums, "references": tuple(data["references"])})


def host_to_data(host: HostState) -> dict[str, Any]:
    """How a host was met, as a dict of strings, booleans and lists."""
    return {**vars(host), "groups": list(host.groups)}


def host_from_data(data: Mapping[str, Any]) -> HostState:
    """The state that :func:`host_to_data` wrote."""
    return HostState(**{**data, "groups": tuple(data["groups"])})


def waiver_to_data(waiver: Waiver) -> dict[str, str]:
    """A waiver as a dict of strings."""
    return {"justification": waiver.justification, "owner": waiver.owner, "expires": waiver.expires.isoformat()}


def waiver_from_data(data: Mapping[str, str]) -> Waiver:
    """The waiver that :func:`waiver_to_data` wrote."""
    return Waiver(data["justification"], data["owner"], date.fromisoformat(data["expires"]))


def review_to_data(review: WaiverReview) -> dict[str, Any]:
    """How an entry of the waiver file stands, as a dict of strings, lists and a dict."""
    return {
        "cause": review.cause,
        "hosts": list(review.hosts),
        "waiver": waiver_to_data(review.waiver),
        "present_on": list(review.present_on),
        "standing": review.standing.name,
    }


def review_from_data(data: Mapping[str, Any]) -> WaiverReview:
    """The standing that :func:`review_to_data` wrote."""
    hosts, present_on = tuple(data["hosts"]), tuple(data["present_on"])
    return WaiverReview(data["cause"], hosts, waiver_from_data(data["waiver"]), present_on, WaiverStanding[data["standing"]])


def to_data(finding: Finding) -> dict[str, Any]:
    """A finding as dicts, lists, strings and numbers."""
    cause, waiver = finding.cause, finding.waiver
    return {
        "host": finding.host,
        "nodeid": finding.nodeid,
        "check": finding.check,
        "verdict": finding.verdict.value,
        "seen": finding.seen,
        "evidence": [[one.command, one.text, one.errors, one.status] for one in finding.evidence],
        "duration": finding.duration,
        "crash_tells": finding.crash_tells,
        "cause": cause and cause_to_data(cause),
        "waiver": waiver and waiver_to_data(waiver),
    }


def to_json(finding: Finding) -> str:
    """What :func:`to_data` makes, as JSON, but that cause and evidence are named, not held."""
    cause = finding.cause
    own = f'"host": {_quoted(finding.host)}, "nodeid": {_quoted(finding.nodeid)}, "duration": {finding.duration!r}'
    commands = tuple([one.command for one in finding.evidence])
    of_many = _of_many(
        finding.check, finding.verdict._value_, finding.seen, commands, finding.crash_tells, cause and cause.id, finding.waiver
    )
    return f"{{{own}, {of_many}}}"


@lru_cache(2048)  # nearly all of a finding is the same for many hosts
def _of_many(
    check: str,
    verdict: str,
    seen: str,
    commands: tuple[str, ...],
    crash_tells: bool,
    cause: str | None,
    waiver: Waiver | None,
) -> str:
    named = {"check": check, "verdict": verdict, "seen": seen, "evidence": commands, "crash_tells": crash_tells}
    return json.dumps({**named, "cause": cause, "waiver": waiver and waiver_to_data(waiver)})[1:-1]


def from_data(
    data: Mapping[str, Any], causes: Mapping[str, Cause] | None = None, readings: Mapping[str, Reading] | None = None
) -> Finding:
    """The finding that :func:`to_data` wrote, or :func:`to_json`: then ``causes`` and ``readings`` hold what it names."""
    cause, waiver = data["cause"], data["waiver"]
    evidence = data["evidence"]
    return Finding(
        host=data["host"],
        nodeid=data["nodeid"],
        check=data["check"],
        verdict=Verdict(data["verdict"]),
        seen=data["seen"],
        evidence=tuple(readings[one] for one in evidence if one in readings)
        if readings is not None
        else tuple(Reading(*one) for one in evidence),
        duration=data["duration"],
        crash_tells=data.get("crash_tells", False),  # a history of before does not hold it
        cause=cause and (causes[cause] if causes is not None else cause_from_data(cause)),
        waiver=waiver and waiver_from_data(waiver),
    )
