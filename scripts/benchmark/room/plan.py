"""What a run measures, and about how long it takes: rooms that were asked for by name, and those that bars need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .bars import BARS, Room
from .modes import MODES

# On an idle machine with two cores: starting and removing one container, and the rest of a room.
CONTAINER_SECONDS, ROOM_SECONDS = 1.2, 4.0
# Making a game once and its catalog, by the MB.
MAKING_SECONDS = 0.4
LOOPBACK_MAKING_SECONDS, LOOPBACK_ROUND_SECONDS = 90.0, 12.0
# Building the library's tests for a release is most of it.
SIMULATION_SECONDS = 300.0
# Rounds on loopback cost little, and their times are short.
LOOPBACK_ROUNDS = 3


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    rooms: tuple[Room, ...] = ()
    long_rooms: tuple[Room, ...] = ()
    on_loopback: bool = False
    in_simulation: bool = False


def plan(ids: Sequence[str], others: Sequence[Room] = ()) -> Plan:
    """What these bars need, each room once, and other rooms with the same game."""
    bars = [BARS[id] for id in ids]
    return Plan(
        in_order([*(room for bar in bars for room in bar.rooms), *others]),
        in_order([room for bar in bars for room in bar.long_rooms]),
        any(bar.on_loopback for bar in bars),
        any(bar.in_simulation for bar in bars),
    )


def in_order(rooms: Sequence[Room]) -> tuple[Room, ...]:
    """Each room once, small ones of a mode first. What a ratio compares is measured within minutes of each other."""
    modes = list(MODES)
    return tuple(sorted(set(rooms), key=lambda room: (modes.index(room[0]), room[1])))


@dataclass(frozen=True)
class Step:
    """A part of a plan, and about how many seconds it takes."""

    what: str
    seconds: float


def steps(planned: Plan, rounds: int, packed_bytes: int, long_packed_bytes: int, rate: int) -> Iterator[Step]:
    for rooms, size in ((planned.long_rooms, long_packed_bytes), (planned.rooms, packed_bytes)):
        if rooms:
            yield Step(f"making the game of {size / 1e6:.0f} MB, once", MAKING_SECONDS * size / 1e6)
        for mode, receivers in rooms:
            words = f"{mode} of {receivers}, {size / 1e6:.0f} MB"
            yield Step(words, rounds * room_seconds(mode, receivers, size / rate))
    if planned.on_loopback:
        yield Step("making the game of loopback, once", LOOPBACK_MAKING_SECONDS)
        yield Step("loopback", max(rounds, LOOPBACK_ROUNDS) * LOOPBACK_ROUND_SECONDS)
    if planned.in_simulation:
        yield Step("simulation, with its build", SIMULATION_SECONDS)


def room_seconds(mode: str, receivers: int, link_seconds: float) -> float:
    machines = receivers + MODES[mode].sources
    return ROOM_SECONDS + CONTAINER_SECONDS * machines + link_seconds * MODES[mode].link_times(receivers)


def words(found: Sequence[Step]) -> str:
    lines = [f"{step.seconds:6.0f} s  {step.what}" for step in found]
    total = sum(step.seconds for step in found)
    return "\n".join([*lines, f"{total:6.0f} s  in all, about {total / 60:.0f} min"])
