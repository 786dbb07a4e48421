"""How fast one download is. The speed is reported, not judged; what is judged is whether the figures are true."""

from __future__ import annotations

import socket
import threading
import time
from datetime import datetime
from pathlib import Path

from ..contract import ALONE, scenario
from ..docker import docker
from ..download_checks import CHUNK_BYTES, download_is_whole, start_download
from ..events import Event, named
from ..expectations import CheckFailed, Deadline, expect, expect_equal
from ..games import MarkedGame, marked_game
from ..peer import GAMES
from ..stage import Stage

# 2 GiB.
ARCHIVE_BYTES = 128 * CHUNK_BYTES

# An event says when it was printed, which may be this long after what it is about.
_PRINTING_S = 1.0

# Of one figure against another one that was rounded to milliseconds.
_ROUNDING = 0.01

_MIB = 1024 * 1024

# Takes all that comes, sees it on the disk, and says so.
_TAKE = f"""
exec 3<>"/dev/tcp/$0/$1"
cat <&3 >{GAMES}/raw-copy
sync {GAMES}/raw-copy
echo done >&3
"""


@scenario(
    "S37",
    "Single-source throughput",
    claim="Duration, rate and byte counts of a 2 GiB download agree with each other and with the clock of this "
    "machine. The rate is reported beside that of a raw TCP copy in the same run.",
    conditions="One source and one receiver, while nothing else runs. The archive is sparse at the source, marked "
    "every 64 KiB, and written to the receiver's disk in full. The raw copy is of the same file, over the same "
    "network, to the same disk, and is synced as the download is.",
    time_limit_s=240,
    most_at_once=ALONE,
    with_this_machine=True,
)
def throughput(stage: Stage) -> None:
    game = marked_game(stage, ["source"], {"archive.eti": ARCHIVE_BYTES})
    source = game.start(stage, "source")
    received = stage.games_dir("receiver")
    begun = time.monotonic()
    receiver = start_download(stage, game, received, [source])
    receiver.wait_for_exit(stage.deadline, "the download")
    elapsed_s = time.monotonic() - begun
    receiver.expect_exit(0)
    download_is_whole(stage, receiver, received, game, [source])
    finished = receiver.events.all(named("download-finished"))[0]
    _figures_agree(receiver.events.window(), finished, elapsed_s)
    (received / game.game / "archive.eti").unlink()
    raw_rate = _raw_copy_rate(stage, game)
    rate = finished["bytes_per_second"]
    stage.figures.append(
        f"{finished['bytes_fetched']} bytes in {finished['duration_ms'] / 1000:.2f} s, {rate / _MIB:.0f} MiB/s; "
        f"raw TCP copy of the same run {raw_rate / _MIB:.0f} MiB/s ({100 * rate / raw_rate:.0f} %)"
    )


def _figures_agree(events: list[Event], finished: Event, elapsed_s: float) -> None:
    fetched, duration_s, rate = (
        finished["bytes_fetched"],
        finished["duration_ms"] / 1000,
        finished["bytes_per_second"],
    )
    expect(fetched > ARCHIVE_BYTES, f"only {fetched} bytes were fetched")
    expect(
        abs(rate * duration_s - fetched) <= _ROUNDING * fetched, f"{rate} a second for {duration_s} s is not {fetched}"
    )
    expect(duration_s <= elapsed_s, f"it says {duration_s} s, and the whole command took {elapsed_s:.3f} s")
    began = next(event for event in events if event["event"] == "download-begin")
    between_s = _time_of(finished) - _time_of(began)
    expect(
        between_s - _PRINTING_S <= duration_s <= between_s + elapsed_s - duration_s + _PRINTING_S,
        f"it says {duration_s} s, and begin and end are {between_s:.3f} s apart",
    )
    progress = [event for event in events if event["event"] == "download-progress"]
    expect(len(progress) >= 2, "too little progress was reported to compare the rate with")
    counts = [event["bytes"] for event in progress]
    expect_equal(counts, sorted(counts), "order of the byte counts")
    for earlier, later in zip(progress, progress[1:], strict=False):
        expect(_time_of(later) >= _time_of(earlier), "progress was reported out of order")


def _time_of(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def _raw_copy_rate(stage: Stage, game: MarkedGame) -> float:
    """Bytes a second of the same file through a plain socket into a file on the same disk, synced."""
    archive = game.roots["source"] / "archive.eti"
    copies = stage.games_dir("raw-copy")
    machine = stage.machine("raw-copy", copies)
    with socket.create_server((stage.gateway(), 0)) as listener:
        listener.settimeout(stage.deadline.remaining())
        seconds: list[float] = []
        sender = threading.Thread(target=_send_file, args=(listener, archive, stage.deadline, seconds), daemon=True)
        sender.start()
        host, port = listener.getsockname()
        remaining_s = stage.deadline.check("the raw copy")
        docker("exec", machine.container, "bash", "-c", _TAKE, host, str(port), timeout_s=remaining_s)
        sender.join(stage.deadline.check("the end of the raw copy"))
    copy = copies / "raw-copy"
    expect_equal(copy.stat().st_size, archive.stat().st_size, "bytes of the raw copy")
    copy.unlink()
    if not seconds:
        raise CheckFailed("the raw copy never ended")
    return ARCHIVE_BYTES / seconds[0]


def _send_file(listener: socket.socket, file: Path, deadline: Deadline, seconds: list[float]) -> None:
    connection, _ = listener.accept()
    with connection, file.open("rb") as content:
        connection.settimeout(deadline.remaining())
        begun = time.monotonic()
        connection.sendfile(content)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(16).startswith(b"done"):
            seconds.append(time.monotonic() - begun)
