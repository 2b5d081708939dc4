"""The squash modules of dracut: what they would make of this kernel's modules, asked of dracut itself.

kdump-tools never squashes, so the suite calls the cause not applicable on the machine as it is. These faults compare what
the suite would foretell of the next build, from the readings of its own probe, with what a real dracut then builds.
"""

from __future__ import annotations

from lab.faults.forecast import BUILD, IMAGE
from lab.faults.model import DEBIAN12_DRACUT, SILENT, Fault, Judge, NotStaged, expect

_BROKEN = {DEBIAN12_DRACUT: expect("dracut-modules-missing")}
_HARMLESS = {DEBIAN12_DRACUT: SILENT}
_FOLDER = "/lib/modules/$(uname -r)"
_FILES = {
    "squashfs": "kernel/fs/squashfs/squashfs.ko",
    "loop": "kernel/drivers/block/loop.ko",
    "overlay": "kernel/fs/overlayfs/overlay.ko",
}
_SETUP = "/usr/lib/dracut/modules.d/99squash/module-setup.sh"
#: dracut 050's way to take the modules (90ac0a2d)
_INSIST = (
    f"cp {_SETUP} /root/setup; sed -i 's/^installkernel() {{/&\\n    instmods -c squashfs loop overlay/' {_SETUP}; "
    f"grep -q 'instmods -c' {_SETUP} || printf 'installkernel() {{\\n    instmods -c squashfs loop overlay\\n}}\\n' >> {_SETUP}"
)


def _take_away(module: str) -> str:
    return f"mv {_FOLDER}/{_FILES[module]} /root/taken.ko; "


def _bring_back(module: str) -> str:
    return f"mv /root/taken.ko {_FOLDER}/{_FILES[module]}"


def _of_module(module: str) -> tuple[Fault, ...]:
    conf = "/etc/modprobe.d/hardening.conf"
    index = f"{_FOLDER}/modules.builtin"
    return (
        Fault(
            f"{module}-file-gone",
            f"{module}.ko is gone and modules.dep still lists it: dracut succeeds, with an image that cannot mount its own root",
            _BROKEN,
            stage=(_take_away(module),),
            undo=(_bring_back(module),),
            judge=Judge.DRACUT,
        ),
        Fault(
            f"{module}-missing",
            f"{module}.ko is gone, and depmod ran since: dracut refuses to squash",
            _BROKEN,
            stage=(f"{_take_away(module)} depmod",),
            undo=(f"{_bring_back(module)}; depmod",),
            judge=Judge.DRACUT,
            says=("dracut-modules-missing",),
        ),
        Fault(
            f"{module}-blacklisted",
            f"harmless: {module} is not loaded by its alias, but by its name, as the image does",
            _HARMLESS,
            stage=(f"echo blacklist {module} > {conf}",),
            undo=(f"rm {conf}",),
            judge=Judge.DRACUT,
        ),
        Fault(
            f"{module}-refused",
            f"harmless: modprobe.d answers requests for {module} with /bin/false, as hardening guides ask for; dracut installs "
            "the file all the same, and its loader runs without modprobe.d",
            _HARMLESS,
            stage=(f"echo install {module} /bin/false > {conf}",),
            undo=(f"rm {conf}",),
            judge=Judge.DRACUT,
        ),
        Fault(
            f"{module}-left-out-of-image",
            f"{module} is there now, and the image in use was built without it: it cannot mount its own root",
            _BROKEN,
            stage=(BUILD.format(f"--omit-drivers {module}"),),
            undo=(f"rm {IMAGE}",),
            judge=Judge.IMAGE,
        ),
        Fault(
            f"{module}-built-in",
            f"harmless with this dracut: the kernel's index says that {module} is built in",
            _HARMLESS,
            stage=(f"cp {index} /root/builtin; {_take_away(module)} echo {_FILES[module]} >> {index}; depmod",),
            undo=(f"cp /root/builtin {index}; {_bring_back(module)}; depmod",),
            judge=Judge.DRACUT,
        ),
        Fault(
            f"{module}-built-in-dracut-050",
            f"{module} is built in, and dracut's squash module insists on files, as that of 050 does: staged by its text, "
            "because the rest of this dracut would be content",
            _BROKEN,
            stage=(f"{_INSIST}; cp {index} /root/builtin; {_take_away(module)} echo {_FILES[module]} >> {index}; depmod",),
            undo=(f"cp /root/setup {_SETUP}; cp /root/builtin {index}; {_bring_back(module)}; depmod",),
            judge=Judge.DRACUT_TEXT,
        ),
    )


FAULTS: tuple[Fault, ...] = (
    Fault("squash-modules-there", "nothing is broken: dracut squashes", _HARMLESS, undo=("true",), judge=Judge.DRACUT),
    *(fault for module in _FILES for fault in _of_module(module)),
)

NOT_STAGED: tuple[NotStaged, ...] = (
    NotStaged(
        "dracut-modules-missing",
        "a module built into the kernel, with the dracut-install of dracut 050",
        "no Debian release carries dracut 050: its text is staged, and a recording judges it "
        "(kdumpctl-squash-built-in-dracut-050)",
    ),
    NotStaged(
        "dracut-modules-missing",
        "a capture kernel that dies of it",
        "kdump-tools does not squash: recordings of a real kdumpctl machine judge it (kdumpctl-squashfs-file-gone)",
    ),
)
