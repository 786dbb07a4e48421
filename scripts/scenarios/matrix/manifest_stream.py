"""Streams that are held to the manifest of a catalog: sources whose checksums are right and whose content is not."""

from __future__ import annotations

import json
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
CATALOG = "/out"
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
    tree.directory("saves")
    root = stage.packed_game(stage.games_dir("b-honest"), GAME, tree)
    (root / "version.ini").write_text(f"{VERSION}\n")
    out = stage.dir / "catalog"
    out.mkdir()
    build = ["--json", "catalog", "build", "--games-dir", GAMES, "--out", CATALOG]
    builder = stage.start("organiser", build, root.parent, mounts=(Mount(out, CATALOG),))
    stage.finish(builder, 0, "`catalog build`")
    expect((out / "catalog.toml").is_file(), "`catalog build` wrote no catalog")
    expect_equal(len(list((out / "manifests").iterdir())), 1, "manifests")
    return root, out


def _with_manifests(out: Path) -> tuple[Path, tuple[Mount, ...]]:
    """The catalog, and the mount that brings its manifests beside it."""
    return out / "catalog.toml", (Mount(out / "manifests", "/manifests", read_only=True),)


def _refused_and_named(stage: Stage, root: Path, out: Path, lies: tuple[str, ...]) -> None:
    """Each liar alone, and then all of them before an honest source."""
    catalog, mounts = _with_manifests(out)
    reference = archives.extract(root, stage.dir / "reference")
    honest = stage.start_source("b-honest", root.parent, catalog=None)
    liars = stage.lying_sources(root, lies, name="a-liar")

    nowhere_else = stage.games_dir("alone")
    before = checks.user_tree(nowhere_else)
    alone = stage.install(GAME, nowhere_else, liars, name="alone", catalog=catalog, mounts=mounts, exit_status=4)
    _expect_named(alone, liars)
    checks.failed_install_left_nothing(stage, alone, nowhere_else, before)

    games_dir = stage.games_dir("receiver")
    receiver = stage.install(GAME, games_dir, [honest, *liars], catalog=catalog, mounts=mounts, exit_status=0)
    _expect_named(receiver, liars)
    checks.streamed_install_is_whole(stage, receiver, games_dir, GAME, honest, reference)
    finished = receiver.events.all(named("stream-install-finished"))
    expect_equal([event["trust"] for event in finished], ["verified"], "trust of the install")
    receipt = (games_dir / ".lanspread" / "receipts" / f"{GAME}.jsonl").read_text().splitlines()
    head = json.loads(receipt[0])
    manifest = next((out / "manifests").iterdir()).stem
    expect_equal((head["trust"], head["manifest"]), ("verified", manifest), "what the receipt says")


def _expect_named(receiver: Peer, liars: list[LyingSource]) -> None:
    """Every liar was tried once, found out by the manifest, and named."""
    tried = [event["peer"] for event in receiver.events.all(named("stream-attempt-failed"))]
    expect_equal(sorted(tried), sorted(liar.name for liar in liars), "sources that were tried and failed")
    codes = {event["code"] for event in receiver.events.all(named("stream-attempt-failed"))}
    expect_equal(codes, {NOT_AS_LISTED}, "codes of the failed attempts")
    lied = [event["peer"] for event in receiver.events.all(named("peer-lied"))]
    expect_equal(sorted(lied), sorted(liar.name for liar in liars), "peers that were named as liars")


@scenario(
    "S64",
    "One flipped byte",
    claim="A byte that differs from what the organiser saw, with every checksum right, is found by the manifest: in the "
    "first file and in the last byte of the last one. The source is named and tried once, nothing of it is promoted, and "
    "the next source completes a verified install. Without the manifest the same bytes are installed as unverified; verify "
    "names them once the manifest is there.",
    conditions="`catalog build` on the organiser's machine. Lying sources with an equal file list, whose CRC-32 are those of "
    "what they send.",
    time_limit_s=120,
)
def flipped_byte(stage: Stage) -> None:
    root, out = _organised(stage)
    _refused_and_named(stage, root, out, FLIPPED)

    believed = stage.games_dir("believer")
    liars = stage.lying_sources(root, FLIPPED[:1], name="only")
    plain = stage.catalog(GAME, version=VERSION)
    receiver = stage.install(GAME, believed, liars, name="believer", catalog=plain, exit_status=0)
    finished = receiver.events.all(named("stream-install-finished"))
    expect_equal([event["trust"] for event in finished], ["unverified"], "trust without a manifest")
    catalog, mounts = _with_manifests(out)
    verify = ["verify", GAME]
    verified = stage.operation(verify, believed, name="verifier", catalog=catalog, mounts=mounts, exit_status=6)
    problems = [event["problem"] for event in verified.events.all(named("verify-difference"))]
    expect_equal(problems, ["content"], "differences from the manifest")


@scenario(
    "S65",
    "Extra, missing, other",
    claim="What the manifest does not list is refused at its header: an extra file or folder, another size, name or "
    "executable bit, a path twice, a folder for a file, other totals, another game. A file that is missing is missed. Each "
    "source is named and tried once, nothing is promoted, and the next source completes a verified install.",
    conditions="As S64. The sums of each lie are those of what is sent.",
    time_limit_s=120,
)
def extra_missing_other(stage: Stage) -> None:
    root, out = _organised(stage)
    _refused_and_named(stage, root, out, OTHER)
