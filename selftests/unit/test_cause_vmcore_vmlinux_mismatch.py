"""3.1: which vmlinux opens dumps of the running kernel, of the next one, and those that are here."""

import subprocess

import pytest

from kdump.probe import library
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says
from selftests.vmcore.writer import BUILD_ID, RELEASE, VERSION, VMCOREINFO, Plan, kdump, notes

FILE, RUNNING, NEXT, DUMPS = (
    "vmcore_vmlinux_mismatch",
    "vmlinux_opens_dumps_of_the_running_kernel",
    "vmlinux_opens_dumps_of_the_next_kernel",
    "vmlinux_opens_the_dumps_that_are_here",
)
ABSENT, PRESENT, UNDETERMINED, NOT_APPLICABLE = (
    Verdict.ABSENT,
    Verdict.PRESENT,
    Verdict.UNDETERMINED,
    Verdict.NOT_APPLICABLE,
)
MINE, OTHER = "00112233445566778899aabbccddeeff00112233", "ff" * 20
NOTES = "04 00 00 00 14 00 00 00 03 00 00 00 47 4e 55 00 " + " ".join(MINE[at : at + 2] for at in range(0, 40, 2))
XEN_ONLY = "04 00 00 00 04 00 00 00 03 00 00 00 58 65 6e 00 00 00 00 80"
BUILT = "(builder@host) #1 SMP Debian 6.1.0-1"
PLACE = "/usr/lib/debug/boot/vmlinux-6.1.0"
PRIVATE = "/usr/lib/debug/\nsize 0\npermission denied"


@pytest.fixture(scope="module")
def vmlinux(tmp_path_factory):
    """What the probe prints of real ELF files with a build-id, DWARF or not, a banner or not, at a place."""
    made = {}

    def one(path=PLACE, build_id=MINE, debug=True, banner=f"Linux version 6.1.0 {BUILT}", given=False, packed=False):
        key = build_id, debug, banner, packed
        if key not in made:
            folder = tmp_path_factory.mktemp("made")
            source, file = folder / "a.c", folder / "vmlinux"
            source.write_text(f'const char banner[] = "{banner}\\n";\nint main(void) {{ return 0; }}')
            # like a kernel, without the C library's notes
            options = ["-g" if debug else "-s", "-nostdlib", "-static", "-fcf-protection=none", "-Wl,-e,main"]
            identity = f"-Wl,--build-id=0x{build_id}" if build_id else "-Wl,--build-id=none"
            subprocess.run(["gcc", *options, identity, source, "-o", file], check=True)
            if packed:
                subprocess.run(["xz", file], check=True)
                file = folder / "vmlinux.xz"
            command = ["sh", "-c", f"{library()}\nvmlinux_evidence '{file}'"]
            made[key] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n")[2]
        return f"file {path}\n" + ("given\n" if given else "") + made[key]

    return one


def running(notes=NOTES, version=f"Linux version 6.1.0 {BUILT}"):
    return [says("kernel_release", "6.1.0"), says("running_build_id", notes), says("running_identity", version)]


def found(*texts):
    return says("vmlinux_candidates", "".join(texts).removesuffix("\n"))


OWN = "/boot/vmlinux-6.1.0"
PACKED = f"file {OWN}.bz2\nsize 900\nmtime 1\n@0 425a6839314159265359{'00' * 600}\n"


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ([{}], ABSENT),
        ([{"build_id": OTHER}], PRESENT),
        ([{"debug": False}], PRESENT),
        ([{"build_id": OTHER}, {}], ABSENT),
        ([{"path": "/usr/lib/debug/lib/modules/6.1.0/vmlinux"}], ABSENT),
        ([{"path": "/usr/lib/debug/usr/lib/modules/6.1.0/vmlinux.debug", "build_id": OTHER}], PRESENT),
        # of another kernel, whose release merely begins like this one
        ([{"path": f"{PLACE}-56-amd64", "build_id": OTHER}], NOT_APPLICABLE),
        # the kernel package's own: neither what crash needs, nor meant to be
        ([{"path": OWN, "debug": False}], NOT_APPLICABLE),
        ([{"path": f"{OWN}.xz", "packed": True}], NOT_APPLICABLE),
        ([{"path": f"{OWN}.xz", "packed": True}, {"build_id": OTHER}], PRESENT),
        # debuginfo that somebody compressed, which crash unpacks
        ([{"path": f"{PLACE}.xz", "packed": True}], ABSENT),
        ([{"path": f"{PLACE}.xz", "packed": True, "build_id": OTHER}], PRESENT),
        # `make rpm-pkg` puts it there with its DWARF (Linux, scripts/package/mkspec of 2.6.34 and 3.1); bzip2 is not undone here
        ([PACKED], UNDETERMINED),
        ([PACKED, {}], ABSENT),
        ([PACKED, {"build_id": OTHER}], UNDETERMINED),
        # named by the user
        ([{"path": "/srv/it", "given": True}], ABSENT),
        ([{"path": "/srv/it", "given": True, "build_id": OTHER}], PRESENT),
        # it may be the kernel package's own, whose DWARF is missing
        ([{"path": "/srv/it.xz", "given": True, "packed": True}], UNDETERMINED),
        ([{"path": "/srv/it.xz", "given": True, "packed": True}, {}], ABSENT),
        ([{"path": "/srv/it.xz", "given": True, "packed": True, "build_id": OTHER}], PRESENT),
        ([{"build_id": OTHER}, {"path": "/srv/it", "given": True}], ABSENT),
        ([{"build_id": None}], ABSENT),  # by its banner
        ([{"build_id": None, "banner": "none"}], UNDETERMINED),
    ],
)
def test_running(vmlinux, files, verdict):
    texts = [one if isinstance(one, str) else vmlinux(**one) for one in files]
    got, words = ask(host(*running(), found(*texts)), FILE, RUNNING)
    assert got is verdict, words


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([found("")], NOT_APPLICABLE),
        ([found(f"file {PLACE}\nsize 9\nmtime 1\n@0 4d5a00000000000000")], UNDETERMINED),
        ([found(f"file {PRIVATE}")], UNDETERMINED),
        ([found("file /srv/it\ngiven\nnot here")], UNDETERMINED),
        ([denied("vmlinux_candidates")], UNDETERMINED),
        ([], UNDETERMINED),
    ],
)
def test_running_without_a_readable_one(readings, verdict):
    assert ask(host(*running(), *readings), FILE, RUNNING)[0] is verdict


def test_running_whose_own_id_is_not_known(vmlinux):
    assert ask(host(*running(), found(vmlinux()), denied("running_build_id")), FILE, RUNNING)[0] is UNDETERMINED


def test_running_without_build_id(vmlinux):
    other = vmlinux(banner="Linux version 6.1.0 (builder@host) #2 SMP Debian 6.1.0-1")
    assert ask(host(*running(XEN_ONLY), found(vmlinux())), FILE, RUNNING)[0] is ABSENT
    verdict, words = ask(host(*running(XEN_ONLY), found(other)), FILE, RUNNING)
    assert verdict is PRESENT and "there is no build-id to compare" in words


MENU = """\
== /boot/grub/grub.cfg
set default="0"
menuentry 'Linux' {
linux /boot/vmlinuz-%s root=/dev/vda
}"""


def following(release, *images):
    return [
        says("cmdline", "BOOT_IMAGE=/boot/vmlinuz-6.1.0 root=/dev/vda"),
        says("boot_configuration", MENU % release),
        says("boot_images", "\n".join(images)),
    ]


NEWER = "Linux version 6.2.0 (builder@host) #1 SMP Debian 6.2.0-1"
PLACE_OF_NEWER = "/usr/lib/debug/boot/vmlinux-6.2.0"
IMAGE_OF_NEWER = "/boot/vmlinuz-6.2.0:6.2.0 (builder@host) #1 SMP Debian 6.2.0-1"


@pytest.mark.parametrize(
    ("boot", "files", "verdict"),
    [
        (following("6.1.0", f"/boot/vmlinuz-6.1.0:6.1.0 {BUILT}"), [{}], NOT_APPLICABLE),
        (following("6.2.0", IMAGE_OF_NEWER), [], NOT_APPLICABLE),
        (following("6.2.0", IMAGE_OF_NEWER), [{}], PRESENT),
        (following("6.2.0", IMAGE_OF_NEWER), [{"build_id": OTHER}], NOT_APPLICABLE),
        (following("6.2.0", IMAGE_OF_NEWER), [{}, {"path": PLACE_OF_NEWER, "banner": NEWER}], ABSENT),
        (following("6.2.0", IMAGE_OF_NEWER), [{"path": PLACE_OF_NEWER, "banner": NEWER, "debug": False}], PRESENT),
        (following("6.2.0", IMAGE_OF_NEWER), [{"path": PLACE_OF_NEWER, "banner": NEWER.replace("#1", "#2")}], PRESENT),
        (following("6.2.0", "/boot/vmlinuz-6.2.0:"), [{"path": PLACE_OF_NEWER, "banner": NEWER}], UNDETERMINED),
        # an update of the package kept the release, and made another build of it
        (following("6.1.0", "/boot/vmlinuz-6.1.0:6.1.0 (builder@host) #2 SMP Debian 6.1.0-2"), [{}], PRESENT),
        (following("cur"), [{}], UNDETERMINED),
        ([denied("boot_configuration")], [{}], UNDETERMINED),
        ([denied("boot_configuration")], [], NOT_APPLICABLE),
    ],
)
def test_next(vmlinux, boot, files, verdict):
    got, words = ask(host(*running(), *boot, found(*(vmlinux(**one) for one in files))), FILE, NEXT)
    assert got is verdict, words


DUMP = kdump()
OLD_DUMP = kdump(Plan(notes=notes(VMCOREINFO.replace(b"BUILD-ID", b"NOTHING"))))
PLACE_OF_DUMP = f"/usr/lib/debug/lib/modules/{RELEASE}/vmlinux"


def dumped(dump, path="/var/crash/2026/vmcore"):
    return [
        says("dump_listing", f"folder /var/crash\ndump {len(dump)} 1 {path}"),
        says("stored_dumps", f"file {path}\nsize {len(dump)}\nmtime 1\n@0 {dump.hex()}"),
    ]


@pytest.mark.parametrize(
    ("dump", "files", "verdict"),
    [
        (DUMP, [{"build_id": BUILD_ID}], ABSENT),
        (DUMP, [{}], PRESENT),
        (DUMP, [{"path": "/srv/it.xz", "given": True, "packed": True, "build_id": BUILD_ID}], UNDETERMINED),
        (DUMP, [{"path": f"{PLACE_OF_DUMP}.xz", "packed": True, "build_id": BUILD_ID}], ABSENT),
        (DUMP, [{}, {"path": "/srv/any", "build_id": BUILD_ID}], ABSENT),
        (DUMP, [{"path": f"{PLACE}-50-amd64-dbg"}], NOT_APPLICABLE),
        (DUMP, [{"path": "/srv/any", "given": True, "banner": f"Linux version {RELEASE} {BUILT}"}], PRESENT),
        (DUMP, [{"path": "/srv/any", "given": True}], NOT_APPLICABLE),  # it is of another kernel than the dump
        (DUMP, [], NOT_APPLICABLE),
        (OLD_DUMP, [{"banner": f"Linux version {RELEASE} (a@b) {VERSION}"}], ABSENT),
        (OLD_DUMP, [{"banner": f"Linux version {RELEASE} (a@b) #2 SMP"}], PRESENT),
        (OLD_DUMP, [{"banner": "none"}], UNDETERMINED),
    ],
)
def test_dumps(vmlinux, dump, files, verdict):
    texts = [vmlinux(**{"path": PLACE_OF_DUMP, **one}) for one in files]
    got, words = ask(host(*running(), *dumped(dump), found(*texts)), FILE, DUMPS)
    assert got is verdict, words


def test_a_dump_that_cannot_be_read_may_be_of_any_kernel(vmlinux):
    readings = [*running(), *dumped(DUMP), denied("stored_dumps"), found(vmlinux(PLACE_OF_DUMP))]
    assert ask(host(*readings), FILE, DUMPS)[0] is UNDETERMINED


def test_dumps_and_a_vmlinux_that_cannot_be_read(vmlinux):
    hidden = f"file {PRIVATE}\n"
    readings = [*running(), *dumped(DUMP), found(hidden, vmlinux(PLACE_OF_DUMP))]
    assert ask(host(*readings), FILE, DUMPS)[0] is UNDETERMINED


def test_a_vmlinux_that_was_named_for_a_dump_is_not_held_against_the_running_kernel(vmlinux):
    named = vmlinux(path="/srv/old", given=True, build_id=BUILD_ID)
    here = host(*running(), *dumped(DUMP), found(named))
    assert ask(here, FILE, DUMPS)[0] is ABSENT
    assert ask(here, FILE, RUNNING)[0] is NOT_APPLICABLE
    assert ask(host(*running(), found(named)), FILE, RUNNING)[0] is PRESENT  # there is no such dump
