"""Something ends, stops or lies in a room, and the others go on from another upstream in the same attempt."""

from __future__ import annotations

import signal
import time

from .. import archives, checks
from ..contract import scenario
from ..events import Event, named
from ..expectations import Deadline, expect, expect_equal
from ..games import FIRST, SECOND
from ..rooms import (
    CHUNK_BYTES,
    GAME,
    LINK_BYTES_PER_SECOND,
    WINDOW_MIB,
    Receiver,
    Room,
    bytes_twice,
    installed_whole,
    make_room_game,
    start_room_source,
    time_of,
    wait_for_progress,
    wait_until_placed,
)
from ..stage import Stage
from ..watch import Change, FolderWatch

# What may come twice when an upstream is lost: what was asked ahead.
TWICE_BYTES_MAX = 4 * 1024 * 1024

# A source or relay that is gone is noticed at once, and one that is silent after three seconds.
RESET_S = 2.0
SILENCE_S = 5.0

# What a receiver exits with after SIGINT.
CANCELLED = 130

# A relay waits so long for a follower that takes nothing any more.
LINGER_MAX_S = 30.0


def relays(receiver: Receiver) -> list[str]:
    return [name for kind, name in receiver.upstreams() if kind == "relay"]


@scenario(
    "S75",
    "Relays killed, frozen and cancelled",
    claim="If a relay is killed, frozen or cancelled, its follower goes on from the relay before it, in the same "
    "attempt. The others end as early as the head, but for the time in which a loss is noticed, and fetch at most "
    f"{TWICE_BYTES_MAX >> 20} MiB twice. The frozen one goes on when it is thawed, from another place, and ends byte "
    f"for byte. The cancelled one exits with {CANCELLED} and leaves nothing.",
    conditions=f"Eight receivers in a chain with windows of {WINDOW_MIB} MiB; every machine sends "
    f"{LINK_BYTES_PER_SECOND} bytes a second. The process of the third is killed (SIGKILL), so that its connections "
    "are reset. The machine of the fifth is frozen and is silent. The seventh gets SIGINT.",
    time_limit_s=180,
)
def relays_lost(stage: Stage) -> None:
    game = make_room_game(stage, 38_000_000)
    source = start_room_source(stage, "source", game.root.parent, LINK_BYTES_PER_SECOND)
    room = Room(stage, game)
    chain = room.begin_together(8, [source])
    killed, frozen, cancelled = chain[2], chain[4], chain[6]

    wait_for_progress(stage, killed, 0.2)
    killed.machine.signal(signal.SIGKILL, killed.process.arguments)
    wait_for_progress(stage, frozen, 0.4)
    mark = chain[5].process.events.mark()
    frozen.process.pause()
    chain[5].process.wait_for_event("upstream-begin", stage.deadline, start=mark)
    frozen.process.unpause()
    wait_for_progress(stage, cancelled, 0.6)
    cancelled.machine.signal(signal.SIGINT, cancelled.process.arguments)
    stage.finish(cancelled.process, CANCELLED, "the cancelled install")

    lasting = [receiver for receiver in chain if receiver not in (killed, cancelled)]
    room.finish(lasting)
    stage.figures.append(
        "; ".join(
            f"{position}: {receiver.duration_s:.1f} s, {bytes_twice(game, receiver) >> 10} KiB twice, "
            + ", ".join(name for _, name in receiver.upstreams())
            for position, receiver in enumerate(chain)
            if receiver in lasting
        )
    )
    for lost, successor, before in ((killed, chain[3], chain[1]), (cancelled, chain[7], chain[5])):
        expect_equal(successor.upstreams(), [("relay", lost.name), ("relay", before.name)], "upstreams of a successor")
    expect_equal(relays(chain[5]), [frozen.name, chain[3].name], "relays of the one behind the frozen one")
    expect(len(frozen.upstreams()) >= 2, f"the frozen one found no other place: {frozen.upstreams()}")
    for receiver in lasting:
        twice = bytes_twice(game, receiver)
        expect(twice <= TWICE_BYTES_MAX, f"{receiver.name} fetched {twice} bytes twice")
        gaps = receiver.process.events.all(named("gap-filled"))
        expect(len(gaps) <= 1, f"{receiver.name} filled {len(gaps)} gaps")
    for receiver in lasting:
        if receiver is not frozen:
            late = receiver.duration_s - chain[0].duration_s
            expect(late <= RESET_S + SILENCE_S + RESET_S + 1, f"{receiver.name} ended {late:.1f} s after the head")
    left = [path for path in cancelled.games_dir.rglob("*") if path.is_file() and checks.OUR_STATE not in path.parts]
    expect(not left and not (cancelled.games_dir / GAME).exists(), f"the cancelled install left {left}")
    checks.no_operation_left(cancelled.games_dir)


@scenario(
    "S72",
    "Source killed in the middle of a packed stream",
    claim="If the source that formed a wave is killed, its head goes on from another source in the same attempt. What "
    f"both sent is the whole archive, at most {TWICE_BYTES_MAX >> 20} MiB of it come twice, and no file is written a "
    "second time. The receivers behind the head notice nothing. A newcomer gets its place at the source that is left.",
    conditions=f"Two sources and three receivers; every machine sends {LINK_BYTES_PER_SECOND} bytes a second. The "
    "source is killed (SIGKILL) when the head has a third of the game.",
    time_limit_s=120,
)
def source_killed(stage: Stage) -> None:
    game = make_room_game(stage, 38_000_000)
    sources = {name: start_room_source(stage, name, game.copy(stage, name), LINK_BYTES_PER_SECOND)
               for name in (FIRST, SECOND)}  # fmt: skip
    room = Room(stage, game)
    for number in range(3):
        (stage.games_dir(f"seat-{number}") / GAME).mkdir()
    chain = room.begin_together(3, list(sources.values()))
    head = chain[0]
    with FolderWatch(head.games_dir / GAME) as watch:
        former = wait_until_placed(stage, head)["peer"]
        other = next(name for name in sources if name != former)
        wait_for_progress(stage, head, 0.33)
        sources[former].kill()
        newcomer = room.begin(room.prepare("newcomer"), list(sources.values()))
        expect_equal(wait_until_placed(stage, newcomer)["peer"], other, "source that places the newcomer")
        room.finish(chain)
        changes = watch.changes()
    room.finish([newcomer])
    expect_equal(changes.count(Change(checks.LOCAL, "appears")), 1, "trees that appeared")
    staged = [change for change in changes if change.name == checks.STAGING and change.kind == "appears"]
    expect(len(staged) <= 1, f"the staging folder appeared {len(staged)} times")
    expect_equal({name for _, name in head.upstreams()}, set(sources), "upstreams of the head")
    twice = bytes_twice(game, head)
    expect(0 <= twice <= TWICE_BYTES_MAX, f"{twice} bytes came twice")
    expect(head.bytes_from("source") == game.archive_bytes + twice, "the head had another upstream than sources")
    limit_s = game.link_s() + SILENCE_S
    expect(head.duration_s <= limit_s, f"the head took {head.duration_s:.1f} s, and not {limit_s:.1f}")
    for receiver, before in zip(chain[1:], chain, strict=False):
        expect_equal(receiver.upstreams(), [("relay", before.name)], f"upstreams of {receiver.name}")
    stage.figures.append(f"the head took {head.duration_s:.1f} s, {twice >> 10} KiB came twice")


@scenario(
    "S71",
    "Chunk refused before it is decoded",
    claim="If a byte of a packed stream is not the listed one, its chunk is refused before it is decoded or passed on. "
    "The source is named and not asked again, and the stream goes on from the next source in the same attempt.",
    conditions="One byte in each chunk of the second half of a source's archive is flipped. That source, an honest "
    "one, and two receivers.",
    time_limit_s=60,
)
def chunk_refused(stage: Stage) -> None:
    game = make_room_game(stage, 12_000_000)
    flipped = stage.games_dir(FIRST) / GAME
    flipped.mkdir()
    for file in game.root.iterdir():
        content = bytearray(file.read_bytes())
        if file.suffix == ".eti":
            half = len(content) // CHUNK_BYTES // 2
            for offset in range(half * CHUNK_BYTES + 1000, len(content), CHUNK_BYTES):
                content[offset] ^= 0x10
        (flipped / file.name).write_bytes(content)
    liar = start_room_source(stage, FIRST, flipped.parent, LINK_BYTES_PER_SECOND)
    honest = start_room_source(stage, SECOND, game.copy(stage, SECOND), LINK_BYTES_PER_SECOND)
    room = Room(stage, game)
    head, behind = room.begin_together(2, [liar, honest])
    room.finish()
    lied = head.process.events.all(named("peer-lied"))
    expect_equal([event["id"] for event in lied], [liar.identity], "peers that are called liars")
    expect_equal(lied[0]["position"] % CHUNK_BYTES, 0, "position of the wrong chunk")
    expect(lied[0]["position"] >= half * CHUNK_BYTES, f"not what is wrong: {lied[0]}")
    expect_equal([name for _, name in head.upstreams()].count(FIRST), 1, "times that the liar was asked")
    expect(head.bytes_from("source") >= game.archive_bytes, "the head had another upstream than sources")
    expect(not behind.process.events.all(named("peer-lied")), "a relay passed on what was wrong")
    expect_equal(behind.upstreams(), [("relay", head.name)], "upstreams of the second receiver")


@scenario(
    "S81",
    "A relay that has everything",
    claim="A relay that has installed the game goes only when its follower has everything: nobody loses the last "
    f"chunks. It waits at most {LINGER_MAX_S:g} s for a follower that takes nothing, which goes on elsewhere later.",
    conditions="Three short commands in a chain. The first sends slowly, and has everything long before the second. "
    "The machine of the third is frozen in the middle and thawed when the second has gone.",
    time_limit_s=120,
)
def relay_has_everything(stage: Stage) -> None:
    game = make_room_game(stage, 9_000_000)
    source = start_room_source(stage, "source", game.root.parent)
    room = Room(stage, game, rate=900_000)
    first, second, third = room.begin_together(3, [source])
    wait_for_progress(stage, third, 0.3)
    third.process.pause()
    done = first.process.wait_for_event("stream-install-finished", stage.deadline)
    taken = second.process.wait_for_event("stream-install-finished", stage.deadline)
    expect(time_of(taken) - time_of(done) > 2, "the first relay had nothing to wait for: nothing was tested")
    expect(first.process.is_running or first.process.status is None, "the first relay went too early")
    room.finish([first])
    expect_equal(second.upstreams(), [("relay", first.name)], "upstreams of the second")
    began = time.monotonic()
    second.process.wait_for_exit(stage.deadline.sooner(LINGER_MAX_S + 5), "the end of a relay whose follower is frozen")
    lingered = time.monotonic() - began
    third.process.unpause()
    room.finish([second, third])
    stage.figures.append(f"the second relay waited {lingered:.1f} s for the frozen one")
    _told_everything(first, second)


def _told_everything(relay: Receiver, follower: Receiver) -> None:
    """The last thing that a relay says of its follower is that it has everything."""
    ended: list[Event] = relay.process.events.all(named("relay-end", follower=follower.name))
    expect_equal([event["outcome"] for event in ended], ["complete"], f"outcomes of what {relay.name} passed on")
