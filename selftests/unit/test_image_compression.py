"""Whether the capture kernel can undo the compression of its initramfs: red, green and cannot-know."""

from __future__ import annotations

import pytest

from kdump.fact import CATALOGUE
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, says

RED, GREEN, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.UNDETERMINED
RELEASE = "6.1.0-self"
ASKED = ("dump_disk_not_visible", "capture_kernel_can_unpack_its_initramfs")
GZIP, ZSTD, PLAIN = "magic 1f8b08000000\n", "magic 28b52ffd0458\n", "magic 303730373031\n"
EVERY = ("GZIP", "BZIP2", "LZMA", "XZ", "LZO", "LZ4", "ZSTD")


@pytest.mark.parametrize(
    ("magics", "options", "verdict"),
    [
        (GZIP, ("GZIP", "XZ"), GREEN),
        (ZSTD, ("GZIP", "XZ"), RED),
        (PLAIN + ZSTD, ("GZIP", "ZSTD"), GREEN),  # microcode in front
        (PLAIN + ZSTD, ("GZIP",), RED),
        (GZIP + ZSTD, ("GZIP",), RED),
        (PLAIN, (), GREEN),  # as dracut leaves a squashed one
        (PLAIN, None, GREEN),
        ("magic 04224d186440\n", EVERY, RED),  # lz4 frames: no kernel knows them, only "lz4 -l"
        ("magic 04224d186440\n", None, RED),
        ("", EVERY, GREEN),  # however it is compressed
        ("", ("GZIP", "XZ"), UNKNOWN),
        (ZSTD, None, UNKNOWN),
        (ZSTD, (), UNKNOWN),  # no such option at all: they may have other names
    ],
)
@pytest.mark.parametrize("userspace", ["/usr/bin/kdumpctl", "/usr/sbin/kdump-config"])
def test_compression_of_the_image(magics: str, options: tuple[str, ...] | None, verdict: Verdict, userspace: str) -> None:
    config = "\n".join(f"/boot/config-{RELEASE}:CONFIG_{name}=y" for name in ("KEXEC", *(f"RD_{word}" for word in options or ())))
    readings = host(
        says("kdump_userspace", userspace),
        says("kernel_release", RELEASE),
        says("capture_release", RELEASE),
        says("cmdline", "root=UUID=ab ro"),
        says("kdump_sysconfig", ""),
        says("kexec_command", '/sbin/kexec -p --command-line="root=UUID=ab ro"'),
        says("initramfs", f"image 1 1 /boot/kdump.img\n{magics}file 2 usr/bin/makedumpfile\ntotal 2 4096 1"),
        says("kernel_configurations", config) if options is not None else denied("kernel_configurations"),
    )
    found, said = ask(readings, *ASKED)
    assert found is verdict, said
    if verdict is RED and userspace == "/usr/sbin/kdump-config":  # such a root needs no initramfs, if its drivers are built in
        bare = host(*readings.readings.values(), says("kexec_command", '/sbin/kexec -p --command-line="root=/dev/vda1 ro"'))
        assert ask(bare, *ASKED)[0] is UNKNOWN


OWN, READY = (
    ("incomplete", "its_own_initramfs_can_be_unpacked"),
    ("disk_drivers", "kernel_can_unpack_the_kdump_initramfs_that_lies_ready"),
)


@pytest.mark.parametrize("asked", [OWN, READY])
@pytest.mark.parametrize(
    ("image", "options", "root", "how", "verdict"),
    [
        (GZIP, ("GZIP", "XZ"), "UUID=ab", "installed", GREEN),
        (ZSTD, ("GZIP", "XZ"), "UUID=ab", "installed", RED),
        (PLAIN + ZSTD, ("GZIP",), "UUID=ab", "installed", RED),
        (PLAIN, (), "UUID=ab", "installed", GREEN),
        (ZSTD, ("GZIP",), "/dev/vda1", "installed", UNKNOWN),  # the kernel finds that by itself, if its driver is built in
        (ZSTD, (), "UUID=ab", "installed", UNKNOWN),
        (ZSTD, None, "UUID=ab", "installed", UNKNOWN),
        (ZSTD, ("GZIP",), "UUID=ab", "package", Verdict.NOT_APPLICABLE),
        (None, ("GZIP",), "UUID=ab", "installed", Verdict.NOT_APPLICABLE),
    ],
)
def test_compression_of_a_kernel_under_judgement(
    asked: tuple[str, str], image: str | None, options: tuple[str, ...] | None, root: str, how: str, verdict: Verdict
) -> None:
    def of(fact: str, text: str, errors: str = "", status: int = 0) -> Reading:
        return Reading(CATALOGUE[fact].for_kernel(RELEASE).command, text, errors, status)  # type: ignore[attr-defined]

    listing = "" if image is None else f"image 1 1 /boot/i\n{image}file 2 usr/bin/makedumpfile\ntotal 2 4096 1"
    config = "\n".join(["file /boot/config", *(f"CONFIG_RD_{name}=y" for name in options or ()), "options 8000"])
    menu = f"menuentry 'A' {{\n linux /boot/vmlinuz-{RELEASE} root={root} ro\n}}"
    readings = host(
        says("kdump_userspace", "/usr/sbin/kdump-config"),
        says("kernel_release", RELEASE),
        says("capture_release", RELEASE),
        says("cmdline", f"root={root} ro"),
        says("kexec_command", f'/sbin/kexec -p --command-line="root={root} ro"'),
        says("boot_configuration", f"== /boot/grub/grub.cfg\n{menu}"),
        of("kernel_presence", f"{RELEASE}\n{RELEASE}"),
        of("kernel_parts", f"{how}\nimage 9 /boot/vmlinuz-{RELEASE}"),
        of("kernel_options", config if options is not None else "", "" if options is not None else "x: Permission denied"),
        of("kernel_initramfs", listing),
        of("kernel_kdump_image", listing),
    )
    file, test = asked
    found, said = ask(readings, f"qualification/kernel_{file}", test, kernel=RELEASE)
    assert found is verdict, said
