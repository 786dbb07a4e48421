"""Scenarios run side by side, in pairs or alone as each asks, and an interruption loses nothing that was known."""

import contextlib
import tempfile
import threading
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest import mock

from scenarios import crew
from scenarios.contract import ALONE, IN_PAIRS, Outcome, Result, Scenario
from scenarios.events import EventLog
from scenarios.expectations import CheckFailed, Deadline, expect
from scenarios.stage import Abandoned, Run, Stage

# Nothing here takes long; this ends a test that would wait for ever.
LIMIT_S = 10


class FakePeer:
    """A peer whose process is in any state that a test asks for."""

    def __init__(self, *arguments: str, is_running: bool, end_is_wanted: bool = False) -> None:
        self.name = "fake"
        self.arguments = arguments
        self.is_running = is_running
        self.end_is_wanted = end_is_wanted
        self.events = EventLog(self.name)

    def stderr(self) -> str:
        return "first\nlast words\n"


class EmptyStage:
    """A stage without Docker."""

    def __init__(self, run: object, dir: Path, *, scenario_id: str, time_limit_s: int, **_: bool) -> None:
        self.scenario_id = scenario_id
        self.deadline = Deadline(time_limit_s)
        self.peers: list[FakePeer] = []
        self.figures: list[str] = []
        self.abandoned = threading.Event()

    def running_sources(self) -> list[FakePeer]:
        return []

    def abandon(self) -> None:
        self.abandoned.set()

    def remove_containers(self) -> None:
        pass


def scenario(
    id: str, run: Callable[[EmptyStage], object], *, time_limit_s: int = 30, most_at_once: int | None = None
) -> Scenario:
    return Scenario(id, id, "Claim.", "Conditions.", time_limit_s, cast(Callable[[Stage], None], run), most_at_once)


def pass_at_once(stage: EmptyStage) -> None:
    pass


class OrderTest(unittest.TestCase):
    def test_the_longest_come_first_and_those_that_run_in_pairs_or_alone_last(self) -> None:
        given = [
            scenario("S1", pass_at_once, time_limit_s=10),
            scenario("S2", pass_at_once, time_limit_s=300, most_at_once=ALONE),
            scenario("S3", pass_at_once, time_limit_s=90),
            scenario("S4", pass_at_once, time_limit_s=20, most_at_once=ALONE),
            scenario("S5", pass_at_once, time_limit_s=60, most_at_once=IN_PAIRS),
        ]
        rounds = [(jobs, [each.id for each in together]) for jobs, together in crew.in_rounds(given, 3)]
        self.assertEqual(rounds, [(3, ["S3", "S1"]), (2, ["S5"]), (1, ["S2", "S4"])])

    def test_one_job_is_one_round(self) -> None:
        given = [scenario("S1", pass_at_once, most_at_once=IN_PAIRS), scenario("S2", pass_at_once, most_at_once=ALONE)]
        self.assertEqual(crew.in_rounds(given, 1), [(1, given)])

    def test_a_round_without_scenarios_is_no_round(self) -> None:
        self.assertEqual(crew.in_rounds([], 3), [])


class CrewTest(unittest.TestCase):
    def setUp(self) -> None:
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch("scenarios.contract.Stage", EmptyStage))
        self.crew = crew.Crew(cast(Run, SimpleNamespace(dir=Path(folder))), keep=False)
        self.addCleanup(self.crew.stop)

    def outcomes(self, scenarios: list[Scenario], jobs: int) -> dict[str, Outcome]:
        return {result.id: result.outcome for result in self.crew.results(scenarios, jobs)}

    def test_as_many_run_at_once_as_there_are_jobs(self) -> None:
        meeting = threading.Barrier(3)
        scenarios = [scenario(f"S{number}", lambda stage: meeting.wait(LIMIT_S)) for number in range(3)]
        self.assertEqual(set(self.outcomes(scenarios, 3).values()), {Outcome.PASSED})

    def test_no_more_run_at_once_than_there_are_jobs(self) -> None:
        most = self.most_at_once([None] * 8, jobs=2)
        self.assertLessEqual(most, 2)

    def test_scenarios_that_run_alone_or_in_pairs_do(self) -> None:
        self.assertEqual(self.most_at_once([ALONE] * 4, jobs=4), 1)
        self.assertLessEqual(self.most_at_once([IN_PAIRS] * 4, jobs=4), 2)

    def most_at_once(self, limits: Sequence[int | None], jobs: int) -> int:
        running: set[str] = set()
        counts = []

        def run(stage: EmptyStage) -> None:
            running.add(stage.scenario_id)
            for _ in range(100):
                counts.append(len(running))
                threading.Event().wait(0.0001)  # lets the others in
            running.remove(stage.scenario_id)

        scenarios = [scenario(f"S{number}", run, most_at_once=each) for number, each in enumerate(limits)]
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
        evidence = results["S2"].evidence
        self.assertTrue(evidence and (evidence / "traceback.txt").is_file())
        self.assertIsNone(results["S3"].evidence)

    def test_a_failure_that_says_nothing_is_a_failure(self) -> None:
        result = self.result_of(lambda stage: expect(False, ""))
        self.assertEqual(result.outcome, Outcome.FAILED)
        self.assertRegex(result.message, r"^a check failed without saying why: expectations\.py:\d+$")
        self.assertIsNotNone(result.evidence)

    def test_a_source_that_ended_by_itself_is_a_failure(self) -> None:
        result = self.result_of(lambda stage: stage.peers.append(FakePeer("serve", is_running=False)))
        self.assertEqual(result.outcome, Outcome.FAILED)
        self.assertEqual(result.message, "fake ended by itself; its last words: last words")

    def test_a_source_that_the_scenario_ended_and_a_command_that_ended_are_none(self) -> None:
        def end_them(stage: EmptyStage) -> None:
            stage.peers += [
                FakePeer("serve", is_running=False, end_is_wanted=True),
                FakePeer("install", is_running=False),
                FakePeer("serve", is_running=True),
            ]

        with mock.patch.object(FakePeer, "stderr", return_value=""):
            self.assertEqual(self.result_of(end_them).outcome, Outcome.PASSED)

    def test_a_scenario_that_ends_too_late_fails_without_a_wait_too(self) -> None:
        def outlast(stage: EmptyStage) -> None:
            while stage.deadline.remaining() > 0:
                pass

        result = self.result_of(outlast, time_limit_s=0)
        self.assertEqual(result.outcome, Outcome.FAILED)
        self.assertIn("0 s passed while waiting for the end of the scenario", result.message)

    def test_an_index_error_of_the_harness_reaches_the_one_who_waits_for_results(self) -> None:
        with mock.patch.object(self.crew, "_run_one", side_effect=IndexError), self.assertRaises(IndexError):
            self.outcomes([scenario("S1", pass_at_once)], 1)

    def result_of(self, run: Callable[[EmptyStage], None], time_limit_s: int = 30) -> Result:
        (result,) = self.crew.results([scenario("S1", run, time_limit_s=time_limit_s)], 1)
        return result

    def test_a_peer_on_this_machine_that_noticed_something_fails_the_scenario(self) -> None:
        host_peer = mock.Mock()
        host_peer.expect_unnoticed.side_effect = [None, CheckFailed("not isolated")]
        self.crew = crew.Crew(self.crew._run, keep=False, host_peer=host_peer)
        self.addCleanup(self.crew.stop)
        scenarios = [scenario("S1", pass_at_once, time_limit_s=2), scenario("S2", pass_at_once, time_limit_s=1)]
        self.assertEqual(self.outcomes(scenarios, 1), {"S1": Outcome.PASSED, "S2": Outcome.FAILED})

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
        # One worker is held up by the first scenario while the other ends the other two; the second of their results
        # is not taken yet when the interruption comes.
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
