"""The running kernel: command line and configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..fact import derived, fact
from ..verdict import CouldNotDetermine


class CommandLine(tuple[str, ...]):
    """A kernel command line, as words; quotes keep words together (kernel lib/cmdline.c, next_arg)."""

    @classmethod
    def parse(cls, text: str) -> CommandLine:
        """Split ``/proc/cmdline``.

        >>> CommandLine.parse('root=/dev/vda a="b c" quiet').values("a")
        ['b c']
        """
        if not text.strip():
            raise ValueError("an empty kernel command line")
        return cls(word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', text))

    def values(self, name: str) -> list[str]:
        """The values of every ``name=value``, in order. The kernel takes dash and underscore for the same."""
        wanted = name.replace("-", "_")
        pairs = (word.split("=", 1) for word in self if "=" in word)
        return [value for key, value in pairs if key.replace("-", "_") == wanted]

    def has(self, flag: str) -> bool:
        return flag in self


def kernel_config_lines(text: str) -> Mapping[str, str]:
    """``CONFIG_X=y|m|value`` lines; what is "not set" is not in the mapping.

    >>> kernel_config_lines("CONFIG_KEXEC=y\\n# CONFIG_LOOP is not set")
    {'CONFIG_KEXEC': 'y'}
    """
    found = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
    if not found:
        raise ValueError("no CONFIG_ line")
    return found


cmdline = fact("cmdline", "cat /proc/cmdline", CommandLine.parse)

# The options that judgements ask for; the whole configuration would be 10,000 lines for each installed kernel.
_OPTIONS = "|".join(
    (
        "ARM64_(4K|16K|64K)_PAGES",
        "BLK_DEV_LOOP",
        "CRASH_DUMP",
        "EROFS_FS[A-Z0-9_]*",
        "KEXEC[A-Z0-9_]*",
        "OVERLAY_FS",
        "PROC_(KCORE|VMCORE)",
        "RANDOMIZE_BASE",
        "RD_[A-Z0-9]+",
        "SQUASHFS[A-Z0-9_]*",
    )
)


def kernel_config_files(text: str) -> Mapping[str, Mapping[str, str]]:
    """``FILE:CONFIG_X=y`` lines, by file.

    >>> kernel_config_files("/boot/config-6.1:CONFIG_KEXEC=y")
    {'/boot/config-6.1': {'CONFIG_KEXEC': 'y'}}
    """
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        file, _, setting = line.partition(":")
        option, _, value = setting.partition("=")
        found.setdefault(file, {})[option] = value
    return found


kernel_configurations = fact(
    "kernel_configurations", f"kernel_configs '{_OPTIONS}'", kernel_config_files, statuses=(0, 1), slow=True
)


def _config_of(release: str, files: Mapping[str, Mapping[str, str]], running: str) -> Mapping[str, str]:
    own = (f"/boot/config-{release}", f"/lib/modules/{release}/config", *(("/proc/config.gz",) * (release == running)))
    for file in own:
        if file in files:
            return files[file]
    raise CouldNotDetermine(f"the configuration of kernel {release} is not installed (looked for {', '.join(own)})")


@derived
def kernel_config(kernel_configurations: Mapping[str, Mapping[str, str]], kernel_release: str) -> Mapping[str, str]:
    """The running kernel's configuration, as far as judgements ask for it."""
    return _config_of(kernel_release, kernel_configurations, kernel_release)


@derived
def kernel_config_of_capture(
    kernel_configurations: Mapping[str, Mapping[str, str]], capture_release: str, kernel_release: str
) -> Mapping[str, str]:
    """The capture kernel's configuration, as far as judgements ask for it."""
    return _config_of(capture_release, kernel_configurations, kernel_release)
