"""The templates of the HTML reports: whatever they show is escaped unless a template says otherwise."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from ..cause import Stage
from .model import Answer, State

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(State=State, Answer=Answer, Stage=Stage)
    made.filters.update(is_link=_is_link)
    return made


def _is_link(reference: str) -> bool:
    return reference.startswith(("https://", "http://"))
