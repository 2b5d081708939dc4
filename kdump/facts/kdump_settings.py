"""What the administrator configured for the kdump userspace, in files of shell assignments."""

from __future__ import annotations

from ..fact import fact
from ..parsers.shell_settings import ShellSettings

# Both are optional: without them the flavours' scripts use their defaults.
kdump_sysconfig = fact("kdump_sysconfig", "cat /etc/sysconfig/kdump", ShellSettings.parse, absent=ShellSettings())
kdump_tools_defaults = fact("kdump_tools_defaults", "cat /etc/default/kdump-tools", ShellSettings.parse, absent=ShellSettings())
