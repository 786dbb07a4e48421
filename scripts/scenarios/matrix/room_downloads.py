"""A room that downloads: receivers pass the archives on to each other while they store them."""

from __future__ import annotations

import signal
from pathlib import Path

from ..contract import scenario
from ..download_checks import CHUNK_BYTES, wait_for_bytes
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import Machine, Peer
from ..rooms import GAME, LINK_BYTES_PER_SECOND, WINDOW_MIB, Room, make_room_game, sent_bytes, start_room_source
from ..stage import Stage
from ..trees import sha256

SEATS = 5
INSTALLS = 1
KILLED = 2

# Of what the source sends in all, against the archive: once through the wave, and to the killed one what it lacks.
SENT_RATIO_MAX = 1.7


@scenario(
    "S100",
    "Room that downloads",
    claim="Receivers that download a game at once form a chain, and so do those that install it: each but the first "
    "has it from a receiver, byte for byte and verified. If one is killed, its follower goes on from the one before "
    "it. When it is started again, it keeps the chunks that it had recorded, and takes the rest from the source.",
    conditions=f"One source and {SEATS} receivers with windows of {WINDOW_MIB} MiB; every machine sends "
    f"{LINK_BYTES_PER_SECOND} bytes a second. The second one runs `install --stream`, the others `download`. The "
    "process of the third is killed (SIGKILL) when its first chunk of 16 MiB is recorded, and the command is given "
    "again when the others have ended.",
    time_limit_s=180,
)
def room_that_downloads(stage: Stage) -> None:
    game = make_room_game(stage, 45_000_000)
    source = start_room_source(stage, "source", game.root.parent, LINK_BYTES_PER_SECOND)
    room = Room(stage, game)
    sent = sent_bytes(source.machine)
    seats: list[tuple[str, Machine, Peer]] = []
    for number in range(SEATS):
        prepared = room.prepare(f"seat-{number}")
        if number == INSTALLS:
            installing = room.begin(prepared, [source])
            seats.append((installing.name, installing.machine, installing.process))
        else:
            name, machine, _ = prepared
            seats.append((name, machine, download(stage, name, machine, source)))
    placed = {
        process.wait_for_event("packed-placed", stage.deadline)["position"]: (name, machine, process)
        for name, machine, process in seats
    }
    chain = [placed[position] for position in sorted(placed)]
    expect_equal(sorted(placed), list(range(SEATS)), "positions in the wave")

    downloads = [seat for seat in chain if seat[2] is not installing.process]
    name, machine, killed = downloads[KILLED]
    wait_for_bytes(stage, killed, CHUNK_BYTES + 1024 * 1024)
    machine.signal(signal.SIGKILL, killed.arguments)
    room.finish([installing])
    lasting = [seat for seat in downloads if seat[2] is not killed]
    for other, _, process in lasting:
        stage.finish(process, 0, f"the download of {other}")
    sent_to_room = sent_bytes(source.machine) - sent

    source.limit_sending(4 * LINK_BYTES_PER_SECOND)
    again = download(stage, f"{name}-again", machine, source)
    stage.finish(again, 0, f"the second download of {name}")
    sent_in_all = sent_bytes(source.machine) - sent
    stage.figures.append(
        f"the source sent {sent_to_room / game.archive_bytes:.2f} of the archive to the room, and "
        f"{sent_in_all / game.archive_bytes:.2f} in all"
    )

    for other, _, _ in downloads:
        expect_equal(contents(stage.games_dir(other) / GAME), contents(game.root), f"what {other} downloaded")
    for other, _, process in [*lasting, (name, machine, again)]:
        finished = process.events.all(named("download-finished"))
        expect_equal([event["trust"] for event in finished], ["verified"], f"what {other} reports")
    for position, (other, _, process) in enumerate(chain):
        kinds = [event["kind"] for event in process.events.all(named("upstream-begin"))]
        expect_equal(kinds[:1], ["relay" if position else "source"], f"the first upstream of {other}")
    expect(killed is not chain[-1][2], "the killed one was the last of the chain")
    kept = [event["bytes_kept"] for event in again.events.all(named("download-begin"))]
    expect_equal(kept, [CHUNK_BYTES], "bytes that the killed one kept")
    expect_equal(again.events.all(named("upstream-begin")), [], "upstreams of the second download")
    expect(
        sent_in_all <= SENT_RATIO_MAX * game.archive_bytes,
        f"the source sent {sent_in_all} bytes; the archive has {game.archive_bytes}",
    )


def contents(root: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in root.iterdir()}


def download(stage: Stage, name: str, machine: Machine, source: Peer) -> Peer:
    return stage.start_operation(
        ["download", GAME], machine, [source], name=name, options=["--window", str(WINDOW_MIB)]
    )
