"""Log lines by which the tools themselves name a cause.

One row per message: a regular expression, the cause that it stands for, and the source that prints it. The document
that this suite follows shows the messages of 1.1, 1.2 and 1.3; the other rows are the same causes in other tools' words.
``makedumpfile`` prints "The kernel version is not supported." before many a good dump: that is nobody's signature.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    cause: str
    pattern: str
    source: str


@dataclass(frozen=True)
class Sighting:
    """A signature seen in a log, and the whole line that holds it."""

    signature: Signature
    line: str


KDUMP_UTILS = "rhkdump/kdump-utils@63f248c"
KEXEC_TOOLS = "horms/kexec-tools@29898e1"
KDUMP_TOOLS = "Debian kdump-tools 1.8.1"
SUSE = "openSUSE/kdump@34da4b8"
DRACUT = "dracut-ng/dracut-ng"
LINUX = "torvalds/linux v6.12"
MAKEDUMPFILE = "makedumpfile/makedumpfile@b7587f1"

SIGNATURES = tuple(
    Signature(*row)
    for row in (
        ("crashkernel-not-reserved", r"No memory reserved for crash kernel", f"{KDUMP_UTILS}:kdump-lib.sh"),
        ("crashkernel-not-reserved", r"Memory for crashkernel is not reserved", f"{KEXEC_TOOLS}:kexec/kexec.c"),
        ("crashkernel-not-reserved", r"no crashkernel= parameter in the kernel cmdline", f"{KDUMP_TOOLS}:kdump-config"),
        ("crashkernel-not-reserved", r"No crashkernel memory reserved, Kdump cannot start", f"{SUSE}:init/load.sh"),
        (
            "crashkernel-not-reserved",
            r"crashkernel reservation failed - |cannot allocate crashkernel",
            f"{LINUX}:kernel/crash_reserve.c",
        ),
        (
            "dracut-modules-missing",
            r"dracut-install: ERROR: installing '(squashfs|loop|overlay|erofs)'",
            f"{DRACUT}@90ac0a2d:install/dracut-install.c",
        ),
        ("dracut-modules-missing", r"installkernel failed in module squash", f"{DRACUT}@050:dracut-functions.sh"),
        (
            "dracut-modules-missing",
            r"dracut module 'squash[-a-z]*' (cannot be found or installed|will not be installed, because kernel module)",
            f"{DRACUT}@059:dracut-init.sh",
        ),
        (
            "dracut-modules-missing",
            r"Module 'squash[-a-z]*' cannot be installed",
            f"{DRACUT}@107:dracut-init.sh",
        ),
        (
            "dracut-modules-missing",
            r"dracut-squash module requires kernel|have to be enabled for dracut squash module",
            f"{DRACUT}@050,051,055:dracut.sh, modules.d/99squash",
        ),
        (
            "dracut-modules-missing",
            r"unknown filesystem type '(squashfs|erofs|overlay)'",
            f"util-linux mount(8), run by {DRACUT}@059:modules.d/99squash/init-squash.sh",
        ),
        (
            "dracut-modules-missing",
            r"mount: mounting \S+ on /(squash/root|newroot/) failed",
            f"busybox 1.35 util-linux/mount.c, which {DRACUT}@059:modules.d/99squash takes where it is installed",
        ),
        (
            "kaslr-hides-kernel-layout",
            r"Can't find kernel text map area from kcore",
            f"{KEXEC_TOOLS}:kexec/arch/i386/crashdump-x86.c",
        ),
        (
            # a segment that was described as nearly all addresses long puts those behind it out of reach
            "kaslr-hides-kernel-layout",
            r"Can't seek the dump memory\(/proc/vmcore\)\. \(offset: ffff",
            f"{MAKEDUMPFILE}:makedumpfile.c read_from_vmcore()",
        ),
        (
            "crashkernel-too-small",
            r"Could not find a free area of memory of 0x|locate_hole failed",
            f"{KEXEC_TOOLS}:kexec/kexec.c",
        ),
        (
            "crashkernel-too-small",
            r"kexec_file_load failed: Cannot assign requested address",
            f"{KEXEC_TOOLS}:kexec/kexec.c; {LINUX}:kernel/kexec_file.c kexec_locate_mem_hole()",
        ),
        (
            "crashkernel-too-small",
            r"Out of memory and no killable processes|System is deadlocked on memory",
            f"{LINUX}:mm/oom_kill.c",
        ),
        ("crashkernel-too-small", r"Initramfs unpacking failed: write error", f"{LINUX}:init/initramfs.c"),
        (
            "section-size-bits-mismatch",
            r"Can't get the address of mem_section|Could not validate mem_section",
            f"{MAKEDUMPFILE}:makedumpfile.c",
        ),
        (
            "dump-disk-not-visible",
            r'Dump target ".*" is neither mounted nor configured as "noauto"|raw partition .* not found',
            f"{KDUMP_UTILS}:mkdumprd, kdumpctl",
        ),
        (
            "dump-disk-not-visible",
            r"Failed to mount \S+( on \S+)? for kdump preflight check",
            f"{KDUMP_UTILS}:mkdumprd mount_failure()",
        ),
        (
            "dump-disk-not-visible",
            r'Could not create \S+@\S+:\S+, (you probably need to run "kdumpctl propagate"|ipaddr is not ready yet)',
            f"{KDUMP_UTILS}:kdumpctl check_and_wait_network_ready()",
        ),
        (
            "dump-disk-not-visible",
            r"ALERT! .* does not exist\. +Dropping to a shell!",
            "Debian initramfs-tools 0.142:scripts/local",
        ),
        (
            "dump-disk-not-visible",
            r"Warning: /dev/\S+ does not exist|failed to dump to '.*', it's not a mount point",
            f"{DRACUT}:modules.d/*base/dracut-lib.sh; {KDUMP_UTILS}:dracut/99kdumpbase/kdump.sh",
        ),
    )
)


def sightings(lines: Iterable[str]) -> tuple[Sighting, ...]:
    """The first line of each signature, in the order of the lines.

    >>> [seen] = sightings(["kdumpctl[772]: No memory reserved for crash kernel", "Starting kdump: [FAILED]"])
    >>> seen.signature.cause
    'crashkernel-not-reserved'
    """
    # a pattern that is found in a line is found in all of them together: few are, and only these are looked for line by line
    lines = list(lines)
    text = "\n".join(lines)
    there = [signature for signature in SIGNATURES if re.search(signature.pattern, text)]
    seen: dict[Signature, Sighting] = {}
    for line in lines:
        for signature in there:
            if signature not in seen and re.search(signature.pattern, line):
                seen[signature] = Sighting(signature, line)
    return tuple(seen.values())
