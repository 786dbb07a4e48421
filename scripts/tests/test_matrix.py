"""The matrix is whole, and every written scenario states its contract."""

import contextlib
import io
import json
import os
import signal
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from scenarios import runner
from scenarios.cleanup import RunLock, is_dead
from scenarios.contract import Outcome, Planned, Result, Scenario
from scenarios.docker import DockerError
from scenarios.matrix import MATRIX, PART_OF, SERIES
from scenarios.tools import PROJECT_DIR, ToolFailed


class MatrixTest(unittest.TestCase):
    def test_every_number_is_there_once(self) -> None:
        written = [id for id in MATRIX if id[0] == "S"]
        numbers = [f"S{number}" for number in range(1, 101)]
        self.assertEqual(written, [id for id in numbers if id not in PART_OF])

    def test_a_scenario_that_is_part_of_another_says_so_there(self) -> None:
        for id, whole in PART_OF.items():
            with self.subTest(id):
                self.assertNotIn(id, MATRIX)
                row = MATRIX[whole]
                self.assertIsInstance(row, Scenario)
                assert isinstance(row, Scenario)
                self.assertIn(id, row.conditions)

    def test_the_series_follow_each_other_and_the_short_ones_have_no_gaps(self) -> None:
        self.assertEqual(list(MATRIX), sorted(MATRIX, key=lambda id: (SERIES.index(id[0]), int(id[1:]))))
        for series in SERIES.replace("S", ""):
            ids = [id for id in MATRIX if id[0] == series]
            self.assertEqual(ids, [f"{series}{number}" for number in range(1, len(ids) + 1)])

    def test_every_row_states_a_claim(self) -> None:
        for row in MATRIX.values():
            with self.subTest(row.id):
                self.assertTrue(row.claim.endswith("."), row.claim)
                if isinstance(row, Scenario):
                    self.assertTrue(row.conditions.endswith("."), row.conditions)
                    self.assertTrue(0 < row.time_limit_s <= 600)


class ModulesTest(unittest.TestCase):
    FOLDER = PROJECT_DIR / "scripts" / "scenarios"

    def test_scenario_modules_do_not_import_each_other(self) -> None:
        for file in sorted((self.FOLDER / "matrix").glob("*.py")):
            if file.name != "__init__.py":
                with self.subTest(file.name):
                    self.assertNotRegex(
                        file.read_text(), r"(?m)^from \.\w* import", "shared things belong one level up"
                    )

    def test_every_module_has_a_name_of_its_own(self) -> None:
        names = [file.name for file in self.FOLDER.rglob("*.py") if file.name != "__init__.py"]
        self.assertEqual(sorted(names), sorted(set(names)))


class RunnerTest(unittest.TestCase):
    def run_main(self, *arguments: str) -> tuple[int, str]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = runner.main(arguments)
        return status, output.getvalue()

    def test_unsupported_is_not_passed(self) -> None:
        # Everything is written today; a row that is not must still never count as passed.
        with mock.patch.dict(MATRIX, {"S101": Planned("S101", "Not written", "Nothing checks it.")}):
            status, output = self.run_main("S101")
        self.assertEqual(status, runner.EXIT_NOT_PASSED)
        self.assertIn("0 passed, 0 failed, 1 unsupported", output)

    def test_list_shows_every_row_and_runs_nothing(self) -> None:
        status, output = self.run_main("--list")
        self.assertEqual(status, 0)
        for id in MATRIX:
            self.assertIn(f"{id} ", output)

    def test_an_unknown_id_is_a_usage_error(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as raised:
            runner.main(["S999"])
        self.assertEqual(raised.exception.code, runner.EXIT_USAGE)

    def test_markdown_runs_nothing_and_is_the_page_of_the_documentation(self) -> None:
        status, output = self.run_main("--markdown")
        self.assertEqual(status, 0)
        page = PROJECT_DIR / "docs" / "scenarios.md"
        self.assertEqual(
            page.read_text(), output, "out of date: scripts/run_extended_scenarios.py --markdown > docs/scenarios.md"
        )

    def test_no_jobs_are_a_usage_error(self) -> None:
        for jobs in ("0", "-1", "many"):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as raised:
                runner.main(["--jobs", jobs, "--list"])
            self.assertEqual(raised.exception.code, runner.EXIT_USAGE)


class EarlyEndTest(unittest.TestCase):
    """A run that ends early leaves no results of an earlier one, and loses none of its own."""

    def run_and_end(self, error: BaseException) -> tuple[int | None, dict[str, Any]]:
        def run(ids: list[str], results: list[Result], options: object) -> None:
            results.append(Result("S2", "", "", Outcome.PASSED))
            raise error

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.json"
            file.write_text('{"complete": true}')
            arguments = ["S1", "S2", "--json", str(file), "--junit", f"{file}.xml"]
            status = None
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()) as said,
                mock.patch.object(runner, "run_scenarios", run),
                mock.patch.object(runner, "_on_signals"),
            ):
                if isinstance(error, ZeroDivisionError):
                    with self.assertRaises(ZeroDivisionError):
                        runner.main(arguments)
                else:
                    status = runner.main(arguments)
            self.assertTrue(Path(f"{file}.xml").is_file())
            document = json.loads(file.read_text())
            self.assertIn(document["problem"], said.getvalue())
            return status, document

    def test_results_are_written_however_it_ends(self) -> None:
        for error, status, problem in (
            (ToolFailed("no rar"), runner.EXIT_CANNOT_RUN, "no rar"),
            (DockerError(["run"], 125, "gone"), runner.EXIT_CANNOT_RUN, "docker run: exit 125: gone"),
            (runner.Interrupted(signal.SIGINT), 130, "interrupted by SIGINT; cleaned up"),
            (ZeroDivisionError("x"), None, "the harness itself broke: ZeroDivisionError: x"),
        ):
            with self.subTest(problem):
                ended, document = self.run_and_end(error)
                self.assertEqual(ended, status)
                self.assertEqual((document["complete"], document["problem"]), (False, problem))
                self.assertEqual(document["not_run"], ["S1"])
                self.assertEqual([row["id"] for row in document["scenarios"]], ["S2"])


class RunLockTest(unittest.TestCase):
    def test_a_run_is_dead_when_no_process_holds_its_lock(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.lock"
            lock = RunLock(path)
            self.assertFalse(is_dead(str(path)))
            # A run that is killed leaves the file, but the kernel lets go of the lock.
            os.close(lock._descriptor)
            self.assertTrue(is_dead(str(path)))
            path.unlink()
            self.assertTrue(is_dead(str(path)))


if __name__ == "__main__":
    unittest.main()
