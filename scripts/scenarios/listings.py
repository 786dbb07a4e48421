"""What peers know of each other: what `list` and `peers` print, and when they have found each other."""

from __future__ import annotations

from .events import Event, named
from .expectations import expect_equal
from .peer import GAMES, Machine, Peer
from .stage import Stage

# Peers announce themselves at their start and answer questions at once; a slow machine gets some more time.
FIND_LIMIT_S = 20.0


def listed(stage: Stage, machine: Machine, *options: str, name: str = "lister") -> list[Event]:
    """What `list` says on a machine."""
    return stage.command(name, machine, "list", "--games-dir", GAMES, *options).events.window()


def offers(events: list[Event]) -> dict[str, tuple[int, list[str]]]:
    """Each game that peers offer, with how many do and their names; every game must be listed once."""
    offered = [event for event in events if named("offered-game")(event)]
    games = [event["game"] for event in offered]
    expect_equal(games, sorted(set(games)), "games that are offered, each once")
    return {event["game"]: (event["peer_count"], sorted(event["peers"])) for event in offered}


def peers_listed(stage: Stage, machine: Machine, *options: str, name: str = "asker") -> list[Event]:
    """The other peers that `peers` shows on the machine of a serving peer."""
    asked = stage.command(name, machine, "peers", "--games-dir", GAMES, *options)
    return asked.events.all(named("peer"))


def wait_until_found(stage: Stage, peers: list[Peer]) -> None:
    """Every one of them has found every other and knows its games."""
    deadline = stage.deadline.sooner(FIND_LIMIT_S)
    for peer in peers:
        for other in peers:
            if other is not peer:
                what = f"the library of {other.name}"
                peer.wait_for_event(named("peer-library-changed", peer=other.identity), deadline, what)
