"""Streams that are held to the manifest of a catalog: sources whose checksums are right and whose content is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..doubles import LyingSource
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import GAMES, Mount, Peer
from ..stage import Stage

GAME = "tournament"
VERSION = "20250601"
CATALOG = "/catalog"
NOT_AS_LISTED = "not-as-listed"

FLIPPED = ("listed-other-byte", "listed-other-last-byte")
OTHER = (
    "listed-extra-file",
    "listed-extra-folder",
    "listed-missing-file",
    "listed-other-size",
    "listed-other-name",
    "listed-executable",
    "listed-file-twice",
    "listed-file-as-folder",
    "listed-totals",
    "listed-another-game",
)


def _organised(stage: Stage) -> tuple[Path, Path]:
    """A downloaded game, and the folder of the catalog that `catalog build` makes of it."""
    tree = stage.payload(GAME)
    tree.prose("readme.txt", 20_000)
    tree.noise("data/maps.bin", 3_000_000)
    tree.noise("data/models.bin", 400_000)
    tree.folder("saves")
    root = stage.packed_game(stage.games_dir("b-honest"), GAME, tree)
    (root / "version.ini").write_text(f"{VERSION}\n")
    out = stage.dir / "catalog"
    out.mkdir()
    mounts = (Mount(root.parent, GAMES, read_only=True), Mount(out, CATALOG))
    builder = stage.start(
        "organiser", ["--json", "catalog", "build", "--games-dir", GAMES, "--out", CATALOG], mounts=mounts
    )
    stage.finish(builder, 0, "`catalog build`")
    expect((out / "catalog.toml").is_file(), "`catalog build` wrote no catalog")
    expect_equal(len(list((out / "manifests").iterdir())), 1, "manifests")
    return root, out
