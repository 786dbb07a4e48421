"""Games that scenarios of several modules share, and who serves them.

A slow game is for streamed installs: a source can be slowed so that a fault hits in the middle of a stream. A marked
game is for downloads: every chunk of it says which source it came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import archives
from .events import Event, named
from .expectations import expect, expect_equal
from .payload import marked_file
from .peer import Peer
from .stage import VERSION, Stage
from .tools import FIXTURES_DIR

# Retry order is by peer name: these two put the one that must fail first.
FIRST = "a-first"
SECOND = "b-second"

SENTINEL = "version.ini"


def root_bytes(game_root: Path) -> int:
    """What a peer offers of a game: its archives and its sentinel."""
    return sum(path.stat().st_size for path in [*game_root.glob("*.eti"), game_root / "version.ini"])


def expect_equal_file_lists(*game_roots: Path) -> None:
    """Copies that differ in names or sizes would be recognised as different before any byte flows."""
    lists = [sorted((path.name, path.stat().st_size) for path in game_root.iterdir()) for game_root in game_roots]
    for other in lists[1:]:
        expect_equal(other, lists[0], "file list of the second source against the first")


# --- the slow game ---

SLOW_GAME = "slow-game"

# At this rate a stream of this game takes six seconds: long enough for a fault to be answered in the middle of it,
# however slow the machine that runs the scenario is.
SLOW_GAME_BYTES = 48_000_000
STREAM_RATE_BYTES_PER_SECOND = 8_000_000

# Where faults hit. Far more than the buffers between a source's disk and a receiver's, far less than the game.
FAULT_AT_BYTES = 8_000_000

# A receiver gives a silent source up after 20 s. Where a scenario waits for that, it sets this limit: four of the
# keep-alives that a source sends every 2 s must be missing, so that a busy machine is not taken for a silent source.
IDLE_LIMIT_S = 8


@dataclass(frozen=True)
class SlowGame:
    """One game on several sources, with equal bytes: copies that differ are sides that the receiver counts."""

    catalog: Path
    roots: dict[str, Path]

    def start(self, stage: Stage, name: str, *, slow: bool, unrar: str = "", options: tuple[str, ...] = ()) -> Peer:
        source = stage.start_source(
            name,
            self.roots[name].parent,
            catalog=self.catalog,
            unrar=unrar,
            options=options,
            can_be_slowed=slow,
        )
        if slow:
            source.limit_sending(STREAM_RATE_BYTES_PER_SECOND)
        return source

    def reference(self, stage: Stage, name: str) -> Path:
        return archives.extract(self.roots[name], stage.dir / "reference" / name)


def make_slow_game(stage: Stage, *names: str, size: int = SLOW_GAME_BYTES) -> SlowGame:
    tree = stage.payload(SLOW_GAME)
    # Noise does not compress, so the bytes on the wire are as many on a link that compresses.
    for index in range(6):
        tree.noise(f"data/noise-{index}.bin", size // 6)
    roots: dict[str, Path] = {}
    for name in names:
        games_dir = stage.games_dir(name)
        if not roots:
            roots[name] = stage.packed_game(games_dir, SLOW_GAME, tree, switches=["-m0"])
        else:
            roots[name] = games_dir / SLOW_GAME
            roots[name].mkdir()
            first = next(iter(roots.values()))
            for file in (f"{SLOW_GAME}.eti", "version.ini"):
                (roots[name] / file).hardlink_to(first / file)
    expect_equal_file_lists(*roots.values())
    return SlowGame(stage.catalog(SLOW_GAME), roots)


def wait_for_fault_point(stage: Stage, receiver: Peer, source: Peer) -> Event:
    """The first progress at or after the fault point. Bytes were flowing, and most were still to come."""

    def reached(event: Event) -> bool:
        return named("stream-progress", peer=source.name)(event) and event["bytes"] >= FAULT_AT_BYTES

    progress = receiver.wait_for_event(reached, stage.deadline, f"{FAULT_AT_BYTES} bytes received from {source.name}")
    expect(progress["bytes"] < progress["bytes_total"] * 3 / 4, f"the stream was all but over: {progress}")
    return progress


# --- marked games ---

# At this rate a chunk takes a second: a fault hits in the middle of one, however slow the machine is.
DOWNLOAD_RATE_BYTES_PER_SECOND = 16_000_000


@dataclass(frozen=True)
class MarkedGame:
    """One game on several sources, with equal file lists and other bytes at each."""

    game: str
    catalog: Path
    roots: dict[str, Path]

    @property
    def bytes_total(self) -> int:
        return sum(path.stat().st_size for path in next(iter(self.roots.values())).iterdir())

    def start(self, stage: Stage, name: str, *, rate: int = 0) -> Peer:
        """Serves the copy of this name, slowed to so many bytes a second if a rate is given."""
        source = stage.start_source(name, self.roots[name].parent, catalog=self.catalog, can_be_slowed=rate > 0)
        if rate:
            source.limit_sending(rate)
        return source


def marked_game(
    stage: Stage, names: Sequence[str], sizes: Mapping[str, int], *, game: str = "marked-game", version: str = VERSION
) -> MarkedGame:
    """Makes a game of archives of these sizes for the sources of these names."""
    roots = {}
    for name in names:
        roots[name] = stage.games_dir(name) / game
        roots[name].mkdir()
        for file, size in sizes.items():
            marked_file(roots[name] / file, size, name)
        # The version is the first line only.
        (roots[name] / SENTINEL).write_text(f"{version}\n{name:-<32}\n")
    return MarkedGame(game, stage.catalog(game, version=version), roots)


# --- fixtures ---

# Games that must be refused have their own scenarios (S50, S55).
_REFUSED_FIXTURES = ("fixture-encrypted", "fixture-hostile")


def installable_games() -> dict[str, list[Path]]:
    """Game roots of all fixtures by game id; the same id in two fixtures is either the same game or another payload."""
    games: dict[str, list[Path]] = {}
    for fixture in sorted(FIXTURES_DIR.glob("fixture-*")):
        if fixture.name in _REFUSED_FIXTURES:
            continue
        for game_root in sorted(fixture.iterdir()):
            if any(game_root.glob("*.eti")):
                games.setdefault(game_root.name, []).append(game_root)
    return games
