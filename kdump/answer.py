"""What a program answers on its standard output: all of it, or it says that it could not."""

from __future__ import annotations

import io
import os
import sys


def put(text: str) -> str:
    """Write ``text`` and a newline at once; returns why that failed, nothing where it did not.

    What the terminal's encoding cannot show is written as ``\\xNN`` or ``\\uNNNN``.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except OSError as error:
        # what is still buffered would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.strerror or str(error)
    return ""
