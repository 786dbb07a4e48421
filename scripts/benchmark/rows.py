"""The figures of a work in rows, which the terminal and the page show in their own ways."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .contenders import CONTENDERS, counted
from .samples import Results, Sample
from .statistics import Spread, ratio, seconds, synced_seconds
from .works import MIB, RECEIVERS

# What the contenders of each sort are compared with.
REFERENCES = {
    **dict.fromkeys(("decode-1", "decode-2", "unrar-t-1", "unrar-t", "7z-t"), "unrar-t"),
    **dict.fromkeys(("download", "curl"), "curl"),
}
DEFAULT_REFERENCE = "unrar"


@dataclass(frozen=True)
class Row:
    """One contender of a work: medians over the rounds."""

    contender: str
    title: str
    seconds: Spread
    synced: Spread | None
    # What it is compared with, and the ratios: ours against theirs alone, and with sync on both sides.
    reference: str
    alone_ratio: Spread | None
    synced_ratio: Spread | None
    mib_per_second: float
    # Role, processor seconds, highest peak in MiB. Of several processes of one role: the sum, and the highest.
    processes: tuple[tuple[str, float, float], ...]
    disturbed_rounds: int


def rows(results: Results, work: str) -> list[Row]:
    """The contenders of a work that have figures, in the order in which they took turns."""
    names = list(dict.fromkeys(sample.contender for sample in results.samples if sample.work == work))
    return [row(results, work, name) for name in names]


def row(results: Results, work: str, contender: str) -> Row:
    samples, known = results.of(work, contender), results.facts(work)
    synced = Spread.of(map(synced_seconds, samples))
    reference = REFERENCES.get(contender, DEFAULT_REFERENCE)
    # Steps of a growing cost are compared with each other.
    compares = contender != reference and not contender.startswith(("receivers-", "cores-"))
    is_download = contender in ("download", "curl")
    size = 0 if known is None else known.packed_bytes if is_download else known.unpacked_bytes
    return Row(
        contender,
        CONTENDERS[contender].title if contender in CONTENDERS else contender,
        Spread.of(map(seconds, samples)),
        synced if any(sample.sync_seconds is not None for sample in samples) else None,
        reference,
        ratio(results, work, contender, reference, seconds) if compares else None,
        ratio(results, work, contender, reference, synced_seconds) if compares else None,
        size / MIB / synced.median,
        tuple(processes(samples)),
        sum(sample.is_disturbed for sample in samples),
    )


def processes(samples: list[Sample]) -> list[tuple[str, float, float]]:
    """Role, median of the processor seconds, highest peak; `sync` is left out, its time is the disk's."""
    roles = dict.fromkeys(process.role for sample in samples for process in sample.processes)
    found = []
    for role in roles:
        if role != "sync":
            used = [sum(one.cpu_seconds for one in sample.processes if one.role == role) for sample in samples]
            peak = max(sample.peak_bytes(role) for sample in samples) / MIB
            found.append((role, statistics.median(used), peak))
    return found


# ---- How cost grows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of a growing cost: a streamed install."""

    what: str
    files: int
    unpacked_mib: float
    seconds: Spread
    # What one more unit costs here, in words.
    cost: str
    source_cpu_seconds: float
    receiver_cpu_seconds: float
    source_peak_mib: float
    # Against the sync'ed `unrar x` of the same work, where there is one.
    synced_ratio: Spread | None


def growth(results: Results) -> dict[str, list[Step]]:
    """By what it grows with: the steps that were measured, smallest first."""
    return {
        "bytes": [step for work in ("growth", "solid-500", "solid-m3") for step in one(results, work, "bytes")],
        "files": [
            step for work in ("small-1000", "small-20000", "small-100000") for step in one(results, work, "files")
        ],
        "cores": [step for number in (1, 2, 4, 8) for step in one(results, "growth", "cores", f"cores-{number}")],
        "receivers": [
            step for number in RECEIVERS for step in one(results, "growth", "receivers", f"receivers-{number}")
        ],
    }


def one(results: Results, work: str, unit: str, contender: str = "stream") -> list[Step]:
    samples, known = results.of(work, contender), results.facts(work)
    if not samples or known is None:
        return []
    spread = Spread.of(map(synced_seconds, samples))
    used = {role: (cpu, peak) for role, cpu, peak in processes(samples)}
    number = int(contender.rpartition("-")[2]) if contender != "stream" else 1
    unpacked_mib = known.unpacked_bytes / MIB
    match unit:
        case "bytes":
            what = f"{unpacked_mib:,.0f} MiB: {known.name}"
            cost = f"{spread.median / unpacked_mib * 1024:.2f} s per GiB"
        case "files":
            what, cost = f"{known.files:,} files", f"{spread.median / known.files * 1e6:.0f} µs per file"
        case "cores":
            what, cost = counted(number, "core"), f"{unpacked_mib / spread.median:.0f} MiB/s"
        case _:
            what = counted(number, "receiver")
            cost = f"{number * unpacked_mib / spread.median:.0f} MiB/s to all"
    # Only `stream` has all cores, as `unrar x` has.
    synced_ratio = ratio(results, work, contender, "unrar", synced_seconds) if contender == "stream" else None
    source, receiver = used.get("source", (0.0, 0.0)), used.get("receiver", (0.0, 0.0))
    return [
        Step(what, known.files, unpacked_mib, spread, cost, source[0], receiver[0], source[1], synced_ratio),
    ]
