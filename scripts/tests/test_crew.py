"""Scenarios run side by side, those that ask for it alone, and an interruption loses nothing that was known."""

import contextlib
import tempfile
import threading
import unittest
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from scenarios import crew
from scenarios.contract import CheckFailed, Outcome, Result, Scenario
from scenarios.stage import Abandoned

# Nothing here takes long; this ends a test that would wait for ever.
LIMIT_S = 10


class EmptyStage:
    """A stage without Docker."""

    def __init__(self, run: object, scenario: Scenario, dir: Path) -> None:
        self.scenario = scenario
        self.peers = []
        self.figures = []
        self.abandoned = threading.Event()

    def running_sources(self) -> list:
        return []

    def abandon(self) -> None:
        self.abandoned.set()

    def remove_containers(self) -> None:
        pass


def scenario(id: str, run: Callable[[EmptyStage], None], *, time_limit_s: int = 30, alone: bool = False) -> Scenario:
    return Scenario(id, id, "Claim.", "Conditions.", time_limit_s, run, alone)


def pass_at_once(stage: EmptyStage) -> None:
    pass


class OrderTest(unittest.TestCase):
    def test_the_longest_come_first_and_those_that_run_alone_last(self) -> None:
        given = [
            scenario("S1", pass_at_once, time_limit_s=10),
            scenario("S2", pass_at_once, time_limit_s=300, alone=True),
            scenario("S3", pass_at_once, time_limit_s=90),
            scenario("S4", pass_at_once, time_limit_s=20, alone=True),
        ]
        rounds = [(jobs, [each.id for each in together]) for jobs, together in crew.in_rounds(given, 3)]
        self.assertEqual(rounds, [(3, ["S3", "S1"]), (1, ["S2", "S4"])])

    def test_a_round_without_scenarios_is_no_round(self) -> None:
        self.assertEqual(crew.in_rounds([], 3), [])


class CrewTest(unittest.TestCase):
    def setUp(self) -> None:
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch("scenarios.crew.Stage", EmptyStage))
        self.crew = crew.Crew(SimpleNamespace(dir=Path(folder)), keep=False)
        self.addCleanup(self.crew.stop)

    def outcomes(self, scenarios: list[Scenario], jobs: int) -> dict[str, Outcome]:
        return {result.id: result.outcome for result in self.crew.results(scenarios, jobs)}

    def test_as_many_run_at_once_as_there_are_jobs(self) -> None:
        meeting = threading.Barrier(3)
        scenarios = [scenario(f"S{number}", lambda stage: meeting.wait(LIMIT_S)) for number in range(3)]
        self.assertEqual(set(self.outcomes(scenarios, 3).values()), {Outcome.PASSED})

    def test_no_more_run_at_once_than_there_are_jobs(self) -> None:
        most = self.most_at_once([False] * 8, jobs=2)
        self.assertLessEqual(most, 2)

    def test_a_scenario_that_runs_alone_does(self) -> None:
        self.assertEqual(self.most_at_once([True] * 4, jobs=4), 1)

    def most_at_once(self, alone: list[bool], jobs: int) -> int:
        running: set[str] = set()
        counts = []

        def run(stage: EmptyStage) -> None:
            running.add(stage.scenario.id)
            for _ in range(100):
                counts.append(len(running))
                threading.Event().wait(0.0001)  # lets the others in
            running.remove(stage.scenario.id)

        scenarios = [scenario(f"S{number}", run, alone=each) for number, each in enumerate(alone)]
        self.assertEqual(set(self.outcomes(scenarios, jobs).values()), {Outcome.PASSED})
        return max(counts)

    def test_a_failed_check_and_a_broken_scenario_are_failures_of_their_own(self) -> None:
        def fail(stage: EmptyStage) -> None:
            raise CheckFailed("expected")

        def break_down(stage: EmptyStage) -> None:
            raise ZeroDivisionError

        scenarios = [scenario("S1", fail), scenario("S2", break_down), scenario("S3", pass_at_once)]
        results = {result.id: result for result in self.crew.results(scenarios, 2)}
        self.assertEqual(
            {id: result.outcome for id, result in results.items()},
            {"S1": Outcome.FAILED, "S2": Outcome.FAILED, "S3": Outcome.PASSED},
        )
        self.assertEqual(results["S1"].message, "expected")
        self.assertIn("ZeroDivisionError", results["S2"].message)
        self.assertTrue((results["S2"].evidence / "traceback.txt").is_file())
        self.assertIsNone(results["S3"].evidence)

    def test_a_worker_that_breaks_ends_the_run_instead_of_its_results(self) -> None:
        def exit(stage: EmptyStage) -> None:
            raise SystemExit(1)

        with self.assertRaises(SystemExit):
            self.outcomes([scenario("S1", exit)], 1)

    def test_stopping_keeps_what_is_known_and_makes_no_result_of_what_was_interrupted(self) -> None:
        blocked = threading.Event()

        def wait(stage: EmptyStage) -> None:
            blocked.set()
            stage.abandoned.wait(LIMIT_S)
            raise CheckFailed("only because the run was stopped")

        known: list[Result] = []
        scenarios = [scenario("S1", wait, time_limit_s=99), scenario("S2", pass_at_once), scenario("S3", pass_at_once)]
        # One worker is held up by the first scenario while the other ends the other two; nobody has taken the second
        # of their results when the interruption comes.
        for result in self.crew.results(scenarios, 2):
            known.append(result)
            self.assertTrue(blocked.wait(LIMIT_S))
            while self.crew._finished.empty():
                self.assertTrue(self.crew._workers[1].is_alive() or not self.crew._finished.empty())
            break
        known += self.crew.stop()
        self.assertEqual(
            [(result.id, result.outcome) for result in known], [(id, Outcome.PASSED) for id in ("S2", "S3")]
        )

    def test_a_stopped_crew_begins_nothing(self) -> None:
        self.crew.stop()
        with self.assertRaises(Abandoned):
            self.crew._run_one(scenario("S1", pass_at_once))


if __name__ == "__main__":
    unittest.main()
