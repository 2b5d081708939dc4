"""The templates of the HTML reports: whatever they show is escaped unless a template says otherwise."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from hashlib import sha1
from importlib.util import cache_from_source
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

from ..cause import Stage
from .model import Answer, State

TEMPLATES = Path(__file__).parent / "templates"


class _Compiled(jinja2.FileSystemBytecodeCache):
    """The templates' code, kept where Python keeps that of this file and under the same rules: to compile it anew took 50 ms of
    each run. Jinja notices another template or Python by itself, but not another Jinja, nor other options below."""

    def __init__(self) -> None:
        made_by = sha1(jinja2.__version__.encode() + Path(__file__).read_bytes(), usedforsecurity=False).hexdigest()
        super().__init__(str(Path(cache_from_source(__file__)).parent), f"jinja-{made_by[:8]}-%s.pyc")

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)


@cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Compiled(),
        auto_reload=False,  # or it looks at the file for each row
    )
    made.globals.update(State=State, Answer=Answer, Stage=Stage)
    made.filters.update(is_link=_is_link)
    return made


def _is_link(reference: str) -> bool:
    return reference.startswith(("https://", "http://"))
