"""What holds of every download, on both sides.

Each source's copy of a game is marked with the source's name (`payload.marked_file`), under equal names and sizes: the
receiver takes the copies for one game, and every chunk of the result says who sent it. What the program says of itself,
in its events and in its record, is compared with that.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from . import checks
from .events import Event, named
from .expectations import Deadline, expect, expect_equal
from .games import SENTINEL, MarkedGame
from .peer import Peer
from .stage import OperationSettings, Stage
from .trees import sha256
from .watch import Change

# What the product asks for at once.
CHUNK_BYTES = 16 * 1024 * 1024

DOWNLOADING = ".downloading"
RECORDS = f"{checks.OUR_STATE}/downloads"
BOOKINGS = f"{checks.OUR_STATE}/bookings"

# How long after the end of a transfer its event may come.
_REPORT_LIMIT_S = 5.0

# (file, number of the chunk in it)
Place = tuple[str, int]


def start_download(
    stage: Stage,
    game: MarkedGame,
    received: Path,
    sources: Sequence[Peer],
    **settings: Unpack[OperationSettings],
) -> Peer:
    settings["catalog"] = game.catalog
    return stage.start_operation(["download", game.game], received, sources, **settings)


def download(stage: Stage, game: MarkedGame, received: Path, sources: Sequence[Peer], *, exit_status: int = 0) -> Peer:
    return stage.operation(["download", game.game], received, sources, catalog=game.catalog, exit_status=exit_status)


def wait_for_bytes(stage: Stage, receiver: Peer, bytes: int) -> Event:
    """The first progress at or after this count. Bytes were flowing, and many are still to come."""

    def reached(event: Event) -> bool:
        return named("download-progress")(event) and event["bytes"] >= bytes

    progress = receiver.wait_for_event(reached, stage.deadline, f"{bytes} bytes downloaded")
    expect(progress["bytes_total"] - progress["bytes"] >= CHUNK_BYTES, f"the download was all but over: {progress}")
    return progress


# --- what came, and from whom ---


def chunk_owners(received: Path, roots: Mapping[str, Path]) -> dict[Place, str]:
    """Which source sent each chunk of a downloaded game, as its bytes say. Fails for a chunk that no single source has,
    such as one with bytes of two, and for a file that is missing, extra, or of another size."""
    first = next(iter(roots.values()))
    wanted = {path.name: path.stat().st_size for path in first.iterdir()}
    found = {path.name: path.stat().st_size for path in received.iterdir() if path.is_file()}
    expect_equal(found, wanted, f"files of {received} and their sizes")
    owners = {}
    for file, size in wanted.items():
        for number, offset in enumerate(range(0, size, CHUNK_BYTES)):
            chunk = _chunk(received / file, offset)
            equal = [name for name, root in roots.items() if _chunk(root / file, offset) == chunk]
            expect(equal, f"chunk {number} of {file} is not what any one of {', '.join(roots)} has")
            expect_equal(len(equal), 1, f"sources that have chunk {number} of {file} as it came")
            owners[file, number] = equal[0]
    if len(roots) == 1:
        for file in wanted:
            expect_equal(sha256(received / file), sha256(first / file), f"SHA-256 of {file}")
    return owners


def _chunk(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK_BYTES)


def record_lines(games_dir: Path, game: str, ending: str = "jsonl") -> list[dict[str, Any]]:
    """What the program recorded of a download: `jsonl` of one that is complete, `draft` of one that is not."""
    file = games_dir / RECORDS / f"{game}.{ending}"
    expect(file.is_file(), f"there is no {file}")
    return [json.loads(line) for line in file.read_text().splitlines()]


def record_is_complete(games_dir: Path, game: str, owners: Mapping[Place, str]) -> None:
    """The record says of every chunk who sent it and with which CRC-32, as it is on disk."""
    head, *lines = record_lines(games_dir, game)
    files = [file["name"] for file in head["files"]]
    recorded: dict[Place, dict[str, Any]] = {}
    for line in lines:
        for kind, value in line.items():
            if kind == "chunk":
                recorded[files[value["file"]], value["chunk"]] = value
            elif kind == "dropped":
                del recorded[files[value["file"]], value["chunk"]]
    expect_equal({place: value["peer"] for place, value in recorded.items()}, dict(owners), "senders in the record")
    for (file, number), value in recorded.items():
        crc32 = zlib.crc32(_chunk(games_dir / game / file, number * CHUNK_BYTES))
        expect_equal(int(value["crc32"], 16), crc32, f"CRC-32 of chunk {number} of {file} in the record")
    expect_equal(list(lines[-1]), ["complete"], "last line of the record")


def nothing_is_left(games_dir: Path) -> None:
    """No partial file, no journal, no intent and no booked space anywhere in the games directory."""
    checks.no_operation_left(games_dir)
    left = [*games_dir.glob(f"*/{DOWNLOADING}"), *games_dir.glob(f"*/{checks.BACKUP}")]
    left += [*games_dir.glob(f"{RECORDS}/*.draft"), *games_dir.glob(f"{BOOKINGS}/*")]
    expect(not left, f"left over: {', '.join(str(path) for path in left)}")


def sentinel_came_last(changes: Sequence[Change], root: Path) -> None:
    """Of everything that happened to the files of a game root the sentinel's appearance is the last, and each appeared
    once."""
    names = sorted(path.name for path in root.iterdir())
    of_files = [change for change in changes if change.name in names]
    appeared = sorted(change.name for change in of_files if change.kind == "appears")
    expect_equal(appeared, names, "files that appeared in the game root")
    expect_equal(of_files[-1], Change(SENTINEL, "appears"), "what happened last in the game root")


def sent_bytes(source: Peer, game: str, start: int = 0) -> int:
    """Bytes of the game that the source says it sent, from `start` in its events on; all its transfers have ended."""
    begun = len(source.events.all(named("transfer-begin", game=game), start))
    seen = 0

    def is_last_end(event: Event) -> bool:
        nonlocal seen
        seen += named("transfer-end", game=game)(event)
        return seen == begun

    if begun:
        source.wait_for_event(is_last_end, Deadline(_REPORT_LIMIT_S), f"the end of {begun} transfers", start)
    return sum(event["bytes"] for event in source.events.all(named("transfer-end", game=game), start))


# --- what holds of a download ---


def download_is_whole(
    stage: Stage,
    receiver: Peer,
    games_dir: Path,
    game: MarkedGame,
    sources: Sequence[Peer],
    *,
    kept_is_good: bool = True,
) -> dict[Place, str]:
    """Everything that holds after a download, on both sides. Returns who sent which chunk.

    `kept_is_good`: what an earlier run left was not fetched again.
    """
    owners = chunk_owners(games_dir / game.game, {source.name: game.roots[source.name] for source in sources})
    record_is_complete(games_dir, game.game, owners)
    nothing_is_left(games_dir)
    expect(not (games_dir / game.game / checks.LOCAL).exists(), f"a download made {checks.LOCAL}/")
    sentinel = (games_dir / game.game / SENTINEL).stat()
    late = [path.name for path in (games_dir / game.game).iterdir() if path.stat().st_ctime_ns > sentinel.st_ctime_ns]
    expect(not late, f"changed after the sentinel: {', '.join(late)}")
    finished = downloaded_events(receiver, game.game, game.bytes_total, len(list(_root(game).iterdir())), kept_is_good)
    shares = {share["peer"]: (share["chunks"], share["bytes"]) for share in finished["sources"]}
    if finished["bytes_fetched"] == game.bytes_total:
        expect_equal(shares, _shares(owners, _root(game)), "chunks and bytes of each source, against the bytes on disk")
    for source in sources:
        if source.is_running:
            checks.sender_is_clean(stage, source)
    return owners


def _root(game: MarkedGame) -> Path:
    return next(iter(game.roots.values()))


def _shares(owners: Mapping[Place, str], root: Path) -> dict[str, tuple[int, int]]:
    chunks: Counter[str] = Counter(owners.values())
    bytes: Counter[str] = Counter()
    for (file, number), owner in owners.items():
        bytes[owner] += min(CHUNK_BYTES, (root / file).stat().st_size - number * CHUNK_BYTES)
    return {owner: (chunks[owner], bytes[owner]) for owner in chunks}


def downloaded_events(receiver: Peer, game: str, total: int, files: int, kept_is_good: bool = True) -> Event:
    """One begin, one end, no failure, and numbers that agree with the game and with each other."""
    begun, finished = (receiver.events.all(named(f"download-{name}", game=game)) for name in ("begin", "finished"))
    expect_equal((len(begun), len(finished)), (1, 1), f"`download-begin` and `download-finished` of {game}")
    expect(not receiver.events.all(named("download-failed", game=game)), "a finished download also reported a failure")
    for event in (begun[0], finished[0]):
        expect_equal(event.get("files"), files, f"files in {event['event']}")
    expect_equal((begun[0]["bytes_total"], finished[0]["bytes"]), (total, total), "bytes of the game in its events")
    fetched = finished[0]["bytes_fetched"]
    if kept_is_good:
        expect_equal(fetched, total - begun[0]["bytes_kept"], "bytes fetched, against the total less what was kept")
    expect_equal(sum(share["bytes"] for share in finished[0]["sources"]), fetched, "sum of what the sources sent")
    progress = receiver.events.all(named("download-progress", game=game))
    expect(progress, f"no `download-progress` of {game}")
    expect_equal({event["bytes_total"] for event in progress}, {total}, f"totals in the progress of {game}")
    expect_equal(progress[-1]["bytes"], total, f"last byte count of {game}")
    expect(all(event["bytes"] <= total for event in progress), f"more bytes than {game} has")
    return finished[0]


def progress_never_went_back(receiver: Peer, game: str) -> None:
    """True where no source failed: what a failed one had sent of a chunk is fetched again."""
    counts = [event["bytes"] for event in receiver.events.all(named("download-progress", game=game))]
    expect_equal(counts, sorted(counts), "order of the byte counts")


def fetched_once(sources: Sequence[Peer], game: str, bytes_fetched: int) -> None:
    """No byte was sent twice: what the sources say they sent is what the receiver says it fetched."""
    sent = {source.name: sent_bytes(source, game) for source in sources}
    expect_equal(sum(sent.values()), bytes_fetched, f"bytes that the sources sent ({sent}), against those fetched")


def failed_download_is_kept(receiver: Peer, games_dir: Path, game: MarkedGame, code: str) -> Event:
    """The download failed, said so, is not taken for a downloaded game, and what came is kept."""
    failed = receiver.events.all(named("download-failed", game=game.game))
    expect_equal([event.get("code") for event in failed], [code], "codes of `download-failed`")
    expect(not receiver.events.all(named("download-finished")), "a failed download also reported success")
    expect(receiver.stderr().strip(), "nothing on standard error says what went wrong")
    unfinished_download_is_kept(games_dir, game)
    return failed[0]


def unfinished_download_is_kept(games_dir: Path, game: MarkedGame) -> None:
    """Neither sentinel nor archive is in the game root; what came is beside them, with its record."""
    names = [path.name for path in (games_dir / game.game).iterdir()]
    expect_equal(names, [DOWNLOADING], "contents of the game root of an unfinished download")
    chunks = [line for line in record_lines(games_dir, game.game, "draft") if "chunk" in line]
    expect(chunks, "no whole chunk was recorded: nothing could be kept")
