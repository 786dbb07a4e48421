"""A room of honest peers beside one machine that does everything at once which a machine may try against it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from .. import checks
from ..contract import ALONE, scenario
from ..doubles import HOSTILE_NEIGHBOUR
from ..events import named
from ..expectations import expect, expect_equal
from ..games import SLOW_GAME, SLOW_GAME_BYTES, SlowGame, make_slow_game
from ..listings import wait_until_found
from ..peer import GAMES, PORT, Mount, Peer
from ..stage import Stage

SOURCES = ("source-1", "source-2")
SEATS = ("seat-1", "seat-2", "seat-3", "seat-4")

# An install then takes long enough that the one source whose slowness has to be noticed (`SLOW_SOURCE_SPAN`) is a small
# part of it, as with any real game.
SOURCE_RATE_BYTES_PER_SECOND = 3_000_000

# How much longer than the link of its source needs the slowest seat may take beside the hostile neighbour. Without the
# neighbour it is a twentieth.
SLOWDOWN_MAX = 1.5

# Nothing is measured any more.
LATE_RATE_BYTES_PER_SECOND = 10 * SOURCE_RATE_BYTES_PER_SECOND


@scenario(
    "S58",
    "Hostile neighbour",
    claim="Beside a machine that floods the sources, announces itself as each of them, offers the game as sources "
    "that are mute, trickle or list without end, and announces a hundred hosts that do not exist, all at once, every "
    f"install of an honest room succeeds, and the slowest takes at most {SLOWDOWN_MAX} times as long as the link of "
    "its source needs for the seats that it serves.",
    conditions="A room of six: two slowed sources and four seats whose daemons find them by themselves and install "
    "at the same time, beside the hostile neighbour. A machine that comes late, without a daemon, installs too.",
    time_limit_s=240,
    most_at_once=ALONE,
)
def hostile_neighbour(stage: Stage) -> None:
    game = make_slow_game(stage, *SOURCES)
    sources = [
        stage.start_source(name, game.roots[name].parent, catalog=game.catalog, discovery=True, can_be_slowed=True)
        for name in SOURCES
    ]
    for source in sources:
        source.limit_sending(SOURCE_RATE_BYTES_PER_SECOND)
    seats = [stage.start_source(name, stage.games_dir(name), catalog=game.catalog, discovery=True) for name in SEATS]
    wait_until_found(stage, [*sources, *seats])

    root = game.roots[SOURCES[0]]
    mount = Mount(root, f"{GAMES}/{root.name}", read_only=True)
    arguments = ["--game-root", mount.target, "--listen", f"0.0.0.0:{PORT}"]
    for source in sources:
        arguments += ["--target", source.address]
    marks = [seat.events.mark() for seat in seats]
    hostile = stage.start_double("aaa-hostile", HOSTILE_NEIGHBOUR, arguments, mount)
    hostile.wait_for_event("hostile-neighbour-ready", stage.deadline)
    for seat, mark in zip(seats, marks, strict=True):
        # One of its hosts is known by then, so that the daemons do ask it.
        seat.wait_for_event(named("peer-found"), stage.deadline, "a host of the neighbour", start=mark)
    beside = _install_everywhere(stage, game, seats)

    for source in sources:
        source.limit_sending(LATE_RATE_BYTES_PER_SECOND)
    late = stage.machine("late", stage.games_dir("late"), catalog=game.catalog)
    installed = stage.command("late", late, "install", "--stream", SLOW_GAME, "--games-dir", GAMES)
    _expect_installed(stage, game, installed, "late")
    for peer in [*sources, *seats]:
        expect(peer.is_running, f"{peer.name} has ended")
    expect(hostile.is_running, "the hostile neighbour ended by itself: nothing was tested")
    needed_s = SLOW_GAME_BYTES * beside.seats_at_busiest / SOURCE_RATE_BYTES_PER_SECOND
    figures = f"slowest of four seats: {beside} beside the hostile neighbour; the link needs {needed_s:.1f} s"
    stage.figures.append(figures)
    expect(beside.seconds <= SLOWDOWN_MAX * needed_s, figures)


@dataclass(frozen=True)
class Round:
    """One install by all seats at once. How they share the sources is chance, and not the neighbour's doing."""

    seconds: float
    seats_at_busiest: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s with {self.seats_at_busiest} seats at one source"


def _install_everywhere(stage: Stage, game: SlowGame, seats: list[Peer]) -> Round:
    """All seats install the game at once; how long the last one took."""
    install = ["install", "--stream", SLOW_GAME, "--games-dir", GAMES]
    begun = time.monotonic()
    commands = [stage.start_command(f"to-{seat.name}", seat.machine, *install) for seat in seats]
    for seat, command in zip(seats, commands, strict=True):
        stage.finish(command, 0, f"the install of {seat.name}")
    duration_s = time.monotonic() - begun
    sources = Counter(
        _expect_installed(stage, game, command, seat.name) for seat, command in zip(seats, commands, strict=True)
    )
    return Round(duration_s, max(sources.values()))


def _expect_installed(stage: Stage, game: SlowGame, command: Peer, name: str) -> str:
    """The tree is whole; the source that it came from."""
    finished = command.events.all(named("stream-install-finished", game=SLOW_GAME))
    expect_equal(len(finished), 1, "reports of a finished install")
    source = finished[0]["peer"]
    expect(source in SOURCES, f"{name} installed from {source}")
    reference = stage.dir / "reference" / source
    if not reference.exists():
        game.reference(stage, source)
    checks.trees_equal(stage, reference, stage.games_dir(name) / SLOW_GAME / checks.LOCAL, f"tree of {name}")
    return str(source)
