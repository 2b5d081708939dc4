"""2.1: red, green and cannot-know, against what real capture kernels did."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdump import recording
from kdump.capture_memory import UNBOUNDED, Inputs, file_system_limit, needed
from kdump.fact import Knowledge
from kdump.facts.kernel import CommandLine
from kdump.parsers.capture_hazards import hazards
from kdump.transcript import Reading, Transcript
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says

M = 1 << 20
# linux 6.1.0-56-amd64 with kdump-tools 1.8.1: a real machine's /proc/iomem, image, listing and modules
DEBIAN12 = Inputs(
    reserved=256 * M,
    ram=1023 * M,
    kernel_image=14343 * 1024 + 9132 * 1024 + 2338 * 1024 + 17344 * 1024,
    same_kernel=True,
    page=4096,
    image=7755599,
    unpacked=20254720,
    capture_cpus=1,
    percpu=380 * 1024,
    modules={"ext4": 983040, "libata": 409600, "virtio_net": 73728, "virtio_blk": 28672, "virtio_ring": 49152},
    in_image={"ext4", "libata", "virtio_blk", "virtio_ring"},
    boots_real_root=True,
    luks=0,
)
# linux 6.12 with an initramfs of 11 MiB that unpacks to 36 MiB
DEBIAN13 = replace(DEBIAN12, kernel_image=(16384 + 2499 + 11828 + 4896) * 1024, image=11 * M, unpacked=36 * M, ram=2047 * M)


def verdict(host: Inputs, size: int) -> str:
    found = needed(replace(host, reserved=size * M))
    return "present" if found.reserved < found.least else "absent" if found.reserved >= found.safe else "unknown"


@pytest.mark.parametrize(
    ("host", "size", "fate"),
    [
        # crashed for real with each size: fate of the dump
        (DEBIAN12, 64, "died"),  # cannot even be loaded
        (DEBIAN12, 96, "died"),
        (DEBIAN12, 100, "died"),
        (DEBIAN12, 104, "died"),
        (DEBIAN12, 112, "dumped"),  # after the OOM killer took a udev worker
        (DEBIAN12, 128, "dumped"),
        (DEBIAN12, 144, "dumped"),
        (DEBIAN12, 160, "dumped"),
        (DEBIAN12, 256, "dumped"),
        (DEBIAN13, 96, "died"),
        (DEBIAN13, 256, "dumped"),
    ],
)
def test_no_real_crash_contradicts_the_verdict(host: Inputs, size: int, fate: str) -> None:
    assert verdict(host, size) in {"died": ("present", "unknown"), "dumped": ("absent", "unknown")}[fate]


def test_clear_cases_are_clear() -> None:
    assert [verdict(DEBIAN12, size) for size in (64, 96, 160, 256)] == ["present", "present", "absent", "absent"]
    assert [verdict(DEBIAN13, size) for size in (96, 192, 256)] == ["present", "absent", "absent"]
    assert "initramfs unpacked 19.3 MiB" in needed(DEBIAN12).breakdown
    assert needed(DEBIAN12).recommended % (64 * M) == 0


@pytest.mark.parametrize(
    ("changed", "size", "now"),
    [
        ({"unpacked": None}, 256, "absent"),  # six times the packed size would still fit
        ({"unpacked": None}, 128, "unknown"),
        ({"kernel_image": None}, 80, "unknown"),
        ({"same_kernel": False}, 160, "unknown"),
        ({"luks": UNBOUNDED}, 1024, "unknown"),
        ({"luks": UNBOUNDED}, 64, "present"),
        ({"luks": 1024 * M}, 512, "unknown"),
        ({"unpacked": 300 * M, "image": 90 * M}, 256, "present"),
        ({"capture_cpus": 128, "percpu": 2 * M}, 256, "unknown"),
        ({"modules": {"mlx5_core": 2 * M}}, 256, "unknown"),
        ({"network": True}, 160, "unknown"),
        ({"swiotlb": 64 * M}, 192, "unknown"),
        ({"encrypted": True}, 192, "unknown"),
        ({"min_free": 64 * M}, 192, "unknown"),
        ({"min_free": 192 * M}, 256, "present"),
        ({"min_free": 64 * M}, 512, "absent"),
        ({"open_ended": "KASAN"}, 1024, "unknown"),
        ({"open_ended": "KASAN"}, 64, "present"),
        ({"above_4g": True}, 1024, "unknown"),
        ({"above_4g": True}, 64, "present"),
        ({"page": 65536}, 512, "unknown"),  # an SMMU may take most of it
        ({"boots_real_root": False, "modules": {"mlx5_core": 2 * M}}, 256, "absent"),  # not in the image
    ],
)
def test_what_is_unknown_widens_the_verdict(changed: dict[str, object], size: int, now: str) -> None:
    assert verdict(replace(DEBIAN12, **changed), size) == now  # type: ignore[arg-type]


def test_what_has_no_bound_is_not_recommended() -> None:
    assert needed(replace(DEBIAN12, open_ended="KASAN")).remedy.startswith("reserve at least 256 MiB (kernel ")
    assert needed(replace(DEBIAN12, open_ended="KASAN")).remedy.endswith("; KASAN)")
    assert needed(DEBIAN12).remedy.startswith("reserve 256 MiB (kernel ")


@given(st.integers(16, 4096), st.integers(1, 200), st.integers(1, 400), st.integers(1, 64))
def test_least_never_exceeds_safe_and_more_memory_never_hurts(size: int, image: int, unpacked: int, cpus: int) -> None:
    host = replace(DEBIAN12, image=image * M, unpacked=unpacked * M, capture_cpus=cpus)
    found = needed(replace(host, reserved=size * M))
    assert 0 < found.least <= found.safe <= found.recommended
    order = ["present", "unknown", "absent"]
    assert order.index(verdict(host, size)) <= order.index(verdict(host, size + 64))


def test_a_tmpfs_root_holds_half_of_the_memory() -> None:
    least, most = file_system_limit(DEBIAN12, (50, 50))
    assert 80 * M < least < most < 100 * M
    assert file_system_limit(DEBIAN12, (50, 90))[1] > 160 * M


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("ro nr_cpus=1 reset_devices", 0),
        ("default_hugepagesz=1G", 0),
        ("hugepages=8", 0),
        ("hugepages=512", 1),
        ("hugepagesz=1G hugepages=1", 1),
        ("default_hugepagesz=1G hugepages=0:1,1:1", 1),
        ("hugetlb_cma=0 cma=0", 0),
        ("cma=128M", 1),
        ("slub_debug=FZP page_owner=on", 2),
        ("mem=128M", 1),
        ("mem=4G mem=nopentium", 0),
        ("mem=250M", 0),
        ("log_buf_len=1M", 0),
    ],
)
def test_hazards_on_the_capture_command_line(words: str, count: int) -> None:
    assert len(hazards(CommandLine.parse(words), 256 * M)) == count


HEALTHY = recording.load(Path(__file__).parents[2] / "recordings" / "debian12-healthy.transcript")
BOOT = HEALTHY.readings["boot_configuration"]


@pytest.mark.parametrize(
    ("boot", "found"),
    [
        (BOOT, Verdict.NOT_APPLICABLE),  # it asks for what is reserved now
        (replace(BOOT, text=BOOT.text.replace("=256M", "=64M")), Verdict.PRESENT),
        (replace(BOOT, text=BOOT.text.replace("=256M", "=112M")), Verdict.UNDETERMINED),
        (replace(BOOT, text=BOOT.text.replace("=256M", "=176M")), Verdict.ABSENT),
        # another kernel, which may need more
        (replace(BOOT, text=BOOT.text.replace("=256M", "=176M").replace("6.1.0-56-amd64", "6.12.9")), Verdict.UNDETERMINED),
        (replace(BOOT, text=BOOT.text.replace("crashkernel=256M", "")), Verdict.NOT_APPLICABLE),  # another cause
        (denied("boot_configuration"), Verdict.UNDETERMINED),
    ],
)
def test_next_boot(boot: Reading, found: Verdict) -> None:
    transcript = host(*HEALTHY.readings.values(), boot)
    assert ask(transcript, "crashkernel_too_small", "next_boot_reserves_enough_for_it_too")[0] is found


KDUMPCTL = recording.load(Path(__file__).parents[2] / "recordings" / "kdumpctl-healthy.transcript")
ENOUGH, ROOM, FREE = (
    "reservation_covers_what_the_capture_kernel_needs",
    "unpacked_initramfs_fits_into_its_file_system",
    "capture_command_line_leaves_memory_free",
)


def appended(words: str) -> Reading:
    settings = KDUMPCTL.readings[says("kdump_sysconfig").command]
    return replace(settings, text=f'{settings.text}\nKDUMP_COMMANDLINE_APPEND="nr_cpus=1 {words}"')


def unpacked(size: int) -> Reading:
    listing = KDUMPCTL.readings[says("initramfs").command]
    return replace(listing, text=re.sub(r"(?m)^total .*", f"total {size} {size} 412", listing.text))


MIN_FREE = "/etc/sysctl.d/10-db.conf\n/etc/sysctl.d/10-db.conf:vm.min_free_kbytes = {}"


@pytest.mark.parametrize(
    ("reading", "found"),
    [
        (says("memory_sysctl_at_boot", MIN_FREE.format(262144)), Verdict.PRESENT),
        (says("memory_sysctl_at_boot", MIN_FREE.format(1024)), Verdict.ABSENT),
        (says("memory_sysctl_at_boot", MIN_FREE.format("much")), Verdict.UNDETERMINED),
        (denied("memory_sysctl_at_boot"), Verdict.UNDETERMINED),
    ],
)
def test_memory_that_a_booted_system_keeps_free(reading: Reading, found: Verdict) -> None:
    verdict, words = ask(host(*HEALTHY.readings.values(), reading), "crashkernel_too_small", ENOUGH)
    assert verdict is found, words
    assert ask(host(*KDUMPCTL.readings.values(), reading), "crashkernel_too_small", ENOUGH)[0] is Verdict.ABSENT


@pytest.mark.parametrize(
    ("test", "readings", "found"),
    [
        (ENOUGH, [], Verdict.ABSENT),
        (ENOUGH, [unpacked(200 * M)], Verdict.PRESENT),
        (ENOUGH, [says("luks_memory", "/dev/vda unreadable"), denied("initramfs")], Verdict.UNDETERMINED),
        (ENOUGH, [denied("address_map")], Verdict.UNDETERMINED),
        (ROOM, [], Verdict.ABSENT),
        (ROOM, [unpacked(250 * M)], Verdict.PRESENT),
        (ROOM, [unpacked(120 * M), appended("initramfs_options=size=90%")], Verdict.UNDETERMINED),  # older kernels ignore it
        (ROOM, [unpacked(120 * M), appended("quiet")], Verdict.PRESENT),
        (ROOM, [denied("initramfs")], Verdict.UNDETERMINED),
        (FREE, [], Verdict.ABSENT),
        (FREE, [appended("hugepages=512")], Verdict.PRESENT),
        # the reservation is from 576 to 832 MiB: on x86 mem= is an address, elsewhere an amount
        (FREE, [appended("mem=512M")], Verdict.PRESENT),
        (FREE, [appended("mem=700M")], Verdict.PRESENT),
        (FREE, [appended("mem=4G mem=nopentium")], Verdict.ABSENT),
        (FREE, [appended("mem=512M"), says("kernel_machine", "aarch64")], Verdict.ABSENT),
        (FREE, [appended("mem=128M"), denied("address_map")], Verdict.PRESENT),
        (FREE, [appended("mem=512M"), denied("address_map")], Verdict.UNDETERMINED),
        (FREE, [denied("kdump_sysconfig")], Verdict.UNDETERMINED),
    ],
)
def test_verdicts(test: str, readings: list[Reading], found: Verdict) -> None:
    verdict, words = ask(host(*KDUMPCTL.readings.values(), *readings), "crashkernel_too_small", test)
    assert verdict is found, words


HIGH = "100000000-17fffffff : System RAM\n  160000000-16fffffff : Crash kernel"


@pytest.mark.parametrize(
    ("low", "total", "found"),
    [
        ("00100000-3ffdffff : System RAM\n  2c000000-307fffff : Crash kernel", 2600, Verdict.ABSENT),
        ("00100000-3ffdffff : System RAM", 2680, Verdict.UNDETERMINED),
        ("00001000-0009ffff : System RAM", 1690, Verdict.ABSENT),  # a machine with nothing there
    ],
)
def test_a_reservation_above_4_gib_needs_a_part_below(low: str, total: int, found: Verdict) -> None:
    map_ = KDUMPCTL.readings[says("address_map").command]
    kernel = "\n".join(line for line in map_.text.splitlines() if "Kernel" in line)
    info = KDUMPCTL.readings[says("meminfo").command]
    lines = re.sub(r"(?m)^MemTotal:.*", f"MemTotal: {total << 10} kB", info.text)
    readings = [replace(map_, text=f"{low}\n{kernel}\n{HIGH}"), replace(info, text=lines), says("crash_size", str(256 * M))]
    machine = host(*KDUMPCTL.readings.values(), *readings)
    verdict, words = ask(machine, "crashkernel_too_small", ENOUGH)
    assert verdict is found, words
    assert found is Verdict.ABSENT or "below" in words


def mem_total(kept: int) -> list[Reading]:
    """A machine of 16 GiB, whose kernel keeps so many MiB for itself, besides its image, the reservation and page structures."""
    map_ = KDUMPCTL.readings[says("address_map").command]
    ram = replace(map_, text=f"{map_.text}\n100000000-4bfffffff : System RAM")
    total = 1023 + 15 * 1024 - 256 - 42 - 256 - kept
    info = KDUMPCTL.readings[says("meminfo").command]
    return [ram, replace(info, text=re.sub(r"(?m)^MemTotal:.*", f"MemTotal: {total << 10} kB", info.text))]


VERSION = "[    0.00] Linux version 6.1.0-56-amd64 (gcc-12)"
SANITIZED = says("crashkernel_log", f"{VERSION}\n[    0.01] kasan: KernelAddressSanitizer initialized (generic)")
CUT = says("crashkernel_log", "[    0.02] Reserving 256MB of memory at 576MB for crashkernel (System RAM: 1023MB)")
BALLOON = says("loaded_modules", "virtio_balloon 28672\next4 983040")
BALLOON_BUILT_IN = says("built_in_modules", "kernel/drivers/virtio/virtio_balloon.ko")


def listing_with(name: str) -> Reading:
    listing = KDUMPCTL.readings[says("initramfs").command]
    return replace(
        listing, text=re.sub(r"(?m)^total ", f"file 1 usr/lib/modules/6.1.0-56-amd64/kernel/{name}.ko\ntotal ", listing.text)
    )


@pytest.mark.parametrize(
    ("readings", "found", "why"),
    [
        (mem_total(300), Verdict.ABSENT, ""),
        # what the running kernel takes, another one does not
        ([*mem_total(2100), SANITIZED, says("kernel_release", "6.1.0-kasan")], Verdict.ABSENT, ""),
        ([*mem_total(2100), CUT, says("kernel_release", "6.1.0-56-amd64+debug")], Verdict.ABSENT, ""),
        ([*mem_total(300), SANITIZED], Verdict.UNDETERMINED, "KernelAddressSanitizer"),
        ([*mem_total(2100), SANITIZED, BALLOON], Verdict.UNDETERMINED, "KernelAddressSanitizer"),
        ([*mem_total(2100), CUT], Verdict.UNDETERMINED, "KASAN"),
        ([*mem_total(2100), denied("crashkernel_log"), BALLOON], Verdict.UNDETERMINED, "KASAN"),
        (mem_total(2100), Verdict.UNDETERMINED, "what takes that is not known"),
        # a balloon: the capture kernel inflates it as well, if it has the driver
        ([*mem_total(2100), BALLOON], Verdict.ABSENT, ""),
        ([*mem_total(6000), BALLOON], Verdict.ABSENT, ""),
        ([*mem_total(2100), BALLOON, listing_with("virtio_balloon")], Verdict.UNDETERMINED, "inflate"),
        ([*mem_total(2100), BALLOON, BALLOON_BUILT_IN], Verdict.UNDETERMINED, "inflate"),
        ([*mem_total(2100), BALLOON, denied("built_in_modules")], Verdict.UNDETERMINED, "built in is not known"),
        ([*mem_total(2100), BALLOON, denied("initramfs")], Verdict.UNDETERMINED, "inflate"),
        ([*mem_total(300), BALLOON, listing_with("virtio_balloon")], Verdict.ABSENT, ""),  # it holds next to nothing
        # arm64 has a KASAN that takes half as much
        ([*mem_total(1100), CUT], Verdict.ABSENT, ""),
        ([*mem_total(1100), CUT, says("kernel_machine", "aarch64")], Verdict.UNDETERMINED, "KASAN"),
        ([*mem_total(1100), CUT, denied("kernel_machine")], Verdict.UNDETERMINED, "KASAN"),
        ([*mem_total(300), says("kernel_machine", "aarch64")], Verdict.ABSENT, ""),
        ([*mem_total(2100), unpacked(300 * M)], Verdict.PRESENT, "dies"),
        ([says("kernel_release", "6.4.0+debug"), says("capture_release", "6.4.0+debug")], Verdict.UNDETERMINED, "KASAN"),
    ],
)
def test_a_kernel_for_debugging(readings: list[Reading], found: Verdict, why: str) -> None:
    verdict, words = ask(host(*KDUMPCTL.readings.values(), *readings), "crashkernel_too_small", ENOUGH)
    assert (verdict, why in words) == (found, True), words


@pytest.mark.parametrize(
    ("log", "encrypted"),
    [
        ("[    0.53] Memory Encryption Features active: AMD SEV SEV-ES", True),
        ("[    0.53] AMD Memory Encryption Features active: SME", True),
        ("[    0.00] Linux version 6.1.0\n[    0.53] Memory Encryption Features active: Intel TDX", False),
        ("[    0.00] Linux version 6.1.0-56-amd64", False),
        (None, True),  # a log that may not be read tells nothing, nor does one without its beginning
        ("", True),
    ],
)
def test_encrypted_memory_is_told_by_the_kernels_log(log, encrypted):
    real = recording.load(Path(__file__).parents[2] / "recordings/debian12-healthy.transcript")
    known = Knowledge(
        Transcript.of([*real.readings.values(), denied("crashkernel_log") if log is None else says("crashkernel_log", log)])
    )
    assert known.get("capture_inputs").encrypted is encrypted
