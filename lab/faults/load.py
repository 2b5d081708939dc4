"""Loading the capture kernel."""

from __future__ import annotations

from lab.faults.model import DEBIAN11, DEBIAN12, DEBIAN12_ARM64, DEBIAN13, SILENT, Fault, Ground, NotStaged, expect

_HIDDEN = expect("kaslr-hides-kernel-layout", allowed={"kdump-not-operational"})
_LATENT = expect("kaslr-hides-kernel-layout")
_RELOAD = "kdump-config unload; kdump-config load || true"
_HIDE = "sysctl -q -w kernel.kptr_restrict=2"
_DEFAULTS = "/etc/default/kdump-tools"
_CALLS = {"legacy": "-c", "file": "-s"}
_BACK = (f"cp /root/defaults {_DEFAULTS}; sysctl -q -w kernel.kptr_restrict=0; {_RELOAD}",)


def _kptr_restrict(value: int, call: str, kaslr: bool) -> Fault:
    """One cell of kptr_restrict x KASLR x system call, the call asked for by the configuration."""
    hidden = value == 2 and call == "legacy" and kaslr
    wanted = _HIDDEN if hidden else SILENT
    return Fault(
        f"kptr-restrict-{value}-{call}{'' if kaslr else '-without-kaslr'}",
        f"{'' if hidden else 'harmless: '}kernel.kptr_restrict={value}, KASLR {'on' if kaslr else 'off'}, "
        f"{'kexec_load' if call == 'legacy' else 'kexec_file_load'} asked for",
        {DEBIAN12: wanted, DEBIAN13: wanted},
        stage=(
            f"cp {_DEFAULTS} /root/defaults; sed -i '/KDUMP_KEXEC_ARGS=/d' {_DEFAULTS}; "
            f"echo 'KDUMP_KEXEC_ARGS=\"{_CALLS[call]}\"' >> {_DEFAULTS}; sysctl -q -w kernel.kptr_restrict={value}; {_RELOAD}",
        ),
        undo=_BACK,
        ground=Ground() if kaslr else Ground(cmdline="nokaslr"),
        ci=(value, call, kaslr) == (2, "file", True),
    )


FAULTS: tuple[Fault, ...] = (
    *(_kptr_restrict(value, call, kaslr) for kaslr in (True, False) for call in _CALLS for value in (0, 1, 2)),
    Fault(
        "kptr-restrict-2",
        "kernel addresses are hidden from root and KASLR is on: kexec of Debian 12 uses the legacy call; harmless with that of "
        "Debian 13, which tries kexec_file_load first",
        {DEBIAN11: _HIDDEN, DEBIAN12: _HIDDEN, DEBIAN13: SILENT},
        stage=(_HIDE, _RELOAD),
        ci=True,
    ),
    Fault(
        "kernel-without-text-symbol",
        "the kernel does not list _text, by which kexec of arm64 tells where it begins: the capture kernel boots, and its "
        "/proc/vmcore cannot be read, which kdump-tools calls saved",
        {DEBIAN12_ARM64: expect("kaslr-hides-kernel-layout")},
        proof="vaddr_to_paddr_arm64: Can't read pgd",
        says=("kaslr-hides-kernel-layout",),
    ),
    Fault(
        "kernel-without-any-symbol",
        "harmless: kernel addresses are hidden from root, so that kexec of arm64 takes /proc/iomem's word for where the kernel "
        "begins",
        {DEBIAN12_ARM64: expect(cured={"kaslr-hides-kernel-layout"})},
        stage=("echo kernel.kptr_restrict=2 > /etc/sysctl.d/90-hardening.conf", _HIDE, _RELOAD),
        proof="The dumpfile is saved to STDOUT",
    ),
    Fault(
        "symbols-hidden-after-loading",
        "kernel addresses were hidden from root after kexec of arm64 had gone by them: nobody can see any more whether _text was "
        "among them",
        {DEBIAN12_ARM64: expect(undetermined={"kaslr-hides-kernel-layout"})},
        stage=(_HIDE,),
        undo=("sysctl -q -w kernel.kptr_restrict=0",),
    ),
    Fault(
        "kptr-restrict-2-after-loading",
        "latent: loaded before kernel addresses were hidden; the next reload may fail",
        {DEBIAN12: _LATENT, DEBIAN13: SILENT},
        stage=(_HIDE,),
        undo=("sysctl -q -w kernel.kptr_restrict=0",),
    ),
    Fault(
        "kptr-restrict-2-at-next-boot",
        "latent: loaded now, but sysctl.d hides kernel addresses at the next boot",
        {DEBIAN12: _LATENT, DEBIAN13: SILENT},
        stage=("echo kernel.kptr_restrict=2 > /etc/sysctl.d/90-hardening.conf",),
        undo=("rm /etc/sysctl.d/90-hardening.conf",),
        ci=True,
    ),
    Fault(
        "kexec-disabled",
        "kexec was disabled before the service loaded the capture kernel",
        {DEBIAN12: expect("kdump-not-operational"), DEBIAN13: expect("kdump-not-operational")},
        stage=("kdump-config unload; sysctl -q -w kernel.kexec_load_disabled=1; kdump-config load || true",),
    ),
    Fault(
        "unloaded",
        "the capture kernel was unloaded, and the service is active all the same",
        {target: expect("kdump-not-operational") for target in (DEBIAN12, DEBIAN13, DEBIAN12_ARM64)},
        stage=("kexec -p -u",),
        undo=("kdump-config load",),
    ),
    Fault(
        "service-disabled",
        "latent: loaded now, but the next boot will not start the service",
        {target: expect("kdump-not-operational") for target in (DEBIAN12, DEBIAN13, DEBIAN12_ARM64)},
        stage=("systemctl --quiet disable kdump-tools",),
        undo=("systemctl --quiet enable kdump-tools",),
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = ()
