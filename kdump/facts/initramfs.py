"""The capture kernel: which kernel it is, its command line, its initramfs."""

from __future__ import annotations

from ..fact import Maybe, derived, fact
from ..flavour import KDUMP_TOOLS, KDUMPCTL, Flavour
from ..parsers import capture_cmdline as made_by
from ..parsers.initramfs import Image, Initramfs
from ..parsers.shell_settings import ShellSettings
from ..verdict import CouldNotDetermine
from .identity import release
from .kernel import CommandLine

_NO_IMAGE = CouldNotDetermine("initramfs: the host has no kdump initramfs for the capture kernel")


def lines(text: str) -> tuple[str, ...]:
    """The lines, blank ones left out."""
    return tuple(line for line in text.splitlines() if line.strip())


capture_release = fact("capture_release", "capture_release", release)
initramfs_image = fact("initramfs_image", "capture_image", Image.parse, absent=_NO_IMAGE)
initramfs = fact("initramfs", "capture_image_listing", Initramfs.parse, absent=_NO_IMAGE, slow=8)
# Not told apart: build-parameter.txt is one line of dracut's arguments, kdump.conf and cmdline.d differ in their words.
initramfs_texts = fact("initramfs_texts", "capture_image_texts", lines, absent=_NO_IMAGE, slow=True)

# No such file: kdump-tools never loaded a capture kernel here.
kexec_command = fact("kexec_command", "capture_kexec_cmd", str.strip, absent="")


@derived
def capture_cmdline(
    flavour: Flavour,
    cmdline: CommandLine,
    maybe_kexec_command: Maybe[str],
    maybe_kdump_sysconfig: Maybe[ShellSettings],
    maybe_kdump_tools_defaults: Maybe[ShellSettings],
) -> CommandLine:
    """The command line that the capture kernel boots with: recorded at the last load, or as the next load makes it."""
    if flavour is KDUMP_TOOLS:
        recorded = maybe_kexec_command.value
        if not recorded:
            return made_by.kdump_tools(cmdline, maybe_kdump_tools_defaults.value)
        try:
            return made_by.loaded_by_kexec(recorded)
        except ValueError as error:
            raise CouldNotDetermine(f"capture_cmdline: {error}") from error
    if flavour is KDUMPCTL:
        return made_by.kdumpctl(cmdline, maybe_kdump_sysconfig.value)
    return made_by.suse(cmdline, maybe_kdump_sysconfig.value)
