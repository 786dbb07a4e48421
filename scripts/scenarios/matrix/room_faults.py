"""Something ends, stops or lies in a room, and the others go on from another upstream in the same attempt."""

from __future__ import annotations

import signal
import time

from .. import checks
from ..contract import scenario
from ..doubles import LYING_RELAY
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..games import FIRST, SECOND
from ..peer import PORT, Peer
from ..rooms import (
    CHUNK_BYTES,
    GAME,
    LINK_BYTES_PER_SECOND,
    WINDOW_MIB,
    Receiver,
    Room,
    bytes_twice,
    make_room_game,
    start_room_source,
    time_of,
    wait_for_progress,
    wait_until_placed,
)
from ..stage import VERSION, Stage
from ..watch import Change, FolderWatch

# What may come twice when an upstream is lost: what was asked ahead.
TWICE_BYTES_MAX = 4 * 1024 * 1024

# A source or relay that is gone is noticed at once, and one that is silent after three seconds.
RESET_S = 2.0
SILENCE_S = 5.0

# A source that lies, against an install from one that does not.
LIAR_RATIO_MAX = 1.08

# What several relays that lie may cost: a pause each until the next one is tried.
LIES_COST_S = 2.0
LIES = (("busy", "wrong-bytes", "gone", "short"), ("another-peer", "gone-for-ever", "unasked", "floods-alive"))

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
    f"{TWICE_BYTES_MAX >> 20} MiB twice. The frozen one goes on from another place when it is thawed, and ends byte "
    f"for byte. The cancelled one exits with {CANCELLED} and leaves nothing.",
    conditions=f"Eight receivers in a chain with windows of {WINDOW_MIB} MiB; every machine sends "
    f"{LINK_BYTES_PER_SECOND} bytes a second. The process of the third is killed (SIGKILL), so that its connections "
    "are reset. The fifth is frozen (SIGSTOP), is silent, and is thawed when the others have ended "
    "(S76). The seventh gets SIGINT (S88).",
    time_limit_s=180,
)
def relays_lost(stage: Stage) -> None:
    game = make_room_game(stage, 30_000_000)
    source = start_room_source(stage, "source", game.root.parent, LINK_BYTES_PER_SECOND)
    room = Room(stage, game)
    chain = room.begin_together(8, [source])
    killed, frozen, cancelled = chain[2], chain[4], chain[6]

    wait_for_progress(stage, killed, 0.2)
    killed.machine.signal(signal.SIGKILL, killed.process.arguments)
    wait_for_progress(stage, frozen, 0.4)
    frozen.freeze()
    wait_for_progress(stage, cancelled, 0.6)
    cancelled.machine.signal(signal.SIGINT, cancelled.process.arguments)
    stage.finish(cancelled.process, CANCELLED, "the cancelled install")

    room.finish([receiver for receiver in chain if receiver not in (killed, cancelled, frozen)])
    frozen.thaw()
    room.finish([frozen])
    lasting = [receiver for receiver in chain if receiver not in (killed, cancelled)]
    stage.figures.append(
        f"the archive takes {game.link_s():.1f} s over a link; "
        + "; ".join(
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
            expect(late <= RESET_S + SILENCE_S + RESET_S, f"{receiver.name} ended {late:.1f} s after the head")
    left = [path for path in cancelled.games_dir.rglob("*") if path.is_file() and checks.OUR_STATE not in path.parts]
    expect(not left and not (cancelled.games_dir / GAME).exists(), f"the cancelled install left {left}")
    checks.no_operation_left(cancelled.games_dir)


@scenario(
    "S71",
    "Chunk refused before decoding",
    claim="If one byte of a source's archive is wrong, the chunk with it is refused before it is decoded, "
    "and the source is named. The next source goes on from that chunk, in the same attempt, although it answers only "
    f"when the stream has begun. At most {TWICE_BYTES_MAX >> 20} MiB come twice, and the install takes at most "
    f"{LIAR_RATIO_MAX:g} times as long as from an honest source.",
    conditions=f"Two sources, each of which sends {LINK_BYTES_PER_SECOND} bytes a second. One bit of the first one's "
    "archive is turned. One receiver installs from the honest source alone. Then another one begins while that "
    "source is frozen; it is thawed when the other one has lied, and the time until then does not count.",
    time_limit_s=120,
)
def wrong_byte(stage: Stage) -> None:
    game = make_room_game(stage, 30_000_000)
    copies = {name: game.copy(stage, name) for name in (FIRST, SECOND)}
    archive = next((copies[FIRST] / GAME).glob("*.eti"))
    position = archive.stat().st_size // 8
    with archive.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))
    liar, honest = (start_room_source(stage, name, copies[name], LINK_BYTES_PER_SECOND) for name in (FIRST, SECOND))
    room = Room(stage, game)
    alone = room.begin(room.prepare("alone"), [honest])
    room.finish([alone])

    honest.pause()
    head = room.begin(room.prepare("head"), [liar, honest])
    lied = head.process.wait_for_event("peer-lied", stage.deadline)
    honest.unpause()
    thawed_s = time.time() - time_of(lied)
    room.finish([head])
    begun = head.process.events.all(named("stream-install-begin"))
    expect_equal(begun[0]["sources"], [FIRST], "sources that answered before the choice")
    expect_equal(head.upstreams(), [("source", FIRST), ("source", SECOND)], "upstreams of the receiver")

    wrong = position // CHUNK_BYTES
    expect_equal((lied["peer"], lied["path"]), (FIRST, archive.name), "peer that is named, and its file")
    expect_equal(lied["position"], wrong * CHUNK_BYTES, "where the wrong chunk begins")
    (ended,) = head.process.events.all(named("upstream-end", upstream=FIRST))
    # Only what was proved is counted, and nothing else is decoded.
    taken = (ended["code"], ended["chunks"], ended["bytes"])
    expect_equal(taken, ("not-as-listed", wrong, wrong * CHUNK_BYTES), "what was taken from the liar")
    (next_one,) = head.process.events.all(named("upstream-begin", upstream=SECOND))
    expect_equal(next_one["chunk"], wrong, "chunk from which the next source goes on")
    twice = bytes_twice(game, head)
    expect(0 <= twice <= TWICE_BYTES_MAX, f"{twice} bytes came twice")
    ratio = (head.duration_s - thawed_s) / alone.duration_s
    stage.figures.append(
        f"alone {alone.duration_s:.1f} s, with a liar {head.duration_s:.1f} s, {thawed_s:.1f} s of it until the other "
        f"source was thawed ({ratio:.3f})"
    )
    expect(ratio <= LIAR_RATIO_MAX, f"an install took {ratio:.3f} times as long because a source lied")


@scenario(
    "S72",
    "Source killed in the middle of a packed stream",
    claim="If the source that formed a wave is killed, its head goes on from another source in the same attempt. What "
    f"both sent is the whole archive, at most {TWICE_BYTES_MAX >> 20} MiB of it come twice, and no file is written a "
    "second time. The receivers behind the head notice nothing. A newcomer gets its place at the source that is left "
    "at once, in a wave of its own, and ends after them.",
    conditions=f"Two sources and three receivers; every machine sends {LINK_BYTES_PER_SECOND} bytes a second. The "
    "source is killed (SIGKILL) when the head has a third of the game; the newcomer comes then (S79).",
    time_limit_s=120,
)
def source_killed(stage: Stage) -> None:
    game = make_room_game(stage, 30_000_000)
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
        placed = wait_until_placed(stage, newcomer)
        expect_equal((placed["peer"], placed["position"]), (other, 0), "source and position of the newcomer")
        room.finish(chain)
        changes = watch.changes()
    room.finish([newcomer])
    expect(
        time_of(newcomer.finished) > max(time_of(receiver.finished) for receiver in chain),
        "the newcomer took the link of the source from those that were there",
    )
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
    "S81",
    "A relay that has everything",
    claim="A relay that has installed the game goes only when its follower has everything: no receiver loses the last "
    f"chunks. It waits at most {LINGER_MAX_S:g} s for a follower that takes nothing, which goes on elsewhere later.",
    conditions="Three short commands in a chain. The first sends slowly, and has everything long before the second. "
    "The third is frozen (SIGSTOP) in the middle and thawed when the second has gone.",
    time_limit_s=120,
)
def relay_has_everything(stage: Stage) -> None:
    game = make_room_game(stage, 12_000_000)
    # Not so fast that the first one has everything before the others have come.
    source = start_room_source(stage, "source", game.root.parent, 2 * LINK_BYTES_PER_SECOND)
    room = Room(stage, game, rate=1_000_000)
    first, second, third = room.begin_together(3, [source])
    wait_for_progress(stage, third, 0.3)
    third.freeze()
    done = first.process.wait_for_event("stream-install-finished", stage.deadline)
    taken = second.process.wait_for_event("stream-install-finished", stage.deadline)
    expect(time_of(taken) - time_of(done) > 2, "the first relay had nothing to wait for: nothing was tested")
    expect(first.process.is_running or first.process.status is None, "the first relay went too early")
    room.finish([first])
    expect_equal(second.upstreams(), [("relay", first.name)], "upstreams of the second")
    began = time.monotonic()
    second.process.wait_for_exit(stage.deadline.sooner(LINGER_MAX_S + 5), "the end of a relay whose follower is frozen")
    lingered = time.monotonic() - began
    third.thaw()
    room.finish([second, third])
    stage.figures.append(f"the second relay waited {lingered:.1f} s for the frozen one")
    _told_everything(first, second)


def _told_everything(relay: Receiver, follower: Receiver) -> None:
    """The last thing that a relay says of its follower is that it has everything."""
    ended: list[Event] = relay.process.events.all(named("relay-end", follower=follower.name))
    expect_equal([event["outcome"] for event in ended], ["complete"], f"outcomes of what {relay.name} passed on")


@scenario(
    "S80",
    "Lying relays",
    claim="A relay that sends wrong chunks, short ones or some that were not asked for, that says that everything "
    "is gone or without a pause that it is alive, that is another peer than was announced, or that refuses everybody, "
    "is left. What is wrong is neither "
    "decoded nor passed on, and its relay is named. After all of them the receiver goes on from the source within "
    f"{LIES_COST_S:g} s, in the same attempt. The source brings each chunk once, and the receiver behind the first "
    "notices nothing.",
    conditions="Two waves of four liars, each with its own lie, and after them two honest receivers. Every "
    f"honest machine sends {LINK_BYTES_PER_SECOND} bytes a second.",
    time_limit_s=120,
)
def lying_relays(stage: Stage) -> None:
    game = make_room_game(stage, 12_000_000)
    for number, lies in enumerate(LIES):
        name = f"source-{number}"
        source = start_room_source(stage, name, game.copy(stage, name), LINK_BYTES_PER_SECOND)
        room = Room(stage, game)
        seats = [room.prepare(f"seat-{number}-{each}") for each in range(2)]
        liars = start_lying_relays(stage, source, lies)
        first = room.begin(seats[0], [source])
        placed = wait_until_placed(stage, first)
        behind = room.begin(seats[1], [source])
        room.finish()
        names = {lie: f"liar-{lie}" for lie in lies}
        expect_equal(placed["relays"], [names[lie] for lie in reversed(lies)], "relays of the first receiver")
        followed = {event["lie"] for event in liars.events.all(named("followed"))}
        expect_equal(followed, set(lies), "relays that were followed")
        lied = {event["peer"] for event in first.process.events.all(named("peer-lied"))}
        # What comes before anything was asked may look like the answer.
        wrong = {names[lie] for lie in lies if lie in ("wrong-bytes", "short")}
        expect_equal(lied - {"liar-unasked"}, wrong, "peers that are called liars")
        ended = first.process.events.all(named("upstream-end", kind="relay"))
        expect_equal(sum(event["bytes"] for event in ended), 0, "bytes that were taken from liars")
        stage.figures.append(
            f"{first.duration_s:.1f} s; its link {game.link_s():.1f} s; "
            + ", ".join(f"{event['upstream']} {event['code']}" for event in ended)
        )
        begun = first.process.events.all(named("upstream-begin", kind="source", upstream=source.name))
        expect_equal(len(begun), 1, "times that the first receiver began with the source")
        [finished] = first.process.events.all(named("packed-finished"))
        shares = {share["upstream"]: share["bytes"] for share in finished["shares"]}
        expect_equal(shares, {source.name: game.archive_bytes}, "who brought how much to the first receiver")
        expect_equal(finished["bytes_twice"], 0, "bytes that the first receiver fetched twice")
        lost_s = time_of(begun[0]) - time_of(placed) - placed["starts_in_ms"] / 1000
        expect(lost_s <= LIES_COST_S, f"it went on from the source after {lost_s:.1f} s")
        expect_equal(behind.upstreams(), [("relay", first.name)], "upstreams of the second receiver")
        expect(not behind.process.events.all(named("peer-lied")), "a relay passed on what was wrong")
        liars.detach()


def start_lying_relays(stage: Stage, source: Peer, lies: tuple[str, ...]) -> Peer:
    """Relays with these lies, which have the first places of a wave in this order."""
    # What receivers and relays of one stream have in common, with a catalog or without.
    made = source.wait_for_event("packing-list-made", stage.deadline)
    arguments = ["--source", source.address, "--listen", f"0.0.0.0:{PORT}", "--game", GAME, "--version", VERSION]
    arguments += ["--manifest", made["manifest"]]
    for lie in lies:
        arguments += ["--lie", lie]
    liars = stage.start_double(f"{source.name}-relays", LYING_RELAY, arguments)
    liars.wait_for_event("lying-relay-ready", stage.deadline)
    return liars
