"""Reading the dump: is it whole, is there a vmlinux for it, can crash open it?"""

from __future__ import annotations

from lab.faults.model import (
    DEBIAN11,
    DEBIAN12,
    DEBIAN13,
    DUMP,
    SILENT,
    Fault,
    Ground,
    NotStaged,
    and_arm64,
    everywhere,
    expect,
)

_DAMAGED = {target: expect("vmcore-damaged") for target in (DEBIAN12, DEBIAN13)}
_HARMLESS = {DEBIAN12: SILENT, DEBIAN13: SILENT}
_NEEDED = {**and_arm64(_HARMLESS), DEBIAN11: expect("strings-missing")}
_ENDED = r"kdump-tools: saved vmcore in|makedumpfile Failed"
# The journal is kept, as on most machines: so is what the capture kernel's system said.
_CRASHED = Ground(prepare=("mkdir -p /var/log/journal && journalctl --flush",), crash=_ENDED)
# The dump is an ELF file, which kdump-tools saves flattened all the same.
# Without the progress indicator, which prints some 3,000 lines here: the kernel drops what its console cannot print in time.
_CRASHED_TO_ELF = Ground(
    prepare=(
        "sed -i '/^#*MAKEDUMP_ARGS=/d' /etc/default/kdump-tools; "
        "echo 'MAKEDUMP_ARGS=\"-E -d 31 --message-level 6\"' >> /etc/default/kdump-tools",
    ),
    crash=_ENDED,
)
# The kernel kills makedumpfile in the middle of the dump, as it does for want of memory.
_CRASHED_AND_KILLED = Ground(
    prepare=(
        "mv /usr/bin/makedumpfile /usr/bin/makedumpfile.real; printf '%s\\n' '#!/bin/sh' "
        '\'case " $* " in *dump-dmesg*|*mem-usage*) exec /usr/bin/makedumpfile.real "$@" ;; esac\' '
        "'grep -q elfcorehdr= /proc/cmdline || exec /usr/bin/makedumpfile.real \"$@\"' "
        "'/usr/bin/makedumpfile.real \"$@\" & sleep 6; kill -9 $!; wait $!' > /usr/bin/makedumpfile; "
        "chmod 755 /usr/bin/makedumpfile",
    ),
    crash=_ENDED,
)
_HIDE_STRINGS = "mkdir /root/bin; mv /usr/bin/strings /usr/bin/*-strings /root/bin/"
_SHOW_STRINGS = ("mv /root/bin/* /usr/bin/; rmdir /root/bin",)
# The dump that the panic left is kept, so that many faults can be made of it.
_KEEP = f"f={DUMP}; cp -a $f /root/whole; "
_BACK = (f'f={DUMP}; cp -a /root/whole "$f"; rm -f /root/whole',)


def _cut(share: str) -> str:
    return f"{_KEEP} truncate -s $(($(stat -c %s $f) * {share})) $f"


_VMLINUX = "/usr/lib/debug/boot/vmlinux-$(uname -r)"


def _vmlinux(build_id: str, path: str = _VMLINUX) -> str:
    """An ELF file with DWARF and that build-id, by the machine's own assembler and linker."""
    return (
        f"mkdir -p $(dirname {path}); printf '.globl _start\\n_start: nop\\n' | as -g -o /tmp/one.o - && "
        f"ld --build-id=0x{build_id} -o {path} /tmp/one.o"
    )


_OTHER_BUILD = "00112233445566778899aabbccddeeff00112233"
_NO_VMLINUX = ("rm -r /usr/lib/debug/boot",)


def _vmlinux_of_this_build() -> str:
    # an ELF note: name size 4, size 20 (0x14), type 3 (NT_GNU_BUILD_ID), "GNU\\0", then the 20 bytes
    own = "$(od -An -v -tx1 /sys/kernel/notes | tr -d ' \\n' | sed -E 's/.*040000001400000003000000474e5500(.{40}).*/\\1/')"
    return _vmlinux(own)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "strings-removed",
        "harmless where crash reads the banner itself, as since 8.0.1 (cd89540); that of Debian 11 opens no dump without it",
        _NEEDED,
        stage=(_HIDE_STRINGS,),
        undo=_SHOW_STRINGS,
        ci=True,
    ),
    Fault(
        "strings-elsewhere",
        "strings is in PATH, but not where an older crash looks for it; harmless with a newer one",
        _NEEDED,
        stage=(f"cp -L /usr/bin/strings /usr/local/bin/ && {_HIDE_STRINGS}",),
        undo=(*_SHOW_STRINGS, "rm /usr/local/bin/strings"),
    ),
    Fault(
        "zero-byte-dump",
        "the disk was full, and kdump-tools called the empty file saved",
        and_arm64(_DAMAGED),
        stage=("mkdir /var/crash/202601010101; : > /var/crash/202601010101/dump.202601010101",),
        undo=("rm -r /var/crash/202601010101",),
        ci=True,
    ),
    Fault("crashed", "a real panic with a complete dump, no vmlinux for it", _HARMLESS, ground=_CRASHED, undo=("true",), ci=True),
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
        "dump-with-incomplete-flag",
        "the disk filled up while makedumpfile wrote a file, no stream: a flag in its header says so, and its name is vmcore",
        _DAMAGED,
        stage=(
            f"{_KEEP} makedumpfile -R /root/vmcore < $f; rm $f; truncate -s 12M /root/small.img; mkfs.ext4 -q /root/small.img; "
            "d=$(dirname $f); mount -o loop /root/small.img $d; rmdir $d/lost+found; "
            "! makedumpfile -l -d 31 /root/vmcore $d/vmcore; test -s $d/vmcore",
        ),
        undo=(
            "d=$(ls -d /var/crash/2*); umount $d; rm /root/small.img /root/vmcore; "
            "cp -a /root/whole $d/dump.${d##*/}; rm /root/whole",
        ),
        ground=_CRASHED,
    ),
    Fault(
        "elf-dump",
        "harmless: the dump is an ELF file, flattened",
        _HARMLESS,
        ground=_CRASHED_TO_ELF,
        undo=("true",),
    ),
    Fault(
        "elf-dump-truncated",
        "the dump is an ELF file, and was cut by one page",
        _DAMAGED,
        stage=(f'{_KEEP} makedumpfile -R /root/vmcore < "$f" && truncate -s -4096 /root/vmcore && mv /root/vmcore "$f"',),
        undo=_BACK,
        ground=_CRASHED_TO_ELF,
    ),
    Fault(
        "makedumpfile-killed",
        "makedumpfile was killed in the middle of the dump, which kdump-tools calls saved",
        _DAMAGED,
        stage=("mv /usr/bin/makedumpfile.real /usr/bin/makedumpfile",),
        ground=_CRASHED_AND_KILLED,
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
        and_arm64(everywhere(expect("vmcore-vmlinux-mismatch"))),
        stage=(_vmlinux(_OTHER_BUILD),),
        undo=_NO_VMLINUX,
        ci=True,
    ),
    Fault(
        "vmlinux-of-another-build-compressed",
        "the same, compressed",
        {target: expect("vmcore-vmlinux-mismatch") for target in (DEBIAN12, DEBIAN13)},
        stage=(f"{_vmlinux(_OTHER_BUILD)}; gzip {_VMLINUX}",),
        undo=_NO_VMLINUX,
    ),
    Fault(
        "vmlinux-of-this-build",
        "harmless: the vmlinux that lies here has the running kernel's build-id, and DWARF",
        _HARMLESS,
        stage=(_vmlinux_of_this_build(),),
        undo=_NO_VMLINUX,
    ),
    Fault(
        "vmlinux-stripped",
        "the vmlinux that lies here has the running kernel's build-id, and was stripped of what crash reads",
        {target: expect("vmcore-vmlinux-mismatch") for target in (DEBIAN12, DEBIAN13)},
        stage=(f"{_vmlinux_of_this_build()}; strip {_VMLINUX}",),
        undo=_NO_VMLINUX,
    ),
    Fault(
        "vmlinux-of-another-release",
        "harmless: a vmlinux of another release lies here, and none of the running kernel's",
        _HARMLESS,
        stage=(_vmlinux(_OTHER_BUILD, "/usr/lib/debug/boot/vmlinux-5.10.0-1-amd64"),),
        undo=_NO_VMLINUX,
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = ()
