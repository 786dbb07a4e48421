"""The bars of the issue, in its words, and whether they were met."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .samples import Results
from .statistics import Spread, ratio, seconds, synced_seconds
from .works import MIB


class Against(Enum):
    """The time of the other side that ours is divided by."""

    ALONE = "alone"
    SYNCED = "synced"


@dataclass(frozen=True)
class TimeAim:
    """A ratio of wall times."""

    what: str
    works: tuple[str, ...]
    ours: str
    theirs: str
    against: Against
    limit: float


@dataclass(frozen=True)
class MemoryAim:
    """A peak of one of our processes; the dictionary of the work is added to the limit if `has_dictionary`."""

    what: str
    works: tuple[str, ...]
    contender: str
    role: str
    has_dictionary: bool
    limit_mib: int


MIXES_SOLID, MIXES_NONSOLID = ("solid-m3", "solid-m5"), ("nonsolid-m3", "nonsolid-m5")
MIXES = (*MIXES_SOLID, *MIXES_NONSOLID)
STREAMED = ("solid-500", *MIXES, "stored", "stored-100000", "small-20000", "small-100000")

TIME_AIMS = (
    TimeAim(
        "decode to nothing, one thread, solid, against `unrar t -mt1`",
        (*MIXES_SOLID, "solid-500"),
        *("decode-1", "unrar-t-1"),
        Against.ALONE,
        0.50,
    ),
    TimeAim(
        "decode to nothing, one thread, not solid, against `unrar t -mt1`",
        MIXES_NONSOLID,
        *("decode-1", "unrar-t-1"),
        Against.ALONE,
        0.56,
    ),
    TimeAim(
        "decode to nothing, two threads, against default `unrar t`",
        (*MIXES, "solid-500"),
        *("decode-2", "unrar-t"),
        Against.ALONE,
        0.33,
    ),
    TimeAim(
        "`install --stream`, solid, against `unrar x` (both then synced)",
        ("solid-500", *MIXES_SOLID),
        *("stream", "unrar"),
        Against.SYNCED,
        0.60,
    ),
    TimeAim(
        "`install --stream`, not solid, against `unrar x` (both then synced)",
        MIXES_NONSOLID,
        *("stream", "unrar"),
        Against.SYNCED,
        0.65,
    ),
    TimeAim(
        "`install` from a local archive against `unrar x` (both then synced)",
        ("solid-500", *MIXES),
        *("install", "unrar"),
        Against.SYNCED,
        0.50,
    ),
    TimeAim(
        "stored 5 GiB + 100,000 files, streamed, against `unrar x` (both then synced)",
        ("stored-100000", "stored"),
        *("stream", "unrar"),
        Against.SYNCED,
        1.0,
    ),
    TimeAim(
        "20,000 small files, streamed, against `unrar x` (both then synced)",
        ("small-20000", "small-100000"),
        *("stream", "unrar"),
        Against.SYNCED,
        1.0,
    ),
    TimeAim(
        "download, synced, against `nginx` + `curl`, unsynced",
        ("download",),
        *("download", "curl"),
        Against.ALONE,
        1.0,
    ),
)
MEMORY_AIMS = (
    MemoryAim("memory of a source with one stream: dictionary + 40 MiB", STREAMED, "stream", "source", True, 40),
    MemoryAim("memory of a receiver: 32 MiB", STREAMED, "stream", "receiver", False, 32),
    MemoryAim("memory of a receiver of a download: 32 MiB", ("download",), "download", "receiver", False, 32),
)


@dataclass(frozen=True)
class Verdict:
    """One aim for one work."""

    what: str
    work: str
    got: Spread
    limit: float
    # Empty for a ratio.
    unit: str = ""
    # Others used the machine in at least one of the rounds, even after repetitions.
    is_disturbed: bool = False

    @property
    def is_met(self) -> bool:
        return self.decisive <= self.limit

    @property
    def decisive(self) -> float:
        """The median of ratios; of peaks the highest, because a bound holds always."""
        return self.got.high if self.unit else self.got.median


def verdicts(results: Results) -> list[Verdict]:
    """Every aim for every work that was measured. A work that was not measured has none."""
    found = []
    for aim in TIME_AIMS:
        time = seconds if aim.against is Against.ALONE else synced_seconds
        for work in aim.works:
            spread = ratio(results, work, aim.ours, aim.theirs, time)
            if spread is not None:
                samples = results.of(work, aim.ours) + results.of(work, aim.theirs)
                is_disturbed = any(sample.is_disturbed for sample in samples)
                found.append(Verdict(aim.what, work, spread, aim.limit, is_disturbed=is_disturbed))
    for bound in MEMORY_AIMS:
        for work in bound.works:
            peaks = [sample.peak_bytes(bound.role) / MIB for sample in results.of(work, bound.contender)]
            facts = results.facts(work)
            if peaks and facts is not None:
                dictionary_mib = facts.dictionary_bytes / MIB if bound.has_dictionary else 0
                found.append(Verdict(bound.what, work, Spread.of(peaks), bound.limit_mib + dictionary_mib, " MiB"))
    return found


def failed_aims(results: Results) -> list[str]:
    """Contenders of ours that failed where an aim needs them: such an aim has no figure and is not met."""
    ours = {(work, aim.ours) for aim in TIME_AIMS for work in aim.works}
    ours |= {(work, bound.contender) for bound in MEMORY_AIMS for work in bound.works}
    return [
        f"{failure.work}, {failure.contender}: {failure.why}"
        for failure in results.failures
        if (failure.work, failure.contender) in ours
    ]
