"""What is known of a dump: who wrote it, and whether all of it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Completeness:
    """Whether every page that the dump promises is there.

    `missing_bytes` and `missing_pages` are None where the loss cannot be known; `at_least` says that the true loss
    may be larger than the number given.
    """

    state: State
    reason: str
    missing_bytes: int | None = None
    missing_pages: int | None = None
    at_least: bool = False

    @classmethod
    def complete(cls, reason: str) -> Completeness:
        return cls(State.COMPLETE, reason)

    @classmethod
    def incomplete(
        cls, reason: str, *, missing_bytes: int | None = None, missing_pages: int | None = None, at_least: bool = False
    ) -> Completeness:
        return cls(State.INCOMPLETE, reason, missing_bytes, missing_pages, at_least)

    @classmethod
    def cannot_tell(cls, reason: str) -> Completeness:
        return cls(State.CANNOT_TELL, reason)


@dataclass(frozen=True)
class Split:
    """The part of a dump that one file of `makedumpfile --split` holds: page frames `start` to `end` (exclusive)."""

    start_pfn: int
    end_pfn: int
    max_mapnr: int
    pages_written: int | None = None
    """Page descriptors found in this file; None where they were not counted."""
    pages_of_all: int | None = None
    """Pages of all files together."""


@dataclass(frozen=True)
class Dump:
    """One dump file, judged. A field is None where the file does not say it."""

    format: str
    """`kdump-compressed`, `flattened kdump-compressed`, `ELF`, `flattened ELF`, `empty`, `unknown`, …"""
    size: int
    complete: Completeness
    release: str | None = None
    """`uname -r` of the kernel that crashed."""
    version: str | None = None
    """`uname -v` of the kernel that crashed, as `#1 SMP …`."""
    build_id: str | None = None
    """GNU build-id of the kernel that crashed, lower-case hexadecimal."""
    machine: str | None = None
    nodename: str | None = None
    crash_time: datetime | None = None
    dump_level: int | None = None
    """`makedumpfile -d`; None for a dump that does not record it."""
    compression: str | None = None
    pages: int | None = None
    """Pages that the dump promises (of all files together for a split dump)."""
    header_version: int | None = None
    split: Split | None = None
    vmcoreinfo: Mapping[str, str] = field(default_factory=dict)
