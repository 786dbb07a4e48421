#!/usr/bin/env python3
"""Measures a room: 1, 4, 8 and 16 receivers of one game, each in a container with a link of 16 Mbit/s.

    scripts/bench_room.py                               all modes, 3 rounds: about an hour
    scripts/bench_room.py --quick                       a small game, 1 and 4 receivers, one round: four minutes
    scripts/bench_room.py --modes chain --receivers 1,8 --rounds 5
    scripts/bench_room.py --loopback --rounds 5         one receiver without a link: packed against decoded stream
    scripts/bench_room.py --bars                        what every bar needs, one round: about 25 minutes
    scripts/bench_room.py --bars R3,R13 --plan          says what would be measured, and how long it takes
    scripts/bench_room.py --bars --modes star,http --receivers 1,4 --json room.json
    scripts/bench_room.py --json room.json --svg docs/room.svg --markdown docs/performance.md
    scripts/bench_room.py --from room.json loop.json    reports what earlier runs have measured, and measures nothing

chain    each receiver decodes, and passes on what it receives to the next one (the default of `install --stream`)
star     each receiver decodes, and takes everything from the source (`--no-relay`)
decoded  the source decodes for each receiver (`--decode-at source`)
http     an HTTP server (nginx) is the only source: it gives no places, so each receiver takes everything from it

Source and receivers have equal shares of this machine (--cpus limits each of them), and each can send 16 Mbit/s. The
window is 16 MiB, so that the game is larger than a window, as games are. Times are from the common start until the last
receiver has installed; a ratio is taken within a round. The image is that of the scenarios: LANSPREAD_PROFILE and
LANSPREAD_PEER_CLI choose the program, and --build-image builds it first.

--bars adds rooms in which something happens: a relay is killed or silent, a source is killed, a relay lies, a machine
is slow or late. Their time is that of the others. `--bars --plan` lists all of them.

Exit status: 0, or 1 if a room failed or --check finds a bar that is not met or has no figure, or 2 if something is
missing, or 130 if it was interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark import machine
from benchmark.room import bars, picture, plan, samples, text
from benchmark.room.bars import BARS, Room
from benchmark.room.figures import CHAIN, DECODED, HTTP, STAR
from benchmark.room.loopback import Loopback
from benchmark.room.measure import RoomMeasurement, RoomOptions
from benchmark.room.modes import CHOSEN, MODES
from benchmark.room.samples import Report, RoomResults, Simulated
from benchmark.room.simulation import simulated
from benchmark.servers import PEER
from scenarios.docker import DockerError
from scenarios.expectations import CheckFailed
from scenarios.image import program_path
from scenarios.tools import PROJECT_DIR, ToolFailed, fetch_tools

# Rooms of bars are many: one round of them is half an hour.
ROUNDS, QUICK_ROUNDS, BARS_ROUNDS = 3, 1, 1
RECEIVERS, QUICK_RECEIVERS = (1, 4, 8, 16), (1, 4)
DEFAULT_MODES = (CHAIN, STAR, DECODED, HTTP)
# One receiver takes 21 s for it, and 62 s for the long one.
PACKED_BYTES, QUICK_PACKED_BYTES, LONG_PACKED_BYTES = 42_000_000, 10_000_000, 125_000_000
RATE_BYTES_PER_SECOND = 2_000_000
WINDOW_MIB = 16
# A star of 16 takes 16 times as long as one receiver, and a decoded one twice that.
STAR_MAX = 8
RECEIVERS_MAX = 64


def modes(given: str) -> tuple[str, ...]:
    wanted = tuple(given.split(","))
    for mode in wanted:
        if mode not in CHOSEN:
            raise argparse.ArgumentTypeError(f"no mode {mode}: expected some of {', '.join(CHOSEN)}")
    return wanted


def bar_ids(given: str) -> tuple[str, ...]:
    wanted = tuple(given.upper().split(","))
    for id in wanted:
        if id not in BARS:
            raise argparse.ArgumentTypeError(f"no bar {id}: expected some of {', '.join(BARS)}")
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
    parser.add_argument("--modes", type=modes, metavar="MODE,MODE", help=f"of {', '.join(CHOSEN)}")
    parser.add_argument("--receivers", type=numbers, metavar="N,N", help="sizes of rooms (default: 1,4,8,16)")
    parser.add_argument(
        "--bars", type=bar_ids, nargs="?", const=tuple(BARS), metavar="R,R", help="what these bars need (all without)"
    )
    parser.add_argument("--plan", action="store_true", help="say what would be measured, and how long it takes")
    rounds = f"default: {ROUNDS}; with --quick or --bars: 1, and {plan.LOOPBACK_ROUNDS} on loopback"
    parser.add_argument("--rounds", type=int, metavar="N", help=rounds)
    parser.add_argument("--quick", action="store_true", help="a small game, small rooms, one round")
    parser.add_argument("--packed", type=at_least(1), metavar="MB", help="size of the archive, about (default: 42)")
    parser.add_argument("--long-packed", type=at_least(1), metavar="MB", help="of long rooms, about (default: 125)")
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


@dataclass(frozen=True)
class Wanted:
    """What the options ask for."""

    planned: plan.Plan
    rounds: int
    packed_bytes: int
    long_packed_bytes: int

    def words(self) -> str:
        rate = RATE_BYTES_PER_SECOND
        return plan.words(list(plan.steps(self.planned, self.rounds, self.packed_bytes, self.long_packed_bytes, rate)))


def wanted(options: argparse.Namespace) -> Wanted:
    quick: bool = options.quick
    packed = options.packed * 1e6 if options.packed else QUICK_PACKED_BYTES if quick else PACKED_BYTES
    long_packed = options.long_packed * 1e6 if options.long_packed else 3 * packed if quick else LONG_PACKED_BYTES
    few = QUICK_ROUNDS if quick else BARS_ROUNDS if options.bars else ROUNDS
    ids = options.bars or ()
    if options.loopback:
        planned = plan.Plan(on_loopback=True)
    else:
        planned = plan.plan(ids, rooms(options))
    return Wanted(planned, options.rounds or few, int(packed), int(long_packed))


def rooms(options: argparse.Namespace) -> list[Room]:
    """The rooms that are asked for by mode and size; large ones only of modes that do not grow with their size."""
    if options.bars and not options.modes:
        return []
    sizes = options.receivers or (QUICK_RECEIVERS if options.quick else RECEIVERS)
    return [
        (mode, receivers)
        for receivers in sizes
        for mode in options.modes or DEFAULT_MODES
        if not MODES[mode].grows or receivers <= options.star_max
    ]


class Measurement:
    """A whole run, part by part: it has what was measured, also if it is interrupted."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.is_interrupted = False
        self.problems: list[str] = []
        self._options, self._wanted = options, wanted(options)
        self._runs: list[RoomResults] = []
        self._simulated: tuple[Simulated, ...] = ()

    @property
    def report(self) -> Report:
        return Report(tuple(self._runs), self._simulated)

    def run(self) -> None:
        planned, wanted = self._wanted.planned, self._wanted
        say(f"{wanted.words()}\n")
        parts: list[Callable[[], None]] = [fetch_tools]
        if planned.long_rooms:
            parts.append(lambda: self._rooms(planned.long_rooms, wanted.long_packed_bytes))
        if planned.rooms:
            parts.append(lambda: self._rooms(planned.rooms, wanted.packed_bytes))
        if planned.on_loopback:
            parts.append(self._loopback)
        if planned.in_simulation:
            parts.append(self._simulation)
        try:
            for part in parts:
                self._try(part)
        except KeyboardInterrupt:
            self.is_interrupted = True
            print("bench_room.py: interrupted; what was measured so far is reported", file=sys.stderr)

    def _try(self, part: Callable[[], None]) -> None:
        """A part that cannot run keeps none of the others from running: a whole run takes half an hour."""
        try:
            part()
        except (ToolFailed, DockerError, CheckFailed, OSError, subprocess.CalledProcessError) as error:
            self.problems.append(str(error))
            print(f"bench_room.py: {error}", file=sys.stderr, flush=True)

    def _simulation(self) -> None:
        self._simulated = simulated()
        for room in self._simulated:
            say(f"simulated, {room.receivers} receivers: {room.ratio:.2f} times one")

    def _rooms(self, found: tuple[Room, ...], packed_bytes: int) -> None:
        options = self._options
        rebuild = options.build_image and not self._runs
        run = RoomMeasurement(
            RoomOptions(
                found,
                self._wanted.rounds,
                packed_bytes,
                RATE_BYTES_PER_SECOND,
                options.window,
                options.cpus,
                rebuild,
            ),
            say,
        )
        try:
            run.run()
        finally:
            self._keep(run, program_path())

    def _loopback(self) -> None:
        build = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "lanspread-peer-cli"]
        subprocess.run(build, cwd=PROJECT_DIR, check=True)
        rounds = self._options.rounds or max(self._wanted.rounds, plan.LOOPBACK_ROUNDS)
        run = Loopback(rounds, self._options.scale, say)
        try:
            run.run()
        finally:
            self._keep(run, PEER)

    def _keep(self, run: Loopback | RoomMeasurement, program: Path) -> None:
        if not run.samples and not run.failures:
            return
        facts = run.facts if isinstance(run, RoomMeasurement) else None
        about = machine.facts() | measured_program(program)
        self._runs.append(RoomResults(about, facts, tuple(run.samples), tuple(run.failures)))


def say(line: str) -> None:
    print(line, flush=True)


def measured_program(path: Path) -> dict[str, str]:
    """Which program it was. It may be older than the checkout, and LANSPREAD_PEER_CLI may name any."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    named = {"lanspread": "named by LANSPREAD_PEER_CLI"} if "LANSPREAD_PEER_CLI" in os.environ else {}
    return {**named, "program": f"SHA-256 {digest[:16]}"}


def write(report: Report, options: argparse.Namespace) -> None:
    """The page last: if it has no place for figures, the others are written all the same."""
    if options.json:
        found = [{**asdict(verdict), "is_met": verdict.is_met} for verdict in bars.verdicts(report)]
        options.json.write_text(samples.written(report, found))
    if options.svg:
        options.svg.write_text(picture.drawn(report))
    if options.markdown:
        options.markdown.write_text(text.replaced(options.markdown.read_text(), report))


def is_met(report: Report, ids: Sequence[str]) -> bool:
    return all(verdict.is_met for verdict in bars.verdicts(report)) and not bars.not_measured(report, ids)


def main() -> int:
    options = arguments()
    if options.plan:
        say(wanted(options).words())
        return 0
    # As Ctrl-C: every container is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measurement = Measurement(options)
    try:
        if options.earlier:
            report = samples.merged([samples.read(file.read_text(), str(file)) for file in options.earlier])
        else:
            measurement.run()
            report = measurement.report
        if report != Report(()):
            print(f"\n{text.report(report)}", end="")
            write(report, options)
    except (OSError, ValueError) as error:
        print(f"bench_room.py: {error}", file=sys.stderr)
        return 2
    if measurement.is_interrupted:
        return 128 + signal.SIGINT
    for id in bars.not_measured(report, options.bars or ()):
        print(f"bench_room.py: {id} has no figure", file=sys.stderr)
    if measurement.problems:
        return 2
    return 0 if not report.failures and (not options.check or is_met(report, options.bars or ())) else 1


if __name__ == "__main__":
    sys.exit(main())
