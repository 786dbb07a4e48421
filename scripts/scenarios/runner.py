"""The command line of the harness: what to run, what to say of it, and the life of a run."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import report
from .cleanup import RunLock, is_dead, remove_dead_runs, remove_run
from .contract import SCENARIOS, Outcome, Planned, Result, Scenario
from .crew import Crew
from .docker import DockerError, engine_problem
from .doubles import build_programs
from .image import prepare_image
from .matrix import MATRIX
from .stage import Run
from .tools import TARGET_DIR, ToolFailed, fetch_tools

RUNS_DIR = TARGET_DIR / "scenarios"
RUNS_KEPT = 3

EXIT_NOT_PASSED = 1
EXIT_CANNOT_RUN = 1
EXIT_USAGE = 2


class Interrupted(BaseException):
    """SIGINT or SIGTERM; not an `Exception`, so that no scenario's handling takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    rows = [MATRIX[id] for id in options.ids or MATRIX]
    if options.list:
        report.show_matrix(rows)
        return 0
    if options.markdown:
        print(report.matrix_page(rows), end="")
        return 0
    ids = options.ids or [id for id in MATRIX if id in SCENARIOS]
    wanted = [id for id in ids if id in SCENARIOS]
    results = [_unsupported(MATRIX[id]) for id in ids if id not in SCENARIOS]
    interrupted = None
    started = time.time()
    if wanted:
        try:
            _on_signals(_raise_interrupted)
            run_scenarios(wanted, results, jobs=options.jobs, rebuild=options.build_image, keep=options.keep)
        except Interrupted as error:
            interrupted = error
        except (ToolFailed, DockerError) as error:
            print(f"run_extended_scenarios.py: {error}", file=sys.stderr)
            return EXIT_CANNOT_RUN
    results.sort(key=lambda result: ids.index(result.id))
    report.show_results(results)
    if options.json:
        report.write_json(options.json, results, started)
    if options.junit:
        report.write_junit(options.junit, results, started)
    if interrupted:
        print(f"run_extended_scenarios.py: {interrupted}; cleaned up", file=sys.stderr)
        return 128 + interrupted.number
    return 0 if all(result.outcome is Outcome.PASSED for result in results) else EXIT_NOT_PASSED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run_extended_scenarios.py",
        description="Runs the scenario matrix: real peers in containers on a private network.",
        epilog="Environment: LANSPREAD_PROFILE=release|debug chooses the build; LANSPREAD_PEER_CLI names a program "
        "instead; LANSPREAD_BASE_IMAGE names a Debian base image.",
    )
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help="scenarios to run, such as S41; all implemented ones without"
    )
    parser.add_argument("--build-image", action="store_true", help="build the program and the image afresh first")
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=default_jobs(),
        metavar="N",
        help="scenarios that run at the same time (%(default)s on this machine); some always run alone",
    )
    parser.add_argument("--list", action="store_true", help="show the matrix and run nothing")
    parser.add_argument("--markdown", action="store_true", help="show the matrix as Markdown and run nothing")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep containers, logs and trees of passed scenarios too, until the next run",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write the results there, as JUnit's XML")
    options = parser.parse_args(arguments)
    options.ids = list(dict.fromkeys(id.upper() for id in options.ids))
    unknown = [id for id in options.ids if id not in MATRIX]
    if unknown:
        parser.error(f"not in the matrix: {', '.join(unknown)} (see --list)")
    return options


def default_jobs() -> int:
    """One more than the machine has cores: scenarios wait for each other's disks and time limits as well."""
    return (os.cpu_count() or 1) + 1


def _jobs(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one scenario must run")
    return number


def run_scenarios(ids: Sequence[str], results: list[Result], *, jobs: int, rebuild: bool, keep: bool) -> None:
    """Appends a result for every id as it is known, so that an interruption loses none."""
    problem = engine_problem()
    if problem:
        raise ToolFailed(problem)
    fetch_tools()
    build_programs()
    RUNS_DIR.mkdir(parents=True, exist_ok=True)
    _remove_old_folders()
    id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    run_dir = RUNS_DIR / id
    run_dir.mkdir()
    lock = RunLock(_lock_file(run_dir))
    crew = None
    try:
        for dead in remove_dead_runs():
            print(f"removed what a run that died had left: {Path(dead).stem}", flush=True)
        run = Run(id, lock, prepare_image(run_dir, rebuild=rebuild), run_dir)
        print(f"run {id}, image {run.image}, {len(ids)} scenarios, {jobs} at once", flush=True)
        crew = Crew(run, keep)
        for result in crew.results([SCENARIOS[id] for id in ids], jobs):
            results.append(result)
            report.show_result(result)
    finally:
        # A second Ctrl-C must not leave containers behind.
        _on_signals(signal.SIG_IGN)
        if crew is not None:
            results += crew.stop()
        if not keep:
            remove_run(str(lock.path))
        lock.release()
        if not any(result.evidence for result in results):
            shutil.rmtree(run_dir, ignore_errors=True)


def _unsupported(row: Planned | Scenario) -> Result:
    return Result(row.id, row.name, row.claim, Outcome.UNSUPPORTED, message="nothing checks this yet")


def _lock_file(run_dir: Path) -> Path:
    return run_dir.with_name(f"{run_dir.name}.lock")


def _remove_old_folders() -> None:
    """Kept evidence is for a look, not for ever: only that of the newest few finished runs stays."""
    finished = sorted(path for path in RUNS_DIR.iterdir() if path.is_dir() and is_dead(str(_lock_file(path))))
    for path in finished[:-RUNS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    for lock in RUNS_DIR.glob("*.lock"):
        if is_dead(str(lock)):
            lock.unlink(missing_ok=True)


def _raise_interrupted(number: int, _frame: object) -> None:
    raise Interrupted(number)


def _on_signals(handler: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
