"""Report files: replaced in one step, so that a reader never sees half of one and a failure never costs the last one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def checked_path(config: pytest.Config, option: str, asked: str | None) -> Path | None:
    """The file that an option names, its folder made. Raises :class:`pytest.UsageError` when it cannot be written."""
    if asked is None:
        return None
    path = config.invocation_params.dir / Path(asked).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"{option}={asked}: cannot write there: {error.strerror}") from error
    if path.is_dir() or not os.access(path if is_stream(path) else path.parent, os.W_OK):
        raise pytest.UsageError(f"{option}={asked}: cannot write there: name a file in a folder of yours")
    return path


def is_stream(path: Path) -> bool:
    """A pipe, a terminal, /dev/null: what is written there is kept nowhere, and nothing is put beside it."""
    return path.exists() and not path.is_file()


def checked_folder(config: pytest.Config, option: str, asked: str | None) -> None:
    """Make the folder that an option names. Raises :class:`pytest.UsageError` when nothing can be written there."""
    if asked is not None:
        checked_path(config, option, str(Path(asked) / "file"))


def replace_file(path: Path, text: str) -> None:
    """Replace a file by ``text``. Raises :class:`OSError`."""
    with in_place_of(path) as file:
        file.write_text(text, encoding="utf-8")


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """The file to write: one beside ``path`` that is moved there when all went well; a pipe or a terminal itself."""
    if is_stream(path):
        yield path
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
