"""What bench_room.py measured: plain values, which the reports read and the JSON file holds.

    schema    the number below; it changes when a field changes its meaning or goes away
    machine   words, by what they are about
    room      the links and the game: see `RoomFacts`; `null` if no containers were used
    samples   one object per room: see `RoomSample`
    failures  rooms that have no time, with the reason
    bars      what was aimed at, for what was measured; derived from the samples, and not read back

Seconds and bytes, as the names of the fields say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..document import DocumentError, document_of_schema

SCHEMA = 1


@dataclass(frozen=True)
class Used:
    """One process of a room."""

    name: str
    # `source` or `receiver`.
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

    @property
    def seconds(self) -> float:
        """Until the last receiver had the game."""
        return max(one.installed_seconds for one in self.processes if one.role == "receiver")

    @property
    def source_cpu_seconds(self) -> float:
        return sum(one.cpu_seconds for one in self.processes if one.role == "source")

    def peak_bytes(self, role: str) -> int:
        return max((one.peak_bytes for one in self.processes if one.role == role), default=0)

    @property
    def receiver_cpu_seconds(self) -> float:
        """Of one receiver, on average."""
        return sum(one.cpu_seconds for one in self.processes if one.role == "receiver") / self.receivers

    @property
    def followers(self) -> int:
        """Receivers that got most of the game from other receivers."""
        found = (one for one in self.processes if one.role == "receiver")
        return sum(one.from_relays_bytes > one.from_sources_bytes for one in found)


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
    """A whole run."""

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


def written(results: RoomResults, bars: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(results), "bars": list(bars)}, indent=1) + "\n"


def read(text: str, name: str) -> RoomResults:
    """Results from a text; `name` is where it is from, for the message if it is not one of ours."""
    document = document_of_schema(text, name, SCHEMA)
    try:
        room = document["room"]
        return RoomResults(
            machine=dict(document["machine"]),
            room=None if room is None else RoomFacts(**room),
            samples=tuple(sample(one) for one in document["samples"]),
            failures=tuple(RoomFailure(**failure) for failure in document["failures"]),
        )
    except (KeyError, TypeError) as error:
        raise DocumentError(f"{name} is not what bench_room.py writes: {error}") from error


def sample(fields: dict[str, Any]) -> RoomSample:
    return RoomSample(**{**fields, "processes": tuple(Used(**process) for process in fields["processes"])})


def merged(several: Sequence[RoomResults]) -> RoomResults:
    """Several runs as one. The rounds of a run follow those of the run before it, so that no ratio mixes two runs. The
    machine is the last one, and so is the room."""
    samples: list[RoomSample] = []
    failures: list[RoomFailure] = []
    rounds = 0
    for results in several:
        samples += [replace(one, round=one.round + rounds) for one in results.samples]
        failures += [replace(one, round=one.round + rounds) for one in results.failures]
        rounds = max([rounds, *(one.round for one in samples), *(one.round for one in failures)])
    facts = [results.room for results in several if results.room is not None]
    return RoomResults(several[-1].machine, facts[-1] if facts else None, tuple(samples), tuple(failures))
