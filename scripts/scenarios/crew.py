"""Runs scenarios side by side: a few workers, each result as it comes, and an end after which none is at work.

Scenarios share nothing but the image and the fixtures, which are only read: each has its own network, its own folder
and names of its own in Docker. What they do share is the machine, so some that measure time run in pairs or alone.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from . import checks
from .contract import Outcome, Result, Scenario
from .docker import DockerError
from .expectations import CheckFailed
from .host_peer import HostPeer
from .stage import Abandoned, Run, Stage

# How long workers that are to stop may take to notice: one that packs an archive notices only after that. One that
# takes longer is left running; it can make nothing in Docker any more.
_STOP_LIMIT_S = 15


def in_rounds(scenarios: Iterable[Scenario], jobs: int) -> list[tuple[int, list[Scenario]]]:
    """Which scenarios run together, and how many at once: first those that can share the machine with most others.

    Within a round the longest come first, so that no long one begins when all others are done.
    """
    longest_first = sorted(scenarios, key=lambda scenario: -scenario.time_limit_s)
    rounds: dict[int, list[Scenario]] = {}
    for scenario in longest_first:
        rounds.setdefault(min(jobs, scenario.most_at_once or jobs), []).append(scenario)
    return sorted(rounds.items(), reverse=True)


class Crew:
    """The workers of a run."""

    def __init__(self, run: Run, keep: bool, host_peer: HostPeer | None = None) -> None:
        """With a peer on this machine, every scenario must be isolated from it."""
        self._run = run
        self._keep = keep
        self._host_peer = host_peer
        self._guard = threading.Lock()
        self._stopped = False
        self._stages: set[Stage] = set()
        self._workers: list[threading.Thread] = []
        self._finished: queue.Queue[Result | BaseException] = queue.Queue()

    def results(self, scenarios: Sequence[Scenario], jobs: int) -> Iterator[Result]:
        """Runs them all, and yields each result when it is known."""
        for at_once, together in in_rounds(scenarios, jobs):
            waiting = deque(together)
            for number in range(min(at_once, len(together))):
                # Daemons: one that is left running must not keep the harness from ending.
                worker = threading.Thread(target=self._work, args=(waiting,), name=f"worker {number}", daemon=True)
                self._workers.append(worker)
                worker.start()
            for _ in together:
                result = self._finished.get()
                if isinstance(result, BaseException):
                    raise result
                yield result

    def stop(self) -> list[Result]:
        """Ends what is running, and returns the results that were not taken yet. Nothing more is made in Docker when
        this returns."""
        with self._guard:
            self._stopped = True
            stages = list(self._stages)
        for stage in stages:
            stage.abandon()
        deadline = time.monotonic() + _STOP_LIMIT_S
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        left = []
        while not self._finished.empty():
            left.append(self._finished.get())
        return [result for result in left if isinstance(result, Result)]

    def _work(self, waiting: deque[Scenario]) -> None:
        while True:
            try:
                scenario = waiting.popleft()
            except IndexError:
                return
            try:
                self._finished.put(self._run_one(scenario))
            except Abandoned:
                return
            except BaseException as error:
                # The thread that waits for results must hear of it, or it would wait for ever.
                self._finished.put(error)
                return

    def _run_one(self, scenario: Scenario) -> Result:
        """Raises `Abandoned` when the run was stopped: what a scenario found after that is no result."""
        begun = time.monotonic()
        evidence_dir = self._run.dir / scenario.id
        evidence_dir.mkdir()
        # The outcome is kept apart from the message: a failure that says nothing is a failure.
        outcome, message = Outcome.FAILED, ""
        stage = None
        try:
            stage = self._stage(scenario)
            scenario.run(stage)
            self._check_the_end(stage)
            outcome = Outcome.PASSED
        except CheckFailed as error:
            message = str(error) or f"a check failed without saying why: {_place(error)}"
        except Exception as error:  # a fault of the harness must not end the run, and must not pass
            message = f"the scenario itself broke: {type(error).__name__}: {error}"
            (evidence_dir / "traceback.txt").write_text(traceback.format_exc())
        duration_s = time.monotonic() - begun
        with self._guard:
            if self._stopped:
                raise Abandoned
            if stage is not None:
                self._stages.remove(stage)
        if stage is not None and not self._keep:
            _remove(stage)
        evidence = evidence_dir if outcome is not Outcome.PASSED or self._keep else None
        if evidence is None:
            shutil.rmtree(evidence_dir)
        figures = tuple(stage.figures) if stage is not None else ()
        return Result(scenario.id, scenario.name, scenario.claim, outcome, duration_s, message, evidence, figures)

    def _check_the_end(self, stage: Stage) -> None:
        """What holds at the end of every scenario, whatever it is about."""
        checks.sources_still_run(stage)
        for source in stage.running_sources():
            checks.sender_is_clean(stage, source)
        checks.outputs_are_sound(stage)
        if self._host_peer is not None:
            self._host_peer.expect_unnoticed(stage.peers)
        # A wait fails when the time is up; this is for a scenario that took too long without waiting.
        stage.deadline.check("the end of the scenario")

    def _stage(self, scenario: Scenario) -> Stage:
        with self._guard:
            if self._stopped:
                raise Abandoned
            stage = scenario.stage(self._run, self._run.dir / scenario.id)
            self._stages.add(stage)
        return stage


def _place(error: BaseException) -> str:
    """Where it was raised."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{Path(last.filename).name}:{last.lineno}"


def _remove(stage: Stage) -> None:
    stage.abandon()
    try:
        stage.remove_containers()
    except DockerError as error:
        # Not the scenario's verdict; the end of the run removes everything once more, by label.
        print(f"{stage.scenario_id}: {error}", flush=True)
