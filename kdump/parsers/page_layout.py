"""Changes of the kernel's page structures that makedumpfile must know, and how one sees that it does.

makedumpfile leaves pages out by what their structures say. Where it does not know a kernel's, it leaves out pages that
crash needs, or leaves none out. It warns of any kernel that is newer than itself ("The kernel version is not supported"),
mostly for nothing: these are the kernels for which something had to be changed.

Source: makedumpfile/makedumpfile@b7587f1, the commits named below ("Required for kernel …" in their messages). What a commit
reads from VMCOREINFO stands in the program as text, so that a distribution's backport is seen, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """``since``: the first kernel. ``key``: of VMCOREINFO, read by a makedumpfile that knows of the change; "" where none is.
    ``release``: the first makedumpfile that does; None where none was released. ``loss``: what happens without."""

    since: tuple[int, int]
    key: str
    release: tuple[int, ...] | None
    commit: str
    loss: str


_NEEDED = "it leaves out pages that crash needs, and the dump cannot be opened"
_LARGE = "it cannot leave out all the pages that it should, and dumps more than it was told to"
CHANGES = (
    Change((6, 2), "", (1, 7, 3), "5f17bdd", _NEEDED),
    Change((6, 3), "OFFSET(folio._folio_order)", (1, 7, 3), "446c4f6", _LARGE),
    Change((6, 6), "NUMBER(PG_hugetlb)", (1, 7, 4), "9661c1d", _LARGE),
    Change((6, 9), "NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)", (1, 7, 6), "985e575", _LARGE),
    Change((6, 10), "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)", (1, 7, 6), "bad2a7c", _NEEDED),
    Change((6, 12), "", (1, 7, 7), "72c3414", "it takes free pages for pages in use, and dumps all of memory"),
    Change((7, 1), "OFFSET(page.compound_info)", None, "f50c015", _NEEDED),
)
#: kernels after this one were not known when the table was written
HORIZON = (7, 1)
KEYS = tuple(change.key for change in CHANGES if change.key)


@dataclass(frozen=True)
class Makedumpfile:
    """``keys``: those of :data:`KEYS` that it reads."""

    version: tuple[int, ...]
    keys: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Makedumpfile:
        """The first line of ``makedumpfile -v``, then the keys.

        >>> Makedumpfile.parse("makedumpfile: version 1.7.4 (released on 6 Nov 2023)\\nNUMBER(PG_hugetlb)=").version
        (1, 7, 4)
        """
        first, *lines = text.split("\n")
        match = re.match(r"makedumpfile: version (\d+(?:\.\d+)*)", first)
        if match is None:
            raise ValueError(f"makedumpfile does not say its version: {first!r}")
        return cls(tuple(map(int, match[1].split("."))), frozenset(line.removesuffix("=") for line in lines))

    @property
    def name(self) -> str:
        return f"makedumpfile {'.'.join(map(str, self.version))}"

    def knows(self, change: Change) -> bool | None:
        """Whether it knows of a change; None where neither its text nor its version tells.

        An earlier version may have the change from its distribution: where there is no text to see it by, nobody can tell.
        """
        if change.key:
            return change.key in self.keys
        later = any(
            other.key in self.keys for other in CHANGES if other.key and (other.release or (99,)) >= (change.release or ())
        )
        return True if later or (change.release is not None and self.version >= change.release) else None


def version_of(release: str) -> tuple[int, int]:
    """The version that a kernel's release begins with.

    >>> version_of("6.12.111+deb12-cloud-amd64")
    (6, 12)

    Raises :class:`ValueError`.
    """
    match = re.match(r"(\d+)\.(\d+)", release)
    if match is None:
        raise ValueError(f"the release {release} does not begin with a version")
    return int(match[1]), int(match[2])
