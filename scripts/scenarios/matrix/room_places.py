"""Who is fed by whom in a room: several sources, late machines, and ones that cannot be reached."""

from __future__ import annotations

from ..contract import IN_PAIRS, scenario
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..peer import PORT
from ..rooms import (
    WINDOW_MIB,
    Receiver,
    Room,
    limit_processor,
    longest_s,
    make_room_game,
    start_room_source,
    time_of,
    wait_for_progress,
    wait_until_placed,
)
from ..slow_machine import SlowMachine
from ..stage import Stage

SOURCE_BYTES_PER_SECOND = 1_500_000
RECEIVER_BYTES_PER_SECOND = 2 * SOURCE_BYTES_PER_SECOND

# --- S73 ---
TWO_SOURCES_RATIO_MAX = 0.55
ROOM_RATIO_MAX = 0.65
SHARE_MIN = 0.4
SLOWED_RATIO_MAX = 1.1


@scenario(
    "S73",
    "Several sources, one stream",
    claim=f"Two sources feed one stream in at most {TWO_SOURCES_RATIO_MAX:g} of the time of one, each with at least "
    f"{SHARE_MIN:.0%} of it, and a room of eight in at most {ROOM_RATIO_MAX:g} of that time. A second source with a "
    f"tenth of the speed makes it at most {SLOWED_RATIO_MAX:g} times as long.",
    conditions=f"Sources send {SOURCE_BYTES_PER_SECOND} bytes a second, and receivers twice as much. One receiver has "
    "one source; at the same time another one has one source and a slow one. Then eight receivers have two sources "
    "(S86).",
    time_limit_s=180,
    most_at_once=IN_PAIRS,
)
def several_sources(stage: Stage) -> None:
    game = make_room_game(stage, 30_000_000)
    rates = {name: SOURCE_BYTES_PER_SECOND for name in ("a-one", "b-fast", "d-left", "e-right")}
    rates["c-slow"] = SOURCE_BYTES_PER_SECOND // 10
    sources = {name: start_room_source(stage, name, game.copy(stage, name), rate) for name, rate in rates.items()}
    room = Room(stage, game, rate=RECEIVER_BYTES_PER_SECOND)
    single, beside = room.prepare("single"), room.prepare("beside-slow")
    seats = [room.prepare(f"seat-{number}") for number in range(8)]

    single_one = room.begin(single, [sources["a-one"]])
    beside_slow = room.begin(beside, [sources["b-fast"], sources["c-slow"]])
    room.finish([single_one, beside_slow])
    eight = [room.begin(seat, [sources["d-left"], sources["e-right"]]) for seat in seats]
    room.finish(eight)
    [head] = [receiver for receiver in eight if wait_until_placed(stage, receiver)["position"] == 0]

    one_s = single_one.duration_s
    stage.figures.append(
        f"one source {one_s:.2f} s; with a slow one {beside_slow.duration_s / one_s:.2f} of that; two sources: head "
        f"{head.duration_s / one_s:.2f}, room of eight {longest_s(eight) / one_s:.2f}"
    )
    for source in ("d-left", "e-right"):
        ended = head.process.events.all(named("upstream-end", upstream=source))
        share = sum(event["bytes"] for event in ended) / game.archive_bytes
        expect(share >= SHARE_MIN, f"{source} sent {share:.0%} of the archive")
    expect(
        head.duration_s <= TWO_SOURCES_RATIO_MAX * one_s, f"two sources took {head.duration_s:.2f} s, one {one_s:.2f}"
    )
    expect(longest_s(eight) <= ROOM_RATIO_MAX * one_s, f"eight took {longest_s(eight):.2f} s with two sources")
    slowed = beside_slow.duration_s
    expect(slowed <= SLOWED_RATIO_MAX * one_s, f"with a slow source it took {slowed:.2f} s, without {one_s:.2f}")


# --- S78 ---
# Of a game of 172 chunks, those with which the source measures its link are a thirtieth.
LATE_RATIO_MAX = 1.1
OWN_WAVE_S_MAX = 1.0
# What a wave that came late may have when the one before it is over, if the link of the source is busy.
LATE_SHARE_MAX = 0.15


@scenario(
    "S78",
    "Late joiner",
    claim="A receiver that comes when the first chunk is gone begins a wave of its own at once, and the next one "
    "joins that. If the source's link is busy, they are sent little until the wave under way is over, which takes at "
    f"most {LATE_RATIO_MAX:g} times as long as one receiver alone. If the link has room, the late one takes at most "
    f"{OWN_WAVE_S_MAX:g} s longer than one receiver alone.",
    conditions=f"Windows of {WINDOW_MIB} MiB. One receiver alone. Then a source that sends no more than its first "
    "receiver takes; and one with twice the link, whose first receiver has so slow a processor that the link is idle "
    "most of the time.",
    time_limit_s=180,
)
def late_joiner(stage: Stage) -> None:
    rate = 2_400_000
    game = make_room_game(stage, 45_000_000)
    busy = start_room_source(stage, "busy", game.copy(stage, "busy"), rate)
    idle = start_room_source(stage, "idle", game.copy(stage, "idle"), 2 * rate)
    room = Room(stage, game, rate=rate)
    names = ("single", "first", "late", "later", "slow", "other-late")
    single, first, late, later, slow, other_late = (room.prepare(name) for name in names)

    one = room.begin(single, [busy])
    room.finish([one])
    early = room.begin(first, [busy])
    hindered = room.begin(slow, [idle])
    wait_for_progress(stage, hindered, 0.05)
    limit_processor(hindered.machine, 0.02)
    wait_for_progress(stage, early, 0.6)
    held = room.begin(late, [busy])
    expect_equal(wait_until_placed(stage, held)["position"], 0, "position in a wave of its own at a busy source")
    joined = room.begin(later, [busy])
    expect_equal(wait_until_placed(stage, joined)["relays"], [held.name], "relays of one that is still later")
    stage.finish(early.process, 0, f"the install of {early.name}")
    had, total = _unpacked(held)
    alone = room.begin(other_late, [idle])
    room.finish([early, alone])
    limit_processor(hindered.machine, 2)
    room.finish([held, joined, hindered])
    expect_equal(wait_until_placed(stage, alone)["position"], 0, "position in a wave of its own")
    for receiver in (held, joined, alone):
        expect(not receiver.process.events.all(named("queued")), f"{receiver.name} had to wait for a place")
    stage.figures.append(
        f"one alone {one.duration_s:.2f} s; the wave under way {early.duration_s / one.duration_s:.3f} of that, when "
        f"the late one had {had / total:.0%} of the game; own wave {alone.duration_s:.2f} s"
    )
    limit_s, own_s = LATE_RATIO_MAX * one.duration_s, one.duration_s + OWN_WAVE_S_MAX
    expect(early.duration_s <= limit_s, f"the wave under way took {early.duration_s:.2f} s, not {limit_s:.2f}")
    expect(had <= LATE_SHARE_MAX * total, f"the late one had {had} of {total} bytes when the wave under way ended")
    expect(alone.duration_s <= own_s, f"a wave of its own took {alone.duration_s:.2f} s, not {own_s:.2f}")


# --- S87 ---
RELAY_PORT = PORT + 1
REPLACED_WITHIN_S = 2.0


@scenario(
    "S87",
    "Blocked port",
    claim="If a receiver cannot be reached, the one behind it gives it up within "
    f"{REPLACED_WITHIN_S:g} s and goes on elsewhere, and later ones are not sent to it.",
    conditions="Three receivers, one after the other. Packets to the port at which the first would be followed are "
    "dropped.",
    time_limit_s=120,
)
def blocked_port(stage: Stage) -> None:
    game = make_room_game(stage, 12_000_000)
    source = start_room_source(stage, "source", game.root.parent, 1_000_000)
    room = Room(stage, game, rate=2_000_000)
    seats = [room.prepare(f"seat-{number}") for number in range(3)]
    seats[0][1].drop_packets("INPUT", "--destination-port", str(RELAY_PORT))
    listen = ["--listen", f"0.0.0.0:{RELAY_PORT}"]
    blocked = room.begin(seats[0], [source], options=listen)
    wait_until_placed(stage, blocked)
    second = room.begin(seats[1], [source], options=listen)
    placed = wait_until_placed(stage, second)
    expect_equal(placed["relays"], [blocked.name], "relays of the second receiver")
    begun = second.process.wait_for_event("upstream-begin", stage.deadline)
    expect_equal((begun["kind"], begun["upstream"]), ("source", source.name), "upstream of the second receiver")
    left = second.process.events.all(named("upstream-end"))[0]
    expect_equal((left["upstream"], left["code"]), (blocked.name, "unreachable"), "upstream that was left")
    took = time_of(left) - time_of(placed) - placed["starts_in_ms"] / 1000
    third = room.begin(seats[2], [source], options=listen)
    expect_equal(wait_until_placed(stage, third)["relays"], [second.name], "relays of the third receiver")
    room.finish()
    stage.figures.append(f"the second receiver gave the first up after {took:.2f} s")
    expect(blocked.process.dropped_packets() > 0, "no packet was dropped: nothing was tested")
    expect(took <= REPLACED_WITHIN_S, f"it took {took:.2f} s to give it up")
    expect_equal(third.upstreams()[0], ("relay", second.name), "upstream of the third receiver")


# --- S77 ---
SLOW_BYTES_PER_SECOND = 2_000_000
SLOW_RATIO_MAX = 1.1
SLOW_ROOM = 4
# It has less than this of the game when the others have all of it.
SLOW_SHARE_MAX = 0.9


@scenario(
    "S77",
    "Slow machine",
    claim="If a machine in a room unpacks at half the pace of its link, the one behind it goes on from another "
    f"upstream. The others take at most {SLOW_RATIO_MAX:g} times as long as without a slow one, and the slow one ends "
    "byte for byte in the same attempt.",
    conditions=f"Two rooms at the same time, each with a source and {SLOW_ROOM} receivers with windows of {WINDOW_MIB} "
    "MiB. In one of them, each write of the second receiver waits, so that it unpacks at half the pace, until the "
    f"others have ended. Receivers send {SLOW_BYTES_PER_SECOND} bytes a second, and sources twice as much.",
    time_limit_s=240,
)
def slow_machine(stage: Stage) -> None:
    game = make_room_game(stage, 100_000_000)
    rate = 2 * SLOW_BYTES_PER_SECOND
    source = start_room_source(stage, "source", game.root.parent, rate)
    source_of_alike = start_room_source(stage, "of-alike", game.copy(stage, "of-alike"), rate)
    room = Room(stage, game, rate=SLOW_BYTES_PER_SECOND)
    alike = room.begin_together(SLOW_ROOM, [source_of_alike], prefix="alike")
    chain = room.begin_together(SLOW_ROOM, [source], can_be_traced=True)
    slow, behind = chain[1:3]
    others = [receiver for receiver in chain if receiver is not slow]
    wait_for_progress(stage, slow, 0.02)
    pid = slow.machine.pid_of(slow.process.arguments)
    half = SLOW_BYTES_PER_SECOND / 2
    # Content is twice as large as its archive.
    with SlowMachine(slow.machine, pid, 2 * half):
        for receiver in others:
            stage.finish(receiver.process, 0, f"the install of {receiver.name}")
        unpacked, total = _unpacked(slow)
    room.finish()

    ratio = longest_s(others) / longest_s(alike)
    left = behind.process.events.all(named("upstream-end", upstream=slow.name))
    stage.figures.append(
        f"{longest_s(alike):.1f} s without a slow one, {longest_s(others):.1f} s with one ({ratio:.3f}); it had "
        f"{unpacked / total:.0%} of the game then; upstreams of it {_names(slow)}, of the one behind it "
        f"{_names(behind)}"
    )
    expect(unpacked <= SLOW_SHARE_MAX * total, f"the slow one had {unpacked} of {total} bytes when the others ended")
    expect_equal(behind.upstreams()[0], ("relay", slow.name), "first upstream of the one behind the slow one")
    expect_equal([event["code"] for event in left], ["relay-slow"], "why the slow one was left")
    expect(ratio <= SLOW_RATIO_MAX, f"with a slow one {longest_s(others):.1f} s, without {longest_s(alike):.1f} s")


def _unpacked(receiver: Receiver) -> tuple[int, int]:
    """How many bytes of the game it has unpacked, and how many there are."""
    progress: list[Event] = receiver.process.events.all(named("stream-progress"))
    return progress[-1]["bytes"], progress[-1]["bytes_total"]


def _names(receiver: Receiver) -> str:
    return ", ".join(name for _, name in receiver.upstreams())
