"""Which peers become sources, decided before any byte flows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..stage import VERSION, Stage

GAME = "disputed-game"


def _copy_of_game(stage: Stage, name: str, *, length: int = 20_000, version: str = VERSION) -> Path:
    """One source's copy. Copies of two names differ, at equal length in their bytes only."""
    tree = stage.payload(name)
    tree.noise("data.bin", length)
    tree.file("served-by.txt", f"{name:-<64}\n".encode())
    game_root = stage.packed_game(stage.games_dir(name), GAME, tree, switches=["-m0"])
    (game_root / "version.ini").write_text(f"{version}\n")
    return game_root


@scenario(
    "S8",
    "Ambiguous metadata",
    claim="If two sources disagree one to one, the install is refused with exit 5 and nothing is written.",
    conditions="Two sources of one game and version whose archives differ in size. A third command with only one of "
    "them succeeds, so each is a good source on its own.",
    time_limit_s=60,
)
def ambiguous_metadata(stage: Stage) -> None:
    roots = [_copy_of_game(stage, "one"), _copy_of_game(stage, "two", length=20_001)]
    catalog = stage.catalog(GAME)
    sources = [stage.start_source(root.parent.name, root.parent, catalog=catalog) for root in roots]
    received = stage.games_dir("receiver")
    before = checks.user_tree(received)
    refused = stage.install(GAME, received, sources, catalog=catalog, exit_status=5)
    expect_equal(checks.attempts(refused), [], "attempts of an ambiguous install")
    expect(
        re.search("ambiguous|disagree", refused.stderr()), f"the error does not say so: {refused.stderr().strip()!r}"
    )
    checks.games_dir_as_before(before, received)
    reference = archives.extract(roots[1], stage.dir / "reference")
    receiver = stage.install(GAME, received, sources[1:], catalog=catalog, exit_status=0)
    checks.streamed_install_is_whole(stage, receiver, received, GAME, sources[1], reference)


@scenario(
    "S9",
    "Majority wins",
    claim="If one of three sources differs, it serves nothing.",
    conditions="Three sources of one game and version. The archive of the first in name order has another size; it "
    "would be tried first if it were not left out.",
    time_limit_s=60,
)
def majority_wins(stage: Stage) -> None:
    odd_root = _copy_of_game(stage, "a-odd", length=20_001)
    roots = [_copy_of_game(stage, "b-agreeing"), stage.games_dir("c-agreeing") / GAME]
    shutil.copytree(roots[0], roots[1])
    catalog = stage.catalog(GAME)
    odd = stage.start_source("a-odd", odd_root.parent, catalog=catalog)
    agreeing = [stage.start_source(root.parent.name, root.parent, catalog=catalog) for root in roots]
    received = stage.games_dir("receiver")
    receiver = stage.install(GAME, received, [odd, *agreeing], catalog=catalog, exit_status=0)
    expect_equal(checks.attempts(receiver), ["b-agreeing"], "sources tried")
    reference = archives.extract(roots[0], stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, agreeing[0], reference)


@scenario(
    "S10",
    "Wrong version",
    claim="A source whose version differs from the catalog's is never asked for bytes.",
    conditions="A source whose own catalog and sentinel agree on an older version than the receiver's catalog: first "
    "as the only source, then ahead of a source of the right version.",
    time_limit_s=60,
)
def wrong_version(stage: Stage) -> None:
    old_version = "20240101"
    old_root = _copy_of_game(stage, "a-old", version=old_version)
    root = _copy_of_game(stage, "b-current")
    catalog = stage.catalog(GAME)
    old_catalog = stage.dir / "old-catalog.toml"
    old_catalog.write_text(catalog.read_text().replace(VERSION, old_version))
    old = stage.start_source("a-old", old_root.parent, catalog=old_catalog)
    received = stage.games_dir("receiver")
    # The old source does offer its version; otherwise its being left out would prove nothing.
    offers = [event for event in stage.list_games(received, [old]) if named("offered-game", game=GAME)(event)]
    expect_equal([event.get("version") for event in offers], [old_version], "versions that the old source offers")
    before = checks.user_tree(received)
    refused = stage.install(GAME, received, [old], catalog=catalog, exit_status=3)
    expect_equal(checks.attempts(refused), [], "attempts with only a source of another version")
    checks.games_dir_as_before(before, received)
    current = stage.start_source("b-current", root.parent, catalog=catalog)
    receiver = stage.install(GAME, received, [old, current], catalog=catalog, exit_status=0)
    expect_equal(checks.attempts(receiver), [current.name], "sources tried")
    reference = archives.extract(root, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, current, reference)


@scenario(
    "S11",
    "Not in the catalog",
    claim="A game that is not in the catalog is refused by the receiver, and a source neither announces nor serves it.",
    conditions="A source with that game and one other. First the receiver's catalog lacks the game, then the source's.",
    time_limit_s=60,
)
def not_in_the_catalog(stage: Stage) -> None:
    other = "alpha-arena"
    root = _copy_of_game(stage, "source")
    stage.games_from("source", f"fixture-alpha/{other}")
    with_game = stage.dir / "with-game.toml"
    without_game = stage.dir / "without-game.toml"
    without_game.write_text(f'schema = 1\n[games.{other}]\nname = "Alpha Arena"\nversion = "20250101"\n')
    with_game.write_text(without_game.read_text() + f'[games.{GAME}]\nname = "Disputed"\nversion = "{VERSION}"\n')
    received = stage.games_dir("receiver")
    before = checks.user_tree(received)

    source = stage.start_source("source", root.parent, catalog=with_game)
    refused = stage.install(GAME, received, [source], catalog=without_game, exit_status=5)
    expect_equal(checks.attempts(refused), [], "attempts for a game that the receiver's catalog lacks")
    expect("catalog" in refused.stderr(), f"the error does not name the catalog: {refused.stderr().strip()!r}")
    checks.games_dir_as_before(before, received)

    # A games directory has one daemon: the same files once more.
    stage.games_from("strict-source", f"fixture-alpha/{other}")
    strict_root = _copy_of_game(stage, "strict-source")
    strict = stage.start_source("strict-source", strict_root.parent, catalog=without_game)
    offered = [event["game"] for event in stage.list_games(received, [strict]) if named("offered-game")(event)]
    expect_equal(offered, [other], "games that the source offers")
    refused = stage.install(GAME, received, [strict], catalog=with_game, exit_status=3)
    expect_equal(checks.attempts(refused), [], "attempts for a game that no peer offers")
    checks.games_dir_as_before(before, received)
