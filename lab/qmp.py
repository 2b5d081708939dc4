"""A small client for QEMU's monitor protocol: one request, one answer, always with a deadline.

Protocol: JSON objects, one per line, over a Unix socket; a greeting, then ``qmp_capabilities``
(QEMU's docs/interop/qmp-spec.txt, v7.2). Events may come at any time and are skipped.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.errors import LabError


class Qmp:
    """A connection to the monitor at *path*. Raises LabError when nobody answers within *deadline* seconds."""

    def __init__(self, path: Path, deadline: float = 10.0) -> None:
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A Unix socket's path may have 107 bytes only; the detour over an open folder makes any path fit.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.settimeout(deadline)
            self._socket.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError as error:
            self._socket.close()
            raise LabError(f"The machine's monitor at {path} does not answer ({error}); is the machine still running?") from error
        finally:
            os.close(folder)
        try:
            self._read(time.monotonic() + deadline)
            self.execute("qmp_capabilities", deadline=deadline)
        except BaseException:
            self._socket.close()
            raise

    def execute(self, name: str, arguments: dict[str, Any] | None = None, *, deadline: float = 30.0) -> Any:
        """Runs one command and returns its ``return`` value; LabError carries QEMU's own words when it refuses."""
        request = {"execute": name} | ({"arguments": arguments} if arguments else {})
        until = time.monotonic() + deadline
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._read(until)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise LabError(f"QEMU refused {name}: {answer['error'].get('desc', answer['error'])}")
        except OSError as error:
            raise LabError(f"QEMU did not answer {name} within {deadline:.0f} s ({error}).") from error

    def human(self, line: str) -> str:
        """Runs a command of the human monitor, for what QMP has no command for."""
        return str(self.execute("human-monitor-command", {"command-line": line}))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Qmp:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _read(self, until: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            chunk = self._socket.recv(65536)
            if not chunk:
                raise ConnectionError("the connection was closed")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer
