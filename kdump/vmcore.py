"""Dumps judged from their bytes: complete or not, by which kernel, and opened by which vmlinux.

    python -m kdump.vmcore FILE… [--vmlinux=PATH] [--json]

Only some hundred kilobytes of a dump are read, however large it is. Exit status: 0 every dump is complete (and the
vmlinux matches, where one was given), 1 a dump is damaged or the vmlinux does not match, 2 it cannot be told, which
includes files that cannot be read, a command line that cannot be understood, and an answer that cannot be written; a
sentence says which.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kdump.answer import put
from kdump.bytesource import ByteSource, LocalFile, Memory
from kdump.parsers import elf_core, flattened, kdump_compressed, vmlinux
from kdump.parsers.compressed import compression_of, cut_short, front
from kdump.parsers.dump import Completeness, Dump, State
from kdump.parsers.unreadable import Unreadable
from kdump.parsers.vmlinux import Vmlinux
from kdump.transcript import sanitise

FRONT_OF_COMPRESSED = 1 << 20
"""Decompressed bytes of a compressed dump that are looked at: headers and VMCOREINFO lie at its front."""

EMPTY = Completeness.incomplete("the file is empty: nothing was written")

_OTHER_FORMATS = {  # crash sadump.h, lkcd_common.c, s390_dump.c, commit abcb45e7d443
    b"sadump\0\0": "sadump",
    0xA8190173618F23ED.to_bytes(8, "little"): "LKCD",
    0xA8190173618F23FD.to_bytes(8, "big"): "s390",
}


def judge(source: ByteSource) -> Dump:
    """What this file is, and whether all of it is there. Never raises: what cannot be read is `cannot tell`."""
    try:
        return _judge(source)
    except Unreadable as unreadable:
        return Dump("unknown", source.size, Completeness.cannot_tell(unreadable.reason))


def _judge(source: ByteSource) -> Dump:
    if source.size == 0:
        return Dump("empty", 0, EMPTY)
    head = source.read_at(0, 512)
    if head.startswith(flattened.SIGNATURE[: min(16, len(head))]) and len(head) >= 12:
        return flattened.judge(source)
    if head.startswith(kdump_compressed.SIGNATURES):
        return kdump_compressed.judge(source)
    if head.startswith(elf_core.MAGIC):
        return elf_core.judge(source)
    if not head.strip(b"\0") and getattr(source, "is_device", False):
        raise Unreadable("it is a device that begins with zero bytes: no dump was written to it")
    if not head.strip(b"\0"):
        reason = "the file begins with zero bytes: what belongs there was never written"
        return Dump("unknown", source.size, Completeness.incomplete(reason))
    if len(head) < 16 and any(one.startswith(head) for one in (flattened.SIGNATURE, b"KDUMP   ", elf_core.MAGIC)):
        return Dump("unknown", source.size, Completeness.incomplete("the file ends inside its signature", at_least=True))
    compression = compression_of(head)
    if compression:
        return _judge_compressed(source, compression)
    for magic, name in _OTHER_FORMATS.items():
        if head.startswith(magic):
            reason = f"it is in the {name} format, which is not judged here: open it with crash"
            return Dump(name, source.size, Completeness.cannot_tell(reason))
    raise Unreadable("it is not in a dump format that is known here")


def _judge_compressed(source: ByteSource, compression: str) -> Dump:
    """A dump that was piped through a compressor: its kernel is known from its front, its end is not."""
    kind = f"{compression}-compressed file"
    if cut_short(source, compression):
        complete = Completeness.incomplete("the xz stream has no footer: the file was cut short")
    else:
        complete = Completeness.cannot_tell(
            f"it is compressed with {compression} as a whole: decompress it, and judge what comes out"
        )
    inner: Dump | None = None
    try:
        beginning = front(source, compression, FRONT_OF_COMPRESSED)
        inner = judge(Memory(beginning))
    except Unreadable as unreadable:
        if complete.state is State.CANNOT_TELL and "damaged" in unreadable.reason:
            complete = Completeness.incomplete(unreadable.reason)
        return Dump(kind, source.size, complete)
    if len(beginning) < FRONT_OF_COMPRESSED:  # all of it came out
        complete = inner.complete
    return dataclasses.replace(inner, format=f"{inner.format}, in a {kind}", size=source.size, complete=complete)


def judge_split(dumps: Sequence[Dump], *, elsewhere: bool = False) -> Completeness:
    """The files of one `makedumpfile --split` together: no page frame missing between them, and every page written.

    ``elsewhere``: a file that is not among them may lie on another disk, so its absence is no loss that could be told.
    """
    absent = Completeness.cannot_tell if elsewhere else Completeness.incomplete
    parts = sorted((dump.split for dump in dumps if dump.split), key=lambda part: part.start_pfn)
    if not parts or len(parts) != len(dumps):
        return Completeness.cannot_tell("not all of these files are parts of a split dump")
    for dump in dumps:
        if dump.complete.state is State.INCOMPLETE:
            return dump.complete
    # Two copies of one file count once, by the one of which more is known.
    parts.sort(key=lambda part: part.pages_written if part.pages_written is not None else -1)
    parts = sorted({(part.start_pfn, part.end_pfn): part for part in parts}.values(), key=lambda part: part.start_pfn)
    at = 0
    for part in parts:
        if part.start_pfn < at:
            return Completeness.cannot_tell(
                f"two of these files have page frames {part.start_pfn} to {at}: not of one split dump"
            )
        if part.start_pfn != at:
            return absent(f"the file of this split dump with page frames {at} to {part.start_pfn} is missing")
        at = part.end_pfn
    if at != parts[0].max_mapnr:
        return absent(f"the file of this split dump with page frames {at} to {parts[0].max_mapnr} is missing")
    if all(dump.complete.state is State.COMPLETE for dump in dumps):
        return Completeness.complete(f"all {len(parts)} files of the split dump are complete")
    written = sum(part.pages_written or 0 for part in parts)
    total = next((part.pages_of_all for part in parts if part.pages_of_all is not None), None)
    if total is None or any(part.pages_written is None for part in parts):
        return Completeness.cannot_tell("how many pages the split dump has is not known")
    if written < total:
        return Completeness.incomplete(
            f"only {written} of {total} pages were written to the {len(parts)} files", missing_pages=total - written
        )
    return Completeness.complete(f"all {total} pages are in the {len(parts)} files of the split dump")


@dataclass(frozen=True)
class Match:
    """Whether this vmlinux opens this dump. `matches` is None where it cannot be told."""

    matches: bool | None
    reason: str


def match(dump: Dump, image: Vmlinux) -> Match:
    """By build-id; by release and version (the banner) only where the crashed kernel exports no build-id."""
    if dump.machine and image.machine and dump.machine != image.machine:
        return Match(False, f"the dump is of {dump.machine}, this vmlinux of {image.machine}")
    if dump.build_id and image.build_id:
        if dump.build_id != image.build_id:
            return Match(False, f"the dump has build-id {dump.build_id}, this vmlinux {image.build_id}")
        if image.has_dwarf is False:
            return Match(False, "same build-id, but this vmlinux has no DWARF: crash needs the kernel's debuginfo package")
        unknown = ", whether it has DWARF cannot be seen in a compressed file" if image.has_dwarf is None else ""
        unknown += "" if image.end_seen else ", of which only the beginning was read"
        return Match(True, f"same build-id {dump.build_id}{unknown}")
    if dump.build_id:
        return Match(None, "this vmlinux has no build-id, and the dump has")
    if not dump.release or not image.banners:
        return Match(None, "the dump has no build-id, and there is no banner to compare its release with")
    same = [one for one in image.banners if one.startswith(f"Linux version {dump.release} ")]
    if not same:
        return Match(False, f"the dump is of {dump.release}, and this vmlinux of {image.banners[-1].split()[2]}")
    if dump.version and not any(one.endswith(f" {dump.version}") for one in same):
        return Match(False, f"same release {dump.release}, but another build than {dump.version}")
    if image.has_dwarf is False:
        return Match(False, "same release, but this vmlinux has no DWARF: crash needs the kernel's debuginfo package")
    if not dump.version:
        return Match(None, f"same release {dump.release}, but neither build-id nor version to tell one build from another")
    return Match(True, "same release and version; the crashed kernel exports no build-id, so this is not proof")


def missing(complete: Completeness) -> str:
    """How much is missing, in parentheses; empty where it is not known."""
    least = "at least " if complete.at_least else ""
    if complete.missing_bytes is not None:
        return f" ({least}{complete.missing_bytes} bytes missing)"
    if complete.missing_pages is not None:
        return f" ({least}{complete.missing_pages} pages missing)"
    return ""


def read_vmlinux(source: ByteSource, dumps: Sequence[Dump] = ()) -> Vmlinux:
    """The vmlinux; its banners are looked for only where one of the dumps has no build-id. Raises `Unreadable`."""
    return vmlinux.read(source, banners=any(not dump.build_id for dump in dumps))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kdump.vmcore",
        description="Say of each dump whether it is complete, and which kernel wrote it.",
        epilog="Exit status: 0 complete (and matching), 1 damaged or not matching, 2 cannot tell (or wrong usage).",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a dump; the files of a split dump are judged together")
    parser.add_argument("--vmlinux", metavar="PATH", help="a vmlinux (plain, .gz, .xz, .zst) or .debug file to match")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    options = parser.parse_args(arguments)

    dumps = {path: _judge_file(path) for path in options.files}
    image: Vmlinux | None = None
    unreadable_image: str | None = None
    if options.vmlinux is not None:
        try:
            image = _read_vmlinux_file(options.vmlinux, list(dumps.values()))
        except Unreadable as unreadable:
            unreadable_image = unreadable.reason

    together = _together(dumps)
    reports = []
    for path, dump in dumps.items():
        matched: Match | None = None
        if image is not None:
            matched = match(dump, image)
        elif unreadable_image is not None:
            matched = Match(None, unreadable_image)
        reports.append((path, dump, matched))
    if options.json:
        answer = json.dumps([{**_as_json(*one), "together": _whole_as_json(together.get(one[0]))} for one in reports], indent=2)
    else:
        of_all = [f"together     {whole.state}: {whole.reason}" for whole in dict.fromkeys(together.values())]
        answer = "\n\n".join([*(_as_text(*one) for one in reports), *of_all])
    if problem := put(answer):
        print(f"kdump.vmcore: the answer could not be written: {problem}", file=sys.stderr)
        return 2
    return _status([together.get(path, dump.complete) for path, dump in dumps.items()], [one[2] for one in reports])


def _together(dumps: Mapping[str, Dump]) -> dict[str, Completeness]:
    """For each file of a split dump the verdict of all files of its crash."""
    crashes: dict[object, list[str]] = {}
    for path, dump in dumps.items():
        if dump.split:
            crash = (dump.release, dump.build_id, dump.vmcoreinfo.get("CRASHTIME"), dump.split.max_mapnr)
            crashes.setdefault(crash, []).append(path)
    verdicts = {}
    for paths in crashes.values():
        verdicts.update(dict.fromkeys(paths, judge_split([dumps[path] for path in paths])))
    return verdicts


def _whole_as_json(whole: Completeness | None) -> dict[str, str] | None:
    return {"state": str(whole.state), "reason": whole.reason} if whole else None


def _judge_file(path: str) -> Dump:
    try:
        with LocalFile(path) as source:
            dump = judge(source)
            if (now := source.size_now) != source.size:
                changed = f"it went from {source.size} to {now} bytes while it was read: judge it again when it is finished"
                dump = dataclasses.replace(dump, complete=Completeness.cannot_tell(changed))
            return dump
    except Unreadable as unreadable:
        return Dump("unknown", 0, Completeness.cannot_tell(unreadable.reason))


def _read_vmlinux_file(path: str, dumps: Sequence[Dump]) -> Vmlinux:
    with LocalFile(path) as source:
        if compression_of(source.read_at(0, 16)) is None:
            return read_vmlinux(source, dumps)
    from kdump import vmcore_evidence, vmlinux_here  # they judge dumps by means of this module

    (evidence,) = vmcore_evidence.parse(vmlinux_here.evidence(path))
    return evidence.vmlinux()


def _status(complete: Sequence[Completeness], matches: Sequence[Match | None]) -> int:
    if any(one.state is State.INCOMPLETE for one in complete) or any(one and one.matches is False for one in matches):
        return 1
    if any(one.state is State.CANNOT_TELL for one in complete) or any(one and one.matches is None for one in matches):
        return 2
    return 0


def _as_json(path: str, dump: Dump, matched: Match | None) -> dict[str, object]:
    fields = dataclasses.asdict(dump)
    fields["crash_time"] = dump.crash_time.isoformat() if dump.crash_time else None
    fields["complete"]["state"] = str(dump.complete.state)
    return {"file": path, **fields, "vmlinux": dataclasses.asdict(matched) if matched else None}


def _as_text(path: str, dump: Dump, matched: Match | None) -> str:
    kind = [dump.format]
    if dump.header_version is not None:
        kind.append(f"version {dump.header_version}")
    if dump.compression:
        kind.append(dump.compression)
    if dump.dump_level is not None:
        kind.append(f"dump level {dump.dump_level}")
    lines = [("format", ", ".join(kind)), ("size", f"{dump.size} bytes")]
    if dump.release:
        lines.append(("kernel", " ".join(filter(None, (dump.release, dump.version, dump.machine)))))
    lines.append(("build-id", dump.build_id or "none in the dump"))
    if dump.crash_time:
        lines.append(("crashed", _when(dump.crash_time) + (f" on {dump.nodename}" if dump.nodename else "")))
    if dump.split:
        lines.append(("part", f"page frames {dump.split.start_pfn} to {dump.split.end_pfn} of {dump.split.max_mapnr}"))
    lines.append(("complete", f"{_ANSWER[dump.complete.state]}: {dump.complete.reason}{missing(dump.complete)}"))
    if matched:
        answer = {True: "matches", False: "does not match", None: "cannot tell"}[matched.matches]
        lines.append(("vmlinux", f"{answer}: {matched.reason}"))
    return "\n".join(
        [_shown(path if len(path) <= 100 else Path(path).name), *(f"  {name:<10} {_shown(value)}" for name, value in lines)]
    )


def _shown(text: str) -> str:
    """One line: what a file is called, or what is written in it, adds none of its own."""
    return sanitise(text).replace("\n", "\\n")


_ANSWER = {State.COMPLETE: "yes", State.INCOMPLETE: "NO", State.CANNOT_TELL: "cannot tell"}


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


if __name__ == "__main__":
    sys.exit(main())
