"""The sysctl settings that decide about kdump, as the boot will apply them."""

from __future__ import annotations

from ..fact import fact
from ..parsers.sysctl import settings_at_boot

sysctl_at_boot = fact("sysctl_at_boot", "sysctl_at_boot 'kptr_restrict|kexec_load_disabled'", settings_at_boot, statuses=(0, 1))
memory_sysctl_at_boot = fact("memory_sysctl_at_boot", "sysctl_at_boot min_free_kbytes vm", settings_at_boot, statuses=(0, 1))
