"""makedumpfile is older than the kernel's page structures.

makedumpfile decides by the kernel's page structures which pages to leave out. When a kernel changes them, an older
makedumpfile leaves out pages that crash needs ("page excluded" when the dump is opened), or none, so that the dump takes
many times longer and may not fit. It warns of every kernel newer than itself and goes on, so the warning is ignored. New
kernels come to old systems as backports and as self-built ones; nothing updates makedumpfile with them.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "makedumpfile-older-than-kernel",
    stage=Stage.SAVE,
    severity=Severity.UNREADABLE_VMCORE,
    remediation="Install a makedumpfile that supports this kernel, then rebuild the kdump initramfs.",
    references=["https://github.com/makedumpfile/makedumpfile/blob/1.7.9/README"],
)


def test_makedumpfile_knows_the_page_structures(makedumpfile_support):
    assert not makedumpfile_support.losses, "\n".join(makedumpfile_support.losses)
