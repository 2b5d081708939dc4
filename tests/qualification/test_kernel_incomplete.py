"""The kernel is not installed whole, or not one for this machine.

A kernel copied by hand, or a package removed or installed halfway, boots, or is listed by the boot loader, and yet lacks
a part that kdump needs: its image, which is what is loaded as capture kernel, or modules.dep, from which dracut and
initramfs-tools learn what to put into the kdump initramfs. The kdump initramfs is then not built, or is built without
drivers. The kernel itself does not notice: its own initramfs was made earlier. Or its own initramfs is not there, was
copied from another kernel, was made before the kernel was built again under the same release, or is compressed in a way that
the kernel was built without (CONFIG_RD_*): then it does not find its root file system, and the machine stays down after the
reboot that was to bring the new kernel.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "kernel-incomplete",
    stage=Stage.LOAD,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Install the package of this machine's architecture again, or run `make modules_install install` for a self-built "
        "one; then depmod RELEASE, and make its initramfs anew (update-initramfs -u -k RELEASE, dracut --force --kver RELEASE)."
    ),
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html"],
)


def test_image_is_there(judged_release, bootable_image):
    assert bootable_image is not None, f"there is no image of kernel {judged_release}, so nothing to load as capture kernel"


def test_kernel_is_for_this_machine(judged_release, foreign_architecture, kernel_machine):
    assert not foreign_architecture, (
        f"kernel {judged_release} is for {foreign_architecture}, and this machine is {kernel_machine}"
    )


def test_modules_are_indexed(judged_release, module_index):
    assert module_index is not None, (
        f"there is no modules.dep for kernel {judged_release}: its modules are not installed, or depmod was not run"
    )


def test_image_is_of_this_release(judged_release, image_identity):
    assert image_identity.release == judged_release, (
        f"the image that is called {judged_release} is of {image_identity.release}: it finds no modules of its own"
    )


def test_its_own_initramfs_is_there(judged_release, why_it_needs_an_initramfs):
    assert not why_it_needs_an_initramfs, f"kernel {judged_release} has no initramfs, and {why_it_needs_an_initramfs}"


def test_its_own_initramfs_has_the_drivers_of_its_root(judged_release, missing_in_own_initramfs):
    assert not missing_in_own_initramfs, f"the initramfs of kernel {judged_release} lacks {', '.join(missing_in_own_initramfs)}"


def test_its_own_initramfs_is_as_new_as_its_modules(judged_release, newer_than_own_initramfs):
    assert not newer_than_own_initramfs, (
        f"the initramfs of kernel {judged_release} was made before {', '.join(newer_than_own_initramfs)} was installed: it holds "
        "the module of another build"
    )


def test_its_own_initramfs_can_be_unpacked(judged_release, own_decompressors_lacking):
    assert not own_decompressors_lacking, (
        f"kernel {judged_release} was built without {', '.join(own_decompressors_lacking)}: it cannot unpack its initramfs"
    )
