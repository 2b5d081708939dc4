"""Kernels judged before they run: the packaged configuration with changes, on disk and read by the probe's own shell."""

import os
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from kdump.catalogue import suite_facts
from kdump.fact import CATALOGUE, UID, Knowledge, of_kernels
from kdump.kernels import overlaid, read_here
from kdump.probe import library
from kdump.transcript import Reading, Transcript
from kdump.verdict import Verdict
from selftests.judging import ask, says
from selftests.kernel_trees import RELEASE, VERSION, build_tree, package, x86_image
from selftests.unit.test_cause_dracut_modules_missing import (
    DRACUT,
    DRACUT_050,
    DRACUT_055,
    DRACUT_059,
    DRACUT_107,
    GATE,
    NO_GATE,
)

RED, GREEN, NOT_APPLICABLE, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED
CALL, CAPTURE = "kernel_can_load_a_capture_kernel", "kernel_can_be_a_capture_kernel"
NEXT = "initramfs_of_this_kernel_will_have_its_modules"
suite_facts()


def read(folder, release=RELEASE):
    """What the probe says of a kernel in a folder of this machine."""
    return read_here(
        of_kernels([fact for fact in CATALOGUE.values() if getattr(fact, "of_a_kernel", False)], [release]), str(folder)
    )


def says_of(fact, text="", errors="", status=0, release=RELEASE):
    return Reading(CATALOGUE[fact].for_kernel(release).command, text, errors, status)


def judge(known, file, test, **parameters):
    return ask(known, f"qualification/kernel_{file}", test, kernel=RELEASE, **parameters)


def kdumpctl(*readings):
    """A host of kdumpctl."""
    return Transcript.of(
        [
            Reading(UID, "0", "", 0),
            says("kernel_machine", "x86_64"),
            says("kdump_userspace", "/usr/bin/kdumpctl"),
            says("squash_tools", "/usr/sbin/mksquashfs"),
            says("dracut_args", "", "", 1),
            says("dracut_omissions", DRACUT),
            *readings,
        ]
    )


def host_loading_by(call):
    default = {
        "kexec_load": "-c, --kexec-syscall",
        "kexec_file_load": "-s, --kexec-file-syscall",
        "either": "-a, --kexec-syscall-auto",
    }
    return kdumpctl(
        says("kdump_sysconfig", ""),
        says("file_load_switch", "", "", 1),
        says("secure_boot", "", "od: /sys: No such file or directory", 1),
        says("kexec_default", f" -p, --load-panic Load\n {default[call]} Use it (default)"),
    )


@pytest.mark.parametrize(
    ("file", "test", "changes", "call", "verdict", "words"),
    [
        ("without_kexec", CALL, {}, None, GREEN, ""),
        ("without_kexec", CALL, {"KEXEC": None, "KEXEC_FILE": None, "CRASH_DUMP": None}, None, RED, "neither CONFIG_KEXEC"),
        ("without_kexec", CALL, {"KEXEC": None}, None, GREEN, ""),
        ("without_kexec", CALL, {"KEXEC": None}, "kexec_load", RED, "CONFIG_KEXEC is not set"),
        ("without_kexec", CALL, {"KEXEC": None}, "either", GREEN, ""),
        ("without_kexec", CALL, {"KEXEC_FILE": None}, "kexec_file_load", RED, "CONFIG_KEXEC_FILE is not set"),
        ("without_kexec", CALL, {"KEXEC_FILE": None}, "either", GREEN, ""),
        ("without_kexec", CAPTURE, {}, None, GREEN, ""),
        ("without_kexec", CAPTURE, {"CRASH_DUMP": None, "PROC_VMCORE": None}, None, RED, "PROC_VMCORE"),
        ("without_kexec", CAPTURE, {"RELOCATABLE": None}, None, RED, "RELOCATABLE"),
        ("without_kexec", CAPTURE, {"RELOCATABLE": None, "X86": None, "X86_64": None, "ARM64": "y"}, None, GREEN, ""),
        ("without_kexec", "kexec_can_describe_the_kernel", {"KALLSYMS": None}, "kexec_load", RED, "every second boot"),
        ("without_kexec", "kexec_can_describe_the_kernel", {"PROC_KCORE": None}, "kexec_load", RED, "PROC_KCORE"),
        ("without_kexec", "kexec_can_describe_the_kernel", {"PROC_KCORE": None, "KEXEC_FILE": None}, "either", RED, "kexec_load"),
        ("without_kexec", "kexec_can_describe_the_kernel", {"PROC_KCORE": None}, "either", NOT_APPLICABLE, "itself"),
        ("without_kexec", "kexec_can_describe_the_kernel", {}, "kexec_load", GREEN, ""),
        ("without_debuginfo", "kernel_is_built_with_debug_information", {}, None, GREEN, ""),
        ("without_debuginfo", "kernel_is_built_with_debug_information", {"DEBUG_INFO": None}, None, RED, "no DWARF"),
        ("without_debuginfo", "kernel_is_built_with_debug_information", {"DEBUG_INFO_REDUCED": "y"}, None, RED, "REDUCED"),
    ],
)
def test_configurations(tmp_path, file, test, changes, call, verdict, words):
    known = read(package(tmp_path / "kernel", changes))
    if call:
        known = overlaid(host_loading_by(call), known)
    found, said = judge(known, file, test)
    assert (found, words in said) == (verdict, True), said


ABSENT, BUILT_IN = {"BLK_DEV_LOOP": None}, {"BLK_DEV_LOOP": "y"}


@pytest.mark.parametrize("layout", ["package", "configured", "built"])
@pytest.mark.parametrize(
    ("rules", "changes", "verdict", "words"),
    [
        (f"{DRACUT_050}\n{GATE}", {}, GREEN, ""),
        (f"{DRACUT_050}\n{GATE}", BUILT_IN, RED, "built into the kernel: the next build"),
        (f"{DRACUT_050}\n{GATE}", ABSENT, GREEN, ""),  # the gate leaves squash out
        (f"{DRACUT_055}\n{GATE}", BUILT_IN, GREEN, ""),
        (f"{DRACUT_059}\n{NO_GATE}", ABSENT, RED, "missing"),
        (f"{DRACUT_059}\n{NO_GATE}", BUILT_IN, GREEN, ""),
    ],
)
def test_squash_modules_by_the_rules_of_the_installed_dracut(tmp_path, layout, rules, changes, verdict, words):
    folder = tmp_path / "kernel"
    tree = package(folder, changes) if layout == "package" else build_tree(folder, changes, built=layout == "built")
    release = RELEASE if layout != "configured" else "6.1.187"
    known = overlaid(kdumpctl(says("installed_squash_rules", rules)), read(tree, release))
    found, said = ask(known, "qualification/kernel_dracut_modules", NEXT, kernel=release, module="loop")
    assert (found, words in said) == (verdict, True), said
    assert ask(known, "qualification/kernel_dracut_modules", NEXT, kernel=release, module="overlay")[0] is not RED


@pytest.mark.parametrize("layout", ["package", "usr-merged package", "built"])
def test_names_of_all_modules(tmp_path, layout):
    folder = tmp_path / "kernel"
    tree = build_tree(folder, BUILT_IN, built=True) if layout == "built" else package(folder, BUILT_IN)
    if layout == "usr-merged package":  # as Fedora's and SUSE's are: everything lies in one folder
        modules = tree / "usr/lib/modules"
        modules.parent.mkdir(parents=True)
        (tree / "lib/modules").rename(modules)
        (tree / f"boot/config-{RELEASE}").rename(modules / RELEASE / "config")
        (tree / f"boot/vmlinuz-{RELEASE}").rename(modules / RELEASE / "vmlinuz")
    known = Knowledge(read(tree), RELEASE)
    assert known.get("kernel_module_names") == {"squashfs", "erofs", "loop", "overlay"}
    assert known.get("image_identity").release == RELEASE
    assert known.get("judged_options").set("OVERLAY_FS")


@pytest.mark.parametrize(("changes", "verdict"), [({}, GREEN), ({"SQUASHFS_ZSTD": None}, RED)])
def test_compressor_of_the_squash_image(tmp_path, changes, verdict):
    host = kdumpctl(says("installed_squash_rules", f"{DRACUT_107}\n{NO_GATE}"))
    known = overlaid(host, read(package(tmp_path / "kernel", changes)))
    assert judge(known, "dracut_modules", "initramfs_of_this_kernel_is_compressed_in_a_way_it_knows")[0] is verdict


IMAGE, INDEX = f"image 9 /boot/vmlinuz-{RELEASE}", f"index 9 /lib/modules/{RELEASE}/modules.dep"


@pytest.mark.parametrize(
    ("readings", "test", "verdict", "words"),
    [
        (
            ["installed", IMAGE, INDEX],
            "image_is_there",
            GREEN,
            "",
        ),
        (["installed", INDEX], "image_is_there", RED, "no image"),
        (["installed", IMAGE], "modules_are_indexed", RED, "depmod"),
        (["package", IMAGE], "modules_are_indexed", NOT_APPLICABLE, "depmod"),
        (["build tree"], "image_is_there", NOT_APPLICABLE, "not built yet"),
        (None, "image_is_there", UNKNOWN, "denied"),
    ],
)
def test_parts(readings, test, verdict, words):
    parts = (
        says_of("kernel_parts", "\n".join(readings)) if readings else says_of("kernel_parts", "", "/boot: Permission denied", 1)
    )
    known = Transcript.of([Reading(UID, "0", "", 0), says_of("kernel_presence", f"{RELEASE}\n{RELEASE}"), parts])
    found, said = judge(known, "incomplete", test)
    assert (found, words in said) == (verdict, True), said


def test_release_that_is_not_installed_is_one_sentence():
    known = Transcript.of([Reading(UID, "0", "", 0), says_of("kernel_presence", f"{RELEASE}\n5.10.0-9\n6.1.0-1")])
    assert judge(known, "incomplete", "image_is_there") == (
        UNKNOWN,
        f"kernel {RELEASE} is not installed here; there is: 5.10.0-9, 6.1.0-1",
    )


def test_image_under_another_name(tmp_path):
    known = read(package(tmp_path / "kernel", image=x86_image("6.1.0-9-amd64")))
    found, said = judge(known, "incomplete", "image_is_of_this_release")
    assert (found, "is of 6.1.0-9-amd64" in said) == (RED, True), said


@pytest.mark.parametrize(
    ("banner", "verdict", "words"),
    [
        (f"Linux version {RELEASE} (a@b) (gcc (Debian) 12) {VERSION}", GREEN, ""),
        (f"Linux version {RELEASE} (a@b) (gcc (Debian) 12) #2 SMP PREEMPT_DYNAMIC", RED, "is of 6.1.0-56-amd64 #2"),
        ("", UNKNOWN, "does not say"),
    ],
)
def test_vmlinux_of_another_build(tmp_path, banner, verdict, words):
    tree = build_tree(tmp_path / "kernel", built=True)
    (tree / "vmlinux").write_bytes(_elf(banner.encode() + b"\n\0"))
    found, said = judge(read(tree), "vmlinux_mismatch", "vmlinux_at_hand_is_of_this_build")
    assert (found, words in said) == (verdict, True), said


def _elf(content):
    """An x86_64 ELF executable with DWARF and some content, no more."""
    names = b"\0.debug_info\0.rodata\0.shstrtab\0"
    at = 64 + len(content)
    sections = [(0, 0, 0, 0), (1, 1, 64, 1), (13, 1, 64, len(content)), (21, 3, at, len(names))]
    table = b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, start, size, 0, 0, 1, 0) for name, kind, start, size in sections
    )
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, at + len(names), 0, 64, 56, 0, 64, len(sections), 3)
    return header + content + names + table


@pytest.mark.parametrize(
    ("part", "file", "test"),
    [("boot/config", "without_kexec", CAPTURE), ("boot/vmlinuz", "incomplete", "image_is_of_this_release")],
)
def test_a_pipe_in_a_tree_is_not_read(tmp_path, part, file, test):
    path = package(tmp_path / "kernel") / f"{part}-{RELEASE}"
    path.unlink()
    os.mkfifo(path)
    found, said = judge(read(tmp_path / "kernel"), file, test)
    assert (found, "is neither a file nor a folder" in said) == (UNKNOWN, True), said


def test_a_link_to_a_kernel_of_this_machine_is_not_followed(tmp_path):
    machine, tree = tmp_path / "machine", package(tmp_path / "kernel")
    machine.mkdir()
    image = tree / f"boot/vmlinuz-{RELEASE}"
    image.rename(machine / "vmlinuz")
    image.symlink_to(machine / "vmlinuz")
    (tree / f"boot/config-{RELEASE}").rename(tree / "config")
    (tree / f"boot/config-{RELEASE}").symlink_to("../config")
    shell = library().replace("/usr/lib/modules/*)", f"'{machine}'/*)") + f"\nkernel_root='{tree}'\nkernel_place "
    image, config = (
        subprocess.run(["sh", "-c", f"{shell}{kind} {RELEASE}"], capture_output=True, text=True, check=False)
        for kind in ("image", "config")
    )
    assert (image.stdout, image.returncode) == ("", 65) and f"leads to {machine}" in image.stderr
    assert config.stdout.strip() == str(tree / f"boot/config-{RELEASE}")


@pytest.mark.parametrize("closed", ["boot", "lib/modules", f"lib/modules/{RELEASE}", f"lib/modules/{RELEASE}/kernel/drivers"])
def test_a_folder_of_a_tree_that_cannot_be_entered_is_no_empty_one(closed):
    anybody = 65534 if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="kdump-tree-") as folder:  # pytest's own cannot be entered by another user
        tree = package(Path(folder))
        (tree / closed).mkdir(exist_ok=True, parents=True)
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o755)
        (tree / closed).chmod(0)
        shell = f"{library()}\nkernel_root='{tree}'\n"
        modules, files = (
            subprocess.run(["sh"], input=shell + command, capture_output=True, text=True, check=False, user=anybody, cwd="/")
            for command in (f"kernel_modules {RELEASE} nothere", f"kernel_files {RELEASE}")
        )
        (tree / closed).chmod(0o755)
    assert modules.returncode == 1 and modules.stdout == "" and "Permission denied" in modules.stderr
    assert (files.returncode == 0) is closed.endswith("drivers")
