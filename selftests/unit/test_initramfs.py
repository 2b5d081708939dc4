"""The listing of kdump initramfs images, made by the probe's own shell from images built here."""

from __future__ import annotations

import gzip
import lzma
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kdump.fact import Knowledge
from kdump.facts.initramfs import lines
from kdump.facts.kernel import CommandLine
from kdump.parsers import capture_cmdline as made_by
from kdump.parsers.initramfs import Initramfs
from kdump.parsers.shell_settings import ShellSettings
from kdump.probe import library
from kdump.transcript import Reading, Transcript
from kdump.verdict import CouldNotDetermine

needs_cpio = pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed here")

MODULE = "usr/lib/modules/6.1.0/kernel/drivers/block/virtio_blk.ko"


def cpio(files: dict[str, bytes], block: int = 512) -> bytes:
    """An archive in the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    archive = b""
    for name, data in {**files, "TRAILER!!!": b""}.items():
        mode = 0 if name == "TRAILER!!!" else 0o100644
        numbers = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08x" % number for number in numbers)
        for part in (header + name.encode() + b"\0", data):
            archive += part + b"\0" * (-len(part) % 4)
    return archive + b"\0" * (-len(archive) % block)


def listed(image: Path, function: str = "capture_image_listing") -> subprocess.CompletedProcess[str]:
    shell = f"{library()}\ncapture_image_path() {{ echo '{image}'; }}\ndracut() {{ :; }}\n{function}"
    return subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ("KDUMP_KERNEL=/var/lib/kdump/vmlinuz\nKDUMP_INITRD=VAR/initrd.img\n", "VAR/initrd.img"),
        ("KDUMP_INITRD=VAR/initrd.img\n#KDUMP_KERNEL=/var/lib/kdump/vmlinuz\n", "/boot/initrd.img-RELEASE"),
        ("KDUMP_KERNEL=/boot/vmlinuz-RELEASE\n", ""),  # it is loaded without one
    ],
)
def test_the_image_that_kdump_config_would_load(tmp_path: Path, settings: str, place: str) -> None:
    release = platform.release()
    (tmp_path / "kdump-tools").write_text(settings.replace("VAR", str(tmp_path)).replace("RELEASE", release))
    (tmp_path / "initrd.img").touch()
    shell = library().replace("/etc/default/kdump-tools", str(tmp_path / "kdump-tools"))
    shell = shell.replace("/usr/sbin/kdump-config", str(tmp_path)).replace("/usr/bin/kdumpctl", "/nowhere")
    done = subprocess.run(["sh", "-c", f"{shell}\ncapture_image_path"], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.strip() == place.replace("VAR", str(tmp_path)).replace("RELEASE", release)
    assert (done.returncode == 65 and "gets no initramfs" in done.stderr) is (not place)


MICROCODE = cpio({"kernel/x86/microcode/GenuineIntel.bin": b"\1" * 3001})
MAIN = cpio(
    {
        MODULE: b"\2" * 5000,
        "usr/bin/makedumpfile": b"\3" * 7,
        "etc/cmdline.d/00-watchdog.conf": b"rd.driver.pre=iTCO_wdt\n",
    }
)


@needs_cpio
@pytest.mark.parametrize(
    ("image", "magics"),
    [
        (MAIN, ["3037"]),
        (gzip.compress(MAIN), ["1f8b"]),
        (MICROCODE + gzip.compress(MAIN), ["3037", "1f8b"]),
        (MICROCODE + MAIN, ["3037", "3037"]),
        (MICROCODE + MICROCODE + lzma.compress(MAIN), ["3037", "3037", "fd37"]),
    ],
    ids=["plain", "gzip", "microcode+gzip", "microcode+plain", "two-microcode+xz"],
)
def test_every_shape_of_image_lists_the_same_files(tmp_path: Path, image: bytes, magics: list[str]) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(image)
    seen = Initramfs.parse(listed(path).stdout)
    assert (seen.image.path, seen.image.size) == (str(path), len(image))
    assert [magic[:4] for magic in seen.magics] == magics
    assert seen.files[MODULE] == 5000 and seen.has_module("virtio-blk") and seen.has_program("makedumpfile")
    assert (seen.unpacked - 5030) % 3001 == 0 and seen.unpacked_pages % 4096 == 0
    assert lines(listed(path, "capture_image_texts").stdout) == ("rd.driver.pre=iTCO_wdt",)


@needs_cpio
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_no_line_of_a_listing_is_torn_where_the_unpacking_ends(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """cpio writes its listing in blocks of a few KiB, which end within a line: the unpacking may end between two of them."""
    path = tmp_path / "initrd.img"
    path.write_bytes(pack(MAIN))
    listing = tmp_path / "listing"
    listing.write_bytes(subprocess.run(["cpio", "-tv", "--quiet"], input=MAIN, capture_output=True, check=True).stdout)
    torn = f"limit() {{ head -c 40 {listing}; cat >/dev/null; sleep 0.2; tail -c +41 {listing}; }}; "
    assert listed(path, f"{torn}capture_image_listing").stdout == listed(path).stdout


# more than is read at once
FAT = cpio({"firmware.bin": b"\5" * 300_000})


@needs_cpio
@pytest.mark.parametrize(
    "image",
    [
        gzip.compress(MAIN) + gzip.compress(FAT),
        gzip.compress(MAIN + FAT),
        MICROCODE + lzma.compress(MAIN) + lzma.compress(FAT),
        gzip.compress(MAIN) + gzip.compress(FAT) + bytes(4096),
        gzip.compress(FAT) + gzip.compress(MAIN) + gzip.compress(FAT),
        MAIN + gzip.compress(FAT, compresslevel=0),
        MAIN + FAT,
    ],
    ids=["two-gzip", "two-in-one", "two-xz", "padded", "three-gzip", "modules+gzip", "modules+plain"],
)
def test_what_is_appended_to_an_image_is_unpacked_as_well(tmp_path: Path, image: bytes) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(image)
    seen = Initramfs.parse(listed(path).stdout)
    assert seen.files[MODULE] == 5000 and seen.unpacked >= 305_030


@needs_cpio
@pytest.mark.parametrize("behind", [FAT, lzma.compress(FAT)], ids=["plain", "xz"])
def test_what_is_compressed_in_another_way_behind_an_image_is_not_overlooked(tmp_path: Path, behind: bytes) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(gzip.compress(MAIN) + behind)
    said = listed(path)
    assert said.returncode == 65 and "not compressed like it" in said.stderr


@needs_cpio
@pytest.mark.parametrize("image", [gzip.compress(MAIN)[:40], b"#!/bin/sh\n" * 60], ids=["cut off", "no image"])
def test_a_damaged_image_is_not_listed_as_a_small_one(tmp_path: Path, image: bytes) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(image)
    assert listed(path).returncode not in (0, 127)


@needs_cpio
def test_what_lsinitrd_tells_of_a_squash_image_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(cpio({"squash-root.img": b"\4" * 4096}))
    told = f"Squashed content\n-rw-r--r-- root/root 5000 2026-11-16 10:17 squashfs-root/{MODULE}\n"
    text = listed(path, f"lsinitrd() {{ printf '{told}'; }}; limit() {{ shift; \"$@\"; }}; capture_image_listing").stdout
    assert Initramfs.parse(text).has_module("virtio-blk")


@needs_cpio
def test_a_list_of_a_squash_image_that_was_cut_off_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(cpio({"squash-root.img": b"\4" * 4096}))
    told = "Squashed content\n-rw-r--r-- root/root 5000 2026-11-16 10:17 squashfs-root/usr/bin/makedumpfile\n"
    text = listed(path, f"lsinitrd() {{ printf '{told}'; return 124; }}; limit() {{ shift; \"$@\"; }}; capture_image_listing")
    with pytest.raises(CouldNotDetermine, match="within 15 s"):
        Initramfs.parse(text.stdout).has_module("virtio-blk")


def test_a_squash_image_that_nobody_can_list_is_unknown_content() -> None:
    text = "image 1 2 /boot/i\nfile 9 squash-root.img\ntotal 9 4096 1\nsquashed unlisted"
    with pytest.raises(CouldNotDetermine, match="squash image"):
        Initramfs.parse(text).has_module("overlay")


def test_no_image_at_all_is_said() -> None:
    error = "stat: cannot statx '/var/lib/kdump/initrd.img-6.1': No such file or directory"
    known = Knowledge(Transcript.of([Reading("id -u", "0", "", 0), Reading("capture_image", "", error, 1)]))
    with pytest.raises(CouldNotDetermine, match="no kdump initramfs"):
        known.get("initramfs_image")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1\nB=9\n A=2\t# the last one counts", "2"),
        ('export A="x #y  z"  ', "x"),
        ("A='root=/dev/vda -s'", "root=/dev/vda -s"),
        ("A=a#b*\n", "a#b*"),
        ("A=1\nA=", ""),
        ("#A=1\nAA=1\nB=A=1", ""),
    ],
)
def test_a_setting_is_the_last_assignment(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "settings").write_text(text)
    shell = f"{library()}\nsetting A {tmp_path}/settings"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == (f"{value}\n" if value else "")


RUNNING = CommandLine.parse("BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet crashkernel=512M hugepages=64 console=ttyS0")


def test_each_flavour_makes_its_own_capture_command_line() -> None:
    tools = made_by.kdump_tools(RUNNING, ShellSettings())
    assert tools.values("root") == ["/dev/vda"] and not tools.values("crashkernel") and not tools.values("hugepages")
    assert tools.values("nr_cpus") == ["1"] and not tools.values("panic")
    sysconfig = ShellSettings.parse('KDUMP_COMMANDLINE_REMOVE="hugepages quiet"\nKDUMP_COMMANDLINE_APPEND="nr_cpus=1 panic=10"')
    ctl = made_by.kdumpctl(RUNNING, sysconfig)
    assert not ctl.values("root") and not ctl.has("quiet") and ctl.values("panic") == ["10"]
    suse = made_by.suse(RUNNING, ShellSettings())
    assert suse.values("root") == ["kdump"] and suse.values("nr_cpus") == ["32"] and suse.values("panic") == ["1"]
    recorded = '/sbin/kexec -p --command-line="root=/dev/vda rw nr_cpus=1" --initrd=/i /var/lib/kdump/vmlinuz'
    assert made_by.loaded_by_kexec(recorded) == ("root=/dev/vda", "rw", "nr_cpus=1")


def test_a_setting_that_a_shell_works_out_is_not_guessed() -> None:
    with pytest.raises(CouldNotDetermine, match="worked out by a shell"):
        ShellSettings.parse('KDUMP_COMMANDLINE="$(cat /proc/cmdline) panic=1"').get("KDUMP_COMMANDLINE")
