"""The kinds of rooms: who sends, what receivers are told, and what happens to one of them on the way.

A disturbance is a context: it acts once the room is under way, and yields the names of those to which something
happened. The time of a room is that of the others, who install inside of the context.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenarios.events import named
from scenarios.expectations import expect, expect_equal
from scenarios.matrix.room_faults import start_lying_relays
from scenarios.peer import Peer
from scenarios.rooms import Receiver, limit_processor, wait_for_progress, wait_until_placed

from . import machines
from .figures import (
    CHAIN,
    DECODED,
    FROZEN,
    HTTP,
    KILLED,
    LIED,
    OPEN_LATE,
    SLOW,
    SOURCE_KILLED,
    SOURCE_LIED,
    STAR,
    TWO_SOURCES,
    WIDE_LATE,
    WIDE_SLOW,
)
from .machines import RoomStage, Sender

LATE_SECONDS = 10.0
# For how long the use of a processor is looked at, before half of it is taken away.
LOOK_SECONDS = 6.0
# What a machine may use when it has all of its processor back.
WHOLE_PROCESSOR = 2.0
LIE = "wrong-bytes"


@dataclass
class Cast:
    """All who take part in a room that is under way."""

    stage: RoomStage
    senders: list[Sender]
    # In the order of their names.
    receivers: list[Receiver]
    late_gate: Path

    def at(self, position: int) -> Receiver:
        """The receiver at this position of its wave."""
        placed = {wait_until_placed(self.stage, one)["position"]: one for one in self.receivers}
        expect(position in placed, f"no receiver has the position {position}: {sorted(placed)}")
        return placed[position]


Disturbance = Callable[[Cast], AbstractContextManager[set[str]]]


@contextmanager
def undisturbed(_cast: Cast) -> Iterator[set[str]]:
    yield set()


@contextmanager
def relay_killed(cast: Cast) -> Iterator[set[str]]:
    """Its connections are reset."""
    relay = cast.at(2)
    wait_for_progress(cast.stage, relay, 0.3)
    machines.signal_program(relay.machine, signal.SIGKILL)
    yield {relay.name}
    relay.process.wait_for_exit(cast.stage.deadline, "the end of the killed relay")


@contextmanager
def relay_frozen(cast: Cast) -> Iterator[set[str]]:
    """It is silent, and its connections stay."""
    relay = cast.at(2)
    wait_for_progress(cast.stage, relay, 0.3)
    machines.signal_program(relay.machine, signal.SIGSTOP)
    yield {relay.name}
    machines.signal_program(relay.machine, signal.SIGKILL)
    relay.process.wait_for_exit(cast.stage.deadline, "the end of the frozen relay")


@contextmanager
def source_killed(cast: Cast) -> Iterator[set[str]]:
    """The one that placed the receivers. It is early, so that the other one sends nearly everything."""
    head = cast.at(0)
    placed_by = wait_until_placed(cast.stage, head)["peer"]
    wait_for_progress(cast.stage, head, 0.05)
    [sender] = [one for one in cast.senders if one.name == placed_by]
    assert sender.peer is not None  # no HTTP server gives places
    sender.peer.kill()
    yield {sender.name}


@contextmanager
def slow_machine(cast: Cast) -> Iterator[set[str]]:
    """It may use half of what it has used of its processor so far, and so decodes at half of the pace."""
    slow = cast.at(1)
    wait_for_progress(cast.stage, slow, 0.1)
    pid = machines.pid_of_program(slow.machine)
    before, began = machines.cpu_seconds(slow.machine, pid), time.monotonic()
    time.sleep(LOOK_SECONDS)
    used = (machines.cpu_seconds(slow.machine, pid) - before) / (time.monotonic() - began)
    limit_processor(slow.machine, used / 2)
    yield {slow.name}
    limit_processor(slow.machine, WHOLE_PROCESSOR)


@contextmanager
def late_machine(cast: Cast) -> Iterator[set[str]]:
    """The last receiver waits at a gate of its own."""
    time.sleep(LATE_SECONDS)
    cast.late_gate.touch()
    yield {cast.receivers[-1].name}


@contextmanager
def lying_relay(cast: Cast) -> Iterator[set[str]]:
    """It had the first place of the wave before the others came, and its only follower has found it out."""
    first = cast.at(1)
    yield set()
    lied = {event["peer"] for event in first.process.events.all(named("peer-lied"))}
    expect_equal(lied, {f"liar-{LIE}"}, "peers that are called liars")
    taken = [one.bytes_from("relay") for one in cast.receivers if one is first]
    expect_equal(taken, [0], "bytes that were taken from the liar")


@contextmanager
def lying_source(cast: Cast) -> Iterator[set[str]]:
    """Its only receiver has found it out."""
    yield set()
    [receiver] = cast.receivers
    lied = {event["peer"] for event in receiver.process.events.all(named("peer-lied"))}
    expect_equal(lied, {cast.senders[-1].name}, "peers that are called liars")


@dataclass(frozen=True)
class Mode:
    """One kind of room."""

    # Until the last of the others is done, in times of one archive over one link; of many receivers for each of them.
    links: float = 1.05
    grows: bool = False
    # What receivers are told.
    options: tuple[str, ...] = ()
    sources: int = 1
    # Whether the last of them has an archive of the same size with wrong bytes.
    last_is_wrong: bool = False
    is_http: bool = False
    # How many receivers at once a source can send to at the rate of a link.
    uplinks: int = 1
    # Whether what one receiver takes is limited by nothing but the link of the source. Otherwise it has a link, too.
    is_open: bool = True
    has_catalog: bool = True
    is_late: bool = False
    # Whether those to whom something happened install the game in the end.
    all_install: bool = True
    disturbance: Disturbance = undisturbed
    # What begins before the receivers do.
    prelude: Callable[[RoomStage, Peer], object] | None = None

    def link_times(self, receivers: int) -> float:
        return self.links * (receivers if self.grows else 1)


def start_liar(stage: RoomStage, source: Peer) -> object:
    return start_lying_relays(stage, source, (LIE,))


MODES: dict[str, Mode] = {
    CHAIN: Mode(),
    STAR: Mode(options=("--no-relay",), grows=True),
    # The files are nearly twice as large as the archive.
    DECODED: Mode(options=("--decode-at", "source"), links=1.8, grows=True),
    HTTP: Mode(is_http=True, grows=True),
    KILLED: Mode(links=1.2, all_install=False, disturbance=relay_killed),
    FROZEN: Mode(links=1.4, all_install=False, disturbance=relay_frozen),
    SOURCE_KILLED: Mode(links=1.3, sources=2, disturbance=source_killed),
    TWO_SOURCES: Mode(links=0.6, sources=2),
    WIDE_SLOW: Mode(links=1.5, uplinks=2, is_open=False, disturbance=slow_machine),
    SLOW: Mode(links=1.7, disturbance=slow_machine),
    WIDE_LATE: Mode(links=2.1, uplinks=2, is_open=False, is_late=True, disturbance=late_machine),
    OPEN_LATE: Mode(links=1.6, uplinks=2, is_late=True, disturbance=late_machine),
    SOURCE_LIED: Mode(sources=2, last_is_wrong=True, disturbance=lying_source),
    # Only a source without a catalog makes the packing list by which the liar is of the same stream.
    LIED: Mode(links=1.2, has_catalog=False, disturbance=lying_relay, prelude=start_liar),
}
# Those that --modes takes. The others are for bars.
CHOSEN = (CHAIN, STAR, DECODED, HTTP)
