"""The command line of the harness: what to run, what to say of it, and the life of a run."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from . import report
from .cleanup import RunLock, is_dead, remove_dead_runs, remove_run
from .contract import SCENARIOS, Outcome, Planned, Result, Scenario
from .crew import Crew
from .docker import DockerError, engine_problem
from .doubles import build_programs
from .host_peer import HostPeer, prove_that_it_hears
from .image import prepare_image, program_path
from .matrix import MATRIX, PART_OF
from .report import RunRecord
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
    started = time.time()
    status, problem = 0, ""
    try:
        if wanted:
            _on_signals(_raise_interrupted)
            run_scenarios(wanted, results, options)
    except Interrupted as error:
        status, problem = 128 + error.number, f"{error}; cleaned up"
    except (ToolFailed, DockerError) as error:
        status, problem = EXIT_CANNOT_RUN, str(error)
    except BaseException as error:
        problem = f"the harness itself broke: {type(error).__name__}: {error}"
        raise
    finally:
        # Also of a run that ended early: a file of an earlier run must not be taken for this one's.
        results.sort(key=lambda result: ids.index(result.id))
        known = {result.id for result in results}
        _report(RunRecord(started, results, problem, [id for id in ids if id not in known]), options)
    if status == 0 and any(result.outcome is not Outcome.PASSED for result in results):
        status = EXIT_NOT_PASSED
    return status


def _report(record: RunRecord, options: argparse.Namespace) -> None:
    report.show_results(record.results)
    if options.json:
        report.write_json(options.json, record)
    if options.junit:
        report.write_junit(options.junit, record)
    if record.problem:
        print(f"run_extended_scenarios.py: {record.problem}", file=sys.stderr)


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
        help="scenarios that run at the same time (%(default)s on this machine); some always run in pairs or alone",
    )
    parser.add_argument("--list", action="store_true", help="show the matrix and run nothing")
    parser.add_argument("--markdown", action="store_true", help="show the matrix as Markdown and run nothing")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep containers, logs and trees of passed scenarios too, until the next run",
    )
    parser.add_argument(
        "--host-peer",
        action="store_true",
        help="also run a peer with discovery on this machine, which announces itself on all its networks, and fail "
        "scenarios that are not isolated from it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write the results there, as JUnit's XML")
    options = parser.parse_args(arguments)
    options.ids = list(dict.fromkeys(PART_OF.get(id.upper(), id.upper()) for id in options.ids))
    unknown = [id for id in options.ids if id not in MATRIX]
    if unknown:
        parser.error(f"not in the matrix: {', '.join(unknown)} (see --list)")
    return options


def default_jobs() -> int:
    """Three times as many as the machine has cores: most scenarios wait for slowed links or Docker most of the time."""
    return 3 * (os.cpu_count() or 1)


def _jobs(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one scenario must run")
    return number


def run_scenarios(ids: Sequence[str], results: list[Result], options: argparse.Namespace) -> None:
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
    host_peer = None
    try:
        for dead in remove_dead_runs():
            print(f"removed what a run that died had left: {Path(dead).stem}", flush=True)
        run = Run(id, lock, prepare_image(run_dir, rebuild=options.build_image), run_dir)
        print(f"run {id}, image {run.image}, {len(ids)} scenarios, {options.jobs} at once", flush=True)
        if options.host_peer:
            host_peer = HostPeer(run_dir / "host-peer", program_path())
            prove_that_it_hears(host_peer, run)
            print("a peer runs on this machine; it has found the peer of the control", flush=True)
        crew = Crew(run, options.keep, host_peer)
        for result in crew.results([SCENARIOS[id] for id in ids], options.jobs):
            results.append(result)
            report.show_result(result)
        if host_peer is not None:
            host_peer.stop()
    finally:
        # A second Ctrl-C must not leave containers behind.
        _on_signals(signal.SIG_IGN)
        if crew is not None:
            results += crew.stop()
        if host_peer is not None:
            host_peer.terminate()
        if not options.keep:
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


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
