"""A BMC whose diagnostic interrupt works: QEMU's own refuses it (QEMU 7.2: hw/ipmi/ipmi.c knows no IPMI_PULSE_DIAG_IRQ).

QEMU hands over what the machine's KCS interface is asked, in the framing of OpenIPMI's "VM" connection (QEMU 7.2:
hw/ipmi/ipmi_bmc_extern.c): messages that end in 0xa0, commands between QEMU and the BMC that end in 0xa1, and 0xaa before a
byte that would mean one of them. A message is an identifier, the network function and LUN, the command, its data, and a
checksum. What the commands mean: IPMI 2.0, chapters 20, 22 and 28.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_MESSAGE, _COMMAND, _ESCAPE = 0xA0, 0xA1, 0xAA
_CHASSIS, _APP = 0x00, 0x06
_CHASSIS_CONTROL, _DIAGNOSTIC_INTERRUPT = 0x02, 0x04
_FINE, _INVALID_COMMAND = 0x00, 0xC1
#: what Linux's ipmi_si asks before it believes in a BMC (Linux 6.1: drivers/char/ipmi/ipmi_si_intf.c): who it is, and its
#: flags and enables, none of which is set
_DEVICE = bytes([0x20, 0x00, 0x01, 0x00, 0x02, 0x80, 0, 0, 0, 0, 0])
_ANSWERS = {(_APP, 0x01): _DEVICE, (_APP, 0x2E): b"", (_APP, 0x2F): b"\0", (_APP, 0x30): b"", (_APP, 0x31): b"\0"}


class Bmc:
    """A context manager; *pulse* is called, from a thread, for each diagnostic interrupt that the machine asks for."""

    def __init__(self, pulse: Callable[[], None]) -> None:
        self._pulse = pulse
        self._folder = tempfile.TemporaryDirectory(prefix="kdump-lab-bmc-")
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Bmc:
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        threading.Thread(target=self._serve, name="bmc", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone leaves accept() waiting
        self._listener.close()
        self._folder.cleanup()

    @property
    def path(self) -> Path:
        """The socket that QEMU calls."""
        return Path(self._folder.name) / "bmc.sock"

    @property
    def options(self) -> tuple[str, ...]:
        """Of QEMU, besides the device ``ipmi-bmc-extern,chardev=bmc``."""
        return ("-chardev", f"socket,id=bmc,path={self.path},reconnect=1")

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed by its owner, or hung up by QEMU's end
            connection, _ = self._listener.accept()
            with connection:
                rest = b""
                while data := connection.recv(4096):
                    *packets, rest = _packets(rest + data)
                    for packet in packets:
                        pulse = self._answer(connection, packet)
                        if pulse:
                            self._pulse()

    @staticmethod
    def _answer(connection: socket.socket, packet: bytes) -> bool:
        """Whether a diagnostic interrupt was asked for. *packet* ends in what it is."""
        if packet[-1] != _MESSAGE:
            return False  # QEMU tells its version, its abilities, and resets
        message = _plain(packet[:-1])
        if len(message) < 4 or sum(message) & 0xFF:
            return False
        identifier, function, command, data = message[0], message[1] >> 2, message[2], message[3:-1]
        pulse = (function, command) == (_CHASSIS, _CHASSIS_CONTROL) and data == bytes([_DIAGNOSTIC_INTERRUPT])
        answer = b"" if pulse else _ANSWERS.get((function, command))
        code = _INVALID_COMMAND if answer is None else _FINE
        connection.sendall(_framed(bytes([identifier, message[1] | 0x04, command, code]) + (answer or b"")))
        return pulse


def _packets(data: bytes) -> list[bytes]:
    """Cut behind each end; what is not whole yet comes last."""
    found, begin = [], 0
    for end, byte in enumerate(data):
        if byte in (_MESSAGE, _COMMAND):
            found.append(data[begin : end + 1])
            begin = end + 1
    return [*found, data[begin:]]


def _plain(data: bytes) -> bytes:
    plain, escaped = bytearray(), False
    for byte in data:
        if byte == _ESCAPE:
            escaped = True
        else:
            plain.append(byte & ~0x10 if escaped else byte)
            escaped = False
    return bytes(plain)


def _framed(message: bytes) -> bytes:
    framed = bytearray()
    for byte in message + bytes([-sum(message) & 0xFF]):
        framed += bytes([_ESCAPE, byte | 0x10]) if byte in (_MESSAGE, _COMMAND, _ESCAPE) else bytes([byte])
    return bytes(framed) + bytes([_MESSAGE])
