"""The capture kernel does not see the disk that the dump goes to.

Its driver is not in the kdump initramfs, the device has another name or is gone, its file system is read-only or full. The
capture kernel waits for the disk, gives up, and drops into a shell or reboots: no vmcore. Or the dump lands on another
disk than the one that was meant. The service is active all the time, because loading a capture kernel needs no disk. A
dump target on the network is lost likewise: no driver for the network card, no route, no name, no key. Nothing at all is seen
by a capture kernel that was built without what undoes the compression of its initramfs (CONFIG_RD_*): "Initramfs unpacking
failed: compression method zstd not configured". A controller may not answer to a kernel that finds it at work, or resets it
(reset_devices). dracut's configuration may leave out a dracut module (lvm, nfs) or a driver that the dump target needs: an image
that was built earlier hides that until the next rebuild.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "dump-disk-not-visible",
    stage=Stage.SAVE,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Bring the disk back or correct its name in the kdump configuration and /etc/fstab, make room on it, rebuild the kdump "
        "initramfs so that it holds the disk's drivers (kdumpctl rebuild, kdump-config reload, mkdumprd), compressed in a way "
        "that the capture kernel knows, and load again."
    ),
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html"],
)


def test_drivers_of_the_disk_are_in_the_kdump_initramfs(lacking_in_capture):
    assert not lacking_in_capture, f"neither in the kdump initramfs nor built into its kernel: {', '.join(lacking_in_capture)}"


def test_capture_kernel_can_unpack_its_initramfs(image_decompressors_lacking):
    assert not image_decompressors_lacking, (
        f"the capture kernel was built without {', '.join(image_decompressors_lacking)}: it cannot unpack its initramfs"
    )


def test_next_kdump_initramfs_is_not_denied_what_the_dump_target_needs(dump_modules_left_out):
    assert not dump_modules_left_out, (
        f"{dump_modules_left_out}: the next kdump initramfs cannot reach the dump target, or is not built at all"
    )


def test_next_kdump_initramfs_is_not_denied_the_drivers_of_the_dump_target(dump_drivers_left_out):
    assert not dump_drivers_left_out, f"{dump_drivers_left_out}: the next kdump initramfs cannot reach the dump target"


def test_dumps_go_to_the_disk_that_was_meant(lost_dump_disk):
    assert not lost_dump_disk, lost_dump_disk


def test_capture_kernel_waits_until_the_disk_is_mounted(awaited_mount):
    assert awaited_mount


def test_devices_named_to_the_capture_kernel_exist(devices_capture_waits_for):
    assert not devices_capture_waits_for, f"the capture kernel will wait for {', '.join(devices_capture_waits_for)}"


def test_kdump_initramfs_was_built_for_the_disk(devices_in_image):
    assert not devices_in_image, devices_in_image


def test_controller_of_the_disk_works_in_a_capture_kernel(controller_that_works):
    assert controller_that_works


def test_encrypted_disk_opens_by_itself(unlocked_disk):
    assert unlocked_disk


def test_dump_can_be_written(refused_writes):
    assert not refused_writes, refused_writes


def test_usb_is_not_switched_off(usb_is_seen):
    assert usb_is_seen, "the dump target is on USB, and the capture kernel's command line switches USB off"


def test_network_target_has_a_route(network_route):
    assert network_route.interfaces, f"no route leads to {network_route.host}: {network_route.complaint}"


def test_network_target_answers(target_that_answered):
    assert target_that_answered


def test_drivers_of_the_network_are_in_the_kdump_initramfs(lacking_for_network):
    assert not lacking_for_network, (
        f"the dump goes over the network, and the capture kernel lacks {', '.join(lacking_for_network)}"
    )


def test_name_of_the_network_target_is_known(resolved_target):
    assert resolved_target.addresses, (
        f"the name {resolved_target.host} of the dump target is not known: {resolved_target.complaint}"
    )


def test_network_target_lets_the_capture_kernel_in(ssh_key_of_target):
    assert not ssh_key_of_target, ssh_key_of_target
