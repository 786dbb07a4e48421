"""Downloads during which something ends, is slow, or changes. Each fault hits at a named count of received bytes."""

from __future__ import annotations

import os
from pathlib import Path

from .. import checks
from ..contract import scenario
from ..download_checks import (
    CHUNK_BYTES,
    chunk_owners,
    download,
    download_is_whole,
    failed_download_is_kept,
    fetched_once,
    nothing_is_left,
    record_is_complete,
    record_lines,
    sent_bytes,
    start_download,
    unfinished_download_is_kept,
    wait_for_bytes,
)
from ..events import named
from ..expectations import expect, expect_equal
from ..games import DOWNLOAD_RATE_BYTES_PER_SECOND, FIRST, IDLE_LIMIT_S, SECOND, MarkedGame, marked_game
from ..payload import marked_file
from ..peer import Peer
from ..stage import Stage

ARCHIVE = "archive.eti"

# In the middle of the third chunk: two are whole by then, and one is not.
FAULT_AT_BYTES = 2 * CHUNK_BYTES + CHUNK_BYTES // 2


@scenario(
    "S15",
    "Slow peer",
    claim="With one of two sources throttled to a tenth, the download takes less than a third of what the slow "
    "source alone would need, and the fast one serves most of it.",
    conditions=f"Two sources. The first in order sends {DOWNLOAD_RATE_BYTES_PER_SECOND // 10} bytes a second from the "
    f"start, the other {DOWNLOAD_RATE_BYTES_PER_SECOND}.",
    time_limit_s=120,
)
def slow_peer(stage: Stage) -> None:
    game = marked_game(stage, [FIRST, SECOND], {ARCHIVE: 6 * CHUNK_BYTES})
    slow = game.start(stage, FIRST, rate=DOWNLOAD_RATE_BYTES_PER_SECOND // 10)
    fast = game.start(stage, SECOND, rate=DOWNLOAD_RATE_BYTES_PER_SECOND)
    received = stage.games_dir("receiver")
    receiver = download(stage, game, received, [slow, fast])
    owners = download_is_whole(stage, receiver, received, game, [slow, fast])
    expect(sent_bytes(slow, game.game) > 0, "the slow source was never asked for anything")
    of_fast = sum(owner == fast.name for owner in owners.values())
    expect(of_fast > len(owners) / 2, f"the fast source sent {of_fast} of {len(owners)} chunks")
    duration_s = receiver.events.all(named("download-finished"))[0]["duration_ms"] / 1000
    alone_s = game.bytes_total / (DOWNLOAD_RATE_BYTES_PER_SECOND / 10)
    expect(duration_s < alone_s / 3, f"it took {duration_s:.1f} s; the slow source alone needs {alone_s:.1f} s")


@scenario(
    "S17",
    "Resume a download",
    claim="After the receiver was killed half-way, the next run fetches only what is missing, and the result is "
    "identical.",
    conditions=f"A slowed source. The receiver gets SIGKILL when it has {FAULT_AT_BYTES} bytes; then the same command "
    "runs again.",
    time_limit_s=90,
)
def resume_a_download(stage: Stage) -> None:
    game = marked_game(stage, ["source"], {ARCHIVE: 5 * CHUNK_BYTES + 7})
    source = game.start(stage, "source", rate=DOWNLOAD_RATE_BYTES_PER_SECOND)
    received = stage.games_dir("receiver")
    killed = _kill_half_way(stage, game, received, [source])
    expect(not killed.events.all(named("download-finished")), "the killed receiver had finished")
    checks.sender_is_clean(stage, source)
    checks.listed_as(stage, received, game.game, state="incomplete", downloaded=False, installed=False)
    sent_before = sent_bytes(source, game.game)
    receiver = download(stage, game, received, [source])
    download_is_whole(stage, receiver, received, game, [source])
    kept = receiver.events.all(named("download-begin"))[0]["bytes_kept"]
    expect(FAULT_AT_BYTES - CHUNK_BYTES < kept < game.bytes_total, f"{kept} bytes were kept of {FAULT_AT_BYTES}")
    # The source counts too: it was not asked again for what is kept.
    sent = sent_bytes(source, game.game) - sent_before
    expect_equal(sent, game.bytes_total - kept, "bytes that the source sent to the second run")


def _kill_half_way(stage: Stage, game: MarkedGame, received: Path, sources: list[Peer]) -> Peer:
    killed = start_download(stage, game, received, sources)
    wait_for_bytes(stage, killed, FAULT_AT_BYTES)
    killed.kill()
    killed.wait_for_exit(stage.deadline)
    unfinished_download_is_kept(received, game)
    return killed


@scenario(
    "S18",
    "Source killed mid-download",
    claim="All bytes arrive, the surviving source finishes, and the download reports no failure.",
    conditions="Two slowed sources. The first in order is killed (SIGKILL) while it is sending, when the receiver "
    f"has {FAULT_AT_BYTES} bytes.",
    time_limit_s=90,
)
def source_killed(stage: Stage) -> None:
    game = marked_game(stage, [FIRST, SECOND], {ARCHIVE: 8 * CHUNK_BYTES})
    killed, survivor = (game.start(stage, name, rate=DOWNLOAD_RATE_BYTES_PER_SECOND) for name in game.roots)
    received = stage.games_dir("receiver")
    receiver = start_download(stage, game, received, [killed, survivor])
    progress = wait_for_bytes(stage, receiver, FAULT_AT_BYTES)
    expect_equal(progress["sources"], 2, "sources that were sending when one was killed")
    killed.kill()
    stage.finish(receiver, 0, "the end of the download that lost a source")
    owners = download_is_whole(stage, receiver, received, game, [killed, survivor])
    failed = {event["peer"] for event in receiver.events.all(named("download-source-failed"))}
    expect_equal(failed, {killed.name}, "sources that failed")
    by_survivor = sum(owner == survivor.name for owner in owners.values())
    expect(by_survivor > len(owners) / 2, f"the survivor sent {by_survivor} of {len(owners)} chunks")


@scenario(
    "S19",
    "Every source gone mid-download",
    claim="With `--no-wait`, the download fails clearly with exit 4 and without a sentinel. The next run continues "
    "where it stopped.",
    conditions=f"Two slowed sources, both killed (SIGKILL) when the receiver has {FAULT_AT_BYTES} bytes. Then one of "
    "them comes back.",
    time_limit_s=120,
)
def every_source_gone(stage: Stage) -> None:
    game = marked_game(stage, [FIRST, SECOND], {ARCHIVE: 8 * CHUNK_BYTES})
    sources = [game.start(stage, name, rate=DOWNLOAD_RATE_BYTES_PER_SECOND) for name in game.roots]
    received = stage.games_dir("receiver")
    # It would wait for a source to come back.
    options = ["--no-wait"]
    receiver = start_download(stage, game, received, sources, options=options, idle_limit_s=IDLE_LIMIT_S)
    wait_for_bytes(stage, receiver, FAULT_AT_BYTES)
    for source in sources:
        source.kill()
    stage.finish(receiver, 4, "the end of the download that lost every source")
    failed = failed_download_is_kept(receiver, received, game, "all-sources-failed")
    for name in game.roots:
        expect(name in receiver.stderr(), f"the error does not name {name}: {receiver.stderr().strip()!r}")
    expect(failed["bytes_kept"] >= CHUNK_BYTES, f"only {failed['bytes_kept']} bytes were kept")

    back = game.start(stage, SECOND)
    second = download(stage, game, received, [back])
    kept = second.events.all(named("download-begin"))[0]["bytes_kept"]
    expect_equal(kept, failed["bytes_kept"], "bytes kept, against what the failed download said")
    fetched_once([back], game.game, game.bytes_total - kept)
    # Chunks of the source that never came back are part of it.
    _is_whole_and_recorded(received, game)
    finished = second.events.all(named("download-finished"))
    expect_equal([event["bytes_fetched"] for event in finished], [game.bytes_total - kept], "bytes fetched")
    checks.sender_is_clean(stage, back)


def _is_whole_and_recorded(received: Path, game: MarkedGame) -> None:
    owners = chunk_owners(received / game.game, game.roots)
    record_is_complete(received, game.game, owners)
    nothing_is_left(received)


@scenario(
    "S25",
    "Source file changed while serving",
    claim="The receiver fails that attempt, and finishes with the new file or not at all. It never mixes two files.",
    conditions="A slowed source whose archive is overwritten in place, with size and time as before, when the "
    f"receiver has {FAULT_AT_BYTES} bytes; in a second round, between two runs of the receiver.",
    time_limit_s=120,
)
def source_file_changed(stage: Stage) -> None:
    game = marked_game(stage, ["source"], {ARCHIVE: 6 * CHUNK_BYTES})
    source = game.start(stage, "source", rate=DOWNLOAD_RATE_BYTES_PER_SECOND)
    received = stage.games_dir("receiver")
    receiver = start_download(stage, game, received, [source])
    wait_for_bytes(stage, receiver, FAULT_AT_BYTES)
    _write_over(game, "second")
    receiver.wait_for_exit(stage.deadline, "the end of the download whose source changed")
    _finished_with_new_file_or_not_at_all(stage, receiver, received, game)
    failures = [event["code"] for event in receiver.events.all(named("download-source-failed"))]
    expect("source-changed" in failures, f"the change was not noticed: {failures}")
    checks.sender_is_clean(stage, source)

    away = stage.games_dir("away")
    _kill_half_way(stage, game, away, [source])
    old_chunks = [line for line in record_lines(away, game.game, "draft") if "chunk" in line]
    _write_over(game, "third")
    receiver = download(stage, game, away, [source])
    _finished_with_new_file_or_not_at_all(stage, receiver, away, game)
    dropped = [line for line in record_lines(away, game.game) if "dropped" in line]
    expect(len(dropped) >= len(old_chunks) - 1, "chunks of the old file were not dropped: nothing was tested")
    checks.sender_is_clean(stage, source)


def _write_over(game: MarkedGame, label: str) -> None:
    archive = game.roots["source"] / ARCHIVE
    before = archive.stat()
    marked_file(archive, before.st_size, label)
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))


def _finished_with_new_file_or_not_at_all(stage: Stage, receiver: Peer, received: Path, game: MarkedGame) -> None:
    if receiver.status == 0:
        _is_whole_and_recorded(received, game)
    else:
        receiver.expect_exit(4)
        unfinished_download_is_kept(received, game)
