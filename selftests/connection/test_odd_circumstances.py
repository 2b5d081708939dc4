"""The whole probe on this machine, in circumstances that have nothing to do with its dumps: the verdicts are the same."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kdump.transcript import Reading, Transcript
from kdump.verdict import Verdict
from selftests.judging import ask, every_test

ROOT = Path(__file__).parents[2]
PRIVATE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec"]
NOTHING_CAN_BE_WRITTEN = """
mount -t tmpfs -o noexec,size=4k none /tmp
cat /dev/zero >/tmp/full 2>/dev/null || :
mount -t tmpfs -o ro none /var/tmp
mount -o remount,bind,ro /
if touch /written 2>/dev/null || echo >/tmp/more; then exit 99; fi
"""
NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs sh"
DARK = f"mount -o remount,hidepid=2 /proc; if {NOBODY} -c '[ -e /proc/1 ]'; then exit 99; fi"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs root and namespaces",
)


def probed(command: list[str]) -> Transcript:
    sent = subprocess.run([sys.executable, "-m", "kdump.probe"], cwd=ROOT, capture_output=True, check=True).stdout
    done = subprocess.run(command, input=sent, capture_output=True, timeout=300)
    transcript = Transcript.parse(done.stdout)
    assert transcript.complete and len(transcript.readings) > 40, done.stderr
    return transcript


def verdicts(transcript: Transcript) -> dict[str, Verdict]:
    return {f"{file}::{test}{given or ''}": ask(transcript, file, test, **given)[0] for file, test, given in every_test()}


def still(reading: Reading) -> Reading:
    """Without what is meant to differ: mounts, and free space, which others use up."""
    return replace(reading, text=re.sub(r"(?m)^(mount|space) .*", r"\1", reading.text))


class Usual:
    """What the probe reads here without any circumstances, twice: what moves by itself is not looked at."""

    def __init__(self) -> None:
        one, other = probed(["sh", "-s"]), probed(["sh", "-s"])
        self.taken = one.remarks["taken"]
        self.verdicts = verdicts(one)
        found = {command: still(reading) for command, reading in one.readings.items() if "/proc/mounts" not in command}
        self._stable = {command: reading for command, reading in found.items() if still(other.readings[command]) == reading}
        assert len(self._stable) > 0.8 * len(one.readings)

    def is_told_by(self, transcript: Transcript) -> str:
        """The figure; raises :class:`AssertionError` where something differs."""
        assert {command: still(transcript.readings[command]) for command in self._stable} == self._stable
        assert verdicts(transcript) == self.verdicts
        return f"{len(self._stable)} readings and {len(self.verdicts)} verdicts"


@pytest.fixture(scope="module")
def usual() -> Usual:
    return Usual()


@needs_root
@pytest.mark.hostility(27)
def test_nothing_need_be_written(usual: Usual, measured) -> None:
    """The root read-only, /tmp full and noexec, /var/tmp read-only."""
    same = usual.is_told_by(probed([*PRIVATE, f"{NOTHING_CAN_BE_WRITTEN} exec sh -s"]))
    measured("the usual verdicts", f"{same} as before with a root that is read-only and a /tmp that is full")


@needs_root
@pytest.mark.hostility(27)
def test_a_user_who_is_kept_in_the_dark_claims_nothing_more(usual: Usual, measured) -> None:
    lit = verdicts(probed([*PRIVATE, f"exec {NOBODY} -s"]))
    dark = verdicts(probed([*PRIVATE, f"{DARK}; exec {NOBODY} -s"]))
    claims = {test: verdict for test, verdict in dark.items() if verdict in (Verdict.ABSENT, Verdict.PRESENT)}
    assert claims.items() <= lit.items()
    assert claims.items() <= usual.verdicts.items()
    measured("", f"{len(claims)} claims of an ordinary user under hidepid, all of them root's")


TRACED = ["strace", "-f", "-qqq", "-e", "signal=none", "-e", "trace=%file", "-o"]
_OPENED = re.compile(r"""(?!.*execve)\b\w+\((?:AT_FDCWD, )?"(/(?:proc|sys|etc|boot|dev|var|usr|lib|run)/[^"]+)".* = (?!-1)""")
_OF_PROGRAMS = re.compile(
    r"/proc/(self|filesystems|\d+)|\.so\b|\.so\.|/(locale|gconv|zoneinfo|bin|sbin)/|/etc/(ld|nsswitch|passwd|localtime)|/dev/(null|tty)"
)
STAGED = """
mount -t tmpfs none /mnt
for folder in /etc /usr/sbin /usr/bin /usr/lib /boot /var; do
    mkdir -p "/mnt/upper$folder" "/mnt/work$folder"
    mount -t overlay -o "lowerdir=$folder,upperdir=/mnt/upper$folder,workdir=/mnt/work$folder" none "$folder"
done
release=$(uname -r)
mkdir -p /etc/systemd/system.conf.d /etc/systemd/system/multi-user.target.wants /etc/sysctl.d /boot/grub /var/lib/kdump \
    /var/crash/202601010101 /usr/lib/debug/boot
echo RuntimeWatchdogSec=30 >/etc/systemd/system.conf.d/own.conf
echo watchdog-device = /dev/watchdog >/etc/watchdog.conf
touch /etc/systemd/system/multi-user.target.wants/watchdog.service
echo kernel.kptr_restrict=2 >/etc/sysctl.d/own.conf
echo "linux /boot/vmlinuz-$release root=/dev/vda crashkernel=1K" >/boot/grub/grub.cfg
echo /dev/gone /var/crash ext4 defaults 0 2 >>/etc/fstab
echo CONFIG_RD_GZIP=y >"/boot/config-$release"
cp /bin/true "/usr/lib/debug/boot/vmlinux-$release"
printf 'KDUMP   garbage' >/var/crash/202601010101/dump.202601010101
rm -f /usr/bin/strings
printf '#!/bin/sh\necho crash 7.3.0\n' >/usr/bin/crash
touch /usr/sbin/kdump-config
chmod 755 /usr/sbin/kdump-config /usr/bin/crash
printf 'USE_KDUMP=1\nKDUMP_KERNEL=/var/lib/kdump/vmlinuz\nKDUMP_INITRD=/var/lib/kdump/initrd.img\n' >/etc/default/kdump-tools
mkdir -p "/mnt/image/lib/modules/$release" && cd /mnt/image && touch "lib/modules/$release/ext4.ko"
find . | cpio -o -H newc --quiet | gzip >/var/lib/kdump/initrd.img
echo '/sbin/kexec -p --command-line="root=UUID=gone ro" /vmlinuz' >/var/crash/kexec_cmd
cd / && exec "$@"
"""


@needs_root
@pytest.mark.hostility(27)
def test_what_a_policy_denies_to_root_is_not_taken_for_missing(tmp_path: Path, measured) -> None:
    """As SELinux does: whatever is done with a file's name fails with EACCES, a look whether it is there included. The kernel
    answers so to every process of the probe, which strace has it do. Folder by folder: of several, one hides what another would
    have been taken for. The machine is made to look like one of kdump-tools with much amiss."""
    if subprocess.run(["strace", "-V"], capture_output=True, check=False).returncode:
        pytest.skip("needs strace")
    if subprocess.run([*PRIVATE, STAGED, "sh", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs overlayfs and cpio")
    log = tmp_path / "log"
    before = verdicts(probed([*PRIVATE, STAGED, "sh", *TRACED, str(log), "sh", "-s"]))
    paths = {found[1] for line in log.read_text(errors="replace").splitlines() if (found := _OPENED.search(line))}
    denied: dict[str, list[str]] = {}
    for path in sorted(path for path in paths if not _OF_PROGRAMS.search(path)):
        denied.setdefault("/".join(path.split("/")[:3]), []).append(path)
    changed = 0
    for some in denied.values():
        asked = [word for path in some for word in ("-P", path)]
        injected = [*TRACED, "/dev/null", "-e", "inject=%file:error=EACCES", *asked, "sh", "-s"]
        after = verdicts(probed([*PRIVATE, STAGED, "sh", *injected]))
        differ = {test: verdict for test, verdict in after.items() if verdict is not before[test]}
        assert set(differ.values()) <= {Verdict.UNDETERMINED}, (some, differ)
        changed += len(differ)
    assert changed > 30, denied  # or nothing was denied
    number = sum(map(len, denied.values()))
    measured(
        "", f"{number} files denied to root in {len(denied)} turns: {changed} verdicts not determined then, no other changed"
    )


@pytest.mark.hostility(28)
@pytest.mark.parametrize("years", ["+10y", "-10y"])
def test_a_clock_that_is_years_off(usual: Usual, measured, years: str) -> None:
    if subprocess.run(["faketime", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("needs faketime")
    transcript = probed(["faketime", "-f", years, "sh", "-s"])
    assert abs(int(transcript.remarks["taken"][:4]) - int(usual.taken[:4])) in (9, 10, 11)
    measured("", f"{usual.is_told_by(transcript)} as before with a clock {years[:-1]} years off")
