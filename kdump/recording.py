"""A remembered host: a transcript in a file, used as a host by ``--hosts=recording://PATH``.

A recording may be based on another one (``# based on: NAME.transcript``, a file beside it) and hold only the
readings that differ, so that a reader sees what is wrong with that host at one glance. Remarks say where its lines
come from (``source``) and what the suite must say of it (``expect``, ``undetermined``).
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from .transcript import NotATranscript, Transcript

BASED_ON = "based on"


class BadRecording(ValueError):
    """The file cannot be used as a recording; ``str()`` is one sentence."""


def load(path: Path) -> Transcript:
    """The transcript in ``path``, laid over the one it is based on.

    Raises :class:`BadRecording` when a file is missing, is no transcript, or is based on itself.
    """
    return _load(path, ())


def _load(path: Path, overlaid: tuple[Path, ...]) -> Transcript:
    if path in overlaid:
        raise BadRecording(f"{path}: this recording is based on itself")
    try:
        transcript = Transcript.parse(path.read_bytes())
    except OSError as error:
        raise BadRecording(f"{path}: cannot read the recording: {error.strerror}") from error
    except NotATranscript as error:
        raise BadRecording(f"{path}: {error}") from error
    base = transcript.remarks.get(BASED_ON)
    if base is None:
        return transcript
    below = _load(path.parent / base, (*overlaid, path))
    return Transcript(
        {**below.readings, **transcript.readings},
        below.complete and transcript.complete,
        {key: value for key, value in transcript.remarks.items() if key != BASED_ON},  # it is whole now, and may be saved
    )


def save(transcript: Transcript, folder: Path, host: str) -> Path:
    """Write ``folder/HOST.transcript`` in one step; raises :class:`OSError`. What no file's name should hold is written as in a
    URL, so that no two hosts have one file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = quote(host, safe="@")
    path = folder / f"{'%2E' + name[1:] if name.startswith('.') else name}.transcript"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(transcript.render(), encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
