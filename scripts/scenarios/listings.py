"""What `list` and `peers` print about games and peers."""

from __future__ import annotations

from .events import Event, named
from .expectations import expect_equal
from .peer import GAMES, Machine
from .stage import Stage


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
