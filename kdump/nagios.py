"""``python -m kdump.nagios OPTIONS``: ``pytest --nagios OPTIONS``, with Nagios' line and status whatever happens.

pytest itself refuses some options before it reads this suite (a ``-c`` file or a plugin that is not there, ``--tb=nonsense``), in
words of its own and with a status that is none of Nagios' four, or that of a warning; and with ``--version`` and the like it
judges nobody and ends with the status of a healthy run.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

import pytest

from .answer import put
from .report.nagios import HEAD, Status, answered, plain

_LONGEST = 500  # characters of what pytest said


def main(arguments: Sequence[str] | None = None) -> int:
    written, errors = io.BytesIO(), io.StringIO()
    said = io.TextIOWrapper(written, encoding="utf-8", write_through=True)  # testinfra, where it is alone, asks for all of it
    with redirect_stdout(said), redirect_stderr(errors):
        try:
            status = int(pytest.main(["--nagios", *(sys.argv[1:] if arguments is None else arguments)]))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else Status.UNKNOWN
        except Exception as problem:  # of pytest's own, before it catches any
            status = Status.UNKNOWN
            errors.write(f"{type(problem).__name__}: {problem}")
    answer = written.getvalue().decode().rstrip("\n")
    if not answer.startswith(HEAD) or status not in set(Status):
        words = (
            " ".join(errors.getvalue().split()).removeprefix("ERROR: ")
            or "no host was judged: run it in the suite's folder, to judge hosts"
        )
        answer, status = answered(Status.UNKNOWN, [plain(words[:_LONGEST])]), Status.UNKNOWN
    return int(Status.UNKNOWN if put(answer) else status)


if __name__ == "__main__":
    sys.exit(main())
