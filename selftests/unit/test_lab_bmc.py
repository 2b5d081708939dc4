"""The lab's BMC answers as QEMU hands it what a machine's KCS interface was asked."""

import socket

import pytest

from lab.bmc import Bmc, _framed


@pytest.mark.parametrize(
    ("asked", "answer", "pulses"),
    [
        ([0x00, 0x02, 0x04], [0x04, 0x02, 0x00], 1),
        ([0x00, 0x02, 0x03], [0x04, 0x02, 0xC1], 0),  # it resets nothing
        ([0x18, 0x01], [0x1C, 0x01, 0x00, 0x20, 0x00, 0x01, 0x00, 0x02, 0x80, 0, 0, 0, 0, 0], 0),
    ],
)
@pytest.mark.parametrize("identifier", [0x01, 0xA0, 0xAA])  # two that mean something else when they are not escaped
def test_a_message_is_answered(asked, answer, pulses, identifier):
    pulsed = []
    with Bmc(lambda: pulsed.append(True)) as bmc, socket.socket(socket.AF_UNIX) as qemu:
        qemu.settimeout(10)
        qemu.connect(str(bmc.path))
        qemu.sendall(b"\xff\x01\xa1\x08\x1f\xa1")  # its version and abilities
        request = _framed(bytes([identifier, *asked]))
        qemu.sendall(request[:2])
        qemu.sendall(request[2:])
        expected = _framed(bytes([identifier, *answer]))
        assert qemu.recv(4096) == expected
        qemu.sendall(_framed(bytes([identifier, 0x18, 0x31])))  # by its answer, what came before is done
        qemu.recv(4096)
    assert len(pulsed) == pulses
