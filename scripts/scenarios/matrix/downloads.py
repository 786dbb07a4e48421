"""Downloads of archives as they are, when everything goes well."""

from __future__ import annotations

from collections import Counter

from .. import checks
from ..contract import scenario
from ..download_checks import (
    CHUNK_BYTES,
    download,
    download_is_whole,
    downloaded_events,
    fetched_once,
    nothing_is_left,
    progress_never_went_back,
    sentinel_came_last,
)
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..games import DOWNLOAD_RATE_BYTES_PER_SECOND, FIRST, SECOND, SENTINEL, MarkedGame, marked_game
from ..stage import Stage
from ..watch import FolderWatch

# A version that the catalog does not want.
OTHER_VERSION = "20240101"


@scenario(
    "S4",
    "Download, no install",
    claim="Archives and sentinel are identical to those of the source. The sentinel appears last. There is no "
    "local/, and the game is Ready.",
    conditions="One source with a game of two archives. The kernel reports every name that appears in or disappears "
    "from the receiver's game root.",
    time_limit_s=60,
)
def download_without_install(stage: Stage) -> None:
    # Archives whose names sort on either side of the sentinel's, so that no order of names puts it last.
    game = marked_game(stage, ["source"], {"archive.eti": 2 * CHUNK_BYTES + 12_345, "zz-archive.eti": 54_321})
    source = game.start(stage, "source")
    served_before = checks.user_tree(stage.games_dir("source"))
    received = stage.games_dir("receiver")
    (received / game.game).mkdir()
    with FolderWatch(received / game.game) as watch:
        receiver = download(stage, game, received, [source])
        sentinel_came_last(watch.changes(), game.roots["source"])
    download_is_whole(stage, receiver, received, game, [source])
    progress_never_went_back(receiver, game.game)
    fetched_once([source], game.game, game.bytes_total)
    checks.listed_as(stage, received, game.game, state="ready", downloaded=True, installed=False)
    checks.games_dir_as_before(served_before, stage.games_dir("source"))


@scenario(
    "S7",
    "Two agreeing sources",
    claim="The game is committed once, both sources serve it, and no chunk is fetched twice.",
    conditions="Two sources of equal speed, with equal file lists. The bytes of every chunk say which source sent it.",
    time_limit_s=60,
)
def two_agreeing_sources(stage: Stage) -> None:
    game = marked_game(stage, [FIRST, SECOND], {"archive.eti": 3 * CHUNK_BYTES, "more.eti": CHUNK_BYTES + 1_001})
    sources = [game.start(stage, name, rate=DOWNLOAD_RATE_BYTES_PER_SECOND) for name in game.roots]
    received = stage.games_dir("receiver")
    (received / game.game).mkdir()
    with FolderWatch(received / game.game) as watch:
        receiver = download(stage, game, received, sources)
        sentinel_came_last(watch.changes(), game.roots[FIRST])
    owners = download_is_whole(stage, receiver, received, game, sources)
    expect_equal(set(owners.values()), {FIRST, SECOND}, "sources of the bytes on disk")
    fetched_once(sources, game.game, game.bytes_total)
    progress_never_went_back(receiver, game.game)


@scenario(
    "S13",
    "Byte-exact transfer",
    claim="SHA-256 manifests are equal for archives of 0, 1, chunk - 1, chunk and chunk + 1 bytes.",
    conditions="One source. Its sentinel has a byte order mark and more than one line, and does not end with a line "
    "break.",
    time_limit_s=60,
)
def byte_exact_transfer(stage: Stage) -> None:
    sizes = {f"size-{size}.eti": size for size in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1)}
    game = marked_game(stage, ["source"], sizes)
    sentinel = game.roots["source"] / SENTINEL
    sentinel.write_bytes(b"\xef\xbb\xbf" + sentinel.read_bytes().replace(b"\n", b"\r\n") + b"no end")
    source = game.start(stage, "source")
    received = stage.games_dir("receiver")
    receiver = download(stage, game, received, [source])
    download_is_whole(stage, receiver, received, game, [source])
    fetched_once([source], game.game, game.bytes_total)


@scenario(
    "S14",
    "Chunk balance",
    claim="Of one archive of 4 chunks on two equal peers, each peer sends 2.",
    conditions=f"Both sources send {DOWNLOAD_RATE_BYTES_PER_SECOND} bytes a second, so that neither can run ahead. "
    "The bytes of every chunk say which source sent it.",
    time_limit_s=60,
)
def chunk_balance(stage: Stage) -> None:
    game = marked_game(stage, [FIRST, SECOND], {"archive.eti": 4 * CHUNK_BYTES})
    sources = [game.start(stage, name, rate=DOWNLOAD_RATE_BYTES_PER_SECOND) for name in game.roots]
    received = stage.games_dir("receiver")
    receiver = download(stage, game, received, sources)
    owners = download_is_whole(stage, receiver, received, game, sources)
    balance = Counter(owner for (file, _), owner in owners.items() if file != SENTINEL)
    expect_equal(balance, {FIRST: 2, SECOND: 2}, "chunks of the archive that each source sent")
    fetched_once(sources, game.game, game.bytes_total)


@scenario(
    "S16",
    "Fan-out over versions",
    claim="Only peers at the catalog's version take part, and all of them do.",
    conditions="Three sources with equal file names and sizes. The first in order has an older version, which its "
    "own catalog names and which it does offer.",
    time_limit_s=60,
)
def fan_out_over_versions(stage: Stage) -> None:
    older = marked_game(stage, ["a-older"], {"archive.eti": 4 * CHUNK_BYTES}, version=OTHER_VERSION)
    game = marked_game(stage, ["b-one", "c-other"], {"archive.eti": 4 * CHUNK_BYTES})
    sources = [game.start(stage, name, rate=DOWNLOAD_RATE_BYTES_PER_SECOND) for name in game.roots]
    odd = older.start(stage, "a-older")
    received = stage.games_dir("receiver")
    listed = [event for event in stage.list_games(received, [odd, *sources]) if named("offered-game")(event)]
    offered = {event["version"]: sorted(event["peers"]) for event in listed}
    expect_equal(offered, {OTHER_VERSION: ["a-older"], "20250601": ["b-one", "c-other"]}, "who offers which version")
    receiver = download(stage, game, received, [odd, *sources])
    owners = download_is_whole(stage, receiver, received, game, sources)
    expect_equal(set(owners.values()), {"b-one", "c-other"}, "sources of the bytes on disk")
    begun = receiver.events.all(named("download-begin"))[0]
    expect_equal(sorted(begun["sources"]), ["b-one", "c-other"], "sources that were chosen")
    asked = odd.events.all(named("transfer-begin"))
    expect(not asked, f"bytes of the older version were asked for: {asked}")


@scenario(
    "S21",
    "Two games at once",
    claim="Both downloads run at the same time and complete. Their events never mix.",
    conditions="One command for two games of different sizes, from one slowed source. Each makes progress before the "
    "other has ended.",
    time_limit_s=60,
)
def two_games_at_once(stage: Stage) -> None:
    sizes = {"one-game": CHUNK_BYTES + 111, "other-game": 2 * CHUNK_BYTES + 222}
    made = [marked_game(stage, ["source"], {"archive.eti": size}, game=game) for game, size in sizes.items()]
    catalog = stage.catalog(*sizes)
    games = [MarkedGame(each.game, catalog, each.roots) for each in made]
    source = games[0].start(stage, "source", rate=DOWNLOAD_RATE_BYTES_PER_SECOND)
    received = stage.games_dir("receiver")
    receiver = stage.operation(["download", *sizes], received, [source], catalog=catalog, exit_status=0)
    for each in games:
        download_is_whole(stage, receiver, received, each, [source])
        progress_never_went_back(receiver, each.game)
        downloaded_events(receiver, each.game, each.bytes_total, files=2)
    of_games = {event["game"] for event in receiver.events.window() if "game" in event}
    expect_equal(of_games, set(sizes), "games that events are about")
    spans = {game: _span_of_events(receiver.events.window(), game) for game in sizes}
    for game, other in (tuple(sizes), tuple(reversed(sizes))):
        within = spans[other]
        progress = [
            event
            for event in receiver.events.window()[within.start : within.stop]
            if named("download-progress", game=game)(event)
        ]
        expect(progress, f"{game} made no progress between the begin and the end of {other}: they were not at once")
    fetched_once([source], "one-game", games[0].bytes_total)
    fetched_once([source], "other-game", games[1].bytes_total)
    nothing_is_left(received)


def _span_of_events(events: list[Event], game: str) -> range:
    """The positions of a game's events, which begin with its begin and end with its end."""
    of_download = [
        (position, event["event"])
        for position, event in enumerate(events)
        if event.get("game") == game and event["event"].startswith("download-")
    ]
    names = [name for _, name in of_download]
    expected = ["download-begin", *["download-progress"] * (len(names) - 2), "download-finished"]
    expect_equal(names, expected, f"order of the events of {game}")
    return range(of_download[0][0], of_download[-1][0] + 1)
