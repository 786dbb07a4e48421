#!/usr/bin/env python3
"""Measures a room: 1, 4, 8 and 16 receivers of one game, each in a container with a link of 16 Mbit/s.

    scripts/bench_room.py                               all modes but http, 3 rounds: about an hour
    scripts/bench_room.py --quick                       a small game, 1 and 4 receivers, one round: three minutes
    scripts/bench_room.py --modes chain --receivers 1,8 --rounds 5
    scripts/bench_room.py --loopback --rounds 5         one receiver without a link: packed against decoded stream
    scripts/bench_room.py --json room.json --svg docs/room.svg --markdown docs/performance.md
    scripts/bench_room.py --from room.json loop.json    reports what earlier runs have measured, and measures nothing

chain    each receiver decodes, and passes on what it receives to the next one (the default of `install --stream`)
star     each receiver decodes, and takes everything from the source (`--no-relay`)
decoded  the source decodes for each receiver (`--decode-at source`)
http     an HTTP server is the only source; refused until the image of the scenarios has one

Source and receivers have equal shares of this machine (--cpus limits each of them), and each can send 16 Mbit/s. The
window is 16 MiB, so that the game is larger than a window, as games are. Times are from the common start until the last
receiver has installed; a ratio is taken within a round. The image is that of the scenarios: LANSPREAD_PROFILE and
LANSPREAD_PEER_CLI choose the program, and --build-image builds it first.

Exit status: 0, or 1 if a room failed or --check finds a bar that is not met, or 2 if something is missing, or 130 if it
was interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmark import machine
from benchmark.room import picture, samples, text
from benchmark.room.figures import CHAIN, DECODED, STAR, verdicts
from benchmark.room.loopback import Loopback
from benchmark.room.measure import MODES, REFUSED, RoomMeasurement, RoomOptions
from benchmark.room.samples import RoomResults
from benchmark.servers import PEER
from scenarios.docker import DockerError
from scenarios.expectations import CheckFailed
from scenarios.image import program_path
from scenarios.tools import PROJECT_DIR, ToolFailed, fetch_tools

ROUNDS, QUICK_ROUNDS = 3, 1
RECEIVERS, QUICK_RECEIVERS = (1, 4, 8, 16), (1, 4)
DEFAULT_MODES = (CHAIN, STAR, DECODED)
PACKED_BYTES, QUICK_PACKED_BYTES = 42_000_000, 10_000_000
RATE_BYTES_PER_SECOND = 2_000_000
WINDOW_MIB = 16
# A star of 16 takes 16 times as long as one receiver, and a decoded one twice that.
STAR_MAX = 8
RECEIVERS_MAX = 64


def modes(given: str) -> tuple[str, ...]:
    wanted = tuple(given.split(","))
    for mode in wanted:
        if mode not in MODES:
            raise argparse.ArgumentTypeError(f"no mode {mode}: expected some of {', '.join(MODES)}")
        if mode in REFUSED:
            raise argparse.ArgumentTypeError(f"{mode} cannot be measured: {REFUSED[mode]}")
    return wanted


def numbers(given: str) -> tuple[int, ...]:
    try:
        wanted = tuple(sorted({int(number) for number in given.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{given} is no list of numbers") from error
    if wanted[0] < 1 or wanted[-1] > RECEIVERS_MAX:
        raise argparse.ArgumentTypeError(f"a room has 1 to {RECEIVERS_MAX} receivers")
    return wanted


def at_least(least: float) -> Callable[[str], float]:
    def parse(given: str) -> float:
        value = float(given)
        if value < least:
            raise argparse.ArgumentTypeError(f"{given} is below {least:g}")
        return value

    return parse


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", type=modes, metavar="MODE,MODE", help=f"of {', '.join(MODES)}")
    parser.add_argument("--receivers", type=numbers, metavar="N,N", help="sizes of rooms (default: 1,4,8,16)")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {ROUNDS}; with --quick: {QUICK_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="a small game, small rooms, one round")
    parser.add_argument("--packed", type=at_least(1), metavar="MB", help="size of the archive, about (default: 42)")
    parser.add_argument("--window", type=int, default=WINDOW_MIB, metavar="MIB", help="of each receiver")
    parser.add_argument("--cpus", type=at_least(0), default=0.0, metavar="X", help="processors of each machine")
    parser.add_argument("--star-max", type=int, default=STAR_MAX, metavar="N", help="largest star (default: 8)")
    parser.add_argument("--build-image", action="store_true", help="build the program and the image first")
    parser.add_argument("--loopback", action="store_true", help="one receiver on this machine, and no room")
    parser.add_argument("--scale", type=at_least(0.01), default=0.5, metavar="X", help="of the game of --loopback")
    parser.add_argument("--check", action="store_true", help="exit 1 if a bar is not met")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a plot of the rooms there")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="replace the figures in this page")
    parser.add_argument("--from", type=Path, nargs="+", dest="earlier", metavar="FILE", help="report these JSON files")
    options = parser.parse_args(given)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds starts at 1")
    return options


def room_options(options: argparse.Namespace) -> RoomOptions:
    quick: bool = options.quick
    packed = options.packed * 1e6 if options.packed else QUICK_PACKED_BYTES if quick else PACKED_BYTES
    return RoomOptions(
        modes=options.modes or DEFAULT_MODES,
        receivers=options.receivers or (QUICK_RECEIVERS if quick else RECEIVERS),
        rounds=options.rounds or (QUICK_ROUNDS if quick else ROUNDS),
        packed_bytes=int(packed),
        rate_bytes_per_second=RATE_BYTES_PER_SECOND,
        window_mib=options.window,
        cpus=options.cpus,
        rebuild=options.build_image,
        star_max=options.star_max,
    )


def measured(options: argparse.Namespace) -> tuple[RoomResults, bool]:
    """What was measured, and whether it was interrupted."""

    def say(line: str) -> None:
        print(line, flush=True)

    fetch_tools()
    is_interrupted = False
    run: Loopback | RoomMeasurement
    if options.loopback:
        build = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "lanspread-peer-cli"]
        subprocess.run(build, cwd=PROJECT_DIR, check=True)
        run = Loopback(options.rounds or ROUNDS, options.scale, say)
    else:
        run = RoomMeasurement(room_options(options), say)
    try:
        run.run()
    except KeyboardInterrupt:
        is_interrupted = True
        print("bench_room.py: interrupted; what was measured so far is reported", file=sys.stderr)
    facts = run.facts if isinstance(run, RoomMeasurement) else None
    return RoomResults(
        machine.facts() | measured_program(PEER if options.loopback else program_path()),
        facts,
        tuple(run.samples),
        tuple(run.failures),
    ), is_interrupted


def measured_program(path: Path) -> dict[str, str]:
    """Which program it was. It may be older than the checkout, and LANSPREAD_PEER_CLI may name any."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    named = {"lanspread": "named by LANSPREAD_PEER_CLI"} if "LANSPREAD_PEER_CLI" in os.environ else {}
    return {**named, "program": f"SHA-256 {digest[:16]}"}


def write(results: RoomResults, options: argparse.Namespace) -> None:
    """The page last: if it has no place for figures, the others are written all the same."""
    if options.json:
        bars = [{**asdict(verdict), "is_met": verdict.is_met} for verdict in verdicts(results)]
        options.json.write_text(samples.written(results, bars))
    if options.svg:
        options.svg.write_text(picture.drawn(results))
    if options.markdown:
        options.markdown.write_text(text.replaced(options.markdown.read_text(), results))


def main() -> int:
    options = arguments()
    # As Ctrl-C: every container is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.earlier:
            earlier = [samples.read(file.read_text(), str(file)) for file in options.earlier]
            results, is_interrupted = samples.merged(earlier), False
        else:
            results, is_interrupted = measured(options)
        print(f"\n{text.report(results)}", end="")
        write(results, options)
    except KeyboardInterrupt:
        # Before anything was measured.
        return 128 + signal.SIGINT
    except (ToolFailed, DockerError, CheckFailed, OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench_room.py: {error}", file=sys.stderr)
        return 2
    if is_interrupted:
        return 128 + signal.SIGINT
    is_met = not options.check or all(verdict.is_met for verdict in verdicts(results))
    return 0 if is_met and not results.failures else 1


if __name__ == "__main__":
    sys.exit(main())
