"""Reading the dump: is it whole, is there a vmlinux for it, can crash open it?"""

from __future__ import annotations

from lab.faults.model import DEBIAN12, DEBIAN13, DUMP, SILENT, Fault, Ground, NotStaged, expect

_DAMAGED = {target: expect("vmcore-damaged") for target in (DEBIAN12, DEBIAN13)}
_HARMLESS = {DEBIAN12: SILENT, DEBIAN13: SILENT}
_ENDED = r"kdump-tools: saved vmcore in|makedumpfile Failed"
_CRASHED = Ground(crash=_ENDED)
# The dump that the panic left is kept, so that many faults can be made of it.
_KEEP = f"f={DUMP}; cp -a $f /root/whole; "
_BACK = (f'f={DUMP}; cp -a /root/whole "$f"; rm -f /root/whole',)


def _cut(share: str) -> str:
    return f"{_KEEP} truncate -s $(($(stat -c %s $f) * {share})) $f"


def _vmlinux(build_id: str, path: str = "/usr/lib/debug/boot/vmlinux-$(uname -r)") -> str:
    """An ELF file with that build-id, by the machine's own assembler and linker."""
    return (
        f"mkdir -p $(dirname {path}); printf '.globl _start\\n_start: nop\\n' | as -o /tmp/one.o - && "
        f"ld --build-id=0x{build_id} -o {path} /tmp/one.o"
    )


_OTHER_BUILD = "00112233445566778899aabbccddeeff00112233"
# the last 20 bytes of the first GNU note of type 3 (build-id)
_OWN_BUILD = "$(readelf -n /sys/kernel/notes 2>/dev/null | sed -n 's/.*Build ID: //p' | head -n 1)"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "strings-removed",
        "harmless here: crash reads the banner itself since 8.0.1 (cd89540)",
        _HARMLESS,
        stage=("rm -f /usr/bin/strings /usr/bin/*-strings",),
        ci=True,
    ),
    Fault(
        "strings-elsewhere",
        "harmless here: strings is in PATH, but not where an older crash looks for it",
        _HARMLESS,
        stage=("cp -L /usr/bin/strings /usr/local/bin/ && rm -f /usr/bin/strings /usr/bin/*-strings",),
    ),
    Fault(
        "zero-byte-dump",
        "the disk was full, and kdump-tools called the empty file saved",
        _DAMAGED,
        stage=("mkdir /var/crash/202601010101; : > /var/crash/202601010101/dump.202601010101",),
        undo=("rm -r /var/crash/202601010101",),
        ci=True,
    ),
    Fault("crashed", "a real panic with a complete dump", _HARMLESS, ground=_CRASHED, undo=("true",), ci=True),
    *(
        Fault(
            f"truncated-dump-{name}",
            f"a real dump, cut after {words}",
            _DAMAGED,
            stage=(_cut(share),),
            undo=_BACK,
            ground=_CRASHED,
            ci=name == "half",
        )
        for name, share, words in (
            ("header", "0 + 100", "its first 100 bytes"),
            ("head", "0 + 40000", "its first 40000 bytes"),
            ("half", "1 / 2", "its first half"),
            ("tail", "1 - 8", "all but its last 8 bytes"),
        )
    ),
    Fault(
        "dump-of-another-format",
        "harmless: the flattened dump was rearranged, as crash and drgn read it",
        _HARMLESS,
        stage=(f'{_KEEP} makedumpfile -R /root/vmcore < "$f" && mv /root/vmcore "$f"',),
        undo=_BACK,
        ground=_CRASHED,
        ci=True,
    ),
    Fault(
        "rearranged-and-truncated",
        "the rearranged dump was cut by one page",
        _DAMAGED,
        stage=(f'{_KEEP} makedumpfile -R /root/vmcore < "$f" && truncate -s -4096 /root/vmcore && mv /root/vmcore "$f"',),
        undo=_BACK,
        ground=_CRASHED,
    ),
    Fault(
        "disk-filled-while-saving",
        "the disk filled up in the middle of the dump, which kdump-tools keeps as dump-incomplete",
        {target: expect("vmcore-damaged", allowed={"dump-disk-not-visible"}) for target in (DEBIAN12, DEBIAN13)},
        ground=Ground(
            prepare=(
                "truncate -s 16M /root/small.img; mkfs.ext4 -q /root/small.img; "
                "echo '/root/small.img /var/crash ext4 loop,nofail 0 0' >> /etc/fstab; systemctl daemon-reload; "
                "mount /var/crash; kdump-config unload; kdump-config load",
            ),
            crash=_ENDED,
        ),
    ),
    Fault(
        "vmlinux-of-another-build",
        "a vmlinux of the same release lies here, from another build",
        {target: expect("vmcore-vmlinux-mismatch") for target in (DEBIAN12, DEBIAN13)},
        stage=(_vmlinux(_OTHER_BUILD),),
        undo=("rm -r /usr/lib/debug/boot",),
        ci=True,
    ),
    Fault(
        "vmlinux-of-another-release",
        "harmless: a vmlinux of another release lies here, and none of the running kernel's",
        _HARMLESS,
        stage=(_vmlinux(_OTHER_BUILD, "/usr/lib/debug/boot/vmlinux-5.10.0-1-amd64"),),
        undo=("rm -r /usr/lib/debug/boot",),
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = (
    NotStaged(
        "strings-missing",
        "a crash that needs strings",
        "Debian 12 has crash 8.0.2, which does not: recordings judge it (kdumpctl-strings-missing, suse-strings-missing)",
    ),
)
