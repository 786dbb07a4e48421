"""Content that is held to the manifest of a catalog: sources whose checksums are right and whose content is not."""

from __future__ import annotations

import shutil
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..doubles import LyingSource
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..games import expect_equal_file_lists
from ..peer import GAMES, Machine, Mount, Peer, Reachable
from ..stage import Stage
from ..trees import sha256

GAME = "tournament"
LARGER_GAME = "world-tour"
CATALOG = "/catalog"
KNOWS = ("--catalog", f"{CATALOG}/catalog.toml")
NOT_AS_LISTED = "not-as-listed"
# What a command ends with if every source failed.
EVERY_SOURCE_FAILED = 4

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

# Each archive is one chunk of a download, so that every source is asked for some.
ARCHIVES = 6
ARCHIVE_FILE_BYTES = 700_000
# The honest source then needs some seconds, and the others are asked for the rest.
HONEST_BYTES_PER_SECOND = 1_500_000


def _built_catalog(stage: Stage, games_dir: Path) -> Mount:
    """The folder of the catalog that an organiser makes of all games in this folder."""
    out = stage.dir / "catalog"
    out.mkdir()
    words = ["--json", "catalog", "build", "--games-dir", GAMES, "--out", CATALOG]
    builder = stage.start("organiser", words, Mount(games_dir, GAMES, read_only=True), mounts=[Mount(out, CATALOG)])
    stage.finish(builder, 0, "`catalog build`")
    expect_equal(len(list((out / "manifests").iterdir())), len(list(games_dir.iterdir())), "manifests")
    return Mount(out, CATALOG)


def _game_to_stream(stage: Stage) -> Path:
    tree = stage.payload(GAME)
    tree.prose("readme.txt", 20_000)
    tree.noise("data/maps.bin", 3_000_000)
    tree.noise("data/models.bin", 400_000)
    tree.directory("saves")
    return stage.packed_game(stage.games_dir("organised"), GAME, tree)


def _game_to_download(stage: Stage, name: str) -> Path:
    """One build of a game in several archives. All builds have archives of equal names and sizes."""
    games_dir = stage.games_dir(name)
    for number in range(ARCHIVES):
        tree = stage.payload(f"{name}-{number}")
        tree.noise(f"data/part-{number}.bin", ARCHIVE_FILE_BYTES)
        root = stage.packed_game(games_dir, LARGER_GAME, tree, f"part-{number}.eti", ["-m0"])
    return root


def _install(stage: Stage, name: str, machine: Machine, sources: list[Reachable], exit_status: int) -> Peer:
    words = ["install", "--stream", GAME, "--games-dir", GAMES, "--no-discovery", *KNOWS]
    for source in sources:
        words += ["--peer", source.address]
    return stage.command(name, machine, *words, exit_status=exit_status)


def _expect_all_refused(receiver: Peer, liars: list[LyingSource]) -> list[Event]:
    """Each was tried once, refused for its content, and named; what was wrong with each."""
    expect(liars, "there is no liar: nothing was tested")
    failed = receiver.events.all(named("stream-attempt-failed"))
    expect_equal([(event["peer"], event["code"]) for event in failed],
                 [(liar.name, liar.code) for liar in liars], "failed attempts")  # fmt: skip
    expect_equal({liar.code for liar in liars}, {NOT_AS_LISTED}, "codes of the lies")
    lied = receiver.events.all(named("peer-lied", game=GAME))
    expect_equal([event["peer"] for event in lied], [liar.name for liar in liars], "peers that are called liars")
    return lied


@scenario(
    "S64",
    "One flipped byte",
    claim="With the manifest of the catalog a flipped byte in a file or in its end, in an archive, or all of another "
    "build with equal sizes is never promoted. Its source is named, and the next source completes, byte for byte. The "
    "penalties are there after a restart and can be cleared.",
    conditions="A stream from two liars whose checksums are right and from an honest source. A download of six "
    "archives, whose honest source is slow, from one with a flipped byte in each and one of another build. The "
    "penalties are asked for in another container with the same state directory.",
    time_limit_s=120,
    decodes_at_source=True,
)
def one_flipped_byte(stage: Stage) -> None:
    root, larger = _game_to_stream(stage), _game_to_download(stage, "organised")
    catalog = _built_catalog(stage, root.parent)
    honest = stage.start_source("honest", root.parent, catalog=None, can_be_slowed=True)
    liars = stage.lying_sources(root, FLIPPED, name="a-liar")
    received = stage.games_dir("receiver")
    machine = stage.machine("receiver", received, mounts=[catalog])
    before = checks.user_tree(received)
    receiver = _install(stage, "only-liars", machine, [*liars], EVERY_SOURCE_FAILED)
    lied = _expect_all_refused(receiver, liars)
    expect_equal([event["path"] for event in lied], ["data/maps.bin", "data/models.bin"], "files that are named")
    checks.games_dir_as_before(before, received)

    penalties = stage.command("penalties", stage.machine("receiver", received), "peers", "penalties")
    expect_equal({event["offence"] for event in penalties.events.all(named("penalty"))}, {"lied"}, "offences")
    clear = ["peers", "penalties", "--clear", "all"]
    cleared = stage.command("clears", machine, *clear)
    expect(all(event["cleared"] for event in cleared.events.all(named("penalty"))), "not all penalties are cleared")
    expect_equal(_penalties(stage, machine), [], "penalties after they were cleared")
    receiver = _install(stage, "receiver", machine, [*liars, honest], 0)
    _expect_all_refused(receiver, liars)
    reference = archives.extract(root, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, honest, reference)
    [finished] = receiver.events.all(named("stream-install-finished"))
    expect_equal(finished["trust"], "verified", "trust of what was installed")
    honest.limit_sending(HONEST_BYTES_PER_SECOND)
    _download_from_honest(stage, larger, honest, catalog)


def _download_from_honest(stage: Stage, root: Path, honest: Peer, catalog: Mount) -> None:
    flipped, other = stage.games_dir("a-flipped") / root.name, _game_to_download(stage, "b-other-build")
    shutil.copytree(root, flipped)
    for number in range(ARCHIVES):
        archives.flip_packed_byte(flipped / f"part-{number}.eti", f"data/part-{number}.bin")
    expect_equal_file_lists(root, flipped, other)
    wrong = [stage.start_source(copy.parent.name, copy.parent, catalog=None) for copy in (flipped, other)]
    received = stage.games_dir("downloader")
    machine = stage.machine("downloader", received, mounts=[catalog])
    words = ["download", LARGER_GAME, "--games-dir", GAMES, "--no-discovery", *KNOWS]
    for source in (*wrong, honest):
        words += ["--peer", source.address]
    downloader = stage.command("downloader", machine, *words)
    for source in wrong:
        lied = downloader.events.all(named("peer-lied", peer=source.name))
        expect_equal(len(lied), 1, f"reports that {source.name} lied")
        expect(lied[0]["path"].endswith(".eti") and lied[0]["id"] == source.identity, f"not what is wrong: {lied[0]}")
    [finished] = downloader.events.all(named("download-finished"))
    expect_equal(finished["trust"], "verified", "trust of what was downloaded")
    for path in sorted(root.iterdir()):
        expect_equal(sha256(received / LARGER_GAME / path.name), sha256(path), f"SHA-256 of {path.name}")
    checks.no_operation_left(received)
    offences = {(event["peer"], event["offence"]) for event in _penalties(stage, machine) if event["peer"]}
    expect_equal(offences, {(source.identity, "lied") for source in wrong}, "penalties")


def _penalties(stage: Stage, machine: Machine) -> list[Event]:
    return stage.command("penalties", machine, "peers", "penalties").events.all(named("penalty"))


@scenario(
    "S65",
    "Extra, missing, other",
    claim="A stream that has a file or folder more than the manifest of the catalog lists, one less, one of another "
    "size, name or kind, one twice, another executable bit or other totals is refused, its source is named, and "
    "nothing is left of it. An honest source completes.",
    conditions="Every such lie from a source of its own whose sums and checksums are right: first without an honest "
    "source, then with one, which is tried last.",
    time_limit_s=90,
    decodes_at_source=True,
)
def extra_missing_other(stage: Stage) -> None:
    root = _game_to_stream(stage)
    catalog = _built_catalog(stage, root.parent)
    honest = stage.start_source("honest", root.parent, catalog=None)
    liars = stage.lying_sources(root, OTHER, name="a-liar")
    received = stage.games_dir("receiver")
    machine = stage.machine("receiver", received, mounts=[catalog])
    before = checks.user_tree(received)
    _expect_all_refused(_install(stage, "only-liars", machine, [*liars], EVERY_SOURCE_FAILED), liars)
    checks.games_dir_as_before(before, received)
    other = stage.games_dir("other-receiver")
    machine = stage.machine("other-receiver", other, mounts=[catalog])
    receiver = _install(stage, "other-receiver", machine, [*liars, honest], 0)
    _expect_all_refused(receiver, liars)
    reference = archives.extract(root, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, other, GAME, honest, reference)
