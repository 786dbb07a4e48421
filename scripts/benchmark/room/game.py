"""The game of a room: one solid archive, and the catalog of its organiser."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from scenarios import archives
from scenarios import peer as inside
from scenarios.payload import PayloadTree
from scenarios.peer import Mount
from scenarios.stage import VERSION, Run
from scenarios.tools import TARGET_DIR

from . import machines
from .figures import MIB
from .machines import RoomStage

GAME = "room-game"
DICTIONARY_BYTES = 32 * MIB
FILES = 16
# Other bytes for the same size get another number.
CONTENT_NUMBER = 1
# Reading and hashing an archive, also on a busy machine.
CATALOG_SECONDS = 180
ROOMS_DIR = TARGET_DIR / "room"


@dataclass(frozen=True)
class RoomGame:
    """The game of all rooms of a run, with the catalog of its organiser."""

    root: Path
    catalog: Mount
    packed_bytes: int
    unpacked_bytes: int


def make_game(run: Run, size: int) -> RoomGame:
    """One solid archive, of which three quarters do not compress, and a catalog with its manifest; made once."""
    folder = ROOMS_DIR / f"game-{size}-v{CONTENT_NUMBER}"
    root, record = folder / "games" / GAME, folder / "made.json"
    if not record.exists():
        shutil.rmtree(folder, ignore_errors=True)
        packed = pack_game(run, size, root)
        # Last: a game without a record is not complete.
        record.write_text(json.dumps(packed))
    packed_bytes, unpacked_bytes = json.loads(record.read_text())
    # Each run builds the catalog with its own program.
    return RoomGame(root, build_catalog(run, root), packed_bytes, unpacked_bytes)


def pack_game(run: Run, size: int, root: Path) -> tuple[int, int]:
    """Packs the game into its folder; returns the bytes of its archive and of its files."""
    tree = PayloadTree(run.dir / "payload", seed=GAME)
    noise = size * 3 // 4
    for number in range(FILES // 2):
        tree.noise(f"data/{number}.bin", noise // (FILES // 2))
        # Words of a few syllables are packed to a little less than a quarter.
        tree.prose(f"texts/{number}.txt", size // (FILES // 2))
    unpacked = sum((tree.root / name).stat().st_size for name in tree.names)
    tree.settle()
    root.mkdir(parents=True)
    archive = root / f"{GAME}.eti"
    archives.pack(archive, tree.root, tree.names, ["-s", "-m3", f"-md{DICTIONARY_BYTES // MIB}m"])
    shutil.rmtree(tree.root)
    (root / "version.ini").write_text(f"{VERSION}\n")
    return archive.stat().st_size, unpacked


def build_catalog(run: Run, root: Path) -> Mount:
    dir = run.dir / "organiser"
    dir.mkdir()
    stage = RoomStage(run, dir, scenario_id="organiser", time_limit_s=CATALOG_SECONDS)
    out = dir / "catalog"
    out.mkdir()
    try:
        words = ["--json", "catalog", "build", "--games-dir", inside.GAMES, "--out", machines.CATALOG]
        mount = Mount(root.parent, inside.GAMES, read_only=True)
        builder = stage.start("organiser", words, mount, mounts=[Mount(out, machines.CATALOG)])
        stage.finish(builder, 0, "`catalog build`")
    finally:
        stage.abandon()
        stage.remove_containers()
    return Mount(out, machines.CATALOG, read_only=True)
