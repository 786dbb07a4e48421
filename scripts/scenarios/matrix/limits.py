"""Limits of what machines send and receive: that they hold, how they are shared, and that they change at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..contract import IN_PAIRS, scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..metrics import metrics_of, received, sent
from ..peer import GAMES, Machine, Peer
from ..stage import Stage

MEBIBYTE = 1024 * 1024
# Each is streamed by one seat or the other. Long enough for all that is measured, on the fastest of these rates.
GAMES_OF_ONE = ("large-0",)
GAMES_OF_MANY = ("large-1", "large-2", "large-3")
BYTES_OF_ONE = 40 * MEBIBYTE
BYTES_OF_MANY = 12 * MEBIBYTE

UP = MEBIBYTE
MORE_UP = 4 * MEBIBYTE
DOWN = MEBIBYTE

# What is measured passes in about this time. Not what is asserted: rates are of the time that has really passed.
SPAN_S = 2.0
# What is counted and has not passed the limit, or has passed and is not counted: a frame of each transfer, on both
# sides of the span, and what a line lets pass at once.
SLACK_BYTES = MEBIBYTE
# A machine that is busy with something else gets less, also of a limit; not so much less.
LEAST_SHARE_OF_LIMIT = 0.5
# Of two machines that share a limit, no one gets so many times what the other gets. With shares of transfers instead of
# machines it would be three times.
FAIR = 1.5


@dataclass(frozen=True)
class _Count:
    """What was counted between two times."""

    before_s: float
    after_s: float
    bytes: int


def _count(machine: Machine, *, is_up: bool) -> _Count:
    before = time.monotonic()
    metrics = metrics_of(machine)
    return _Count(before, time.monotonic(), sum((sent if is_up else received)(metrics).values()))


def _held(name: str, first: _Count, last: _Count, limit: int) -> float:
    """Compares what came between two counts with a limit. Returns the rate in MiB a second."""
    bytes = last.bytes - first.bytes
    most = limit * (last.after_s - first.before_s) + SLACK_BYTES
    least = LEAST_SHARE_OF_LIMIT * limit * (last.before_s - first.after_s) - SLACK_BYTES
    expect(bytes <= most, f"{name}: {bytes} bytes, at most {most:.0f} may pass")
    expect(bytes >= least, f"{name}: only {bytes} bytes, at least {least:.0f} were expected")
    return bytes / (last.before_s - first.before_s) / MEBIBYTE


@dataclass
class _Room:
    """A source and two seats that stream from it."""

    stage: Stage
    den: Peer
    seats: Sequence[Peer]

    def limit(self, name: str, peer: Peer, *change: str) -> None:
        self.stage.command(name, peer.machine, "limits", *change, "--games-dir", GAMES)

    def span(self) -> tuple[Mapping[str, _Count], Mapping[str, _Count]]:
        """What the source has sent and each seat has received, twice."""
        first = self._counts()
        # Not to wait for something: it is what is measured.
        time.sleep(SPAN_S)
        last = self._counts()
        return first, last

    def _counts(self) -> Mapping[str, _Count]:
        counts = {seat.name: _count(seat.machine, is_up=False) for seat in self.seats}
        return {**counts, self.den.name: _count(self.den.machine, is_up=True)}

    def expect_shared(self, limit: int, what: str) -> None:
        """The source sends as much as the limit, and each seat gets the same part of it."""
        first, last = self.span()
        rate = _held(f"{self.den.name}, {what}", first[self.den.name], last[self.den.name], limit)
        one, many = (last[seat.name].bytes - first[seat.name].bytes for seat in self.seats)
        expect(one > 0 and many > 0, f"{what}: the seats got {one} and {many} bytes")
        ratio = max(one, many) / min(one, many)
        expect(ratio <= FAIR, f"{what}: the seat with one transfer got {one} bytes, the one with three {many}")
        self.stage.figures.append(f"{what}: {rate:.2f} MiB/s, shares 1 to {ratio:.2f}")


def _start(stage: Stage) -> _Room:
    games_dir = stage.games_dir("den")
    sizes = {**dict.fromkeys(GAMES_OF_ONE, BYTES_OF_ONE), **dict.fromkeys(GAMES_OF_MANY, BYTES_OF_MANY)}
    for game, size in sizes.items():
        tree = stage.payload(game)
        tree.noise("data/content.bin", size)
        stage.packed_game(games_dir, game, tree, switches=["-m0"])
    den = stage.start_source("den", games_dir, catalog=None, options=["--limit-up", f"{UP // MEBIBYTE}MiB/s"])
    seats = [
        stage.start_source(name, stage.games_dir(name), catalog=None, options=["--max-operations", "3"])
        for name in ("of-one", "of-many")
    ]
    for seat, games in zip(seats, (GAMES_OF_ONE, GAMES_OF_MANY), strict=True):
        words = [
            "install",
            "--stream",
            *games,
            "--detach",
            "--games-dir",
            GAMES,
            "--no-discovery",
            "--peer",
            den.address,
        ]
        stage.command(f"{seat.name}-begins", seat.machine, *words)
    for seat, games in zip(seats, (GAMES_OF_ONE, GAMES_OF_MANY), strict=True):
        for game in games:
            seat.wait_for_event(named("stream-progress", game=game), stage.deadline, f"first bytes of {game}")
    return _Room(stage, den, seats)


@scenario(
    "S94",
    "Limits",
    claim="A source with --limit-up sends no more than that to all machines together and makes use of it. Each "
    "machine gets the same part, although one has a transfer and the other three. `limits` changes it while they run, "
    "and so does `limits --down` at a receiver, of which the other one then has the rest.",
    conditions=f"One source, whose limit is {UP} and then {MORE_UP} bytes a second, and two seats whose streams it "
    f"decodes, so that neither feeds the other; in the end one seat receives at most {DOWN}. Bytes are counted by the "
    f"metrics of all three, and compared with the time that has really passed. A seat may have {FAIR} times what the "
    "other has, and the source must send half of its limit: a busy machine sends less than it may.",
    time_limit_s=120,
    most_at_once=IN_PAIRS,
    decodes_at_source=True,
)
def limits_hold(stage: Stage) -> None:
    room = _start(stage)
    one, many = room.seats
    room.expect_shared(UP, "limit of the source")
    room.limit("more", room.den, "--up", f"{MORE_UP // MEBIBYTE}MiB/s")
    room.expect_shared(MORE_UP, "higher limit")
    room.limit("down", many, "--down", f"{DOWN // MEBIBYTE}MiB/s")
    first, last = room.span()
    rate = _held("the seat with a limit", first[many.name], last[many.name], DOWN)
    got = {seat.name: last[seat.name].bytes - first[seat.name].bytes for seat in room.seats}
    expect(got[one.name] > FAIR * got[many.name], f"the other seat has not the rest: {got}")
    stage.figures.append(f"limit of a seat: {rate:.2f} MiB/s")
    room.limit("no-more", room.den, "--up", "none")
    room.limit("no-down", many, "--down", "none")
    for seat, games in zip(room.seats, (GAMES_OF_ONE, GAMES_OF_MANY), strict=True):
        for game in games:
            stage.command(f"wait-{game}", seat.machine, "wait", game, "--games-dir", GAMES)
        outcomes = {event["outcome"] for event in seat.events.all(named("operation-end"))}
        expect_equal(outcomes, {"done"}, f"how the operations of {seat.name} ended")
        failed = seat.events.all(named("stream-attempt-failed"))
        expect_equal(failed, [], f"failed attempts of {seat.name}")
