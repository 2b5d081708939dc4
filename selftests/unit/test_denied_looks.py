"""A look that is denied is never the answer that nothing is there.

Each tree is read whole first, then with one of its folders closed: mode 0 lets nobody list or enter it, as SELinux may do to
root; one of mode 0444 can be listed, and nothing in it can be looked at.
"""

import os
import re
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from kdump.fact import CATALOGUE, UID, Fact
from kdump.probe import library
from kdump.transcript import Reading
from kdump.verdict import CouldNotDetermine
from selftests.judging import suite_facts

suite_facts()
ANYBODY = 65534 if os.geteuid() == 0 else None
OURS = re.compile(r"""(?<=[\s"'=:])/(?=(?:boot|dev|etc|lib|run|sys|usr|var)/)""")

STUBS = """
PATH=/usr/bin:$PATH
limit() { shift; "$@"; }

modprobe() { for module; do :; done; echo "builtin $module"; }
findmnt() { echo "254:0 /dev/vda ext4 rw /"; }
stat() { if [ "$1" = -f ]; then echo 9 512 9 9; else command stat "$@"; fi; }
"""

SYSTEMD = {
    "etc/systemd/system.conf": "[Manager]",
    "etc/systemd/system.conf.d/a.conf": "RuntimeWatchdogSec=60",
    "etc/systemd/system/multi-user.target.wants/watchdog.service": "",
    "etc/watchdog.conf": "watchdog-device = /dev/watchdog",
    "run/systemd/system/x": "",
    "usr/lib/modules-load.d/x.conf": "softdog",
}
TIMER = {
    "sys/class/misc/x": "",
    "sys/class/net/x": "",
    "sys/class/watchdog/watchdog0/identity": "iTCO_wdt",
    "sys/class/watchdog/watchdog0/timeout": "30",
}
SYSCTL = {"run/systemd/system/x": "", "etc/sysctl.d/a.conf": "kernel.kptr_restrict=2", "usr/lib/sysctl.d/b.conf": "#"}
DMI = {"dev/x": "", "sys/bus/acpi/devices/x": "", "sys/firmware/dmi/tables/DMI": ""}
CONFIGS = {"boot/config-1": "CONFIG_KEXEC=y", "lib/modules/2/config": "CONFIG_KEXEC=y"}
DRACUT = {
    "usr/bin/dracut": '((${#omit_dracutmodules_l[@]})) && omit_dracutmodules+=" ${omit_dracutmodules_l[*]} "',
    "etc/dracut.conf": "#",
    "etc/dracut.conf.d/a.conf": 'omit_dracutmodules+=" lvm "',
    "usr/lib/dracut/dracut.conf.d/b.conf": 'omit_drivers+=" nvme "',
}
SQUASH = {
    "usr/lib/dracut/modules.d/99squash/module-setup.sh": "require_kernel_modules squashfs loop overlay",
    "usr/lib/dracut/modules.d/99kdumpbase/module-setup.sh": "if is_squash_available; then",
    "usr/sbin/mkdumprd": "#",
}
KDUMPCTL = {"usr/bin/kdumpctl": "", "etc/kdump.conf": "path /none", "etc/sysconfig/kdump": "KDUMP_KERNELVER=1"}
DISK = {
    "sys/devices/pci0000:00/virtio0/block/vda/slaves/": "",
    "sys/dev/block/254:0": "../../devices/pci0000:00/virtio0/block/vda",
    "sys/devices/pci0000:00/virtio0/driver": "../../../bus/virtio/drivers/virtio_blk",
    "sys/bus/virtio/drivers/virtio_blk/module": "../../../../module/virtio_blk",
    "sys/module/virtio_blk/": "",
}
NAMES = {"sys/class/block/vda/dev": "", "dev/vda": "", "dev/mapper/control": "", "dev/disk/by-uuid/aa": "../../vda"}
LUKS = {"sys/block/dm-0/dm/uuid": "LVM-x"}
BOOT = {
    "boot/grub/grub.cfg": "linux /vmlinuz-1 root=/dev/vda",
    "boot/efi/EFI/debian/grub.cfg": "linux /vmlinuz-1 root=/dev/vda",
    "boot/loader/entries/x.conf": "linux /vmlinuz-1",
    "etc/fstab": "UUID=aa / ext4 defaults 0 1",
}
IMAGES = {"boot/vmlinuz-1": "", "etc/fstab": "#"}
MODULES = {
    "usr/bin/kdumpctl": "",
    "lib/modules/1/modules.dep": "",
    "lib/modules/1/modules.dep.bin": "",
    "etc/modprobe.d/a.conf": "#",
}
STRINGS = {"usr/bin/strings": ""}
TREES = [
    ("watchdog_settings", SYSTEMD, ["etc", "etc/systemd", "etc/systemd/system.conf.d", "run/systemd", "usr/lib/modules-load.d",
        "etc/systemd/system", "etc/systemd/system/multi-user.target.wants"]),
    ("watchdogs", TIMER, ["sys/class", "sys/class/watchdog"]),
    ("sysctl_at_boot", SYSCTL, ["etc/sysctl.d", "usr/lib", "run/systemd"]),
    ("bmc_watchdog", DMI, ["dev", "sys/firmware/dmi/tables", "sys/bus/acpi/devices"]),
    ("kernel_configurations", CONFIGS, ["boot", "lib/modules", "lib/modules/2"]),
    ("dracut_omissions", DRACUT, ["etc", "etc/dracut.conf.d", "usr/lib/dracut", "usr/lib/dracut/dracut.conf.d"]),
    ("installed_squash_rules", SQUASH, ["usr/lib/dracut", "usr/lib/dracut/modules.d", "usr/lib/dracut/modules.d/99squash",
        "usr/sbin"]),
    ("kdump_userspace", KDUMPCTL | {"usr/sbin/x": ""}, ["usr", "usr/bin", "usr/sbin"]),
    ("dump_listing", KDUMPCTL, ["usr/bin", "etc"]),
    ("capture_release", KDUMPCTL, ["usr/bin", "etc/sysconfig"]),
    ("root_storage", DISK, ["sys/dev/block", "sys/devices/pci0000:00", "sys/devices/pci0000:00/virtio0/block/vda/slaves",
        "sys/bus/virtio/drivers", "sys/module"]),
    ("block_devices", NAMES, ["sys/class/block", "dev", "dev/disk", "dev/disk/by-uuid", "dev/mapper"]),
    ("boot_configuration", BOOT, ["boot", "boot/efi", "boot/efi/EFI/debian", "boot/loader", "boot/loader/entries", "etc"]),
    ("boot_images", IMAGES, ["boot", "etc"]),
    ("strings_complaint", STRINGS, ["usr", "usr/bin"]),
    ("installed_squash_modules", MODULES, ["lib/modules", "lib/modules/1", "lib/modules/1/modules.dep.bin", "etc/modprobe.d",
        "etc/modprobe.d/a.conf"]),
    ("luks_memory", LUKS, ["sys/block", "sys/block/dm-0", "sys/block/dm-0/dm"]),
]  # fmt: skip


def read(fact: str, tree: Path) -> Reading:
    """What its command says of a tree in place of the root."""
    command = CATALOGUE[fact].command
    script = f"{OURS.sub(f'{tree}/', library() + STUBS)}\n{OURS.sub(f'{tree}/', f' {command}')}"
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=60, user=ANYBODY, cwd="/")
    return Reading(command, done.stdout.rstrip("\n").replace(str(tree), ""), done.stderr.strip(), done.returncode)


def value(fact: str, tree: Path):
    return CATALOGUE[fact].value_of(read(fact, tree), Reading(UID, "0", "", 0), "")


@pytest.fixture
def tree():
    with tempfile.TemporaryDirectory(prefix="kdump-denied-") as folder:  # pytest's own cannot be entered by another user
        Path(folder).chmod(0o755)
        yield Path(folder)
        for path in Path(folder).rglob("*"):
            path.chmod(0o755)


def plant(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (tree / name).mkdir()
        elif text.startswith("../"):
            (tree / name).symlink_to(text)
        else:
            (tree / name).write_text(f"{text}\n")
    for path in tree.rglob("*"):
        path.chmod(0o755)


CASES = [(fact, files, closed) for fact, files, places in TREES for closed in places]


@pytest.mark.parametrize(("fact", "files", "closed"), CASES)
def test_a_closed_folder_is_no_empty_one(tree, fact, files, closed):
    plant(tree, files)
    value(fact, tree)
    (tree / closed).chmod(0)
    with pytest.raises(CouldNotDetermine):
        print(read(fact, tree), value(fact, tree))


@pytest.mark.parametrize(("fact", "files", "closed"), CASES)
def test_what_is_listed_is_there(tree, fact, files, closed):
    plant(tree, files)
    whole = value(fact, tree)
    (tree / closed).chmod(0o444)
    with suppress(CouldNotDetermine):
        assert value(fact, tree) == whole


def test_where_debuginfo_is_looked_for(tree):
    """What debuginfo packages install, plain, in a file of its own or compressed, and what ``make rpm-pkg`` does."""
    debug = ["boot/vmlinux-1.xz", "lib/modules/1/vmlinux", "usr/lib/modules/1/vmlinux.debug", "lib/modules/1/vmlinux.gz"]
    names = [*(f"usr/lib/debug/{name}" for name in debug), "boot/vmlinux-1.bz2", "lib/modules/1/build/vmlinux"]
    plant(tree, dict.fromkeys(names, ""))
    script = f"{library()}\nkernel_root={tree}\nvmlinux_places 1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert sorted(done.stdout.split()) == sorted(f"{tree}/{name}" for name in names)


def test_debuginfo_in_a_closed_folder_is_not_missing(tree):
    plant(tree, {"usr/lib/debug/boot/vmlinux-1": "", "boot/x": ""})
    for closed in ("usr/lib/debug/boot", "usr/lib/debug", "usr/lib"):
        (tree / closed).chmod(0)
        assert any(one.image is None and one.problem for one in value("vmlinux_candidates", tree)), closed
        (tree / closed).chmod(0o755)


def test_the_newer_name_of_a_file_that_is_denied(tree):
    plant(tree, {"new/crash_size": "1", "old/x": ""})
    size = Fact("size", f"first_of {tree}/new/crash_size {tree}/old/crash_size", int, absent=0)
    for mode, known in ((0o755, 1), (0, None)):
        (tree / "new").chmod(mode)
        done = subprocess.run(
            ["sh"], input=f"{library()}\n{size.command}", capture_output=True, text=True, timeout=60, user=ANYBODY, cwd="/"
        )
        reading = Reading(size.command, done.stdout, done.stderr, done.returncode)
        if known is None:
            with pytest.raises(CouldNotDetermine):
                size.value_of(reading, None, "")
        else:
            assert size.value_of(reading, None, "") == known


def test_a_pipeline_that_ends_well_is_no_answer_where_its_first_program_may_not_look():
    fact = Fact("lines", "cat /x | wc -l", int)
    assert fact.value_of(Reading(fact.command, "0", "", 0), None, "") == 0
    with pytest.raises(CouldNotDetermine):
        fact.value_of(Reading(fact.command, "0", "cat: /x: Permission denied", 0), None, "")


@pytest.mark.parametrize(
    ("seen", "said"), [("l-wx 1 -> /elsewhere", ""), ("ls: /proc/9/fd: Permission denied", "being written"), ("", "")]
)
def test_who_writes_a_dump_may_be_hidden(tree, seen, said):
    plant(tree, {"dump": "KDUMP"})
    stub = f"""ls() {{ case $* in */proc/*) echo "{seen}" >&2 ;; *) command ls "$@" ;; esac; }}\nid() {{ echo 0; }}"""
    script = f"{library()}\n{stub}\nev_file={tree}/dump ev_size=6\nev_growing"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == said
