#!/usr/bin/env python3
"""Measures lanspread against the programs that do the same work: `unrar`, 7-Zip, nginx with curl, bsdtar, cp.

    scripts/bench.py                              every work, 5 rounds: about an hour, and 27 GiB of disk
    scripts/bench.py --discard                    removes each work after its turn, and needs 16 GiB
    scripts/bench.py --quick                      for a change: quarter sizes, 3 rounds, some two minutes
    scripts/bench.py --only solid-m3,download     these works; --list shows all of them
    scripts/bench.py --contenders stream,unrar    these contenders
    scripts/bench.py --runs 5 --json all.json --svg docs/performance.svg --markdown docs/performance.md
    scripts/bench.py --from one.json two.json     reports what earlier runs have measured, and measures nothing

Works are made once, with the real `rar`, and kept in target/bench. In each round all contenders of a work take turns,
with a warm page cache and on a machine that others leave alone: a sample that others disturbed is repeated, and marked
if that does not help. A ratio is taken within a round; what is reported is the median of the rounds.

`unrar x`, curl and the others leave their bytes to the page cache, while an install and a download of ours do not
return before they are on the disk. So `sync -f` follows the others, timed apart, and there are two ratios. Everything
is on one machine, source and receiver share its cores.

Exit status: 0, or 1 with --check if an aim is not met, or 2 if something is missing or failed before it could be
measured, or 130 if it was interrupted. A contender that fails is reported as failed and has no time.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmark import disk, document, machine, pages, picture, text
from benchmark.aims import failed_aims, verdicts
from benchmark.contenders import CONTENDERS
from benchmark.measure import Measurement, Options
from benchmark.samples import Results, merged
from benchmark.works import GIB, QUICK_CONTENDERS, QUICK_RUNS, QUICK_SCALE, QUICK_WORKS, WORKS, Work
from scenarios.tools import PROJECT_DIR, ToolFailed, fetch_tools

RUNS = 5


def names(known: list[str], what: str) -> Callable[[str], tuple[str, ...]]:
    """The type of an option that takes names, separated by commas."""

    def parse(given: str) -> tuple[str, ...]:
        wanted = tuple(given.split(","))
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {what} {', '.join(unknown)}: expected some of {', '.join(known)}")
        return wanted

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    works, contenders = [work.name for work in WORKS], list(CONTENDERS)
    parser.add_argument("--list", action="store_true", help="list works and contenders, and measure nothing")
    parser.add_argument("--only", type=names(works, "work"), metavar="WORK,WORK", help="works (default: all)")
    parser.add_argument(
        "--contenders", type=names(contenders, "contender"), metavar="NAME,NAME", help="contenders (default: all)"
    )
    parser.add_argument("--runs", type=int, metavar="N", help=f"rounds (default: {RUNS}; with --quick: {QUICK_RUNS})")
    parser.add_argument("--quick", action="store_true", help="a few works at a quarter of their sizes")
    parser.add_argument("--scale", type=float, metavar="X", help="multiply bytes and files of the works")
    parser.add_argument("--skip-missing", action="store_true", help="go on without programs that are not installed")
    parser.add_argument("--discard", action="store_true", help="remove each work after it was measured")
    parser.add_argument("--check", action="store_true", help="exit 1 if an aim is not met")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a picture of the ratios there")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="replace the figures in this page")
    parser.add_argument("--from", type=Path, nargs="+", dest="earlier", metavar="FILE", help="report these JSON files")
    options = parser.parse_args()
    if options.runs is not None and options.runs < 1:
        parser.error("--runs starts at 1")
    if options.scale is not None and not 0 < options.scale <= 1:
        parser.error("--scale is above 0 and at most 1")
    return options


def wanted_works(options: argparse.Namespace) -> list[Work]:
    wanted = options.only or (QUICK_WORKS if options.quick else [work.name for work in WORKS])
    scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    return [work.scaled(scale) for work in WORKS if work.name in wanted]


def listing() -> str:
    lines = ["works"]
    for work in WORKS:
        tree = work.tree.size / GIB * (2 if work.keeps_tree else 1)
        out = work.running_bytes() / GIB
        lines.append(f"  {work.name:<14} {work.title}: up to {tree:.1f} GiB kept, {out:.1f} GiB while it runs")
    lines += ["contenders", *(f"  {one.name:<14} {one.title}" for one in CONTENDERS.values())]
    return "\n".join(lines)


def build() -> None:
    """What is measured is what the sources say now."""
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    subprocess.run([*command, "-p", "lanspread-peer-cli"], cwd=PROJECT_DIR, check=True)
    subprocess.run([*command, "-p", "lanspread-rar", "--example", "rar"], cwd=PROJECT_DIR, check=True)


def measured(options: argparse.Namespace) -> tuple[Results, bool]:
    """What was measured, and whether it was interrupted."""
    works = wanted_works(options)
    runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    contenders = options.contenders or (QUICK_CONTENDERS if options.quick else ())
    measurement = Measurement(
        Options(runs, contenders, options.skip_missing, options.discard), lambda line: print(line, flush=True)
    )
    fetch_tools()
    build()
    facts = machine.facts()
    is_interrupted = False
    try:
        with disk.alone():
            try:
                measurement.run(works)
            finally:
                disk.remove_all()
    except KeyboardInterrupt:
        is_interrupted = True
        print("bench.py: interrupted; what was measured so far is reported", file=sys.stderr)
    found = (tuple(measurement.works), tuple(measurement.samples), tuple(measurement.failures))
    return Results(facts, *found), is_interrupted


def earlier(files: list[Path]) -> Results:
    return merged([document.read(file.read_text(), str(file)) for file in files])


def write(results: Results, options: argparse.Namespace) -> None:
    """The page last: if it has no place for figures, the others are written all the same."""
    if options.json:
        options.json.write_text(document.written(results))
    if options.svg:
        options.svg.write_text(picture.drawn(results))
    if options.markdown:
        options.markdown.write_text(pages.replaced(options.markdown.read_text(), results))


def main() -> int:
    options = arguments()
    # As Ctrl-C: every program that was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.list:
        print(listing())
        return 0
    try:
        results, is_interrupted = (earlier(options.earlier), False) if options.earlier else measured(options)
        print(f"\n{text.report(results)}", end="")
        write(results, options)
    except KeyboardInterrupt:
        # Before anything was measured.
        return 128 + signal.SIGINT
    except (ToolFailed, OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 2
    if is_interrupted:
        return 128 + signal.SIGINT
    return 0 if not options.check or is_all_met(results) else 1


def is_all_met(results: Results) -> bool:
    """Whether every aim that was measured is met. If none was, that is no success."""
    found = verdicts(results)
    if not found:
        print("bench.py: no aim was measured", file=sys.stderr)
    return bool(found) and all(verdict.is_met for verdict in found) and not failed_aims(results)


if __name__ == "__main__":
    sys.exit(main())
