"""Measures a download from one source against nginx and curl, on loopback, in the same run.

A game of one archive of random bytes is made once and kept in target/bench. Each round then does, one after the other
and with a warm page cache:

    download        from a fresh source into a fresh folder; checks every chunk, and ends with syncfs, as every download
    curl            the same file from nginx (sendfile, one worker, no log) into a fresh folder; then, timed apart,
                    `sync -f`
    cp              of the file, then `sync -f`: the disk's share of both

curl leaves its bytes to the page cache, a download does not return before they are on the disk. So there are two
ratios: against curl alone, and against curl + sync. Needs the Debian packages nginx and curl.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench_tools import (
    BENCH_DIR,
    GAME,
    MIB,
    PEER,
    RECEIVER_STATE_DIR,
    VERSION,
    Aim,
    Sample,
    Source,
    Spread,
    emptied,
    high_water_mark,
    sync,
    timed,
    warm,
)
from scenarios.tools import ToolFailed

RATIO_AIM = 1.2
PEAK_AIM_MIB = 64
NGINX_START_SECONDS = 10

NGINX_CONF = """
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def programs() -> tuple[str, str]:
    """nginx and curl, or what to install."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    nginx, curl = (shutil.which(name, path=path) for name in ("nginx", "curl"))
    if nginx is None or curl is None:
        missing = [name for name, where in (("nginx", nginx), ("curl", curl)) if where is None]
        raise ToolFailed(f"not installed: {', '.join(missing)}; `apt-get install {' '.join(missing)}` brings them")
    return nginx, curl


def make_game(size: int) -> Path:
    """The games directory, made when it is not there."""
    games = BENCH_DIR / f"download-{size // MIB}-mb"
    if games.exists():
        return games
    print(f"making a game of {size // MIB} MiB in {games}; this is done once", flush=True)
    root = games.with_suffix(".part") / GAME
    shutil.rmtree(root.parent, ignore_errors=True)
    root.mkdir(parents=True)
    generator = random.Random("lanspread download")
    with (root / f"{GAME}.eti").open("wb") as archive:
        for start in range(0, size, MIB):
            archive.write(generator.randbytes(min(MIB, size - start)))
    (root / "version.ini").write_text(f"{VERSION}\n")
    root.parent.rename(games)
    return games


def download(games: Path) -> tuple[Sample, Sample]:
    """The receiver, and the source's processor time and peak."""
    with Source(games, []) as source:
        target = emptied("download")
        options = ["--games-dir", target, "--peer", source.address, "--state-dir", RECEIVER_STATE_DIR, "--no-discovery"]
        receiver = timed([PEER, "--quiet", "download", GAME, *options])
    return receiver, Sample(receiver.wall_seconds, source.cpu_seconds, source.peak_bytes)


def curl(games: Path, nginx: str, program: str) -> tuple[Sample, Sample, Sample]:
    """curl, the sync after it, and nginx."""
    folder = BENCH_DIR / "nginx"
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=folder, port=port, root=games))
    # Its built-in name for the log of its first moments is outside; it warns and continues.
    server = subprocess.Popen([nginx, "-p", folder, "-c", conf], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        target = emptied("curl")
        url = f"http://127.0.0.1:{port}/{GAME}/{GAME}.eti"
        receiver = timed([program, "--silent", "--show-error", "--fail", "--output", target / f"{GAME}.eti", url])
        synced = sync(target)
        peak = high_water_mark(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(server.pid, 0)
        server.returncode = 0
    return receiver, synced, Sample(receiver.wall_seconds, usage.ru_utime + usage.ru_stime, peak)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + NGINX_START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ToolFailed(f"nginx does not answer; see {BENCH_DIR / 'nginx' / 'error.log'}")


def copy(games: Path) -> tuple[Sample, Sample]:
    target = emptied("copy")
    return timed(["cp", games / GAME / f"{GAME}.eti", target]), sync(target)


def measure(size: int, runs: int) -> dict[str, list[tuple[Sample, ...]]]:
    """All contenders once per round, so that a slow minute of the machine hits all of them."""
    nginx, curl_program = programs()
    games = make_game(size)
    contenders: dict[str, Callable[[], tuple[Sample, ...]]] = {
        "download": lambda: download(games),
        "curl": lambda: curl(games, nginx, curl_program),
        "copy": lambda: copy(games),
    }
    samples: dict[str, list[tuple[Sample, ...]]] = {name: [] for name in contenders}
    for number in range(1, runs + 1):
        for name, contender in contenders.items():
            warm(games)
            samples[name].append(contender())
            # What was written must not push the source's file out of the page cache.
            shutil.rmtree(BENCH_DIR / "out", ignore_errors=True)
        latest = ", ".join(f"{name} {found[-1][0].wall_seconds:.2f} s" for name, found in samples.items())
        print(f"round {number} of {runs}: {latest}", flush=True)
    return samples


def report(samples: dict[str, list[tuple[Sample, ...]]], size: int) -> list[Aim]:
    def line(name: str, seconds: list[float], more: str) -> float:
        spread = Spread.of(seconds)
        print(f"  {name:<14} {spread.seconds()}  {size / MIB / spread.median:6.0f} MiB/s  {more}")
        return spread.median

    def cpu(name: str, part: int) -> str:
        return f"{statistics.median(found[part].cpu_seconds for found in samples[name]):.2f} s"

    print(f"\n{size / MIB:.0f} MiB, medians of {len(samples['download'])} rounds (low … high)\n")
    both = f"cpu source {cpu('download', 1)}, receiver {cpu('download', 0)}"
    ours = line("download", [found[0].wall_seconds for found in samples["download"]], both)
    both = f"cpu nginx {cpu('curl', 2)}, curl {cpu('curl', 0)}"
    alone = line("curl", [found[0].wall_seconds for found in samples["curl"]], both)
    with_sync = [receiver.wall_seconds + sync.wall_seconds for receiver, sync, _ in samples["curl"]]
    synced = line("curl + sync", with_sync, f"sync cpu {cpu('curl', 1)}")
    line("cp", [found[0].wall_seconds for found in samples["copy"]], "")
    line("cp + sync", [sum(part.wall_seconds for part in found) for found in samples["copy"]], "")
    print()
    receiver_peak = max(receiver.peak_bytes for receiver, _ in samples["download"]) / MIB
    source_peak = max(source.peak_bytes for _, source in samples["download"]) / MIB
    return [
        Aim("download / curl", ours / alone, RATIO_AIM),
        Aim("download / (curl + sync)", ours / synced, RATIO_AIM),
        Aim("peak memory of the source", source_peak, PEAK_AIM_MIB, " MiB"),
        Aim("peak memory of the receiver", receiver_peak, PEAK_AIM_MIB, " MiB"),
    ]
