"""Medians of rooms, and their ratios to one receiver. A ratio is taken within a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..statistics import Spread
from .samples import RoomResults, RoomSample

MIB = 1024 * 1024

CHAIN, STAR, DECODED, HTTP = "chain", "star", "decoded", "http"
# Chains with something that happens, or with other links: see `modes.py`.
KILLED, FROZEN, SOURCE_KILLED = "relay-killed", "relay-frozen", "source-killed"
TWO_SOURCES, LIED, SOURCE_LIED, SLOW = "two-sources", "relay-lied", "source-lied", "slow"
WIDE_SLOW, WIDE_LATE, OPEN_LATE = "wide-slow", "wide-late", "open-late"
# One receiver on this machine, without a link.
LOOP_PACKED, LOOP_DECODED = "loopback-packed", "loopback-decoded"


@dataclass(frozen=True)
class Row:
    """All rounds of a room: medians."""

    mode: str
    receivers: int
    rounds: int
    seconds: Spread
    # Against one receiver of the same mode in the same round.
    to_one: Spread | None
    # Bytes that the source sent, in archives.
    sent: Spread | None
    source_cpu_seconds: float
    source_peak_bytes: int
    receiver_cpu_seconds: float
    receiver_peak_bytes: int
    # Receivers that got most of the game from other receivers.
    followers: Spread
    foreign_share: float


def rows(results: RoomResults) -> list[Row]:
    return [row(results, *room) for room in results.rooms()]


def row(results: RoomResults, mode: str, receivers: int) -> Row:
    samples = results.of(mode, receivers)
    return Row(
        mode,
        receivers,
        len(samples),
        Spread.of(one.seconds for one in samples),
        ratio(results, (mode, receivers), (mode, 1), seconds) if receivers > 1 else None,
        sent(results, samples),
        Spread.of(one.source_cpu_seconds for one in samples).median,
        max(one.peak_bytes("source") for one in samples),
        Spread.of(one.receiver_cpu_seconds for one in samples).median,
        max(one.peak_bytes("receiver") for one in samples),
        Spread.of(one.followers for one in samples),
        Spread.of(one.foreign_share for one in samples).median,
    )


def seconds(sample: RoomSample) -> float:
    return sample.seconds


def source_cpu(sample: RoomSample) -> float:
    return sample.source_cpu_seconds


def sent(results: RoomResults, samples: list[RoomSample]) -> Spread | None:
    if results.room is None or not samples or not any(one.source_tx_bytes for one in samples):
        return None
    packed = results.room.packed_bytes
    return Spread.of(one.source_tx_bytes / packed for one in samples)


def ratio(
    results: RoomResults, ours: tuple[str, int], theirs: tuple[str, int], value: Callable[[RoomSample], float]
) -> Spread | None:
    """One room's value divided by another's, for each round that has both; `None` if no round has."""
    return paired(results, ours, theirs, lambda our, their: value(our) / value(their))


def paired(
    results: RoomResults,
    ours: tuple[str, int],
    theirs: tuple[str, int],
    value: Callable[[RoomSample, RoomSample], float],
) -> Spread | None:
    """A value of two rooms of the same round."""
    references = {one.round: one for one in results.of(*theirs)}
    found = [value(one, references[one.round]) for one in results.of(*ours) if one.round in references]
    return Spread.of(found) if found else None
