"""A room of receivers: they take the time of one, and the source sends the game once."""

from __future__ import annotations

from ..contract import IN_PAIRS, scenario
from ..expectations import expect, expect_equal
from ..peer import Peer
from ..rooms import (
    DICTIONARY_MIB,
    WINDOW_MIB,
    Room,
    Sampler,
    cpu_s,
    longest_s,
    make_room_game,
    nothing_stored,
    pid_here,
    sent_bytes,
    start_room_source,
)
from ..stage import Stage
from ..trees import manifest

ARCHIVE_BYTES = 45_000_000
LINK_BYTES_PER_SECOND = 2_000_000
RECEIVERS = 8

# Against one receiver in the same run.
TIME_RATIO_MAX = 1.10
CPU_RATIO_MAX = 1.2
# Of what the source sends, against the archive: it also sends headers, and some packets twice.
SENT_RATIO_MAX = 1.05

MEMORY_BYTES_MAX = (WINDOW_MIB + DICTIONARY_MIB + 32) * 1024 * 1024


class Work:
    """What a source does from now on."""

    def __init__(self, source: Peer) -> None:
        self._machine = source.machine
        self._pid = pid_here(source.machine, ["serve"])
        self._before = self._all()

    def done(self) -> tuple[float, int]:
        """Seconds of processor time, and bytes that it has sent."""
        (worked, sent), (worked_before, sent_before) = self._all(), self._before
        return worked - worked_before, sent - sent_before

    def _all(self) -> tuple[float, int]:
        return cpu_s(self._pid), sent_bytes(self._machine)


@scenario(
    "S74",
    "Room of eight",
    claim=f"{RECEIVERS} receivers take at most {TIME_RATIO_MAX:g} times as long as one. The source sends the archive "
    f"once, works at most {CPU_RATIO_MAX:g} times as much, and needs less memory than the dictionary alone. Every "
    "receiver but one had an upstream that is a receiver. None has the archive on its disk, whole or in part, and each "
    "needs no more memory than its window, the dictionary and 32 MiB.",
    conditions=f"A source with one receiver, and at the same time another one with {RECEIVERS} that begin together; "
    f"every machine sends {LINK_BYTES_PER_SECOND} bytes a second. Windows of {WINDOW_MIB} MiB for an archive of "
    f"{ARCHIVE_BYTES} bytes. Memory, bytes written and what is in open files are sampled every 100 ms. This run is "
    "also S84, about what is stored.",
    time_limit_s=180,
    most_at_once=IN_PAIRS,
)
def room_of_eight(stage: Stage) -> None:
    game = make_room_game(stage, ARCHIVE_BYTES)
    source = start_room_source(stage, "source", game.root.parent, LINK_BYTES_PER_SECOND)
    source_of_one = start_room_source(stage, "of-one", game.copy(stage, "of-one"), LINK_BYTES_PER_SECOND)
    room = Room(stage, game, rate=LINK_BYTES_PER_SECOND)
    alone, *prepared = [room.prepare(f"seat-{number}") for number in range(RECEIVERS + 1)]

    works = [Work(source_of_one), Work(source)]
    with Sampler() as sampler:
        sampler.watch(source.name, pid_here(source.machine, ["serve"]))
        one = room.begin(alone, [source_of_one])
        eight = [room.begin(each, [source]) for each in prepared]
        for receiver in eight:
            receiver.process.wait_for_event("stream-install-begin", stage.deadline)
            sampler.watch(receiver.name, pid_here(receiver.machine, ["install", "--stream"]))
        for receiver in [one, *eight]:
            stage.finish(receiver.process, 0, f"the install of {receiver.name}")
    (worked_for_one, sent_to_one), (worked_for_eight, sent_to_eight) = (work.done() for work in works)
    room.finish()

    times = longest_s([one]), longest_s(eight)
    memory = max(sampler.memory_peaks[receiver.name] for receiver in eight)
    source_memory = sampler.memory_peaks[source.name]
    stage.figures.append(
        f"one {times[0]:.2f} s, {RECEIVERS} {times[1]:.2f} s ({times[1] / times[0]:.2f}); the source sent "
        f"{sent_to_one / game.archive_bytes:.3f} and {sent_to_eight / game.archive_bytes:.3f} of the archive and "
        f"worked {worked_for_one:.2f} and {worked_for_eight:.2f} s; memory of a receiver {memory / 2**20:.1f} MiB, of "
        f"the source {source_memory / 2**20:.1f} MiB"
    )
    tree = manifest(game.reference)
    watched = sorted({*sampler.written} - {source.name})
    expect_equal(watched, sorted(receiver.name for receiver in eight), "receivers that were watched")
    for receiver in eight:
        nothing_stored(receiver, sampler, tree)
    from_relays = [receiver for receiver in eight if any(kind == "relay" for kind, _ in receiver.upstreams())]
    expect_equal(len(from_relays), RECEIVERS - 1, "receivers with an upstream that is a receiver")
    dictionary = DICTIONARY_MIB * 1024 * 1024
    expect(source_memory < dictionary, f"the source needed {source_memory} bytes of memory: it may have decoded")
    expect(memory <= MEMORY_BYTES_MAX, f"a receiver needed {memory} bytes of memory; {MEMORY_BYTES_MAX} are the bound")
    expect(
        sent_to_eight <= SENT_RATIO_MAX * game.archive_bytes,
        f"the source sent {sent_to_eight} bytes; the archive has {game.archive_bytes}",
    )
    expect(
        worked_for_eight <= CPU_RATIO_MAX * worked_for_one + 0.1,
        f"the source worked {worked_for_eight:.2f} s for {RECEIVERS} and {worked_for_one:.2f} s for one",
    )
    expect(times[1] <= TIME_RATIO_MAX * times[0], f"{RECEIVERS} receivers took {times[1]:.2f} s, one {times[0]:.2f} s")
