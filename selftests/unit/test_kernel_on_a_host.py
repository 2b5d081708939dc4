"""An installed kernel and the host that it will run on: boot entries, reservation, makedumpfile."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from kdump import recording
from kdump.catalogue import suite_facts
from kdump.fact import CATALOGUE
from kdump.parsers.bootloader import BootConfiguration
from kdump.parsers.page_layout import CHANGES
from kdump.transcript import Reading, Transcript
from kdump.verdict import Verdict
from selftests.judging import ask, denied, missing, says

RED, GREEN, NOT_APPLICABLE, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED
RUNNING, OTHER = "6.1.0-56-amd64", "6.12.111+deb12-amd64"
RESERVES = "boot_entry_of_this_kernel_reserves_memory"
ENOUGH = "reservation_will_cover_what_this_kernel_needs"
DRIVERS = "kernel_has_the_drivers_of_the_disk"
PAGES = "makedumpfile_knows_the_page_structures"
SECTIONS = "kernel_tells_makedumpfile_its_section_size"
DEBIAN12 = recording.load(Path(__file__).parents[2] / "recordings/debian12-healthy.transcript")
suite_facts()


def of(kernel, fact, text, errors="", status=0):
    return Reading(CATALOGUE[fact].for_kernel(kernel).command, text, errors, status)


def image(init_size):
    head = bytearray(640)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x20F)
    struct.pack_into("<I", head, 0x260, init_size)
    return f"file /boot/vmlinuz\nsize {1 << 23}\nmtime 1\n@0 {head.hex()}"


def machine(kernel, *readings, how="installed"):
    """The recorded Debian 12 with another kernel installed beside its own, or brought in a folder."""
    readings = [
        of(kernel, "kernel_presence", f"{kernel}\n{RUNNING}\n{kernel}"),
        of(kernel, "kernel_parts", f"{how}\nimage 9 /boot/vmlinuz-{kernel}"),
        of(kernel, "kernel_image", image(56 << 20)),
        of(kernel, "kernel_options", "file /boot/config\nCONFIG_X86_64=y\nCONFIG_SPARSEMEM=y\noptions 8000"),
        *readings,
    ]
    return Transcript({**DEBIAN12.readings, **{reading.command: reading for reading in readings}})


def grub(kernel, arguments):
    """The recorded menu, and above it one for that kernel, with a recovery entry as update-grub makes them."""
    recorded = DEBIAN12.readings[CATALOGUE["boot_configuration"].command].text
    entries = "".join(
        f"menuentry 'Linux {kernel}{what}' {{\n linux /boot/vmlinuz-{kernel} root=/dev/vda1 ro {words}\n}}\n"
        for what, words in (("", arguments), (" (recovery mode)", "single"))
    )
    return says("boot_configuration", recorded.replace("menuentry 'GNU/Linux' ", f"{entries}menuentry 'GNU/Linux' ", 1))


@pytest.mark.parametrize(
    ("readings", "how", "verdict", "words"),
    [
        ([grub(OTHER, "quiet crashkernel=256M")], "installed", GREEN, ""),
        ([grub(OTHER, "quiet crashkernel=200M")], "installed", GREEN, ""),
        ([grub(OTHER, "quiet")], "installed", RED, "no crashkernel="),
        ([grub(OTHER, "quiet crashkernel=4G")], "installed", RED, "4 GiB of"),
        ([], "installed", UNKNOWN, f"no entry for kernel {OTHER}"),
        ([], "package", GREEN, ""),  # its entry will be made like the one that boots next
        ([says("boot_configuration", "")], "installed", NOT_APPLICABLE, "no boot loader"),
        ([denied("boot_configuration")], "installed", UNKNOWN, "denied"),
    ],
)
def test_boot_entry(readings, how, verdict, words):
    found, said = ask(machine(OTHER, *readings, how=how), "qualification/kernel_reservation", RESERVES, kernel=OTHER)
    assert (found, words in said) == (verdict, True), said


def test_entries_of_the_boot_loader_specification():
    text = "== /boot/loader/entries/abc-5.14.0-1.conf\ntitle A\nlinux /vmlinuz-5.14.0-1\noptions ro crashkernel=1G\n"
    text += "== /boot/loader/entries/abc-5.14.0-10.conf\ntitle B\nlinux /abc/5.14.0-10/linux\noptions ro\n"
    found = BootConfiguration.parse(text)
    assert [entry.arguments for entry in found.entries_of("5.14.0-1")] == ["ro crashkernel=1G"]
    assert [entry.arguments for entry in found.entries_of("5.14.0-10")] == ["ro"]
    assert found.entries_of("5.14.0") == ()


@pytest.mark.parametrize(
    ("arguments", "readings", "verdict", "words"),
    [
        ("crashkernel=256M", [], GREEN, ""),
        ("crashkernel=64M", [], RED, "as capture kernel this one dies"),
        ("crashkernel=128M", [], UNKNOWN, "only a test crash tells"),
        ("crashkernel=256M", [of(OTHER, "kernel_image", image(300 << 20))], RED, "256 MiB will be reserved"),
        ("crashkernel=256M", [of(OTHER, "kernel_image", image(0))], UNKNOWN, "does not say"),
        ("quiet", [], NOT_APPLICABLE, "reserve nothing"),
        ("crashkernel=256M", [says("capture_release", "6.1.0-1-amd64")], NOT_APPLICABLE, "whichever kernel runs"),
    ],
)
def test_estimated_reservation(arguments, readings, verdict, words):
    known = machine(OTHER, grub(OTHER, arguments), *readings)
    found, said = ask(known, "qualification/kernel_memory", ENOUGH, kernel=OTHER)
    assert (found, words in said) == (verdict, True), said


DISK = "virtio_blk virtio_pci ext4 "


@pytest.mark.parametrize(
    ("modules", "verdict", "words"),
    [
        (of(OTHER, "kernel_module_names", f"{DISK}xfs"), GREEN, ""),
        (of(OTHER, "kernel_module_names", "virtio-pci ext4"), RED, "virtio_blk"),
        (of(OTHER, "kernel_module_names", "virtio_blk xfs"), RED, "ext4"),
        (of(OTHER, "kernel_module_names", "unbuilt"), UNKNOWN, "not built"),
        (of(OTHER, "kernel_module_names", "", "cat: /lib/modules: Permission denied", 1), UNKNOWN, "denied"),
    ],
)
def test_drivers_of_the_disk(modules, verdict, words):
    found, said = ask(machine(OTHER, modules), "qualification/kernel_disk_drivers", DRIVERS, kernel=OTHER)
    assert (found, words in said) == (verdict, True), said


READY = "kdump_initramfs_that_lies_ready_has_them"


@pytest.mark.parametrize(
    ("release", "modules", "how", "verdict", "words"),
    [
        (OTHER, ("virtio_blk", "ext4"), "installed", GREEN, ""),
        (OTHER, ("ext4",), "installed", RED, "virtio_blk"),
        (RUNNING, ("virtio_blk", "ext4"), "installed", RED, f"holds those of {RUNNING}"),
        (OTHER, (), "installed", NOT_APPLICABLE, "when the kernel first runs"),
        (OTHER, ("ext4",), "package", NOT_APPLICABLE, "not installed yet"),
        (OTHER, None, "installed", UNKNOWN, "denied"),
    ],
)
def test_kdump_initramfs_that_lies_ready(release, modules, how, verdict, words):
    listing = [f"image 9 1 /var/lib/kdump/initrd.img-{OTHER}", "total 9 9 9"]
    listing += [f"file 9 usr/lib/modules/{release}/kernel/{name}.ko" for name in modules or ()]
    answer = of(OTHER, "kernel_kdump_image", "\n".join(listing) if modules else "")
    if modules is None:
        answer = of(OTHER, "kernel_kdump_image", "", "cat: /var/lib/kdump/: Permission denied", 1)
    built_in = of(OTHER, "kernel_built_in_modules", "kernel/drivers/virtio/virtio_pci.ko")
    if how == "package":  # it is looked for on the host, which does not have it
        built_in = of(OTHER, "kernel_built_in_modules", "", "cat: /lib/modules: No such file or directory", 1)
    found, said = ask(machine(OTHER, answer, built_in, how=how), "qualification/kernel_disk_drivers", READY, kernel=OTHER)
    assert (found, words in said) == (verdict, True), said


@pytest.mark.parametrize(
    ("option", "verdict"), [("CONFIG_X86_64=y", GREEN), ("CONFIG_ARM64=y", RED), ("CONFIG_SYSFS=y", UNKNOWN)]
)
def test_architecture(option, verdict):
    known = machine(OTHER, says("kernel_machine", "x86_64"), of(OTHER, "kernel_options", f"file /c\n{option}\noptions 8000"))
    assert ask(known, "qualification/kernel_incomplete", "kernel_is_for_this_machine", kernel=OTHER)[0] is verdict


def traits(version, *keys):
    return says(
        "installed_makedumpfile", "\n".join([f"makedumpfile: version {version} (released)", *(f"{key}=" for key in keys)])
    )


KEYS = [change.key for change in CHANGES if change.key]
TO_1_7_4, TO_1_7_6 = KEYS[:2], KEYS[:4]


@pytest.mark.parametrize(
    ("makedumpfile", "kernel", "verdict", "words"),
    [
        (traits("1.7.2"), "6.1.0-56-amd64", GREEN, ""),  # it warns of 6.1, for nothing
        (traits("1.7.2"), "5.10.0-60.18.0.50.oe2203.x86_64", GREEN, ""),
        (traits("1.7.2"), "6.12.111+deb12-amd64", RED, "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE), which came with Linux 6.10"),
        (traits("1.7.2"), "6.2.0", UNKNOWN, "older than Linux 6.2 needs"),
        (traits("1.7.2", *TO_1_7_4), "6.6.0", GREEN, ""),  # as a distribution added it
        (traits("1.7.4", *TO_1_7_4), "6.9.0", RED, "HUGETLB"),
        (traits("1.7.6", *TO_1_7_6), "6.11.4", GREEN, ""),
        (traits("1.7.6", *TO_1_7_6), "6.12.0", UNKNOWN, "free pages"),
        (traits("1.7.7", *TO_1_7_6), "6.12.0", GREEN, ""),
        (traits("1.7.9", *TO_1_7_6), "7.1.0", RED, "compound_info"),
        (traits("1.7.9", *KEYS), "7.1.0", GREEN, ""),
        (traits("1.7.9", *KEYS), "7.2.0-rc1", UNKNOWN, "is not known"),
        (says("installed_makedumpfile", "", "limit: makedumpfile: not found", 127), "6.1.0", NOT_APPLICABLE, "not installed"),
        (says("installed_makedumpfile", "Segmentation fault"), "6.1.0", UNKNOWN, "does not say its version"),
    ],
)
def test_page_structures(makedumpfile, kernel, verdict, words):
    found, said = ask(machine(kernel, makedumpfile), "qualification/kernel_makedumpfile_older", PAGES, kernel=kernel)
    assert (found, words in said) == (verdict, True), said


ARM = of(OTHER, "kernel_options", "file /boot/config\nCONFIG_ARM64=y\nCONFIG_SPARSEMEM=y\noptions 8000")
BANNER = f"file /boot/vmlinuz\nLinux version {OTHER} (a@b) (gcc) #1 SMP"


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        ([], NOT_APPLICABLE, "x86_64"),
        ([ARM, of(OTHER, "kernel_image_words", f"{BANNER}\nSECTION_SIZE_BITS")], GREEN, ""),
        ([ARM, of(OTHER, "kernel_image_words", BANNER)], UNKNOWN, "does not export"),
        ([ARM, of(OTHER, "kernel_image_words", "file /boot/vmlinuz")], UNKNOWN, "could not be unpacked"),
        (
            [ARM, of(OTHER, "kernel_image_words", f"{BANNER}\nSECTION_SIZE_BITS"), missing("makedumpfile_reads_section_size")],
            NOT_APPLICABLE,
            "not installed",
        ),
    ],
)
def test_section_sizes(readings, verdict, words):
    found, said = ask(machine(OTHER, *readings), "qualification/kernel_section_size", SECTIONS, kernel=OTHER)
    assert (found, words in said) == (verdict, True), said


OWN, FITS = "its_own_initramfs_is_there", "its_own_initramfs_has_the_drivers_of_its_root"
FRESH = "its_own_initramfs_is_as_new_as_its_modules"
PATH = f"/boot/initrd.img-{OTHER}"


def own(*modules, release=OTHER, newer=""):
    listing = [f"image 9 1 {PATH}", "total 9 9 9"]
    listing += [f"file 9 usr/lib/modules/{release}/kernel/{name}.ko" for name in modules]
    return of(OTHER, "kernel_initramfs", "\n".join([*listing, f"newer {newer}"] if newer else listing))


def none(*others):
    return of(OTHER, "kernel_initramfs", "\n".join(f"other {path}" for path in others))


BUILT_IN = of(OTHER, "kernel_built_in_modules", "kernel/drivers/virtio/virtio_pci.ko")
ALL_BUILT_IN = of(OTHER, "kernel_built_in_modules", "virtio_pci.ko virtio_blk.ko ext4.ko")
FORBIDDEN = of(OTHER, "kernel_initramfs", "", "cat: /boot/: Permission denied", 1)


@pytest.mark.parametrize(
    ("test", "readings", "how", "verdict", "words"),
    [
        (OWN, [own("virtio_blk", "ext4"), BUILT_IN], "installed", GREEN, ""),
        (OWN, [none(), BUILT_IN], "installed", RED, "virtio_blk, ext4 of its root file system are not built into it"),
        (OWN, [none(f"/boot/initrd.img-{RUNNING}"), BUILT_IN], "installed", RED, "virtio_blk"),
        (OWN, [none("/boot/initramfs-linux.img"), BUILT_IN], "installed", UNKNOWN, "whether /boot/initramfs-linux.img"),
        (OWN, [none(), ALL_BUILT_IN, grub(OTHER, "quiet")], "installed", GREEN, ""),  # its entry has root=/dev/vda1
        (OWN, [none(), ALL_BUILT_IN, says("boot_configuration", "")], "installed", NOT_APPLICABLE, "no boot loader"),
        (OWN, [FORBIDDEN, BUILT_IN], "installed", UNKNOWN, "denied"),
        (
            OWN,
            [none(), BUILT_IN, of(OTHER, "kernel_options", 'file /c\nCONFIG_INITRAMFS_SOURCE="/a"\noptions 8000')],
            "installed",
            UNKNOWN,
            "built into it",
        ),
        (OWN, [none(), BUILT_IN], "package", NOT_APPLICABLE, "not installed yet"),
        (FITS, [own("virtio_blk", "ext4"), BUILT_IN], "installed", GREEN, ""),
        (FITS, [own("ext4"), BUILT_IN], "installed", RED, "virtio_blk"),
        (FITS, [own("ext4", "virtio_blk", release=RUNNING), BUILT_IN], "installed", RED, f"holds those of {RUNNING}"),
        (FITS, [own(), ALL_BUILT_IN], "installed", GREEN, ""),
        (FITS, [none(), BUILT_IN], "installed", NOT_APPLICABLE, "no initramfs of its own"),
        (FITS, [FORBIDDEN, BUILT_IN], "installed", UNKNOWN, "denied"),
        (FRESH, [own("virtio_blk", "ext4"), BUILT_IN], "installed", GREEN, ""),
        (FRESH, [own("virtio_blk", "ext4", newer="nvidia"), BUILT_IN], "installed", GREEN, ""),
        (FRESH, [own("virtio_blk", "ext4", newer="nvidia virtio-blk"), BUILT_IN], "installed", RED, "made before virtio_blk"),
        (FRESH, [FORBIDDEN, BUILT_IN], "installed", UNKNOWN, "denied"),
    ],
)
def test_its_own_initramfs(test, readings, how, verdict, words):
    found, said = ask(machine(OTHER, *readings, how=how), "qualification/kernel_incomplete", test, kernel=OTHER)
    assert (found, words in said) == (verdict, True), said


@pytest.mark.parametrize(
    ("root", "verdict"), [("UUID=1", RED), ("/dev/mapper/vg-root", RED), ("PARTUUID=1", GREEN), ("/dev/sda1", GREEN)]
)
def test_a_root_that_only_an_initramfs_finds(root, verdict):
    recorded = grub(OTHER, "quiet")
    entry = replace(recorded, text=recorded.text.replace("root=/dev/vda1", f"root={root}"))
    known = machine(OTHER, none(), ALL_BUILT_IN, entry)
    assert ask(known, "qualification/kernel_incomplete", OWN, kernel=OTHER)[0] is verdict


def test_a_kdump_initramfs_that_lies_ready_is_what_the_need_is_estimated_from():
    ready = of(OTHER, "kernel_kdump_image", f"image {90 << 20} 1 /var/lib/kdump/initrd.img-{OTHER}\ntotal 9 {200 << 20} 9")
    known = machine(OTHER, grub(OTHER, "crashkernel=256M"), ready)
    assert ask(known, "qualification/kernel_memory", ENOUGH, kernel=OTHER)[0] is RED
