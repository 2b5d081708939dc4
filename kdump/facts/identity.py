"""Who the target is, and as whom we read it."""

from __future__ import annotations

from ..fact import UID, fact
from ..fact import kernel_release as checked_release


def uid(text: str) -> int:
    """The user that the probe ran as."""
    return int(text)


def machine(text: str) -> str:
    """The architecture, as ``uname -m`` names it: ``x86_64``, ``aarch64``."""
    return _word(text)


def release(text: str) -> str:
    """The running kernel's release, as ``uname -r`` names it."""
    return checked_release(_word(text))


def _word(text: str) -> str:
    if len(text.split()) != 1:
        raise ValueError(f"expected one word, got {text!r}")
    return text.strip()


probe_uid = fact("probe_uid", UID, uid)
kernel_machine = fact("kernel_machine", "uname -m", machine)
kernel_release = fact("kernel_release", "uname -r", release)


def controls_xen(text: str) -> bool:
    """``/proc/xen/capabilities``: whether this is the domain that controls the hypervisor."""
    return "control_d" in text


xen_dom0 = fact("xen_dom0", "cat /proc/xen/capabilities", controls_xen, absent=False)
#: why a capture kernel that this kernel does not know of may be there (Linux: "Ignoring crashkernel for a Xen PV domain")
XEN = (
    "this is Xen's controlling domain: the hypervisor reserves the memory (crashkernel= on its own command line) and holds the "
    "capture kernel, which this kernel does not see"
)
