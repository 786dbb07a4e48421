"""Repairs: how much of a game comes again if a part of it is damaged, and from whom."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..metrics import Metrics, metrics_of, sent
from ..peer import Machine, Peer, Reachable
from ..rooms import CHUNK_BYTES, build_catalog
from ..stage import Stage
from ..trees import sha256

STREAMED = "streamed-game"
DOWNLOADED = "downloaded-game"
FILES = 12
FILE_BYTES = 1_000_000
SMALL_ARCHIVE_BYTES = 300_000
ADDED = "saves/slot1.sav"

# What the archive has of a file before its first byte and after its last one, and of the file after it.
HEADER_BYTES = 512
# The damaged source has other bytes in so many places of an archive, each in a chunk of its own.
LIES = 20
HONEST_RATE = "4MiB/s"


def _flip(path: Path, position: int) -> None:
    """Other bytes of the same length."""
    with path.open("r+b") as file:
        file.seek(position)
        old = file.read(3)
        file.seek(position)
        file.write(bytes(byte ^ 0x55 for byte in old))


def _cut(path: Path, bytes: int) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - bytes)


def _chunks_of(bytes: int) -> int:
    """In how many chunks a part of an archive can be at most, wherever it begins."""
    return -(-(bytes + 2 * HEADER_BYTES) // CHUNK_BYTES) + 1


@dataclass
class _Repairs:
    """A receiver whose games are damaged, and a source that counts what it sends."""

    stage: Stage
    machine: Machine
    games_dir: Path
    catalog: Path
    source: Peer

    def run(self, name: str, words: list[str], sources: list[Reachable], exit_status: int = 0) -> Peer:
        return self.stage.operation(
            words, self.machine, sources, exit_status=exit_status, name=name, catalog=self.catalog
        )

    def repair(self, name: str, game: str, damage: Callable[[], None], chunks: int, game_bytes: int) -> None:
        """Damages the game, repairs it, and compares what the source has sent with the chunks that are concerned."""
        damage()
        before = sent(metrics_of(self.source.machine))
        repair = self.run(f"repair-{name}", ["repair", game], [self.source])
        after = sent(metrics_of(self.source.machine))
        grown = {kind: bytes - before.get(kind, 0) for kind, bytes in after.items() if bytes != before.get(kind)}
        expect_equal(list(grown), ["download"], f"kinds of what the source has sent for {name}")
        finished = repair.events.all(named("repair-finished", game=game))
        expect_equal([event["changed"] for event in finished], [True], f"whether the repair of {name} changed the game")
        expect_equal(grown["download"], finished[0]["bytes_fetched"], f"bytes that were sent, and fetched, for {name}")
        most = chunks * CHUNK_BYTES
        expect(
            0 < grown["download"] <= most, f"{name}: {grown['download']} bytes were sent, at most {most} are concerned"
        )
        expect(grown["download"] < game_bytes / 2, f"{name}: {grown['download']} of {game_bytes} bytes were sent")
        self.stage.figures.append(f"{name}: {grown['download'] // 1024} KiB of {game_bytes // 1024}")


def _make_games(stage: Stage, games_dir: Path) -> None:
    for game in (STREAMED, DOWNLOADED):
        tree = stage.payload(game)
        for number in range(FILES):
            tree.noise(f"data/part-{number:02}.bin", FILE_BYTES)
        stage.packed_game(games_dir, game, tree, "large.eti", switches=["-m0"])
    small = stage.payload("small")
    small.noise("data/small.bin", SMALL_ARCHIVE_BYTES)
    stage.packed_game(games_dir, DOWNLOADED, small, "small.eti", switches=["-m0"])


def _root_files(game_root: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(game_root.iterdir()) if path.is_file()}


@scenario(
    "S91",
    "A repair fetches what differs",
    claim="A repair fetches the chunks that are concerned and nothing else: of a streamed game those of the files "
    "with other bytes, cut or gone, and of a downloaded one those that are. A file that the user added stays. A "
    "source whose archive is damaged is named, and the next one brings its chunks. Afterwards verify says that all is "
    "whole.",
    conditions=f"Games of {FILES} stored files of {FILE_BYTES} bytes, in chunks of {CHUNK_BYTES}, and a catalog with "
    f"their manifests. A source that counts what it sends. The damaged one has {LIES} changed chunks, and the honest "
    f"one sends {HONEST_RATE}.",
    time_limit_s=120,
)
def repair_fetches_what_differs(stage: Stage) -> None:
    served = stage.games_dir("honest")
    _make_games(stage, served)
    catalog, manifests = build_catalog(stage, served)
    source = stage.start_source("honest", served, catalog=None)
    games_dir = stage.games_dir("receiver")
    machine = stage.machine("receiver", games_dir, catalog=catalog, mounts=[manifests])
    repairs = _Repairs(stage, machine, games_dir, catalog, source)
    repairs.run("install", ["install", "--stream", STREAMED], [source])
    repairs.run("download", ["download", DOWNLOADED], [source])
    reference = archives.extract(served / STREAMED, stage.dir / "reference")
    expected = _root_files(served / DOWNLOADED)

    _of_a_tree(repairs, served)
    checks.trees_equal(stage, reference, games_dir / STREAMED / checks.LOCAL, "repaired tree")
    _of_a_download(repairs, served)
    expect_equal(_root_files(games_dir / DOWNLOADED), expected, "root files after the repairs")
    _nothing_differs(repairs)
    _damaged_source(repairs, served)
    expect_equal(_root_files(games_dir / DOWNLOADED), expected, "root files after the repair with a damaged source")
    verified = repairs.run("verify", ["verify", STREAMED, DOWNLOADED], [])
    said = [(event["game"], event["differences"]) for event in verified.events.all(named("verify-finished"))]
    expect_equal(sorted(said), [(DOWNLOADED, 0), (STREAMED, 0)], "differences in the end")


def _of_a_tree(repairs: _Repairs, served: Path) -> None:
    """A file with other bytes, one that is cut, one that is gone, and one of the user."""
    local = repairs.games_dir / STREAMED / checks.LOCAL
    added = local / ADDED

    def damage() -> None:
        _flip(local / "data" / "part-01.bin", FILE_BYTES // 2)
        _cut(local / "data" / "part-05.bin", 10)
        (local / "data" / "part-09.bin").unlink()
        added.parent.mkdir()
        added.write_text("a saved game that belongs to the user\n")

    game_bytes = (served / STREAMED / "large.eti").stat().st_size
    repairs.repair("three files", STREAMED, damage, 3 * _chunks_of(FILE_BYTES), game_bytes)
    expect_equal(added.read_text(), "a saved game that belongs to the user\n", "the file of the user")
    shutil.rmtree(added.parent)


def _of_a_download(repairs: _Repairs, served: Path) -> None:
    root = repairs.games_dir / DOWNLOADED
    large = root / "large.eti"
    game_bytes = sum(path.stat().st_size for path in (served / DOWNLOADED).iterdir())
    repairs.repair("one byte", DOWNLOADED, lambda: _flip(large, 10 * CHUNK_BYTES + 7), 1, game_bytes)
    repairs.repair("a cut end", DOWNLOADED, lambda: _cut(large, CHUNK_BYTES // 2), 2, game_bytes)
    small_chunks = -(-(root / "small.eti").stat().st_size // CHUNK_BYTES)
    repairs.repair("an archive that is gone", DOWNLOADED, (root / "small.eti").unlink, small_chunks, game_bytes)


def _nothing_differs(repairs: _Repairs) -> None:
    before = sent(metrics_of(repairs.source.machine))
    repair = repairs.run("repair-nothing", ["repair", STREAMED, DOWNLOADED], [repairs.source])
    said = [event["changed"] for event in repair.events.all(named("repair-finished"))]
    expect_equal(said, [False, False], "whether a repair of what is whole changes it")
    expect_equal(sent(metrics_of(repairs.source.machine)), before, "bytes that the source has sent then")


def _damaged_source(repairs: _Repairs, served: Path) -> None:
    """The same chunks are wrong at the receiver and at one of two sources."""
    stage = repairs.stage
    places = [(2 * number + 1) * CHUNK_BYTES + 100 for number in range(LIES)]
    copy = stage.games_dir("damaged") / DOWNLOADED
    shutil.copytree(served / DOWNLOADED, copy)
    for archive in (copy / "large.eti", repairs.games_dir / DOWNLOADED / "large.eti"):
        expect(places[-1] < archive.stat().st_size, "the archive is shorter than its last wrong place")
        for place in places:
            _flip(archive, place)
    damaged = stage.start_source("damaged", copy.parent, catalog=None)
    stage.command("limit", repairs.source.machine, "limits", "--up", HONEST_RATE, "--games-dir", "/games")
    before = _sent_by((repairs.source, damaged))
    repair = repairs.run("repair-beside-a-damaged-source", ["repair", DOWNLOADED], [damaged, repairs.source])
    after = _sent_by((repairs.source, damaged))
    lied = repair.events.all(named("peer-lied", game=DOWNLOADED))
    expect_equal({event["peer"] for event in lied}, {damaged.name}, "peers that are called liars")
    expect_equal({event["path"] for event in lied}, {"large.eti"}, "files that are named")
    positions = {event["position"] for event in lied}
    expect(positions <= {place - 100 for place in places}, f"wrong places that are named: {positions} of {places}")
    finished = repair.events.all(named("repair-finished"))[0]
    expect_equal(finished["bytes"], LIES * CHUNK_BYTES, "bytes that the repair has written")
    honest, other = (after[peer] - before[peer] for peer in (repairs.source.name, damaged.name))
    expect_equal(honest, LIES * CHUNK_BYTES, "bytes that the honest source has sent")
    expect(0 < other <= LIES * CHUNK_BYTES, f"the damaged source has sent {other} bytes: nothing was tested")


def _sent_by(sources: tuple[Peer, ...]) -> dict[str, int]:
    def all_of(metrics: Metrics) -> int:
        return sum(sent(metrics).values())

    return {source.name: all_of(metrics_of(source.machine)) for source in sources}
