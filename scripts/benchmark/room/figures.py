"""Medians of rooms, their ratios to one receiver, and the bars. A ratio is taken within a round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..statistics import Spread
from .samples import RoomResults, RoomSample

MIB = 1024 * 1024

CHAIN, STAR, DECODED, HTTP = "chain", "star", "decoded", "http"
# One receiver on this machine, without a link.
LOOP_PACKED, LOOP_DECODED = "loopback-packed", "loopback-decoded"
# From this time of one receiver on, the first seconds of a room weigh little.
LONG_SECONDS = 60.0
# What a receiver may have beside window and dictionary.
MEMORY_BESIDE_BYTES = 32 * MIB


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
    references = {one.round: value(one) for one in results.of(*theirs)}
    found = [value(one) / references[one.round] for one in results.of(*ours) if references.get(one.round)]
    return Spread.of(found) if found else None


# ---- Bars ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """A bar, and what was measured."""

    id: str
    what: str
    got: Spread
    limit: float
    unit: str = ""
    # Whether the bar is a lower one.
    at_least: bool = False
    # Whether the highest of all rounds decides, not their median.
    highest_decides: bool = False

    @property
    def decisive(self) -> float:
        return self.got.high if self.highest_decides else self.got.median

    @property
    def is_met(self) -> bool:
        return self.decisive >= self.limit if self.at_least else self.decisive <= self.limit

    @property
    def bar(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:.{0 if self.unit == ' MiB' else 2}f}{self.unit}"


def verdicts(results: RoomResults) -> list[Verdict]:
    """Every bar for which something was measured."""
    return list(_verdicts(results))


def _verdicts(results: RoomResults) -> Iterator[Verdict]:
    loop = ratio(results, (LOOP_PACKED, 1), (LOOP_DECODED, 1), seconds)
    if loop:
        yield Verdict("R1", "packed against decoded stream, one receiver, loopback", loop, 1.05)
    room, one = results.room, results.of(CHAIN, 1)
    if room is None or not one:
        return
    alone = Spread.of(map(seconds, one))
    link_seconds = room.packed_bytes / room.rate_bytes_per_second
    yield Verdict("R2", "one receiver, packed, against the link", alone, 1.05 * link_seconds + 1, " s")
    unpacked = room.unpacked_bytes / room.packed_bytes
    if decoded := ratio(results, (DECODED, 1), (CHAIN, 1), seconds):
        yield Verdict("R2", "one receiver, decoded against packed stream", decoded, 0.9 * unpacked, at_least=True)
    bars = {8: (1.05, 1.10), 16: (1.12, 1.20)}
    for receivers, (long, short) in bars.items():
        if got := ratio(results, (CHAIN, receivers), (CHAIN, 1), seconds):
            bar = long if alone.median >= LONG_SECONDS else short
            yield Verdict("R3", f"chain of {receivers} against one receiver", got, bar)
    for receivers in (8, 16):
        if got := sent(results, results.of(CHAIN, receivers)):
            yield Verdict("R4", f"sent by the source of a chain of {receivers}, in archives", got, 1.05)
    if got := ratio(results, (CHAIN, 8), (CHAIN, 1), source_cpu):
        yield Verdict("R5", "processor time of the source, chain of 8 against one receiver", got, 1.2)
    if got := ratio(results, (CHAIN, 8), (DECODED, 1), source_cpu):
        yield Verdict("R5", "processor time of the source, chain of 8 against one decoded stream", got, 0.1)
    yield from _memory(results)
    if got := ratio(results, (HTTP, 1), (CHAIN, 1), seconds):
        yield Verdict("R13", "an HTTP server as the only source against a peer", got, 1.05)


def _memory(results: RoomResults) -> Iterator[Verdict]:
    room = results.room
    sizes = [receivers for mode, receivers in results.rooms() if mode == CHAIN and receivers > 1]
    if room is None or not sizes:
        return
    limit = (room.window_bytes + room.dictionary_bytes + MEMORY_BESIDE_BYTES) / MIB
    for receivers in sizes:
        peaks = Spread.of(one.peak_bytes("receiver") / MIB for one in results.of(CHAIN, receivers))
        what = f"highest peak of a receiver in a chain of {receivers}"
        yield Verdict("R9", what, peaks, limit, " MiB", highest_decides=True)
