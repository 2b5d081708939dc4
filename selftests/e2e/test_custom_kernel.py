"""An installed kernel that does not run, beside the one that does, on a real machine over real SSH."""

import pytest

from lab import image
from lab.faults.staging import audit
from lab.machine import Machine

#: the running kernel's files under another release: without kexec and the disk's driver, with the other one's initramfs
STAGE = """
set -e
old=$(uname -r) new=$(uname -r)-custom
cp /boot/vmlinuz-$old /boot/vmlinuz-$new
cp /boot/initrd.img-$old /boot/initrd.img-$new
sed -e '/^CONFIG_KEXEC=/d' -e '/^CONFIG_KEXEC_FILE=/d' /boot/config-$old > /boot/config-$new
cp -al /lib/modules/$old /lib/modules/$new
find /lib/modules/$new -name 'virtio_blk.ko*' -delete
depmod $new
"""


@pytest.fixture(scope="module")
def machine():
    with Machine(image.find("debian12")) as started:
        started.boot()
        yield started


def test_a_custom_kernel_against_the_one_that_runs(machine, tmp_path):
    machine.check(STAGE)
    running = machine.check("uname -r").strip()
    options = ("tests/qualification", f"--kernel={running}-custom", f"--baseline={running}")
    status, found, output = audit(machine, tmp_path, *options)
    assert status == 1, output
    assert found["present"] == {"kernel-incomplete", "kernel-without-kexec", "dump-disk-not-visible"}, output
    assert f"{running}-custom@debian12 against {running}@debian12: 3 new: " in output
    assert f"the image that is called {running}-custom is of {running}" in output.replace("\n    ", " ")
    assert "virtio_blk" in output and f"it holds those of {running}" in output.replace("\n    ", " ")


def test_the_running_kernel_has_nothing_against_it(machine, tmp_path):
    running = machine.check("uname -r").strip()
    status, found, output = audit(machine, tmp_path, "tests/qualification", f"--kernel={running}")
    assert status == 0, output
    assert found["absent"] >= {"kernel-incomplete", "kernel-without-kexec", "crashkernel-too-small", "dump-disk-not-visible"}
