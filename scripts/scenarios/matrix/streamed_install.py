"""What a streamed install leaves when everything goes well, and when there is nothing to do."""

from __future__ import annotations

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import Peer
from ..stage import Stage

SOLID_GAME = "cnctw"


@scenario(
    "S39",
    "Streamed install",
    claim="local/ equals that of `unrar x`. There is no archive, no sentinel and no staging, the game is LocalOnly, "
    "and the source has no outbound transfers afterwards.",
    conditions="One source with the games of fixture-alpha. One of them is installed, and then another.",
    time_limit_s=60,
)
def streamed_install(stage: Stage) -> None:
    served = stage.games_from("source", "fixture-alpha")
    source = stage.start_source("source", served)
    served_before = checks.user_tree(served)
    received = stage.games_dir("receiver")
    for game in ("alpha-racer", "common-quest"):
        reference = archives.extract(served / game, stage.dir / "reference" / game)
        receiver = stage.install(game, received, [source], exit_status=0)
        checks.streamed_install_is_whole(stage, receiver, received, game, source, reference)
        expect_equal(checks.attempts(receiver), [source.name], "attempts")
        checks.listed_as_not_shareable(stage, received, game)
    # Serving must not have touched the games that are served; our own state beside them is no part of them.
    checks.games_dir_as_before(served_before, served)


@scenario(
    "S40",
    "Streamed receiver is no source",
    claim="A third peer sees no downloadable entry of a streamed game. Installing it from the receiver exits 3 and "
    "creates no files.",
    conditions="A source, a receiver that streamed a game from it and now serves its own games directory, and a "
    "third peer that knows only the receiver. The receiver also serves one downloaded game, which the third peer "
    "does see.",
    time_limit_s=60,
)
def receiver_is_no_source(stage: Stage) -> None:
    served = stage.games_from("source", f"fixture-solid/{SOLID_GAME}")
    source = stage.start_source("source", served)
    # The downloaded game proves that the third peer would see what is offered.
    received = stage.games_from("receiver", "fixture-bravo/bravo-blocks")
    stage.install(SOLID_GAME, received, [source], exit_status=0)
    receiver = stage.start_source("receiver", received)
    third = stage.games_dir("third")
    before = checks.user_tree(third)
    offered = [
        event["game"] for event in stage.list_games(third, [receiver], name="third") if named("offered-game")(event)
    ]
    expect_equal(offered, ["bravo-blocks"], "games that the receiver offers")
    refused = stage.install(SOLID_GAME, third, [receiver], name="third", exit_status=3)
    expect(not refused.events.all(named("stream-progress")), "bytes came from a peer that has nothing to share")
    checks.games_dir_as_before(before, third)


@scenario(
    "S41",
    "Solid RAR",
    claim="As S39 for a solid archive; the reported byte count equals the sum of the files' sizes. One bit that is "
    "changed on the way ends the connection, and one that the source itself changes is a wrong checksum; in both cases "
    "nothing is installed.",
    conditions="One source with fixture-solid, which `unrar lt` calls solid and which packs as only a solid archive "
    "does. Before the sound install, the same stream comes through a proxy that flips one bit in its second half, and "
    "then from a source that sends a wrong byte.",
    time_limit_s=60,
    decodes_at_source=True,
)
def solid_archive(stage: Stage) -> None:
    served = stage.games_from("source", "fixture-solid")
    archive = served / SOLID_GAME / f"{SOLID_GAME}.eti"
    listing = archives.listing(archive)
    expect(listing.is_solid, f"the fixture is not solid: {listing.details!r}")
    # Solid in name only would not do: the files must lean on each other, which shows in the packed size.
    unpacked = sum(entry.size for entry in listing.entries)
    expect(archive.stat().st_size < unpacked / 5, "the fixture does not pack like a solid archive")
    source = stage.start_source("source", served)
    received = stage.games_dir("receiver")
    before = checks.user_tree(received)
    proxy = stage.fault_proxy(source, f"flip={unpacked // 2}:0")
    deceived = stage.install(SOLID_GAME, received, [proxy], options=["--no-wait"], exit_status=4)
    proxy.expect_felt()
    expect_equal(checks.failed_attempts(deceived), [source.name], "sources that failed")
    _expect_failed_with(deceived, "connection-lost")
    checks.failed_install_left_nothing(stage, deceived, received, before)
    [liar] = stage.lying_sources(served / SOLID_GAME, ["wrong-bytes"])
    deceived = stage.install(SOLID_GAME, received, [liar], exit_status=4)
    _expect_failed_with(deceived, liar.code)
    checks.failed_install_left_nothing(stage, deceived, received, before)

    reference = archives.extract(served / SOLID_GAME, stage.dir / "reference")
    receiver = stage.install(SOLID_GAME, received, [source], exit_status=0)
    checks.streamed_install_is_whole(stage, receiver, received, SOLID_GAME, source, reference)
    begun = receiver.events.all(named("archive-begin"))
    expect_equal([(event.get("name"), event.get("solid")) for event in begun], [(archive.name, True)], "archives begun")
    checks.listed_as_not_shareable(stage, received, SOLID_GAME)


def _expect_failed_with(receiver: Peer, code: str) -> None:
    codes = [event["code"] for event in receiver.events.all(named("stream-attempt-failed"))]
    expect_equal(codes, [code], "codes of the failed attempts")


@scenario(
    "S43",
    "Already installed",
    claim="A streamed install of an installed game is refused with exit 5, and local/ is untouched.",
    conditions="A source that could serve the game, and receivers whose local/ holds other files than the game's: "
    "one made by hand, one by an earlier streamed install.",
    time_limit_s=60,
)
def already_installed(stage: Stage) -> None:
    game = "alpha-arena"
    source = stage.start_source("source", stage.games_from("source", f"fixture-alpha/{game}"))
    by_hand = stage.games_dir("by-hand")
    saves = by_hand / game / checks.LOCAL / "saves"
    saves.mkdir(parents=True)
    (saves / "slot1.sav").write_text("a saved game that belongs to the user\n")
    by_stream = stage.games_dir("by-stream")
    stage.install(game, by_stream, [source], name="by-stream", exit_status=0)
    (by_stream / game / checks.LOCAL / "readme.txt").write_text("changed by the user\n")
    for name, games_dir in (("by-hand", by_hand), ("by-stream", by_stream)):
        before = checks.user_tree(games_dir)
        refused = stage.install(game, games_dir, [source], name=name, exit_status=5)
        expect_equal(checks.attempts(refused), [], "attempts of a refused install")
        expect(refused.stderr().strip(), "nothing on standard error says why it was refused")
        checks.games_dir_as_before(before, games_dir)


@scenario(
    "S47",
    "Several root archives",
    claim="Root archives are streamed in byte-wise order of their names, and all their contents are in local/.",
    conditions="fixture-multi with three more archives, made in another order, with names whose byte-wise order "
    "differs from alphabetical, numerical and creation order.",
    time_limit_s=60,
)
def several_root_archives(stage: Stage) -> None:
    served = stage.games_from("source", "fixture-multi")
    game_root = served / SOLID_GAME
    for name in ("cnctw-2.eti", "Zeta.eti", "cnctw-10.eti"):
        tree = stage.payload(name)
        tree.prose(f"extra/{name}.txt", 3_000)
        tree.settle()
        archives.pack(game_root / name, tree.root, tree.names)
    in_order = ["Zeta.eti", "cnctw-10.eti", "cnctw-2.eti", "cnctw-a.eti", "cnctw-b.eti"]
    expect_equal([path.name for path in archives.root_archives(game_root)], in_order, "root archives of the game")
    source = stage.start_source("source", served)
    received = stage.games_dir("receiver")
    reference = archives.extract(game_root, stage.dir / "reference")
    receiver = stage.install(SOLID_GAME, received, [source], exit_status=0)
    begun = [event.get("name") for event in receiver.events.all(named("archive-begin"))]
    expect_equal(begun, in_order, "order of the archives in the stream")
    checks.streamed_install_is_whole(stage, receiver, received, SOLID_GAME, source, reference)


@scenario(
    "S56",
    "Many small files",
    claim="A game of 20,000 small files is installed with an equal tree.",
    conditions="One source. Files of 0 to 300 bytes in 200 directories, in one solid archive made for the test.",
    time_limit_s=240,
)
def many_small_files(stage: Stage) -> None:
    game = "many-small-files"
    count = 20_000
    served = stage.games_dir("source")
    tree = stage.payload(game)
    generator = tree.random("all files")
    for index in range(count):
        tree.file(f"part-{index % 200:03}/file-{index:05}.dat", generator.randbytes(index % 301))
    game_root = stage.packed_game(served, game, tree, switches=["-s", "-m1"])
    catalog = stage.catalog(game)
    source = stage.start_source("source", served, catalog=catalog)
    received = stage.games_dir("receiver")
    reference = archives.extract(game_root, stage.dir / "reference")
    receiver = stage.install(game, received, [source], catalog=catalog, exit_status=0)
    checks.streamed_install_is_whole(stage, receiver, received, game, source, reference)
    expect_equal(receiver.events.all(named("stream-install-finished"))[0]["files"], count, "files installed")
