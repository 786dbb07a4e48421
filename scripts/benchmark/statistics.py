"""Medians, spreads and ratios. A ratio is taken within a round: a slow minute of the machine hits both sides."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .samples import Results, Sample


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of several values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def words(self, unit: str = "") -> str:
        digits = 0 if unit == " MiB" else 2
        return f"{self.median:.{digits}f}{unit} ({self.low:.{digits}f} … {self.high:.{digits}f})"


def seconds(sample: Sample) -> float:
    return sample.seconds


def synced_seconds(sample: Sample) -> float:
    return sample.synced_seconds


def ratio(
    results: Results,
    work: str,
    ours: str,
    theirs: str,
    time: Callable[[Sample], float],
) -> Spread | None:
    """One contender's time divided by another's, for each round that has both; `None` if no round has.

    An install and a download of ours sync themselves, so for them both ways of counting are the same.
    """
    references = {sample.round: time(sample) for sample in results.of(work, theirs)}
    found = [
        time(sample) / references[sample.round] for sample in results.of(work, ours) if references.get(sample.round)
    ]
    return Spread.of(found) if found else None
