"""Installs from the installed files of other peers, which have no archives."""

from __future__ import annotations

import os
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..listings import listed
from ..peer import GAMES, STATE, Mount, Peer
from ..stage import Stage

GAME = "tournament"
VERSION = "20250601"
CATALOG = "/catalog"
KNOWS = ("--catalog", f"{CATALOG}/catalog.toml")
CHANGED_FILE = "data/maps.bin"


def _organised(stage: Stage) -> tuple[Path, Mount]:
    """A downloaded game, and the folder of the catalog that `catalog build` makes of it."""
    tree = stage.payload(GAME)
    tree.prose("readme.txt", 20_000)
    tree.noise(CHANGED_FILE, 3_000_000)
    tree.file("run.sh", b"#!/bin/sh\nexec ./game\n", executable=True)
    tree.directory("saves")
    root = stage.packed_game(stage.games_dir("organiser"), GAME, tree)
    (root / "version.ini").write_text(f"{VERSION}\n")
    out = stage.dir / "catalog"
    out.mkdir()
    words = ["--json", "--state-dir", STATE, "catalog", "build", "--games-dir", GAMES, "--out", CATALOG]
    builder = stage.start("builder", words, Mount(root.parent, GAMES, read_only=True), mounts=[Mount(out, CATALOG)])
    stage.finish(builder, 0, "`catalog build`")
    expect((out / "catalog.toml").is_file(), "`catalog build` wrote no catalog")
    return root, Mount(out, CATALOG)


@scenario(
    "S69",
    "Serving entries",
    claim="With --share-installed, a game is installed from the local/ of another peer alone, byte for byte and "
    "verified. A file that was changed behind its back is not sent, its source is named, and the next source "
    "completes. Without --share-installed nothing is offered.",
    conditions="Three machines stream a game from the one that has the archive, which then goes. Two of them serve "
    "what is installed. On one of these, a file gets other bytes of the same length and its old times.",
    time_limit_s=240,
)
def serving_entries(stage: Stage) -> None:
    root, catalog = _organised(stage)
    reference = archives.extract(root, stage.dir / "reference")
    archive = stage.start_source("archive", root.parent, catalog=None, options=KNOWS, mounts=[catalog])
    players = {name: stage.games_dir(name) for name in ("a-changed", "b-honest", "c-private")}
    for name, games_dir in players.items():
        _install(stage, name, games_dir, catalog, [archive], 0)
        checks.trees_equal(stage, reference, games_dir / GAME / "local", f"tree of {name}")
    archive.kill()

    private = stage.start_source("c-private", players["c-private"], catalog=None, options=KNOWS, mounts=[catalog])
    alone = stage.games_dir("alone")
    refused = _install(stage, "alone", alone, catalog, [private], 3)
    expect_equal(checks.attempts(refused), [], "attempts without --share-installed")

    shares = (*KNOWS, "--share-installed")
    honest = stage.start_source("b-honest", players["b-honest"], catalog=None, options=shares, mounts=[catalog])
    said = [event for event in listed(stage, honest.machine, *KNOWS) if named("local-game", game=GAME)(event)]
    expect_equal([event["shares_entries"] for event in said], [True], "what `list` says of the installed game")
    first = stage.games_dir("first")
    installed = _install(stage, "first", first, catalog, [honest], 0)
    tree = checks.streamed_install_is_whole(stage, installed, first, GAME, honest, reference)
    expect(tree, "nothing was installed")
    finished = installed.events.all(named("stream-install-finished"))
    expect_equal([event["trust"] for event in finished], ["verified"], "trust of what was installed")

    _change(players["a-changed"] / GAME / "local" / CHANGED_FILE)
    changed = stage.start_source("a-changed", players["a-changed"], catalog=None, options=shares, mounts=[catalog])
    second = stage.games_dir("second")
    installed = _install(stage, "second", second, catalog, [changed, honest], 0)
    expect_equal(checks.attempts(installed), ["a-changed", "b-honest"], "sources that were tried")
    failed = installed.events.all(named("stream-attempt-failed"))
    expect_equal([(event["peer"], event["code"]) for event in failed], [("a-changed", "source-changed")], "refusals")
    expect(CHANGED_FILE in failed[0]["message"], f"the changed file is not named: {failed[0]}")
    checks.streamed_install_is_whole(stage, installed, second, GAME, honest, reference)


def _install(stage: Stage, name: str, games_dir: Path, catalog: Mount, sources: list[Peer], exit_status: int) -> Peer:
    words = ["--json", "--state-dir", STATE, "install", "--stream", GAME, "--games-dir", GAMES, *KNOWS]
    words.append("--no-discovery")
    for source in sources:
        words += ["--peer", source.address]
    begun = stage.start(f"{name}-installs", words, games_dir, mounts=[catalog])
    return stage.finish(begun, exit_status, f"the install on {name}")


def _change(path: Path) -> None:
    """Other bytes of the same length, with the old times, as a tool may do that restores them."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
