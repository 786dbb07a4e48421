"""The game of a room: one solid archive, and the catalog of its organiser."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from scenarios import peer as inside
from scenarios.peer import Mount
from scenarios.stage import VERSION, Run
from scenarios.tools import RAR, TARGET_DIR, run_tool

from ..making import count, make_tree
from ..works import Tree
from . import machines
from .figures import MIB
from .machines import RoomStage

GAME = "room-game"
DICTIONARY_BYTES = 32 * MIB
# What a byte of an archive of such content unpacks to, about.
UNPACKED_RATIO = 2.2
# Other bytes for the same size get another number.
CONTENT_NUMBER = 2
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
    files: int


def make_game(run: Run, size: int) -> RoomGame:
    """One solid archive of about this size and a catalog with its manifest; made once. Its content is the game-like mix
    of bench.py: what a source saves that decodes nothing depends on what there is to decode."""
    folder = ROOMS_DIR / f"game-{size}-v{CONTENT_NUMBER}"
    root, record = folder / "games" / GAME, folder / "made.json"
    if not record.exists():
        shutil.rmtree(folder, ignore_errors=True)
        packed = pack_game(run, size, root)
        # Last: a game without a record is not complete.
        record.write_text(json.dumps(packed))
    packed_bytes, unpacked_bytes, files = json.loads(record.read_text())
    # Each run builds the catalog with its own program.
    return RoomGame(root, build_catalog(run, root), packed_bytes, unpacked_bytes, files)


def pack_game(run: Run, size: int, root: Path) -> tuple[int, int, int]:
    """Packs the game into its folder; returns the bytes of its archive and of its files, and the number of files."""
    tree = run.dir / "payload"
    make_tree(Tree("mix", int(size * UNPACKED_RATIO)), tree)
    files, unpacked = count(tree)
    root.mkdir(parents=True)
    packed, archive = root / f"{GAME}.rar", root / f"{GAME}.eti"
    switches = ["-cfg-", "-idq", "-y", "-r", "-s", "-m3", f"-md{DICTIONARY_BYTES // MIB}m"]
    run_tool(RAR, "a", *switches, packed, ".", cwd=tree)
    packed.rename(archive)
    shutil.rmtree(tree)
    (root / "version.ini").write_text(f"{VERSION}\n")
    return archive.stat().st_size, unpacked, files


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
