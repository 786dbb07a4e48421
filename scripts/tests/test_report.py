"""Every result reaches a machine that reads it, whatever is in its message."""

import json
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from scenarios import report
from scenarios.contract import ALONE, IN_PAIRS, Outcome, Planned, Result, Scenario
from scenarios.report import RunRecord

RESULTS = (
    Result("S1", "Good", "It works.", Outcome.PASSED, 1.25, figures=("3 things per second",)),
    Result("S2", "Bad", "It <works>.", Outcome.FAILED, 2.5, "first & worst\n\x1b[2Jsecond\x00", Path("/kept/S2")),
    Result("S3", "Open", "It will work.", Outcome.UNSUPPORTED, message="nothing checks this yet"),
)


def found(suite: ElementTree.Element, path: str) -> ElementTree.Element:
    element = suite.find(path)
    assert element is not None, f"no {path}"
    return element


class WriterTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "results"

    def test_json_holds_every_result(self) -> None:
        report.write_json(self.file, RunRecord(0, RESULTS))
        document = json.loads(self.file.read_text())
        self.assertEqual(document["started"], "1970-01-01T00:00:00Z")
        self.assertEqual(document["counts"], {"passed": 1, "failed": 1, "unsupported": 1})
        self.assertEqual([row["outcome"] for row in document["scenarios"]], ["passed", "failed", "unsupported"])
        self.assertEqual(document["scenarios"][1]["message"], RESULTS[1].message)
        self.assertEqual(document["scenarios"][1]["evidence"], "/kept/S2")
        self.assertEqual([row["figures"] for row in document["scenarios"]], [["3 things per second"], [], []])

    def test_junit_holds_every_result(self) -> None:
        report.write_junit(self.file, RunRecord(0, RESULTS))
        suite = ElementTree.parse(self.file).getroot()
        self.assertEqual(suite.tag, "testsuite")
        counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")}
        self.assertEqual(counts, {"tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "3.750"})
        passed, failed, unsupported = suite
        self.assertEqual((passed.get("name"), passed.get("time"), len(passed)), ("S1 Good", "1.250", 0))
        self.assertEqual([child.tag for child in failed], ["failure"])
        self.assertEqual([child.tag for child in unsupported], ["skipped"])
        self.assertEqual(len({case.get("classname") for case in suite}), 1)

    def test_a_failure_in_junit_has_claim_message_and_evidence(self) -> None:
        report.write_junit(self.file, RunRecord(0, RESULTS))
        failure = found(ElementTree.parse(self.file).getroot(), "testcase/failure")
        self.assertEqual(failure.get("message"), "first & worst")
        # Control characters cannot be written in XML at all: they must not make the file unreadable.
        for text in ("It <works>.", "first & worst", "\N{REPLACEMENT CHARACTER}[2Jsecond", "/kept/S2"):
            self.assertIn(text, failure.text or "")


class EarlyEndTest(WriterTest):
    RECORD = RunRecord(0, RESULTS[:1], "the engine <went> away", ["S2", "S3"])

    def test_json_says_why_and_what_has_not_run(self) -> None:
        report.write_json(self.file, self.RECORD)
        document = json.loads(self.file.read_text())
        said = {key: document[key] for key in ("complete", "problem", "not_run")}
        self.assertEqual(said, {"complete": False, "problem": "the engine <went> away", "not_run": ["S2", "S3"]})
        self.assertEqual([row["id"] for row in document["scenarios"]], ["S1"])

    def test_junit_has_an_error_for_it(self) -> None:
        report.write_junit(self.file, self.RECORD)
        suite = ElementTree.parse(self.file).getroot()
        self.assertEqual((suite.get("tests"), suite.get("errors")), ("2", "1"))
        error = found(suite, "testcase/error")
        self.assertEqual(error.get("message"), "the engine <went> away")
        self.assertIn("S2, S3", error.text or "")


class PageTest(unittest.TestCase):
    def test_every_row_is_one_line_of_the_table(self) -> None:
        rows = (
            Planned("S1", "Later", "Not yet."),
            Scenario("S2", "Now", "A | B.", "Always.", 30, lambda stage: None),
            Scenario("S3", "Quiet", "C.", "Alone.", 60, lambda stage: None, ALONE),
            Scenario("S4", "Links", "D.", "Slowed.", 60, lambda stage: None, IN_PAIRS),
        )
        table = [line for line in report.matrix_page(rows).splitlines() if line.startswith("| S")]
        self.assertEqual(
            table,
            [
                "| S1 | Later | Not yet. |  |  | planned |",
                "| S2 | Now | A \\| B. | Always. | 30 s | implemented |",
                "| S3 | Quiet | C. | Alone. | 60 s | implemented, runs alone |",
                "| S4 | Links | D. | Slowed. | 60 s | implemented, runs in a pair |",
            ],
        )


if __name__ == "__main__":
    unittest.main()
