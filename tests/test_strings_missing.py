"""crash cannot open a dump because /usr/bin/strings is missing.

To learn which kernel a vmlinux is of, crash before 8.0.1 runs /usr/bin/strings (from binutils), by that path: a copy
elsewhere in PATH does not help. Without it crash says "kernel version inconsistency" or "vmlinux is not SMP", so that a
matching vmlinux looks like a wrong one. Since 8.0.1 crash reads the banner itself and needs strings only as a fallback:
up to 9.0.2 that is where a vmlinux keeps its debugging information in a file of its own, as SUSE's does.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "strings-missing",
    stage=Stage.ANALYSE,
    severity=Severity.UNREADABLE_VMCORE,
    remediation="Install binutils, which provides /usr/bin/strings, or use crash 9.0.3 or later.",
    references=["https://github.com/crash-utility/crash/commit/cd895406"],
)


def test_crash_has_the_strings_it_needs(missed_strings):
    assert not missed_strings, f"this crash needs /usr/bin/strings, and {missed_strings}"
