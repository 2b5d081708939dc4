"""A squashed kdump initramfs of this kernel would lack squashfs, loop or overlay.

A squashed kdump initramfs mounts its own root file system with three kernel modules. Whether a kernel that has them
built in, or not at all, gets an initramfs, gets one without squash, fails to get one, or gets one that dies after the panic is
decided by the dracut and the kdump-utils that are installed: dracut 050 and what was derived from it insist on
module files, so that a built-in one fails too. The running kernel's initramfs is fine all the while; it breaks with the first
boot of the new kernel, when kdump builds one for it.
"""

import pytest

from kdump import Severity, Stage, cause

pytestmark = cause(
    "dracut-modules-missing",
    stage=Stage.LOAD,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Build the kernel with CONFIG_SQUASHFS=m, CONFIG_BLK_DEV_LOOP=m and CONFIG_OVERLAY_FS=m and install its modules; "
        "or name a compression in dracut_args of /etc/kdump.conf, where kdump-utils then leaves squash out."
    ),
    references=[
        "https://github.com/dracut-ng/dracut-ng/tree/main/modules.d",
        "https://github.com/rhkdump/kdump-utils/commit/eee580c072f145c7dec47b6c64ed0a9a75834d30",
    ],
)

MODULES = ("squashfs", "loop", "overlay")


@pytest.mark.parametrize("module", MODULES)
def test_initramfs_of_this_kernel_will_have_its_modules(judged_rebuild, module):
    found = judged_rebuild.forecast[module]
    assert found.harmless, f"{found.name} of kernel {judged_rebuild.release} is {found.state.value}: {found.outcome.value}"


def test_initramfs_of_this_kernel_is_compressed_in_a_way_it_knows(judged_compressor):
    assert judged_compressor.known_to_kernel, (
        f"the kdump initramfs is squashed with {judged_compressor.name}, but the kernel was built without "
        f"{judged_compressor.option}: it cannot mount the image's root file system"
    )
