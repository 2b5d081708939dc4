"""Loading the capture kernel."""

from __future__ import annotations

from lab.faults.model import DEBIAN12, DEBIAN13, SILENT, Fault, Ground, NotStaged, expect

_HIDDEN = expect("kaslr-hides-kernel-layout", allowed={"kdump-not-operational"})
_LATENT = expect("kaslr-hides-kernel-layout")
_RELOAD = "kdump-config unload; kdump-config load || true"
_ARGUMENTS = "sed -i '/KDUMP_KEXEC_ARGS=/d' /etc/default/kdump-tools; echo 'KDUMP_KEXEC_ARGS=\"{}\"' >> /etc/default/kdump-tools"
_LEGACY = _ARGUMENTS.format("-c")
_FILE = _ARGUMENTS.format("-s")
_HIDE = "sysctl -q -w kernel.kptr_restrict=2"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "kptr-restrict-0",
        "harmless: kernel addresses are shown",
        {DEBIAN12: SILENT, DEBIAN13: SILENT},
        stage=("sysctl -q -w kernel.kptr_restrict=0", _RELOAD),
    ),
    Fault(
        "kptr-restrict-1",
        "harmless: kernel addresses are shown to root",
        {DEBIAN12: SILENT, DEBIAN13: SILENT},
        stage=("sysctl -q -w kernel.kptr_restrict=1", _RELOAD),
    ),
    Fault(
        "kptr-restrict-2",
        "kernel addresses are hidden from root and KASLR is on: kexec of Debian 12 uses the legacy call; harmless with that of "
        "Debian 13, which tries kexec_file_load first",
        {DEBIAN12: _HIDDEN, DEBIAN13: SILENT},
        stage=(_HIDE, _RELOAD),
        ci=True,
    ),
    Fault(
        "kptr-restrict-2-legacy",
        "kernel addresses are hidden from root, KASLR is on, and the configuration asks for the legacy call",
        {DEBIAN13: _HIDDEN},
        stage=(_LEGACY, _HIDE, _RELOAD),
    ),
    Fault(
        "kptr-restrict-2-file",
        "harmless: kernel addresses are hidden, but the configuration asks for kexec_file_load",
        {DEBIAN12: SILENT, DEBIAN13: SILENT},
        stage=(_FILE, _HIDE, _RELOAD),
        ci=True,
    ),
    Fault(
        "kptr-restrict-2-without-kaslr",
        "harmless: kernel addresses are hidden, but the kernel lies where it was linked",
        {DEBIAN12: SILENT, DEBIAN13: SILENT},
        stage=(_HIDE, _RELOAD),
        ground=Ground(cmdline="nokaslr"),
    ),
    Fault(
        "kptr-restrict-2-after-loading",
        "latent: loaded before kernel addresses were hidden; the next reload may fail",
        {DEBIAN12: _LATENT, DEBIAN13: SILENT},
        stage=(_HIDE,),
    ),
    Fault(
        "kptr-restrict-2-at-next-boot",
        "latent: loaded now, but sysctl.d hides kernel addresses at the next boot",
        {DEBIAN12: _LATENT, DEBIAN13: SILENT},
        stage=("echo kernel.kptr_restrict=2 > /etc/sysctl.d/90-hardening.conf",),
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
        {DEBIAN12: expect("kdump-not-operational"), DEBIAN13: expect("kdump-not-operational")},
        stage=("kexec -p -u",),
    ),
    Fault(
        "service-disabled",
        "latent: loaded now, but the next boot will not start the service",
        {DEBIAN12: expect("kdump-not-operational"), DEBIAN13: expect("kdump-not-operational")},
        stage=("systemctl --quiet disable kdump-tools",),
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = (
    NotStaged(
        "dracut-modules-missing",
        "a module built into the kernel, with dracut 050",
        "no Debian release carries dracut 050: a recording judges it (kdumpctl-squash-built-in-dracut-050)",
    ),
)
