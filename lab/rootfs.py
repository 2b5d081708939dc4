"""From a recipe to a disk: mmdebstrap -> tar -> ext4 (``mke2fs -d``, no loop mount) -> qcow2.

Runs as root or, with the packages uidmap and fakeroot, as an ordinary user. The packages come from where
mmdebstrap's defaults say, or from the mirror named in KDUMP_LAB_MIRROR.
"""

from __future__ import annotations

import dataclasses
import io
import os
import shlex
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import tools
from lab.errors import LabError
from lab.recipe import Recipe

# Every tool that a build calls -> the Debian package it comes from; see lab/packages.txt.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "zstd": "zstd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "tar": "tar",
}
TOOLS_AS_USER = {"fakeroot": "fakeroot", "newuidmap": "uidmap"}
# Packages of another architecture are configured under emulation; see lab/packages-arm64.txt.
TOOLS_FOREIGN = {"arch-test": "arch-test", "qemu-aarch64-static": "qemu-user-static"}
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}

# The unpacked system, its tar and the raw disk live side by side for a moment.
SPACE_NEEDED = 4 << 30
BOOTSTRAP_DEADLINE = 1800.0
PACK_DEADLINE = 600.0
_SETUP = "root/lab-setup.sh"
# An initramfs is made by thousands of short programs, each of which costs an emulator some 50 ms: one with every driver takes
# longer than all the rest of a build. So it gets what the lab's machines have; the machine itself makes its kdump initramfs.
_FEW_DRIVERS = "etc/initramfs-tools/conf.d/lab"
_DRIVERS = "usr/share/initramfs-tools/modules.d/lab"


@dataclasses.dataclass(frozen=True)
class RootFs:
    """What a build leaves in its folder: ``base.qcow2``, ``vmlinuz`` and ``initrd.img``, and two facts about them."""

    root_uuid: str
    kernel: str


def is_foreign(recipe: Recipe) -> bool:
    """Whether this machine cannot run the recipe's programs but by emulation."""
    return NATIVE.get(os.uname().machine) != recipe.arch


def check_tools(recipe: Recipe) -> None:
    """Raises LabError, naming the missing packages, when a build could not even start."""
    wanted = TOOLS if os.geteuid() == 0 else TOOLS | TOOLS_AS_USER
    if is_foreign(recipe):
        wanted = wanted | TOOLS_FOREIGN
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = sorted({package for tool, package in wanted.items() if not shutil.which(tool, path=path)})
    if missing:
        raise LabError(f"The lab needs programs that are not installed: apt-get install {' '.join(missing)}")


def build(recipe: Recipe, folder: Path, public_key: str, host_key: Path, log: Path, lock: int) -> RootFs:
    """Writes the disk and its kernel into *folder*; the tools' output goes to *log*, and they hold *lock* (see lab/tools.py).

    Raises LabError when a tool fails, is missing, or exceeds its deadline, or when the disk is too full.
    """
    check_tools(recipe)
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise LabError(
            f"Building {recipe.name} needs {SPACE_NEEDED >> 30} GiB free in {folder}, and there is only "
            f"{free / (1 << 30):.1f} GiB: free some, or set XDG_CACHE_HOME to a bigger disk."
        )
    root_uuid = str(uuid.uuid4())
    additions = folder / "additions.tar"
    _write_additions(additions, recipe, root_uuid, public_key, host_key)
    archive = folder / "rootfs.tar"
    with log.open("ab") as output:
        bootstrap, environment = tools.contained(_bootstrap_command(recipe, additions, archive), folder)
        _run(bootstrap, environment, output, log, BOOTSTRAP_DEADLINE, lock)
        _run(_pack_command(recipe, folder, root_uuid), None, output, log, PACK_DEADLINE, lock)
    for leftover in (additions, archive, folder / "base.raw"):
        leftover.unlink()
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    kernel = (folder / "kernel-release").read_text().strip()
    return RootFs(root_uuid, kernel)


def _bootstrap_command(recipe: Recipe, additions: Path, archive: Path) -> list[str]:
    command = ["mmdebstrap", "--variant=minbase", '--aptopt=Acquire::Retries "3"']
    command += [f"--architectures={recipe.arch}", f"--include={','.join(recipe.packages)}"]
    if recipe.debconf:
        answers = shlex.quote("\n".join(recipe.debconf))
        command.append(f'--essential-hook=printf "%s\\n" {answers} | chroot "$1" debconf-set-selections')
    if is_foreign(recipe):
        command += _with_few_drivers()
    command.append(f"--customize-hook=tar-in {shlex.quote(str(additions))} /")
    command.append(f'--customize-hook=chroot "$1" /bin/sh -eux /{_SETUP} && rm "$1/{_SETUP}"')
    command += [recipe.suite, str(archive)]
    mirror = os.environ.get("KDUMP_LAB_MIRROR")
    return [*command, mirror] if mirror else command


def _with_few_drivers() -> list[str]:
    return [
        f'--essential-hook=cd "$1"; mkdir -p {os.path.dirname(_FEW_DRIVERS)} {os.path.dirname(_DRIVERS)}; '
        f'echo MODULES=list > {_FEW_DRIVERS}; printf "%s\\n" virtio_pci virtio_blk ext4 > {_DRIVERS}',
        f'--customize-hook=cd "$1"; rm -f {_FEW_DRIVERS} {_DRIVERS} var/lib/kdump/initrd.img-*',
    ]


def _pack_command(recipe: Recipe, folder: Path, root_uuid: str) -> list[str]:
    # lazy_*_init=0: else the booted machine would spend its first minutes writing inode tables.
    script = f"""
        PATH=$PATH:/usr/sbin:/sbin
        cd {shlex.quote(str(folder))}
        mkdir tree
        tar --numeric-owner -xpf rootfs.tar -C tree
        set -- tree/boot/vmlinuz-*
        [ $# -eq 1 ] || {{ echo "expected one kernel, found: $*" >&2; exit 1; }}
        release=${{1#tree/boot/vmlinuz-}}
        cp "$1" vmlinuz
        cp "tree/boot/initrd.img-$release" initrd.img
        echo "$release" > kernel-release
        mke2fs -q -t ext4 -L root -U {root_uuid} -E lazy_itable_init=0,lazy_journal_init=0 \
            -d tree base.raw {recipe.disk}M
        rm -rf tree
        qemu-img convert -f raw -O qcow2 base.raw base.qcow2
    """
    shell = ["/bin/sh", "-eux", "-c", script]
    return shell if os.geteuid() == 0 else ["fakeroot", *shell]


def _write_additions(path: Path, recipe: Recipe, root_uuid: str, public_key: str, host_key: Path) -> None:
    with tarfile.open(path, "w") as archive:

        def add(name: str, content: str, mode: int = 0o644) -> None:
            info = tarfile.TarInfo(name.lstrip("/"))
            data = content.encode()
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))

        add("/etc/hostname", f"{recipe.name}\n")
        # sudo looks its own host name up; without this line every command prints a warning.
        add("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {recipe.name}\n::1 localhost ip6-localhost\n")
        add("/etc/fstab", f"UUID={root_uuid} / ext4 errors=remount-ro 0 1\n")
        # The next boot's entry must ask for what the running kernel was given, as on a machine left alone.
        add("/etc/default/grub", f'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="{recipe.cmdline}"\n')
        for name, content in recipe.files:
            add(name, content)
        for name, content in recipe.executables:
            add(name, content, 0o755)
        for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"):
            add(f"/var/lib/lab/{name}", (host_key.parent / name.replace("ssh_host_ed25519_key", host_key.name)).read_text())
        add("/var/lib/lab/authorized_keys", public_key)
        add(f"/{_SETUP}", _setup_script(recipe), 0o755)


def _setup_script(recipe: Recipe) -> str:
    lines = list(recipe.chroot)
    lines += [
        "install -m 0600 /var/lib/lab/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key",
        "install -m 0644 /var/lib/lab/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ed25519_key.pub",
        "install -D -m 0600 /var/lib/lab/authorized_keys /root/.ssh/authorized_keys",
    ]
    for account in recipe.accounts:
        home = f"/home/{account.name}"
        # --gid users: Debian already has a group called operator, so a group of one's own is not always possible.
        lines.append(f"useradd --create-home --shell /bin/bash --gid users {account.name}")
        lines.append(f"install -d -m 0700 -o {account.name} -g users {home}/.ssh")
        lines.append(f"install -m 0600 -o {account.name} -g users /var/lib/lab/authorized_keys {home}/.ssh/")
        if account.sudo:
            lines.append(f"echo '{account.name} ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/{account.name}")
    kdump_grub = f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel={recipe.crashkernel}"'
    lines.append(f"echo {shlex.quote(kdump_grub)} > /etc/default/grub.d/kdump-tools.cfg")
    lines.append("rm -rf /var/lib/lab")
    return "\n".join(lines) + "\n"


def _run(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    output: io.BufferedWriter,
    log: Path,
    deadline: float,
    lock: int,
) -> None:
    name = "mmdebstrap" if "mmdebstrap" in command else "packing the disk"
    try:
        status = tools.run(command, output, deadline, lock=lock, environment=environment)
    except FileNotFoundError as error:
        raise LabError(f"The lab needs {command[0]}, which is not installed: apt-get install mmdebstrap") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"Building the image: {name} did not end in {deadline:.0f} s; its output is in {log}.") from error
    if status != 0:
        raise LabError(f"Building the image: {name} failed ({_last_error(log)}); its whole output is in {log}.")


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:") or "error" in line.lower() or "No space" in line]
    return (errors or lines or ["no output"])[-1][:200]
