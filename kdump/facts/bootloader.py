"""What boots next."""

from __future__ import annotations

from ..fact import derived, fact
from ..parsers.bootloader import BootConfiguration, NextBoot
from .kernel import CommandLine

boot_configuration = fact("boot_configuration", "boot_configuration", BootConfiguration.parse)


@derived
def next_boot(boot_configuration: BootConfiguration, cmdline: CommandLine) -> NextBoot:
    """The boot entry, or the entries of which one, that is started next."""
    return boot_configuration.next_boot(booted_by_grub=bool(cmdline.values("BOOT_IMAGE")))
