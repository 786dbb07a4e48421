"""Something ends, stops or is in the way while bytes flow. Each fault hits at a named count of received bytes."""

from __future__ import annotations

import re
import signal
import time

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..games import (
    FAULT_AT_BYTES,
    FIRST,
    IDLE_LIMIT_S,
    SECOND,
    SLOW_GAME,
    SLOW_GAME_BYTES,
    STREAM_RATE_BYTES_PER_SECOND,
    make_slow_game,
    wait_for_fault_point,
)
from ..peer import TOOLS, Peer
from ..stage import Stage

# What the design promises about a source that is asked to stop.
STOP_LIMIT_S = 5.0

# A game and a rate with which a stream takes longer than the idle limit. The rate is above the slowest link that the
# product promises to serve.
CRAWL_GAME_BYTES = 600_000
CRAWL_BYTES_PER_SECOND = 40_000


def expect_interrupted_stream(receiver: Peer, source: Peer) -> None:
    """The fault hit in the middle: the attempt failed after some bytes and before the last."""
    expect_equal(checks.failed_attempts(receiver), [source.name], "sources that failed")
    progress = receiver.events.all(named("stream-progress", peer=source.name))
    expect(FAULT_AT_BYTES <= progress[-1]["bytes"] < progress[-1]["bytes_total"], f"not in the middle: {progress[-1]}")


@scenario(
    "S20",
    "Second same-game command",
    claim="A second install of a game that is being installed is refused as in progress and names the holder's pid. "
    "The first is unharmed.",
    conditions="A slowed source. The second command runs on the receiver's machine when the first has received "
    f"{FAULT_AT_BYTES} bytes.",
    time_limit_s=90,
)
def second_command(stage: Stage) -> None:
    game = make_slow_game(stage, "source")
    source = game.start(stage, "source", slow=True)
    received = stage.games_dir("receiver")
    first = stage.start_install(SLOW_GAME, received, [source], catalog=game.catalog)
    wait_for_fault_point(stage, first, source)
    second = stage.install(SLOW_GAME, first.machine, [source], name="second", exit_status=5)
    # Both run in one container, where the first command is process 1.
    expect(
        re.search(r"\b(pid|process)\b\D{0,3}1\b", second.stderr()), f"no holder's pid in {second.stderr().strip()!r}"
    )
    expect("progress" in second.stderr(), f"not refused as in progress: {second.stderr().strip()!r}")
    expect(first.is_running, "the first command had ended before the second was answered")
    stage.finish(first, 0, "the first install")
    reference = game.reference(stage, "source")
    checks.streamed_install_is_whole(stage, first, received, SLOW_GAME, source, reference)


@scenario(
    "S31",
    "Source without a place",
    claim="A source that has reached its stream limit lets a receiver wait, and a receiver that knows another source "
    "uses that one instead. Its look at the first one is no failed attempt.",
    conditions="Two sources. The first in order is slowed, allows one stream, and is serving it to another receiver.",
    time_limit_s=90,
    decodes_at_source=True,
)
def busy_source(stage: Stage) -> None:
    game = make_slow_game(stage, FIRST, SECOND)
    busy = game.start(stage, FIRST, slow=True, options=("--max-streams", "1"))
    free = game.start(stage, SECOND, slow=False)
    occupied = stage.games_dir("occupier")
    occupier = stage.start_install(SLOW_GAME, occupied, [busy], name="occupier", catalog=game.catalog)
    wait_for_fault_point(stage, occupier, busy)
    expect_equal(stage.status_of(busy).get("active_outbound_transfers"), 1, "transfers of the busy source")
    received = stage.games_dir("receiver")
    receiver = stage.install(SLOW_GAME, received, [busy, free], catalog=game.catalog, exit_status=0)
    expect(occupier.is_running, "the first source was no longer busy when the second receiver was done")
    expect_equal(checks.attempts(receiver), [busy.name, free.name], "sources tried, in order")
    queued = [(event["peer"], event["ahead"]) for event in receiver.events.all(named("queued"))]
    expect_equal(queued, [(busy.name, 0)], "queues that the receiver was in")
    expect_equal(checks.failed_attempts(receiver), [], "failed attempts")
    checks.streamed_install_is_whole(stage, receiver, received, SLOW_GAME, free, game.reference(stage, SECOND))
    stage.finish(occupier, 0, "the install that kept the first source busy")
    checks.streamed_install_is_whole(stage, occupier, occupied, SLOW_GAME, busy, game.reference(stage, FIRST))


@scenario(
    "S34",
    "Graceful stop",
    claim="SIGTERM to a source in the middle of a stream ends the stream cleanly: the source exits 0 within 5 s, the "
    "receiver, which does not wait for it, fails with exit 4, and nothing is left.",
    conditions=f"One slowed source, stopped when the receiver has {FAULT_AT_BYTES} bytes; once for each decoder.",
    time_limit_s=120,
    decodes_at_source=True,
)
def graceful_stop(stage: Stage) -> None:
    game = make_slow_game(stage, "native", "unrar")
    for name, unrar in (("native", ""), ("unrar", f"{TOOLS}/bin/unrar")):
        source = game.start(stage, name, slow=True, unrar=unrar)
        received = stage.games_dir(f"to-{name}")
        before = checks.user_tree(received)
        receiver = stage.start_install(
            SLOW_GAME,
            received,
            [source],
            name=f"to-{name}",
            catalog=game.catalog,
            # It would wait for the source to come back.
            options=["--no-wait"],
            # The container ends with the source, so the end of the connection may not reach the receiver.
            idle_limit_s=IDLE_LIMIT_S,
        )
        wait_for_fault_point(stage, receiver, source)
        source.signal(signal.SIGTERM)
        source.wait_for_exit(stage.deadline.sooner(STOP_LIMIT_S), "its end after SIGTERM")
        source.expect_exit(0)
        stage.finish(receiver, 4, "the end of the install whose source stopped")
        expect_interrupted_stream(receiver, source)
        checks.failed_install_left_nothing(stage, receiver, received, before)


@scenario(
    "S45",
    "Source killed mid-stream",
    claim="If the only source is killed, an install with `--no-wait` exits 4 and leaves nothing. With a second source, "
    "the install completes from that one, byte-exact.",
    conditions=f"The source first in order is slowed, and killed (SIGKILL) when the receiver has {FAULT_AT_BYTES} "
    "bytes.",
    time_limit_s=180,
    decodes_at_source=True,
)
def source_killed(stage: Stage) -> None:
    game = make_slow_game(stage, FIRST, SECOND)
    alone = game.start(stage, FIRST, slow=True)
    nowhere_else = stage.games_dir("alone")
    before = checks.user_tree(nowhere_else)
    receiver = stage.start_install(
        SLOW_GAME,
        nowhere_else,
        [alone],
        name="alone",
        catalog=game.catalog,
        # It would wait for the source to come back.
        options=["--no-wait"],
        idle_limit_s=IDLE_LIMIT_S,
    )
    wait_for_fault_point(stage, receiver, alone)
    alone.kill()
    stage.finish(receiver, 4, "the end of the install whose only source was killed")
    expect_interrupted_stream(receiver, alone)
    checks.failed_install_left_nothing(stage, receiver, nowhere_else, before)

    killed = game.start(stage, FIRST, slow=True)
    survivor = game.start(stage, SECOND, slow=False)
    received = stage.games_dir("receiver")
    receiver = stage.start_install(
        SLOW_GAME, received, [killed, survivor], catalog=game.catalog, idle_limit_s=IDLE_LIMIT_S
    )
    wait_for_fault_point(stage, receiver, killed)
    killed.kill()
    stage.finish(receiver, 0, "the end of the install that has a second source")
    expect_equal(checks.attempts(receiver), [killed.name, survivor.name], "sources tried, in order")
    expect_interrupted_stream(receiver, killed)
    checks.streamed_install_is_whole(stage, receiver, received, SLOW_GAME, survivor, game.reference(stage, SECOND))


@scenario(
    "S46",
    "Receiver cancelled mid-stream",
    claim="After SIGINT the receiver exits 130 and leaves nothing. Within 2 s the source has no transfers, no child "
    "process and no open archive.",
    conditions=f"One slowed source for each decoder. The signal comes when the receiver has {FAULT_AT_BYTES} bytes.",
    time_limit_s=120,
    decodes_at_source=True,
)
def receiver_cancelled(stage: Stage) -> None:
    game = make_slow_game(stage, "native", "unrar")
    for name, unrar in (("native", ""), ("unrar", f"{TOOLS}/bin/unrar")):
        source = game.start(stage, name, slow=True, unrar=unrar)
        received = stage.games_dir(f"to-{name}")
        before = checks.user_tree(received)
        receiver = stage.start_install(SLOW_GAME, received, [source], name=f"to-{name}", catalog=game.catalog)
        wait_for_fault_point(stage, receiver, source)
        _expect_busy(stage, source, children=1 if unrar else 0)
        receiver.signal(signal.SIGINT)
        receiver.wait_for_exit(stage.deadline, "the end of the cancelled install")
        checks.sender_is_clean(stage, source)
        receiver.expect_exit(130)
        expect(not receiver.events.all(named("stream-install-finished")), "the cancelled install reported success")
        checks.games_dir_as_before(before, received)


def _expect_busy(stage: Stage, source: Peer, children: int) -> None:
    """What must be gone afterwards is there now: otherwise its absence would prove nothing."""
    expect_equal(stage.status_of(source).get("active_outbound_transfers"), 1, f"transfers of {source.name} mid-stream")
    expect_equal(len(source.processes()), 1 + children, f"processes of {source.name} mid-stream")
    expect(source.open_archives(), f"{source.name} has no archive open in the middle of a stream")


@scenario(
    "S49",
    "Receiver killed mid-stream",
    claim="After SIGKILL to the receiver, the next command recovers: the staging folder of the killed one is gone, "
    "and the game is installed.",
    conditions=f"A slowed source. The receiver is killed when it has {FAULT_AT_BYTES} bytes, and started again on the "
    "same folders.",
    time_limit_s=120,
)
def receiver_killed(stage: Stage) -> None:
    game = make_slow_game(stage, "source")
    source = game.start(stage, "source", slow=True)
    received = stage.games_dir("receiver")
    killed = stage.start_install(SLOW_GAME, received, [source], catalog=game.catalog)
    wait_for_fault_point(stage, killed, source)
    killed.kill()
    killed.wait_for_exit(stage.deadline)
    staging = received / SLOW_GAME / checks.STAGING
    expect(staging.is_dir() and any(staging.rglob("*.bin")), "the killed receiver left no staging to recover from")
    expect(not (received / SLOW_GAME / checks.LOCAL).exists(), "the killed receiver had a local/ already")
    # Something that only the dead attempt can have left; a recovery that reuses its folder would keep it.
    (staging / "left-by-the-dead.txt").write_text("must not be installed\n")
    receiver = stage.install(SLOW_GAME, received, [source], catalog=game.catalog, exit_status=0)
    checks.streamed_install_is_whole(stage, receiver, received, SLOW_GAME, source, game.reference(stage, "source"))


@scenario(
    "S52",
    "Source stalls",
    claim="A source that stops answering is given up after the idle limit, and the next one is used. A source that "
    "is slow but alive is not abandoned if it is the only one.",
    conditions=f"First, the source first in order is paused when the receiver has {FAULT_AT_BYTES} bytes. Then one "
    f"source sends {CRAWL_BYTES_PER_SECOND} bytes a second, which takes longer than the idle limit. The scenario sets "
    f"that to {IDLE_LIMIT_S} s.",
    time_limit_s=180,
    decodes_at_source=True,
)
def source_stalls(stage: Stage) -> None:
    game = make_slow_game(stage, FIRST, SECOND)
    paused = game.start(stage, FIRST, slow=True)
    other = game.start(stage, SECOND, slow=False)
    received = stage.games_dir("receiver")
    receiver = stage.start_install(
        SLOW_GAME, received, [paused, other], catalog=game.catalog, idle_limit_s=IDLE_LIMIT_S
    )
    wait_for_fault_point(stage, receiver, paused)
    begun = time.monotonic()
    paused.pause()
    # Well before the product's own limit: otherwise it was not this limit that was tested.
    in_time = stage.deadline.sooner(2 * IDLE_LIMIT_S)
    receiver.wait_for_event("stream-attempt-failed", in_time, f"the end of {paused.name}'s attempt")
    silent_s = time.monotonic() - begun
    expect(silent_s > IDLE_LIMIT_S - 1, f"{paused.name} was given up after only {silent_s:.1f} s")
    receiver.wait_for_exit(stage.deadline, "the end of the install whose first source stalled")
    paused.unpause()
    receiver.expect_exit(0)
    expect_interrupted_stream(receiver, paused)
    checks.streamed_install_is_whole(stage, receiver, received, SLOW_GAME, other, game.reference(stage, SECOND))
    checks.sender_is_clean(stage, paused)

    small = "crawling-game"
    tree = stage.payload(small)
    tree.noise("noise.bin", CRAWL_GAME_BYTES)
    root = stage.packed_game(stage.games_dir("crawler"), small, tree, switches=["-m0"])
    catalog = stage.catalog(small)
    crawler = stage.start_source("crawler", root.parent, catalog=catalog, can_be_slowed=True)
    crawler.limit_sending(CRAWL_BYTES_PER_SECOND)
    patient_dir = stage.games_dir("patient")
    patient = stage.install(
        small, patient_dir, [crawler], exit_status=0, name="patient", catalog=catalog, idle_limit_s=IDLE_LIMIT_S
    )
    expect_equal(checks.attempts(patient), [crawler.name], "attempts")
    reference = archives.extract(root, stage.dir / "reference" / small)
    checks.streamed_install_is_whole(stage, patient, patient_dir, small, crawler, reference)
    duration_s = patient.events.all(named("stream-install-finished"))[0]["duration_ms"] / 1000
    expect(duration_s > IDLE_LIMIT_S, f"{duration_s:.1f} s is not longer than the idle limit: nothing was tested")


@scenario(
    "S53",
    "Eight receivers at once",
    claim="Eight receivers that stream one game from one source at the same time are all byte-exact.",
    conditions="A source with its default limits, so slow that the first receiver cannot end before the last has "
    "begun. When every receiver has some bytes, the source counts eight transfers and may go faster.",
    time_limit_s=180,
    decodes_at_source=True,
)
def eight_receivers(stage: Stage) -> None:
    game = make_slow_game(stage, "source", size=SLOW_GAME_BYTES // 2)
    source = game.start(stage, "source", slow=True)
    # For one receiver, the game then takes 24 s; eight containers have begun by then, also beside other scenarios.
    source.limit_sending(STREAM_RATE_BYTES_PER_SECOND // 8)
    folders = {name: stage.games_dir(name) for name in (f"receiver-{number}" for number in range(8))}
    receivers = [
        stage.start_install(SLOW_GAME, folder, [source], name=name, catalog=game.catalog)
        for name, folder in folders.items()
    ]
    for receiver in receivers:
        receiver.wait_for_event("stream-progress", stage.deadline)
    expect_equal(stage.status_of(source).get("active_outbound_transfers"), 8, "transfers in the middle")
    source.limit_sending(8 * STREAM_RATE_BYTES_PER_SECOND)
    for receiver in receivers:
        stage.finish(receiver, 0, "one of eight installs")
    reference = game.reference(stage, "source")
    for receiver in receivers:
        checks.streamed_install_is_whole(stage, receiver, folders[receiver.name], SLOW_GAME, source, reference)
