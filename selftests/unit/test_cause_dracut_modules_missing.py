"""Red, green and cannot-know; the rules are lines of real dracut and kdump-utils releases."""

import pytest

import kdump.facts.dracut
import kdump.facts.flavour
import kdump.facts.identity
import kdump.facts.initramfs
import kdump.facts.kernel
import kdump.facts.modules  # noqa: F401
from kdump.fact import UID
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

FILE = "dracut_modules_missing"
RED, GREEN, NOT_APPLICABLE, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED
NOW, NEXT = "image_in_use_can_mount_its_own_root", "next_image_will_have_its_modules"
RELEASE = "5.10.0-60.18.0.50.oe2203.x86_64"

SETUP = "/usr/lib/dracut/modules.d"
DRACUT_050 = f'{SETUP}/99squash/module-setup.sh:    hostonly="" instmods -c squashfs loop overlay'
DRACUT_055 = f'{SETUP}/99squash/module-setup.sh:    hostonly="" instmods squashfs loop overlay'
DRACUT_059 = f"{DRACUT_055}\n{SETUP}/99squash/module-setup.sh:    require_kernel_modules squashfs loop overlay || return 1"
DRACUT_107 = f"""\
{SETUP}/99squash-lib/module-setup.sh:    require_kernel_modules loop overlay || return 1
{SETUP}/95squash-squashfs/module-setup.sh:    require_kernel_modules squashfs || return 1
{SETUP}/95squash-erofs/module-setup.sh:    require_kernel_modules erofs || return 1
{SETUP}/99squash/module-setup.sh"""
GATE = f"{SETUP}/99kdumpbase/module-setup.sh:    if is_squash_available && ! is_fadump_capable; then"
OPTIONAL = f"{GATE}\n{SETUP}/99kdumpbase/module-setup.sh:        add_opt_module squash"
DEPENDS = f'{GATE}\n{SETUP}/99kdumpbase/module-setup.sh:        _dep="$_dep squash"'
NO_GATE = """\
/usr/sbin/mkdumprd:\t\tdracut_args+=(--add squash-squashfs)
/usr/sbin/mkdumprd:\t\tdracut_args+=(--squash-compressor zstd)
/usr/sbin/mkdumprd:\t\tdracut_args+=(--add squash-erofs)
/usr/sbin/mkdumprd:\t\tdracut_args+=(--squash-compressor lzma)"""

DRACUT = '/usr/bin/dracut:((${#omit_dracutmodules_l[@]})) && omit_dracutmodules+=" ${omit_dracutmodules_l[*]} "'
DRACUT_BEFORE_055 = DRACUT.replace("+=", "=")

MODULE = f"ok insmod /lib/modules/{RELEASE}/kernel/fs/x.ko.xz "
BUILT_IN = "ok builtin x"
GONE = f"gone insmod /lib/modules/{RELEASE}/kernel/fs/x.ko.xz "
MISSING = f"ok modprobe: FATAL: Module x not found in directory /lib/modules/{RELEASE}"
OVERRIDDEN, REFUSED = "ok install /bin/false ", "refused install /bin/false "


def modules(**states):
    states = {"squashfs": MODULE, "erofs": MISSING, "loop": MODULE, "overlay": MODULE} | states
    return says("installed_squash_modules", "\n".join(f"{RELEASE} {name} {state}" for name, state in states.items()))


def machine(rules, *more):
    """A machine of kdumpctl with these rules."""
    return host(
        Reading(UID, "0", "", 0),
        says("kdump_userspace", "/usr/bin/kdumpctl"),
        says("kernel_release", RELEASE),
        says("capture_release", RELEASE),
        says("installed_squash_rules", rules),
        says("squash_tools", "/usr/sbin/mksquashfs"),
        says("dracut_args", "", "", 1),
        missing("extra_modules"),
        says("dracut_omissions", DRACUT),
        modules(),
        *more,
    )


@pytest.mark.parametrize(
    ("rules", "loop", "verdict", "words"),
    [
        (f"{DRACUT_050}\n{GATE}", MODULE, GREEN, ""),
        (f"{DRACUT_050}\n{GATE}", BUILT_IN, RED, "fails"),  # the document's case
        (f"{DRACUT_050}\n{GATE}", MISSING, GREEN, ""),  # the gate leaves squash out
        (f"{DRACUT_050}\n{GATE}", GONE, RED, "fails"),
        (f"{DRACUT_055}\n{GATE}", BUILT_IN, GREEN, ""),
        (f"{DRACUT_059}\n{GATE}", GONE, RED, "cannot mount"),
        (f"{DRACUT_059}\n{GATE}", REFUSED, GREEN, ""),
        (f"{DRACUT_059}\n{GATE}", OVERRIDDEN, GREEN, ""),
        (f"{DRACUT_059}\n{NO_GATE}", MISSING, RED, "fails"),
        (f"{DRACUT_107}\n{NO_GATE}", MISSING, RED, "fails"),
        (f"{DRACUT_107}\n{NO_GATE}", BUILT_IN, GREEN, ""),
        (f"{DRACUT_055}\n{NO_GATE}", MISSING, RED, "fails, or"),
        (GATE, MISSING, NOT_APPLICABLE, "no squash module"),
        (f"{DRACUT_059}\n{GATE}", "ok sh: modprobe: not found", UNKNOWN, "modprobe said"),
    ],
)
def test_next_image(rules, loop, verdict, words):
    found, said = ask(machine(rules, modules(loop=loop)), FILE, NEXT, module="loop")
    assert (found, words in said) == (verdict, True), said
    others, said = ask(machine(rules, modules(loop=loop)), FILE, NEXT, module="overlay")
    assert others is not RED, said


@pytest.mark.parametrize(
    ("rules", "arguments", "verdict"),
    [
        (f"{DRACUT_059}\n{NO_GATE}", "dracut_args --compress xz", NOT_APPLICABLE),
        (f"{DRACUT_059}\n{NO_GATE}", "dracut_args --compress=xz", RED),  # kdump-utils does not know it in this form
        (f"{DRACUT_059}\n{NO_GATE}", "dracut_args --add x # --xz", RED),
        (f"{DRACUT_059}\n{GATE}", "dracut_args --compress xz", RED),  # the older one squashes all the same
        (f"{DRACUT_059}\n{OPTIONAL}", 'dracut_args --omit "squash plymouth"', NOT_APPLICABLE),
        (f"{DRACUT_059}\n{NO_GATE}", "dracut_args -o squash", NOT_APPLICABLE),
        (f"{DRACUT_107}\n{NO_GATE}", "dracut_args --omit squash", RED),  # it asks for squash-squashfs
        (f"{DRACUT_107}\n{NO_GATE}", "dracut_args --omit squash-squashfs", NOT_APPLICABLE),
        (f"{DRACUT_059}\n{GATE}", 'dracut_args --omit-drivers "squash"', RED),
    ],
)
def test_arguments_that_leave_squash_out(rules, arguments, verdict):
    readings = machine(rules, modules(squashfs=GONE), says("dracut_args", arguments))
    assert ask(readings, FILE, NEXT, module="squashfs")[0] is verdict


def leaves_out(words, file="/etc/dracut.conf.d/own.conf", dracut=DRACUT):
    return says("dracut_omissions", f"file {file}\n{file}:omit_dracutmodules{words}\n{dracut}")


def forcing(omitted, forced):
    return leaves_out(f'+=" {omitted} "\n/etc/dracut.conf.d/own.conf:force_add_dracutmodules+=" {forced} "')


KDUMPS_OWN = "/usr/sbin/mkdumprd:if [[ --add-confdir\n/usr/bin/dracut:  --add-confdir [DIR]"
RESET = f"""file /etc/dracut.conf.d/NAME.conf
file /lib/kdump/dracut.conf.d/99-kdump.conf
/etc/dracut.conf.d/NAME.conf:omit_dracutmodules+=" squash-lib "
/lib/kdump/dracut.conf.d/99-kdump.conf:omit_dracutmodules=' hwdb rdma '
{KDUMPS_OWN}
{DRACUT}"""


@pytest.mark.parametrize(
    ("rules", "omissions", "verdict"),
    [
        (f"{DRACUT_107}\n{NO_GATE}", says("dracut_omissions", DRACUT), GREEN),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out('+=" squash-squashfs "'), NOT_APPLICABLE),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out('+=" squash-lib "'), RED),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out("+=' systemd-initrd ' # small"), RED),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out('+=" lvm "'), GREEN),
        # put in by force: by its name it is there, with another's it may come along
        (f"{DRACUT_107}\n{NO_GATE}", forcing("squash-lib", "squash-lib"), GREEN),
        (f"{DRACUT_107}\n{NO_GATE}", forcing("squash-lib", "crypt"), UNKNOWN),
        (f"{DRACUT_107}\n{NO_GATE}", forcing("squash-squashfs", "crypt"), UNKNOWN),
        # kdump-utils' own profile sets the list anew, and what stands behind it adds to that
        (f"{DRACUT_107}\n{NO_GATE}", says("dracut_omissions", RESET.replace("NAME", "50-own")), GREEN),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out("+=' lvm '\n/etc/dracut.conf.d/own.conf:dracutmodules=''"), GREEN),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out("+=' lvm '\n/etc/dracut.conf.d/own.conf:dracutmodules+=' base '"), UNKNOWN),
        (f"{DRACUT_107}\n{NO_GATE}", says("dracut_omissions", RESET.replace("NAME", "100-own")), RED),
        (f"{DRACUT_059}\n{OPTIONAL}", leaves_out('="squash"'), NOT_APPLICABLE),
        (f"{DRACUT_059}\n{DEPENDS}", leaves_out('="squash"'), RED),
        (f"{DRACUT_059}\n{GATE}", leaves_out('="squash"'), UNKNOWN),
        # an older dracut heeds the command line's --omit alone
        (f"{DRACUT_050}\n{DEPENDS}", leaves_out('="squash"', dracut=DRACUT_BEFORE_055), GREEN),
        (f"{DRACUT_107}\n{NO_GATE}", leaves_out('+=" $MORE "'), UNKNOWN),
        (f"{DRACUT_107}\n{NO_GATE}", says("dracut_omissions", "file /etc/dracut.conf", "", 1), UNKNOWN),
        (f"{DRACUT_107}\n{NO_GATE}", denied("dracut_omissions"), UNKNOWN),
    ],
)
def test_what_dracut_leaves_out(rules, omissions, verdict):
    assert ask(machine(rules, omissions), FILE, "next_image_is_not_denied_what_squashing_needs")[0] is verdict


def drivers(*lines, file="/etc/dracut.conf.d/own.conf"):
    return says("dracut_omissions", "\n".join([f"file {file}", *(f"{file}:{line}" for line in lines), DRACUT]))


OMITTED, ADDED = 'omit_drivers+=" overlay "', 'add_drivers+=" overlay "'


@pytest.mark.parametrize(
    ("rules", "readings", "verdict"),
    [
        (DRACUT_059, [drivers(OMITTED)], RED),
        (DRACUT_107, [drivers(OMITTED)], RED),
        (DRACUT_059, [drivers(OMITTED, ADDED)], GREEN),
        (DRACUT_059, [drivers(OMITTED), says("extra_modules", "extra_modules overlay")], GREEN),
        (DRACUT_059, [drivers(OMITTED), denied("extra_modules")], UNKNOWN),
        (DRACUT_059, [drivers(OMITTED, 'add_drivers+=" $MINE "')], UNKNOWN),
        (DRACUT_059, [drivers('omit_drivers+=" nouveau "')], GREEN),
        (DRACUT_059, [drivers('omit_drivers+=" over "')], UNKNOWN),  # a part of a name counts before dracut 058
        (DRACUT_059, [says("dracut_args", "dracut_args --omit-drivers 'overlay loop'")], RED),
        # there is no file of it to be left out; and an image that is not squashed needs none
        (DRACUT_059, [drivers(OMITTED), modules(overlay=BUILT_IN)], GREEN),
        (f"{DRACUT_059}\n{GATE}", [drivers(OMITTED), modules(loop=MISSING)], GREEN),
    ],
)
def test_drivers_that_dracut_leaves_out(rules, readings, verdict):
    rules = rules if GATE in rules else f"{rules}\n{NO_GATE}"
    found, said = ask(machine(rules, *readings), FILE, NEXT, module="overlay")
    assert found is verdict, said


def test_a_gate_that_leaves_squash_out_needs_nothing():
    readings = machine(f"{DRACUT_059}\n{DEPENDS}", leaves_out('="squash"'), modules(loop=MISSING))
    assert ask(readings, FILE, "next_image_is_not_denied_what_squashing_needs")[0] is GREEN


def test_erofs_stands_in_for_squashfs():
    tools = says("squash_tools", "/usr/bin/mkfs.erofs")
    found, said = ask(machine(f"{DRACUT_107}\n{NO_GATE}", tools), FILE, NEXT, module="squashfs")
    assert (found, said.startswith("erofs of")) == (RED, True), said


def listing(*files):
    lines = [f"file 100 {file}" for file in files]
    return says("initramfs", "\n".join(["image 9 9 /boot/kdump.img", *lines, "total 900 900 9", "squashed unlisted"]))


INSIDE = [f"usr/lib/modules/{RELEASE}/kernel/{path}.ko.xz" for path in ("fs/squashfs/squashfs", "drivers/block/loop")]
OVERLAY = f"usr/lib/modules/{RELEASE}/kernel/fs/overlayfs/overlay.ko.xz"


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([listing("squash-root.img", *INSIDE, OVERLAY)], GREEN),
        ([listing("squash/root.img", *INSIDE)], RED),  # dracut 050 and older
        ([listing("squashfs-root.img", *INSIDE), modules(overlay=BUILT_IN)], GREEN),
        ([listing("erofs-root.img", *INSIDE, OVERLAY)], GREEN),
        # those of another kernel are of no use; a modprobe.d inside may forbid what is there
        ([listing("squash-root.img", *INSIDE, OVERLAY.replace(RELEASE, "5.10.0-1"))], RED),
        ([listing("squash-root.img", *INSIDE, OVERLAY, "etc/modprobe.d/cis.conf"), modules(overlay=OVERRIDDEN)], UNKNOWN),
        ([listing("squash-root.img", *INSIDE, OVERLAY, "etc/modprobe.d/x.conf")], GREEN),
        ([listing(*INSIDE)], NOT_APPLICABLE),
        ([denied("initramfs")], UNKNOWN),
        ([listing("squash-root.img", *INSIDE), says("capture_release", "9.9")], UNKNOWN),
        ([denied("initramfs"), says("kdump_userspace", "/usr/sbin/kdump-config")], NOT_APPLICABLE),
        ([missing("initramfs")], UNKNOWN),
    ],
)
def test_image_in_use(readings, verdict):
    found, said = ask(machine(f"{DRACUT_059}\n{GATE}", *readings), FILE, NOW, module="overlay")
    assert found is verdict, said


@pytest.mark.parametrize(
    ("option", "verdict"), [("CONFIG_SQUASHFS_ZSTD=y", GREEN), ("CONFIG_SQUASHFS_XZ=y", RED), (None, UNKNOWN)]
)
def test_compressor(option, verdict):
    file = f"/boot/config-{RELEASE}"
    config = says("kernel_configurations", f"{file}:{option}") if option else says("kernel_configurations", "", "", 1)
    test = "next_image_is_compressed_in_a_way_the_capture_kernel_knows"
    assert ask(machine(f"{DRACUT_107}\n{NO_GATE}", config), FILE, test)[0] is verdict


def test_scripts_that_were_not_seen_are_not_scripts_that_do_not_squash():
    assert ask(machine(""), FILE, NEXT, module="squashfs")[0] is UNKNOWN
