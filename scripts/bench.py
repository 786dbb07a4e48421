#!/usr/bin/env python3
"""Measures a streamed install against `unrar x`, and `bench.py download` a download against nginx and curl.

A streamed install is measured against `unrar x` of the same archive from the local disk.

A game-like solid archive is made once with the real `rar` and kept in target/bench. Each round then does, one after
the other and with a warm page cache:

    install --stream    from a fresh source on loopback into a fresh folder; ends with syncfs, as every install does
    unrar x             from the local disk into a fresh folder, and then, timed apart, `sync -f`
    cp -r               of the unpacked tree into a fresh folder, then `sync -f`: the disk's share of both

`unrar x` leaves its bytes to the page cache, an install does not return before they are on the disk. So there are two
ratios: against `unrar x` alone, and against `unrar x` + sync. Folders are emptied and synced outside the timed part.

For downloads see bench_download.py.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bench_download
from bench_tools import (
    BENCH_DIR,
    GAME,
    KIB,
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
from scenarios.payload import prose, table
from scenarios.tools import PROJECT_DIR, RAR, UNRAR, ToolFailed, fetch_tools, run_tool

DICTIONARY_MIB = 32

# A kind of file and its share of the bytes, smallest and largest size: many small files, most bytes in few large ones.
SIZE_CLASSES = [(0.05, KIB, 64 * KIB), (0.45, 64 * KIB, 4 * MIB), (0.50, 4 * MIB, 64 * MIB)]
# Scripts and texts, vertex and unit tables, media that is compressed already.
KINDS = {"text": 0.25, "table": 0.35, "noise": 0.40}

RATIO_AIM = 1.15
RECEIVER_AIM_MIB = 64
SOURCE_AIM_MIB = 128 + DICTIONARY_MIB


# ---- The game --------------------------------------------------------------------------------------------------------


def make_game(size: int) -> tuple[Path, Path]:
    """The unpacked tree and the games directory with its archive, made when they are not there."""
    folder = BENCH_DIR / f"game-{size // MIB}-mb"
    tree, games = folder / "tree", folder / "games"
    if games.exists():
        return tree, games
    print(f"making a game of {size // MIB} MiB in {folder}; this is done once", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    tree.mkdir(parents=True)
    for number, (kind, length) in enumerate(plan_files(size)):
        write_file(tree / kind / f"{number // 100:02}" / f"{number:05}.bin", kind, length)
    root = folder / "games.part" / GAME
    root.mkdir(parents=True)
    switches = ["-cfg-", "-idq", "-y", "-s", "-m3", f"-md{DICTIONARY_MIB}m", "-r"]
    run_tool(RAR, "a", *switches, root / f"{GAME}.rar", ".", cwd=tree)
    (root / f"{GAME}.rar").rename(root / f"{GAME}.eti")
    (root / "version.ini").write_text(f"{VERSION}\n")
    root.parent.rename(games)
    return tree, games


def plan_files(size: int) -> list[tuple[str, int]]:
    """Kind and length of every file. Sizes are spread evenly over the magnitudes of their class."""
    generator = random.Random("lanspread bench")
    files = []
    for share, smallest, largest in SIZE_CLASSES:
        left = int(size * share)
        while left > 0:
            length = min(left, int(smallest * (largest / smallest) ** generator.random()))
            files.append((generator.choices(list(KINDS), list(KINDS.values()))[0], length))
            left -= length
    generator.shuffle(files)
    return files


def write_file(path: Path, kind: str, length: int) -> None:
    """Block by block, so that this process stays small: the memory of its children is measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, length, MIB):
            block = min(MIB, length - start)
            generator = random.Random(f"{path.name}/{start}")
            match kind:
                case "text":
                    file.write(prose(generator, block, heading=f"{path.name} {start}"))
                case "table":
                    file.write(table(generator, rows=block // 20 + 1)[:block])
                case _:
                    file.write(generator.randbytes(block))


# ---- Measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StreamSample:
    """One streamed install: both peers."""

    receiver: Sample
    source: Sample


def stream(games: Path, provider: str) -> StreamSample:
    """One streamed install from a source of its own."""
    with Source(games, ["--unrar", UNRAR] if provider == "unrar" else []) as source:
        target = emptied("stream")
        options = ["--games-dir", target, "--peer", source.address, "--state-dir", RECEIVER_STATE_DIR, "--json"]
        receiver = timed([PEER, "install", "--stream", GAME, *options])
    # With an external decoder: the larger of the two processes' peaks, and the processor time of both.
    peak = max(source.peak_bytes, source.peak_of_children_bytes if provider == "unrar" else 0)
    return StreamSample(receiver, Sample(receiver.wall_seconds, source.cpu_seconds, peak))


def unrar(games: Path) -> tuple[Sample, Sample]:
    target = emptied("unrar")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    archive = games / GAME / f"{GAME}.eti"
    return timed([UNRAR, "x", "-cfg-", "-idq", "-o+", archive, f"{target}/"], env=environment), sync(target)


def copy(tree: Path) -> tuple[Sample, Sample]:
    target = emptied("copy")
    return timed(["cp", "-r", tree, target]), sync(target)


# ---- Report ----------------------------------------------------------------------------------------------------------


def measure(games: Path, tree: Path, providers: list[str], runs: int) -> dict[str, list[Any]]:
    """All contenders once per round, so that a slow minute of the machine hits all of them."""
    contenders: dict[str, Callable[[], object]] = {
        **{f"stream-{provider}": functools.partial(stream, games, provider) for provider in providers},
        "unrar": lambda: unrar(games),
        "copy": lambda: copy(tree),
    }
    samples: dict[str, list[Any]] = {name: [] for name in contenders}
    warm(games, tree)
    for number in range(1, runs + 1):
        for name, contender in contenders.items():
            samples[name].append(contender())
        latest = ", ".join(f"{name} {wall(found[-1]):.2f} s" for name, found in samples.items())
        print(f"round {number} of {runs}: {latest}", flush=True)
    return samples


def wall(sample: StreamSample | tuple[Sample, Sample]) -> float:
    return sample.receiver.wall_seconds if isinstance(sample, StreamSample) else sample[0].wall_seconds


def report(samples: dict[str, list[Any]], providers: list[str], unpacked: int, packed: int) -> list[Aim]:
    rounds = len(samples["unrar"])
    print(
        f"\n{unpacked / MIB:.0f} MiB unpacked, {packed / MIB:.0f} MiB packed, medians of {rounds} rounds (low … high)\n"
    )
    for name in ("unrar", "copy"):
        program = {"unrar": "unrar x", "copy": "cp -r"}[name]
        alone, synced = zip(*samples[name], strict=True)
        both = [one.wall_seconds + other.wall_seconds for one, other in samples[name]]
        cpu = statistics.median(sample.cpu_seconds for sample in alone)
        print(f"  {program:<22} {Spread.of(s.wall_seconds for s in alone).seconds()}  cpu {cpu:.2f} s")
        print(
            f"  {program + ' + sync':<22} {Spread.of(both).seconds()}"
            f"  sync alone {statistics.median(s.wall_seconds for s in synced):.2f} s"
        )
    aims = []
    reference = statistics.median(wall(sample) for sample in samples["unrar"])
    reference_synced = statistics.median(one.wall_seconds + other.wall_seconds for one, other in samples["unrar"])
    for provider in providers:
        found: list[StreamSample] = samples[f"stream-{provider}"]
        spread = Spread.of(wall(sample) for sample in found)
        source_cpu = statistics.median(sample.source.cpu_seconds for sample in found)
        receiver_cpu = statistics.median(sample.receiver.cpu_seconds for sample in found)
        print(
            f"  {f'stream, {provider}':<22} {spread.seconds()}  cpu source {source_cpu:.2f} s,"
            f" receiver {receiver_cpu:.2f} s;  {unpacked / MIB / spread.median:.0f} MiB/s"
        )
        source_peak = max(sample.source.peak_bytes for sample in found) / MIB
        receiver_peak = max(sample.receiver.peak_bytes for sample in found) / MIB
        aims += [
            Aim(f"{provider}: time / unrar x", spread.median / reference, RATIO_AIM),
            Aim(f"{provider}: time / (unrar x + sync)", spread.median / reference_synced, RATIO_AIM),
            Aim(f"{provider}: peak memory of the source", source_peak, SOURCE_AIM_MIB, " MiB"),
            Aim(f"{provider}: peak memory of the receiver", receiver_peak, RECEIVER_AIM_MIB, " MiB"),
        ]
    print()
    return aims


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["install", "download"], nargs="?", default="install")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="rounds (default: 5)")
    sizes = "size of the game (default: 500 for an install, 2048 for a download)"
    parser.add_argument("--size-mb", type=int, metavar="N", help=sizes)
    parser.add_argument("--provider", choices=["native", "unrar", "both"], default="both", help="decoder of the source")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--check", action="store_true", help="exit 1 when an aim is not met")
    options = parser.parse_args()
    options.size_mb = options.size_mb or {"install": 500, "download": 2048}[options.what]
    if options.runs < 1 or options.size_mb < 1:
        parser.error("--runs and --size-mb start at 1")
    return options


def main() -> int:
    options = arguments()
    try:
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bins"], cwd=PROJECT_DIR, check=True)
        BENCH_DIR.mkdir(parents=True, exist_ok=True)
        aims, found = (install if options.what == "install" else download)(options)
    except (ToolFailed, OSError, subprocess.CalledProcessError) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(BENCH_DIR / "out", ignore_errors=True)
    for aim in aims:
        print(aim.line())
    floor = high_water_mark("self") / MIB
    print(f"\npeaks of programs that have ended are not known below {floor:.0f} MiB, this program's own peak")
    if options.json:
        verdicts = [{**asdict(aim), "is_met": aim.is_met} for aim in aims]
        options.json.write_text(json.dumps({**found, "aims": verdicts}, indent=2) + "\n")
    return 1 if options.check and not all(aim.is_met for aim in aims) else 0


def install(options: argparse.Namespace) -> tuple[list[Aim], dict[str, Any]]:
    providers = ["native", "unrar"] if options.provider == "both" else [options.provider]
    fetch_tools()
    tree, games = make_game(options.size_mb * MIB)
    unpacked, packed = bytes_below(tree), bytes_below(games)
    samples = measure(games, tree, providers, options.runs)
    aims = report(samples, providers, unpacked, packed)
    plain = {
        name: [asdict(s) if isinstance(s, StreamSample) else [asdict(part) for part in s] for s in found]
        for name, found in samples.items()
    }
    return aims, {"unpacked_bytes": unpacked, "packed_bytes": packed, "samples": plain}


def download(options: argparse.Namespace) -> tuple[list[Aim], dict[str, Any]]:
    samples = bench_download.measure(options.size_mb * MIB, options.runs)
    aims = bench_download.report(samples, options.size_mb * MIB)
    plain = {name: [[asdict(part) for part in parts] for parts in found] for name, found in samples.items()}
    return aims, {"bytes": options.size_mb * MIB, "samples": plain}


if __name__ == "__main__":
    sys.exit(main())
