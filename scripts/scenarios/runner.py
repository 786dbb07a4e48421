"""The command line of the harness: runs scenarios, shows a table, keeps the evidence of failures, cleans up."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import sys
import textwrap
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from . import checks
from .cleanup import RunLock, is_dead, remove_dead_runs, remove_run
from .contract import SCENARIOS, CheckFailed, Outcome, Planned, Result, Scenario
from .docker import DockerError, engine_problem
from .image import prepare_image
from .matrix import MATRIX
from .stage import Run, Stage
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
    if options.list:
        print_matrix(options.ids)
        return 0
    ids = options.ids or [id for id in MATRIX if id in SCENARIOS]
    wanted = [id for id in ids if id in SCENARIOS]
    results = [_unsupported(MATRIX[id]) for id in ids if id not in SCENARIOS]
    interrupted = None
    started = time.time()
    if wanted:
        try:
            _on_signals(_raise_interrupted)
            run_scenarios(wanted, results, rebuild=options.build_image, keep=options.keep)
        except Interrupted as error:
            interrupted = error
        except (ToolFailed, DockerError) as error:
            print(f"run_extended_scenarios.py: {error}", file=sys.stderr)
            return EXIT_CANNOT_RUN
    results.sort(key=lambda result: ids.index(result.id))
    print_results(results)
    if options.json:
        write_json(options.json, results, started)
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
    parser.add_argument("--list", action="store_true", help="show the matrix and run nothing")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep containers, logs and trees of passed scenarios too, until the next run",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    options = parser.parse_args(arguments)
    options.ids = list(dict.fromkeys(id.upper() for id in options.ids))
    unknown = [id for id in options.ids if id not in MATRIX]
    if unknown:
        parser.error(f"not in the matrix: {', '.join(unknown)} (see --list)")
    return options


def run_scenarios(ids: Sequence[str], results: list[Result], *, rebuild: bool, keep: bool) -> None:
    """Appends a result for every id as it is known, so that an interruption loses none."""
    problem = engine_problem()
    if problem:
        raise ToolFailed(problem)
    fetch_tools()
    RUNS_DIR.mkdir(parents=True, exist_ok=True)
    _remove_old_folders()
    id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    run_dir = RUNS_DIR / id
    run_dir.mkdir()
    lock = RunLock(_lock_file(run_dir))
    try:
        for dead in remove_dead_runs():
            print(f"removed what a run that died had left: {Path(dead).stem}", flush=True)
        run = Run(id, lock, prepare_image(run_dir, rebuild=rebuild), run_dir)
        print(f"run {id}, image {run.image}", flush=True)
        for scenario_id in ids:
            results.append(_run_one(run, SCENARIOS[scenario_id], keep))
    finally:
        # A second Ctrl-C must not leave containers behind.
        _on_signals(signal.SIG_IGN)
        if not keep:
            remove_run(str(lock.path))
        lock.release()
        if not any(result.evidence for result in results):
            shutil.rmtree(run_dir, ignore_errors=True)


def _run_one(run: Run, scenario: Scenario, keep: bool) -> Result:
    print(f"{scenario.id} {scenario.name} ... ", end="", flush=True)
    begun = time.monotonic()
    evidence_dir = run.dir / scenario.id
    evidence_dir.mkdir()
    message = ""
    stage = None
    try:
        stage = Stage(run, scenario, evidence_dir)
        scenario.run(stage)
        for source in stage.running_sources():
            checks.sender_is_clean(stage, source)
        checks.outputs_are_sound(stage)
    except CheckFailed as error:
        message = str(error)
    except Exception as error:  # a fault of the harness must not end the run, and must not pass
        message = f"the scenario itself broke: {type(error).__name__}: {error}"
        (evidence_dir / "traceback.txt").write_text(traceback.format_exc())
    except BaseException:
        if stage is not None:
            stage.abandon()
        raise
    duration_s = time.monotonic() - begun
    if stage is not None and not keep:
        _remove(stage)
    evidence = evidence_dir if message or keep else None
    if evidence is None:
        shutil.rmtree(evidence_dir)
    outcome = Outcome.FAILED if message else Outcome.PASSED
    print(f"{outcome.value} ({duration_s:.1f} s)", flush=True)
    if evidence:
        print(textwrap.indent(f"{message}\nlogs and trees: {evidence}".lstrip(), "    "), flush=True)
    return Result(scenario.id, scenario.name, scenario.claim, outcome, duration_s, message, evidence)


def _remove(stage: Stage) -> None:
    stage.abandon()
    try:
        stage.remove_containers()
    except DockerError as error:
        # Not the scenario's verdict; the end of the run removes everything once more, by label.
        print(f"[{error}] ", end="", flush=True)


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


def print_matrix(ids: Sequence[str]) -> None:
    """The dry run: what is claimed, under which conditions, in what time, and what nobody checks yet."""
    rows = [MATRIX[id] for id in ids or MATRIX]
    for row in rows:
        implemented = isinstance(row, Scenario)
        print(f"{row.id:4} {row.name} [{'implemented' if implemented else 'planned, unsupported'}]")
        print(textwrap.indent(textwrap.fill(row.claim, 110), "       "))
        if implemented:
            print(textwrap.indent(textwrap.fill(f"Conditions: {row.conditions}", 110), "       "))
            print(f"       Time limit: {row.time_limit_s} s")
    count = sum(isinstance(row, Scenario) for row in rows)
    print(f"{len(rows)} scenarios, {count} implemented, {len(rows) - count} planned")


def print_results(results: Sequence[Result]) -> None:
    width = max((len(result.name) for result in results), default=0)
    print()
    for result in results:
        reason = f"  {result.message.splitlines()[0][:120]}" if result.message else ""
        print(f"{result.id:4} {result.name:{width}} {result.outcome.value:11} {result.duration_s:6.1f} s{reason}")
    counts = {outcome: sum(result.outcome is outcome for result in results) for outcome in Outcome}
    print(", ".join(f"{count} {outcome.value}" for outcome, count in counts.items()))


def write_json(file: Path, results: Sequence[Result], started: float) -> None:
    document = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "counts": {outcome.value: sum(result.outcome is outcome for result in results) for outcome in Outcome},
        "scenarios": [
            {
                "id": result.id,
                "name": result.name,
                "claim": result.claim,
                "outcome": result.outcome.value,
                "duration_s": round(result.duration_s, 3),
                "message": result.message,
                "evidence": str(result.evidence) if result.evidence else None,
            }
            for result in results
        ],
    }
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
