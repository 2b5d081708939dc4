"""The controller of the dump disk, in a capture kernel that finds it as the crash left it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..fact import Maybe, derived
from ..parsers.dump import State
from ..parsers.dump_target import DumpTarget
from ..verdict import CouldNotDetermine, NotApplicable, OnlyACrashTells
from .dumps import StoredDump
from .kernel import CommandLine
from .storage import Storage

#: drivers of RAID controllers that were seen to lose their disks where the capture kernel's command line has ``reset_devices``:
#: I/O ends with "mfi stat 0x2d", and without the word the dump is saved (docs.openeuler.org, 24.03_LTS, FAQ of the installation
#: guide: "kdump cannot generate vmcore on a physical machine with an LSI MegaRAID card"; openEuler's forum, topic 4795).
_UNDONE_BY_RESET = ("megaraid_sas",)
#: the kernels of which that is told, by their releases: openEuler's, and those that go with it (EulerOS, Kylin, UOS). The driver
#: itself takes the word for a help (Linux 6.12, megaraid_sas_base.c: MSI-X is reset; megaraid_sas_fusion.c:
#: MEGASAS_KDUMP_QUEUE_DEPTH), and all flavours give it by default: there is no such report of other kernels.
_TOLD_OF = re.compile(r"\.(oe\d|eulerosv|ky\d|uelc?\d)")
#: driver → slabs of 2 KiB of ``swiotlb=`` with which it was seen to work in a capture kernel, and not without ("io map data err",
#: openEuler 22.03 SP4: xiaobingling93-pixel/openeuler-witty-ops-cases, one report). It blames too few slabs or an SMMU that is
#: switched off, and does not say whether the reservation lay above 4 GiB: where it lies is no answer.
_BOUNCES = {"hiraid": 32768}


@derived
def controller_that_works(
    local_dump_target: DumpTarget,
    capture_storage: Storage,
    capture_release: str,
    maybe_dump_storage: Maybe[Storage],
    maybe_capture_cmdline: Maybe[CommandLine],
    maybe_dumps: Maybe[tuple[StoredDump, ...]],
) -> str:
    """A whole dump of the same kernel, which its capture kernel saved through a controller that not every capture kernel gets at.

    Raises :class:`NotApplicable` where the controller is none that is known for that, :class:`OnlyACrashTells` where no dump says
    that it works. What an IOMMU makes of a controller that is still at work when the capture kernel starts is up to both, and
    nothing tells it before: a healthy capture kernel logs such faults, too.
    """
    stores = (capture_storage, maybe_dump_storage.value)
    if blind := next((store for store in stores if not store.drivers), None):
        raise CouldNotDetermine(blind.beyond_sight)
    drivers = {name.replace("-", "_") for store in stores for pair in store.drivers.items() for name in pair if name}
    if drivers.isdisjoint({*_UNDONE_BY_RESET, *_BOUNCES}):
        raise NotApplicable("the dump disk's controller is none that is known to fail in a capture kernel")
    doubts = "; ".join(_doubts(drivers, capture_release, maybe_capture_cmdline.value))
    if not doubts:
        raise NotApplicable("nothing is known that keeps this capture kernel from the dump disk's controller")
    for one in maybe_dumps.otherwise(()):
        if one.dump.complete.state is State.COMPLETE and one.dump.release == capture_release:
            return one.path
    raise OnlyACrashTells(f"{doubts}: only a test crash tells whether the dump disk is seen")


def _doubts(drivers: set[str], release: str, cmdline: CommandLine) -> Iterator[str]:
    for driver in _UNDONE_BY_RESET:
        if driver in drivers and _TOLD_OF.search(release) and cmdline.has("reset_devices"):
            yield f"{driver} was seen to lose its disks in kernels of openEuler's kind ({release}), by reset_devices"
    for driver, slabs in _BOUNCES.items():
        given = [value.partition(",")[0] for value in cmdline.values("swiotlb")][-1:]
        if driver in drivers and not (given and given[0].isdecimal() and int(given[0]) >= slabs):
            yield f"{driver} may need swiotlb={slabs} on the capture kernel's command line"
