"""What bench_room.py measured: plain values, which the reports read and the JSON file holds.

    schema    the number below; it changes when a field changes its meaning or goes away
    machine   words, by what they are about
    runs      one object per game: see `RoomResults`
      room      the links and the game: see `RoomFacts`; `null` if no containers were used
      samples   one object per room: see `RoomSample`
      failures  rooms that have no time, with the reason
    simulated rooms in one process: see `Simulated`
    bars      what was aimed at, for what was measured; derived from the others, and not read back

Seconds and bytes, as the names of the fields say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..document import DocumentError, document_of_schema

SCHEMA = 2


@dataclass(frozen=True)
class Used:
    """One process of a room."""

    name: str
    # `source`, also of an HTTP server; `receiver`; `hit`: a receiver to which something happened, which is not among
    # those whose time is that of the room.
    role: str
    cpu_seconds: float
    peak_bytes: int
    # Of a receiver: from the common start until the game was installed, and until its command had ended. A relay ends
    # when its follower has everything.
    installed_seconds: float = 0.0
    ended_seconds: float = 0.0
    # Of a receiver: what relays and sources brought, and changes of upstream.
    from_relays_bytes: int = 0
    from_sources_bytes: int = 0
    upstreams: int = 0
    # The most that its folders had on the disk at one moment.
    disk_peak_bytes: int = 0


@dataclass(frozen=True)
class RoomSample:
    """One room: so many receivers of one mode, in one round."""

    mode: str
    receivers: int
    round: int
    # What the network card of the source counted meanwhile; 0 on loopback.
    source_tx_bytes: int
    processes: tuple[Used, ...]
    # The share of the machine that programs outside of the room used.
    foreign_share: float

    def by_role(self, role: str) -> list[Used]:
        return [one for one in self.processes if one.role == role]

    @property
    def seconds(self) -> float:
        """Until the last receiver had the game."""
        return max(one.installed_seconds for one in self.by_role("receiver"))

    @property
    def hit_seconds(self) -> float:
        """What the slowest of those took to which something happened."""
        return max(one.installed_seconds for one in self.by_role("hit"))

    @property
    def source_cpu_seconds(self) -> float:
        return sum(one.cpu_seconds for one in self.by_role("source"))

    def peak_bytes(self, role: str) -> int:
        return max((one.peak_bytes for one in self.by_role(role)), default=0)

    @property
    def disk_peak_bytes(self) -> int:
        return max(one.disk_peak_bytes for one in self.by_role("receiver"))

    @property
    def arrived_bytes(self) -> int:
        """The most that a receiver took, whether it already had it or not."""
        return max(one.from_relays_bytes + one.from_sources_bytes for one in self.by_role("receiver"))

    @property
    def receiver_cpu_seconds(self) -> float:
        """Of one receiver, on average."""
        found = self.by_role("receiver")
        return sum(one.cpu_seconds for one in found) / len(found)

    @property
    def followers(self) -> int:
        """Receivers that got most of the game from other receivers."""
        return sum(one.from_relays_bytes > one.from_sources_bytes for one in self.by_role("receiver"))


@dataclass(frozen=True)
class RoomFailure:
    """A room that did not end as it should. It is reported as this, and has no time."""

    mode: str
    receivers: int
    round: int
    why: str


@dataclass(frozen=True)
class RoomFacts:
    """What all rooms of a run share."""

    rate_bytes_per_second: int
    packed_bytes: int
    unpacked_bytes: int
    files: int
    dictionary_bytes: int
    window_bytes: int
    # Processors that each machine may use; 0 for all, in equal shares.
    cpus: float


@dataclass(frozen=True)
class RoomResults:
    """All rooms of one game."""

    machine: dict[str, str]
    room: RoomFacts | None
    samples: tuple[RoomSample, ...]
    failures: tuple[RoomFailure, ...]

    def of(self, mode: str, receivers: int) -> list[RoomSample]:
        return [one for one in self.samples if (one.mode, one.receivers) == (mode, receivers)]

    def rooms(self) -> list[tuple[str, int]]:
        """The rooms that have samples, by mode and size."""
        modes = list(dict.fromkeys(one.mode for one in self.samples))
        return sorted({(one.mode, one.receivers) for one in self.samples}, key=lambda at: (modes.index(at[0]), at[1]))


@dataclass(frozen=True)
class Simulated:
    """A room in one process, with a clock that stands still while anything works."""

    receivers: int
    # Against one receiver.
    ratio: float


@dataclass(frozen=True)
class Report:
    """What one or more runs of the command have measured."""

    runs: tuple[RoomResults, ...]
    simulated: tuple[Simulated, ...] = ()

    @property
    def failures(self) -> list[RoomFailure]:
        return [failure for results in self.runs for failure in results.failures]


def written(report: Report, bars: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(report), "bars": list(bars)}, indent=1) + "\n"


def read(text: str, name: str) -> Report:
    """A report from a text; `name` is where it is from, for the message if it is not one of ours."""
    document = document_of_schema(text, name, SCHEMA)
    try:
        return Report(
            tuple(results(run) for run in document["runs"]),
            tuple(Simulated(**one) for one in document["simulated"]),
        )
    except (KeyError, TypeError) as error:
        raise DocumentError(f"{name} is not what bench_room.py writes: {error}") from error


def results(fields: dict[str, Any]) -> RoomResults:
    room = fields["room"]
    return RoomResults(
        machine=dict(fields["machine"]),
        room=None if room is None else RoomFacts(**room),
        samples=tuple(sample(one) for one in fields["samples"]),
        failures=tuple(RoomFailure(**failure) for failure in fields["failures"]),
    )


def sample(fields: dict[str, Any]) -> RoomSample:
    return RoomSample(**{**fields, "processes": tuple(Used(**process) for process in fields["processes"])})


def merged(several: Sequence[Report]) -> Report:
    """Several reports as one: the rounds of a game follow each other, so that no ratio mixes two runs."""
    runs: dict[RoomFacts | None, RoomResults] = {}
    for results in (run for report in several for run in report.runs):
        earlier = runs.get(results.room)
        runs[results.room] = following(earlier, results) if earlier else results
    return Report(tuple(runs.values()), tuple(one for report in several for one in report.simulated))


def following(earlier: RoomResults, later: RoomResults) -> RoomResults:
    """Both runs as one. The machine is that of the later one."""
    rounds = max([0, *(one.round for one in earlier.samples), *(one.round for one in earlier.failures)])
    samples = [replace(one, round=one.round + rounds) for one in later.samples]
    failures = [replace(one, round=one.round + rounds) for one in later.failures]
    return replace(later, samples=(*earlier.samples, *samples), failures=(*earlier.failures, *failures))
