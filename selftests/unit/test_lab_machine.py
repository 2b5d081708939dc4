"""What a lab machine is made of, decided before anything runs: recipe, command line, state, port."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import accel, image, qemu, recipe, rootfs, state
from lab.backend import LabBackend
from lab.errors import LabError
from lab.image import Image

FILES = qemu.Files(Path("/i/vmlinuz"), Path("/i/initrd.img"), [Path("disk0.qcow2")], Path("console.log"), Path("qmp.sock"))
IMAGE = Image(recipe.DEBIAN12, Path("/i"), "1234-uuid", "6.1.0-1-amd64")
HARDWARE = qemu.Hardware("amd64", "tcg", 1024, 2, IMAGE.append("256M"))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(recipe.Recipe)])
def test_every_line_of_a_recipe_changes_its_digest(field):
    value = getattr(recipe.DEBIAN12, field)
    other = {int: lambda: value + 1, str: lambda: value + "x", tuple: lambda: value[1:] or ("more",)}[type(value)]()
    assert dataclasses.replace(recipe.DEBIAN12, **{field: other}).digest() != recipe.DEBIAN12.digest()


def test_an_unknown_target_names_the_known_ones():
    with pytest.raises(LabError, match=r"no machine called 'centos'.*debian12"):
        recipe.target("centos")


def test_without_qemu_one_sentence_says_which_command_to_run(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(image, "find", lambda name: IMAGE)
    state.qemu_version.cache_clear()
    with pytest.raises(LabError, match="is not installed: run `make lab`"):
        LabBackend.of("lab://debian12").ready()


@pytest.mark.parametrize(("crashkernel", "end"), [("256M,high", " crashkernel=256M,high nokaslr"), ("", "=0 nokaslr")])
def test_the_command_line_is_the_one_grub_would_hand_over(crashkernel, end):
    line = IMAGE.append(crashkernel, "nokaslr")
    assert line.startswith("BOOT_IMAGE=/boot/vmlinuz-6.1.0-1-amd64 root=UUID=1234-uuid ro console=ttyS0,115200")
    assert line.endswith(end)


def test_ssh_is_forwarded_from_the_loopback_alone_on_a_port_that_the_system_picks():
    line = qemu.command(HARDWARE, FILES)
    assert "user,id=net,hostfwd=tcp:127.0.0.1:0-:22" in line
    assert sum("hostfwd" in word for word in line) == 1
    assert "tcg,thread=multi,tb-size=256" in line
    assert "-incoming" not in line


@pytest.mark.parametrize(
    ("bus", "controllers", "device"),
    [
        ("virtio", [], "virtio-blk-pci,drive=disk1,serial=dump"),
        ("scsi", ["virtio-scsi-pci,id=scsi"], "scsi-hd,bus=scsi.0,drive=disk1,serial=dump"),
        ("nvme", [], "nvme,drive=disk1,serial=dump"),
        ("sata", ["ich9-ahci,id=ahci"], "ide-hd,bus=ahci.1,drive=disk1,serial=dump"),
    ],
)
def test_a_second_disk_and_its_controller(bus, controllers, device):
    hardware = dataclasses.replace(HARDWARE, disks=(qemu.Disk(64, bus, "dump"),), devices=("i6300esb",))
    line = qemu.command(hardware, dataclasses.replace(FILES, disks=[Path("disk0.qcow2"), Path("a,b.qcow2")]))
    assert all(controller in line for controller in controllers)
    assert device in line and "i6300esb" in line
    assert any("file=a,,b.qcow2" in word for word in line), "a comma in a path is doubled in QEMU's options"


def test_no_console_line_but_the_forwarding_of_port_22_is_a_port():
    usernet = """Hub -1 (net):
      Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
      TCP[HOST_FORWARD]  12       127.0.0.1 38123       10.0.2.15    80     0     0
      TCP[ESTABLISHED]   13       127.0.0.1 40001       10.0.2.15    22     0     0
      TCP[HOST_FORWARD]  11       127.0.0.1 40123       10.0.2.15    22     0     0
    """
    assert qemu.forwarded_port(usernet) == 40123
    assert qemu.forwarded_port("Hub -1 (net):") is None


def test_a_frozen_machine_is_only_for_the_same_hardware(monkeypatch):
    monkeypatch.setattr(state, "qemu_version", lambda arch: "QEMU 7.2")
    key = state.key(HARDWARE)
    others = [
        dataclasses.replace(HARDWARE, memory=2048),
        dataclasses.replace(HARDWARE, append=IMAGE.append("96M")),
        dataclasses.replace(HARDWARE, devices=("i6300esb",)),
        dataclasses.replace(HARDWARE, disks=(qemu.Disk(64),)),
        dataclasses.replace(HARDWARE, accel="kvm"),
    ]
    assert key not in map(state.key, others)
    monkeypatch.setattr(state, "qemu_version", lambda arch: "QEMU 9.0")
    assert key != state.key(HARDWARE)


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize("made_of", [recipe.DEBIAN12, recipe.DEBIAN12_ARM64], ids=lambda made_of: made_of.arch)
def test_what_a_build_needs_is_what_the_package_lists_install(user, made_of, monkeypatch):
    monkeypatch.setattr(rootfs.os, "geteuid", lambda: user)
    monkeypatch.setattr(rootfs.shutil, "which", lambda tool, path: None)
    with pytest.raises(LabError) as missing:
        rootfs.check_tools(made_of)
    named = set(str(missing.value).partition("apt-get install ")[2].split())
    lists = ["packages.txt"] + ["packages-arm64.txt"] * rootfs.is_foreign(made_of)
    listed = [line for name in lists for line in Path(rootfs.__file__).with_name(name).read_text().splitlines()]
    installed = {line.partition("#")[0].strip() for line in listed}
    assert named - {"tar"} <= installed  # tar is part of every Debian
    assert ("qemu-user-static" in named) == rootfs.is_foreign(made_of)


def test_an_arm64_machine_is_built_with_few_drivers_and_emulated_on_its_own_board():
    command = rootfs._bootstrap_command(recipe.DEBIAN12_ARM64, Path("/additions.tar"), Path("/rootfs.tar"))
    assert "--architectures=arm64" in command
    assert any("linux-image-arm64" in word for word in command) and not any("amd64" in word for word in command)
    line = qemu.command(dataclasses.replace(HARDWARE, arch="arm64"), FILES)
    assert line[0] == "qemu-system-aarch64" and line[line.index("-machine") + 1] == "virt"


def test_another_architectures_machine_is_emulated_whatever_is_asked_for(monkeypatch):
    monkeypatch.setattr(accel.os, "uname", lambda: SimpleNamespace(machine="x86_64"))
    monkeypatch.setenv("KDUMP_LAB_ACCEL", "kvm")
    assert accel.choose(Path("/i/vmlinuz"), "arm64", print) == "tcg"
    assert accel.choose(Path("/i/vmlinuz"), "amd64", print) == "kvm"


def test_a_kernel_is_edited_where_its_text_stands_once(tmp_path):
    own = dataclasses.replace(IMAGE, folder=tmp_path)
    own.vmlinuz.write_bytes(b"\0one\0two\0two\0")
    assert image.edited_kernel(own, "one", "ONE").read_bytes() == b"\0ONE\0two\0two\0"
    assert own.vmlinuz.read_bytes() == b"\0one\0two\0two\0"
    for old, new in (("two", "TWO"), ("three", "THREE"), ("one", "longer")):
        with pytest.raises(LabError, match="does not hold"):
            image.edited_kernel(own, old, new)
