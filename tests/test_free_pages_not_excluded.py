"""makedumpfile does not recognise free pages, and dumps all of them.

makedumpfile leaves free memory out of a dump. Since Linux 6.10 pages carry types, and a makedumpfile that reads them
wrongly (1.7.6 and older on Linux 6.12 and later) takes every free page for one in use. The dump then is as large as the
used and unused memory together: it takes many times longer, so that a watchdog may end it, and may not fit the disk.
Service, configuration and a test with little memory all look healthy.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "free-pages-not-excluded",
    stage=Stage.SAVE,
    severity=Severity.INCOMPLETE_VMCORE,
    remediation="Install a makedumpfile that supports this kernel (1.7.7 or later for Linux 6.12).",
    references=[
        "https://github.com/makedumpfile/makedumpfile/commit/72c3414949bd2e9284c8ba7ceaf109a5a34ac2e1",
        "https://github.com/makedumpfile/makedumpfile/issues/16",
    ],
)


def test_makedumpfile_recognises_free_pages(page_exclusion):
    assert page_exclusion.recognised * 2 >= page_exclusion.free, (
        f"{page_exclusion.free >> 20} MiB of memory are free, of which makedumpfile recognises "
        f"{page_exclusion.recognised >> 20} MiB: it would dump the rest"
    )
