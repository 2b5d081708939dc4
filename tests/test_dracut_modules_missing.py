"""The squashed kdump initramfs lacks squashfs, loop or overlay.

dracut may squash the kdump initramfs to save memory. Such an image mounts its own root file system with three kernel
modules. When one of them cannot be had from the capture kernel (a self-built kernel, a module removed, modprobe.d),
three things can happen, depending on the installed dracut and kdump-utils: the image is built without squash, which is
harmless; the build fails ("installkernel failed in module squash") and kdump does not start; or the build succeeds, kdump
reports success, and after a panic the capture kernel cannot mount its own root. Only the image's content shows the
last. dracut 050 and what was derived from it insist on module files: there a module built into the kernel (=y) fails too.
A build also fails for which dracut.conf leaves out a dracut module that squashing, or kdump's own module, depends on; one
that leaves out a driver (omit_drivers) has it missing without a word.
An image built earlier hides all this until the next rebuild, which a kernel or configuration update starts on its own.
"""

import pytest

from kdump import Severity, Stage, cause

pytestmark = cause(
    "dracut-modules-missing",
    stage=Stage.LOAD,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Build the capture kernel with CONFIG_SQUASHFS=m, CONFIG_BLK_DEV_LOOP=m and CONFIG_OVERLAY_FS=m, install its "
        "modules, run depmod, and rebuild the kdump initramfs (kdumpctl rebuild); or name a compression in dracut_args "
        "of /etc/kdump.conf, where kdump-utils then leaves squash out."
    ),
    references=[
        "https://github.com/dracut-ng/dracut-ng/tree/main/modules.d",
        "https://github.com/rhkdump/kdump-utils/commit/eee580c072f145c7dec47b6c64ed0a9a75834d30",
    ],
)

MODULES = ("squashfs", "loop", "overlay")


@pytest.mark.parametrize("module", MODULES)
def test_image_in_use_can_mount_its_own_root(squashed_image, module):
    name = squashed_image.modules[module]
    assert name in squashed_image.available, (
        f"{squashed_image.path} is squashed, but {name} is neither in it nor built into the capture kernel: after a panic "
        "it cannot mount its own root file system"
    )


@pytest.mark.parametrize("module", MODULES)
def test_next_image_will_have_its_modules(squash_rebuild, module):
    found = squash_rebuild.forecast[module]
    assert found.harmless, (
        f"{found.name} of the capture kernel {squash_rebuild.release} is {found.state.value}: {found.outcome.value}"
    )


def test_next_image_is_not_denied_what_squashing_needs(squash_left_out):
    assert not squash_left_out, f"{'; '.join(squash_left_out)}: the next build of the kdump initramfs fails"


def test_next_image_is_compressed_in_a_way_the_capture_kernel_knows(squash_compressor):
    assert squash_compressor.known_to_kernel, (
        f"the next kdump initramfs will be squashed with {squash_compressor.name}, but the capture kernel was built "
        f"without {squash_compressor.option}: it cannot mount the image's root file system"
    )
