"""The bars: which rooms each needs, and whether it is met by what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..statistics import Spread
from .figures import (
    CHAIN,
    DECODED,
    FROZEN,
    HTTP,
    KILLED,
    LIED,
    LOOP_DECODED,
    LOOP_PACKED,
    MIB,
    OPEN_LATE,
    SLOW,
    SOURCE_KILLED,
    SOURCE_LIED,
    TWO_SOURCES,
    WIDE_LATE,
    WIDE_SLOW,
    paired,
    ratio,
    seconds,
    sent,
    source_cpu,
)
from .samples import Report, RoomFacts, RoomResults

# From this time of one receiver on, the first seconds of a room weigh little.
LONG_SECONDS = 60.0
# What a receiver may have beside window and dictionary.
MEMORY_BESIDE_BYTES = 32 * MIB
# What a receiver may have on the disk beside the files of the game: for each file, and in all.
DISK_BESIDE_FILE_BYTES, DISK_BESIDE_BYTES = 4096, 16 * MIB
# What a receiver may fetch twice when its upstream is lost.
TWICE_BYTES = 4 * MIB
# Two peaks are the same up to what the allocator happens to keep.
UNCHANGED_RATIO = 1.05
SIMULATED_RECEIVERS, SIMULATED_RATIO = 200, 1.5

Room = tuple[str, int]
ONE: Room = (CHAIN, 1)


@dataclass(frozen=True)
class Bar:
    """What has to be measured for a bar."""

    what: str
    # With the game that one receiver has in some 20 s.
    rooms: tuple[Room, ...] = ()
    # With the game that takes it more than a minute.
    long_rooms: tuple[Room, ...] = ()
    on_loopback: bool = False
    in_simulation: bool = False


BARS: dict[str, Bar] = {
    "R1": Bar("a packed against a decoded stream, on loopback", on_loopback=True),
    "R2": Bar("one receiver against its link, and against a decoded stream", (ONE, (DECODED, 1))),
    "R3": Bar(
        "chains of 8 and 16 against one receiver",
        (ONE, (CHAIN, 8), (CHAIN, 16)),
        (ONE, (CHAIN, 8), (CHAIN, 16)),
    ),
    "R4": Bar("what the source of a chain sends", ((CHAIN, 8), (CHAIN, 16))),
    "R5": Bar("processor time of the source", (ONE, (CHAIN, 8), (DECODED, 1))),
    "R6": Bar("a relay dies", (ONE, (CHAIN, 8), (KILLED, 8), (FROZEN, 8))),
    "R7": Bar("a source dies, and another one is there", (ONE, (SOURCE_KILLED, 3))),
    # With the long game: its window hides for 17 s that a machine is slow.
    "R8": Bar("a slow machine in the chain", long_rooms=((CHAIN, 8), (SLOW, 8), (WIDE_SLOW, 8))),
    "R9": Bar("memory of a receiver", ((CHAIN, 2), (CHAIN, 8), (CHAIN, 16))),
    "R10": Bar("a relay or a source lies", (ONE, (LIED, 2), (SOURCE_LIED, 1))),
    "R11": Bar("what a receiver has on its disk", ((CHAIN, 8),)),
    "R12": Bar("two sources feed one stream", (ONE, (TWO_SOURCES, 1))),
    "R13": Bar("an HTTP server as the only source", (ONE, (HTTP, 1))),
    "R14": Bar("200 receivers in the simulation", in_simulation=True),
    "R15": Bar("a receiver that comes late", (ONE, (CHAIN, 8), (WIDE_LATE, 9), (OPEN_LATE, 9))),
}


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


def verdicts(report: Report) -> list[Verdict]:
    """Every bar for which something was measured, by number. A game whose rooms are not the only ones is named by what
    one receiver takes for it."""
    found: list[Verdict] = []
    rooms = [results for results in report.runs if results.room is not None]
    for results in report.runs:
        of_run = list(run_verdicts(results))
        one = results.of(*ONE)
        if len(rooms) > 1 and one:
            took = Spread.of(map(seconds, one)).median
            of_run = [replace(verdict, what=f"{verdict.what}; one takes {took:.0f} s") for verdict in of_run]
        found += of_run
    for room in report.simulated:
        if room.receivers == SIMULATED_RECEIVERS:
            what = f"{SIMULATED_RECEIVERS} receivers against one, simulated"
            found.append(Verdict("R14", what, Spread.of([room.ratio]), SIMULATED_RATIO))
    return sorted(found, key=lambda verdict: list(BARS).index(verdict.id))


def not_measured(report: Report, ids: Sequence[str]) -> list[str]:
    """Of the bars that were wanted, those without any figure."""
    found = {verdict.id for verdict in verdicts(report)}
    return [id for id in ids if id not in found]


def run_verdicts(results: RoomResults) -> Iterator[Verdict]:
    if loop := ratio(results, (LOOP_PACKED, 1), (LOOP_DECODED, 1), seconds):
        yield Verdict("R1", "packed against decoded stream, one receiver, loopback", loop, 1.05)
    if results.room is not None:
        yield from _one(results, results.room)
        yield from _chains(results, results.room)
        yield from _faults(results, results.room)
        yield from _links(results)


def _one(results: RoomResults, room: RoomFacts) -> Iterator[Verdict]:
    one = results.of(*ONE)
    if one:
        alone = Spread.of(map(seconds, one))
        link_seconds = room.packed_bytes / room.rate_bytes_per_second
        yield Verdict("R2", "one receiver, packed, against the link", alone, 1.05 * link_seconds + 1, " s")
    unpacked = room.unpacked_bytes / room.packed_bytes
    if decoded := ratio(results, (DECODED, 1), ONE, seconds):
        yield Verdict("R2", "one receiver, decoded against packed stream", decoded, 0.9 * unpacked, at_least=True)
    if got := ratio(results, (HTTP, 1), ONE, seconds):
        yield Verdict("R13", "an HTTP server as the only source against a peer", got, 1.05)


def _chains(results: RoomResults, room: RoomFacts) -> Iterator[Verdict]:
    one = results.of(*ONE)
    is_long = bool(one) and Spread.of(map(seconds, one)).median >= LONG_SECONDS
    for receivers, long, short in ((8, 1.05, 1.10), (16, 1.12, 1.20)):
        if got := ratio(results, (CHAIN, receivers), ONE, seconds):
            what = f"chain of {receivers} against one receiver"
            yield Verdict("R3", what, got, long if is_long else short)
    for receivers in (8, 16):
        if got := sent(results, results.of(CHAIN, receivers)):
            yield Verdict("R4", f"sent by the source of a chain of {receivers}, in archives", got, 1.05)
    if got := ratio(results, (CHAIN, 8), ONE, source_cpu):
        yield Verdict("R5", "processor time of the source, chain of 8 against one receiver", got, 1.2)
    if got := ratio(results, (CHAIN, 8), (DECODED, 1), source_cpu):
        yield Verdict("R5", "processor time of the source, chain of 8 against one decoded stream", got, 0.1)
    memory_limit = (room.window_bytes + room.dictionary_bytes + MEMORY_BESIDE_BYTES) / MIB
    for receivers in (size for mode, size in results.rooms() if mode == CHAIN and size > 1):
        peaks = Spread.of(one.peak_bytes("receiver") / MIB for one in results.of(CHAIN, receivers))
        what = f"highest peak of a receiver in a chain of {receivers}"
        yield Verdict("R9", what, peaks, memory_limit, " MiB", highest_decides=True)
    growth = paired(
        results, (CHAIN, 16), (CHAIN, 2), lambda ours, two: ours.peak_bytes("receiver") / two.peak_bytes("receiver")
    )
    if growth:
        yield Verdict("R9", "highest peak of a receiver, chain of 16 against chain of 2", growth, UNCHANGED_RATIO)
    disk_limit = (room.files * DISK_BESIDE_FILE_BYTES + DISK_BESIDE_BYTES) / MIB
    if eight := [one for one in results.of(CHAIN, 8) if one.disk_peak_bytes]:
        beside = Spread.of((one.disk_peak_bytes - room.unpacked_bytes) / MIB for one in eight)
        what = "highest use of the disk beside the files of the game, chain of 8"
        yield Verdict("R11", what, beside, disk_limit, " MiB", highest_decides=True)


def _faults(results: RoomResults, room: RoomFacts) -> Iterator[Verdict]:
    for id, mode, receivers, what, limit in (
        ("R6", KILLED, 8, "a relay in a chain of 8 is killed: the others", 2),
        ("R6", FROZEN, 8, "a relay in a chain of 8 is silent: the others", 5),
        ("R7", SOURCE_KILLED, 3, "one of two sources is killed: a chain of 3", 5),
    ):
        # The second says what the fault alone costs: a chain takes longer than one receiver without any.
        for reference, named in ((ONE, "one receiver"), ((CHAIN, receivers), "the same chain without it")):
            late = paired(results, (mode, receivers), reference, lambda ours, other: ours.seconds - other.seconds)
            if late:
                yield Verdict(id, f"{what} later than {named}", late, limit, " s")
        if found := results.of(mode, receivers):
            twice = Spread.of((one.arrived_bytes - room.packed_bytes) / MIB for one in found)
            what = f"{mode}: most that one of the others fetched twice"
            yield Verdict(id, what, twice, TWICE_BYTES / MIB, " MiB", highest_decides=True)
    # What limits a chain without a slow machine is the link of a receiver, however wide that of its source is.
    for mode, what, most in ((WIDE_SLOW, "two streams", 1.1), (SLOW, "one stream", 1.25)):
        if got := ratio(results, (mode, 8), (CHAIN, 8), seconds):
            what = f"one of 8 decodes at half of the pace, the others against 8 without; the source can send {what}"
            yield Verdict("R8", what, got, most)
    if got := ratio(results, (LIED, 2), ONE, seconds):
        yield Verdict("R10", "a relay before them sends wrong bytes: two receivers against one without", got, 1.08)
    if got := ratio(results, (SOURCE_LIED, 1), ONE, seconds):
        yield Verdict("R10", "the second of two sources sends wrong bytes: one receiver against one source", got, 1.08)


def _links(results: RoomResults) -> Iterator[Verdict]:
    if got := ratio(results, (TWO_SOURCES, 1), ONE, seconds):
        yield Verdict("R12", "two sources against one", got, 0.55)
    # A source whose first receiver is limited by its own link waits for that one as it would for its own link.
    for mode, links in ((WIDE_LATE, "receivers have links, too"), (OPEN_LATE, "receivers take what is sent")):
        what = f"a receiver comes 10 s late, the source can send two streams, {links}"
        late = paired(results, (mode, 9), ONE, lambda ours, one: ours.hit_seconds - one.seconds)
        if late:
            yield Verdict("R15", f"{what}: itself later than one alone", late, 1, " s")
        if got := ratio(results, (mode, 9), (CHAIN, 8), seconds):
            yield Verdict("R15", f"{what}: the others against 8 without it", got, 1.05)
