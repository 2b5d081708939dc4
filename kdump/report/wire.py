"""Findings on their way between processes: pytest's report serialisation carries plain data only."""

from __future__ import annotations

from datetime import date
from typing import Any

from ..cause import Cause, Severity, Stage
from ..transcript import Reading
from ..verdict import Verdict
from .model import Finding, Waiver


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
        "cause": None
        if cause is None
        else {
            "id": cause.id,
            "stage": cause.stage.value,
            "severity": cause.severity.value,
            "remediation": cause.remediation,
            "references": list(cause.references),
            "title": cause.title,
            "explanation": cause.explanation,
        },
        "waiver": None
        if waiver is None
        else {"justification": waiver.justification, "owner": waiver.owner, "expires": waiver.expires.isoformat()},
    }


def from_data(data: dict[str, Any]) -> Finding:
    """The finding that :func:`to_data` wrote."""
    cause, waiver = data["cause"], data["waiver"]
    return Finding(
        host=data["host"],
        nodeid=data["nodeid"],
        check=data["check"],
        verdict=Verdict(data["verdict"]),
        seen=data["seen"],
        evidence=tuple(Reading(*one) for one in data["evidence"]),
        duration=data["duration"],
        cause=cause
        and Cause(
            **{
                **cause,
                "stage": Stage(cause["stage"]),
                "severity": Severity(cause["severity"]),
                "references": tuple(cause["references"]),
            }
        ),
        waiver=waiver and Waiver(waiver["justification"], waiver["owner"], date.fromisoformat(waiver["expires"])),
    )
