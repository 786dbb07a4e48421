"""What bench.py reports follows from its samples: ratios, verdicts, JSON, page and picture."""

import contextlib
import dataclasses
import io
import itertools
import json
import unittest
import xml.etree.ElementTree as ElementTree

import bench
from benchmark import document, pages, picture, text
from benchmark.aims import MEMORY_AIMS, TIME_AIMS, failed_aims, verdicts
from benchmark.contenders import CONTENDERS
from benchmark.rows import growth, rows
from benchmark.samples import Failure, Process, Results, Sample, WorkFacts, merged
from benchmark.statistics import Spread, ratio, seconds, synced_seconds
from benchmark.works import MIB, QUICK_CONTENDERS, QUICK_WORKS, WORKS

MACHINE = {"processor": "abacus", "cores": "2"}


def facts(name: str, files: int = 10, size_mib: int = 1024) -> WorkFacts:
    return WorkFacts(name, f"the work {name}", 1.0, files, size_mib * MIB, size_mib * MIB // 2, 32 * MIB, "ab", 0, 2e-5)


def sample(
    contender: str,
    number: int,
    seconds: float,
    sync_seconds: float | None = None,
    work: str = "solid-500",
    peaks: dict[str, int] | None = None,
    is_disturbed: bool = False,
) -> Sample:
    used = tuple(Process(role, seconds, 0.5, 0.25, peak * MIB) for role, peak in (peaks or {}).items())
    return Sample(work, contender, number, seconds, sync_seconds, used, 0.0, is_disturbed)


def results(*samples: Sample, failures: tuple[Failure, ...] = ()) -> Results:
    works = dict.fromkeys(one.work for one in samples)
    return Results(MACHINE, tuple(map(facts, works)), samples, failures)


STREAMED = results(
    sample("stream", 1, 3.0, peaks={"receiver": 20, "source": 70}),
    sample("unrar", 1, 4.0, 2.0),
    sample("stream", 2, 8.0, peaks={"receiver": 40, "source": 60}),
    sample("unrar", 2, 8.0, 2.0),
    sample("stream", 3, 4.4, peaks={"receiver": 25, "source": 60}),
    sample("unrar", 3, 7.0, 4.0),
)


class RatioTest(unittest.TestCase):
    def test_a_ratio_is_taken_within_a_round(self) -> None:
        self.assertEqual(ratio(STREAMED, "solid-500", "stream", "unrar", synced_seconds), Spread(0.5, 0.4, 0.8))
        self.assertEqual(ratio(STREAMED, "solid-500", "stream", "unrar", seconds), Spread(0.75, 4.4 / 7.0, 1.0))

    def test_both_sides_are_counted_alone_or_both_synced(self) -> None:
        found = results(sample("curl-unrar", 1, 3.0, 9.0), sample("unrar", 1, 3.0, 1.0))
        self.assertEqual(ratio(found, "solid-500", "curl-unrar", "unrar", seconds), Spread.of([1.0]))
        self.assertEqual(ratio(found, "solid-500", "curl-unrar", "unrar", synced_seconds), Spread.of([3.0]))

    def test_a_round_with_one_side_only_is_left_out(self) -> None:
        found = results(sample("stream", 1, 1.0), sample("stream", 2, 3.0), sample("unrar", 2, 6.0))
        self.assertEqual(ratio(found, "solid-500", "stream", "unrar", seconds), Spread.of([0.5]))
        self.assertIsNone(ratio(found, "solid-500", "stream", "curl", seconds))


class AimTest(unittest.TestCase):
    def test_a_time_is_judged_by_the_median_and_memory_by_the_highest_peak(self) -> None:
        found = {verdict.what: verdict for verdict in verdicts(STREAMED)}
        self.assertTrue(found["`install --stream`, solid, against `unrar x` (both then synced)"].is_met)
        self.assertTrue(found["memory of a source with one stream: dictionary + 40 MiB"].is_met)
        receiver = found["memory of a receiver: 32 MiB"]
        self.assertEqual((receiver.got.median, receiver.decisive, receiver.is_met), (25, 40, False))
        self.assertEqual(len(found), 3)

    def test_a_ratio_above_the_aim_is_not_met(self) -> None:
        found = results(sample("stream", 1, 6.1), sample("unrar", 1, 9.0, 1.0))
        self.assertEqual([verdict.is_met for verdict in verdicts(found) if not verdict.unit], [False])

    def test_a_disturbed_round_marks_the_verdict(self) -> None:
        found = results(sample("stream", 1, 1.0), sample("unrar", 1, 9.0, 1.0, is_disturbed=True))
        self.assertTrue(verdicts(found)[0].is_disturbed)

    def test_what_was_not_measured_has_no_verdict(self) -> None:
        self.assertEqual(verdicts(results(sample("copy", 1, 1.0))), [])

    def test_a_failure_of_ours_is_no_verdict_but_is_not_met(self) -> None:
        failures = (Failure("solid-500", "stream", "broke"), Failure("solid-500", "7z", "missing"))
        found = results(sample("unrar", 1, 1.0), failures=failures)
        self.assertEqual(failed_aims(found), ["solid-500, stream: broke"])
        self.assertIn("NOT MET, failed: solid-500, stream: broke", text.report(found))

    def test_aims_and_works_name_what_exists(self) -> None:
        known = {work.name: work for work in WORKS}
        for aim in TIME_AIMS:
            for work in aim.works:
                self.assertLessEqual({aim.ours, aim.theirs}, set(known[work].contenders), (aim.what, work))
        for bound in MEMORY_AIMS:
            for work in bound.works:
                self.assertIn(bound.contender, known[work].contenders)
        for one in WORKS:
            self.assertLessEqual(set(one.contenders), set(CONTENDERS))
        self.assertLessEqual(set(QUICK_WORKS), set(known))
        self.assertLessEqual(set(QUICK_CONTENDERS), set(CONTENDERS))

    def test_a_check_that_measured_nothing_is_no_success(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertFalse(bench.is_all_met(results(sample("copy", 1, 1.0))))
        self.assertFalse(bench.is_all_met(STREAMED))
        met = results(*(one for one in STREAMED.samples if one.round == 1))
        self.assertTrue(bench.is_all_met(met))


class RowTest(unittest.TestCase):
    def test_a_row_adds_up_processes_of_one_role(self) -> None:
        process = Process("receiver", 1.0, 0.5, 0.25, 10 * MIB)
        two = Sample("growth", "receivers-2", 1, 2.0, None, (process, process), 0.0, False)
        (found,) = rows(results(two), "growth")
        self.assertEqual(found.processes, (("receiver", 1.5, 10.0),))
        self.assertEqual(found.mib_per_second, 512)

    def test_a_download_counts_the_bytes_of_the_archive(self) -> None:
        found = rows(results(sample("download", 1, 2.0, work="download")), "download")
        self.assertEqual(found[0].mib_per_second, 256)

    def test_steps_of_a_cost_are_those_that_were_measured(self) -> None:
        names = ("small-1000", "small-20000")
        samples = tuple(sample("stream", 1, 2.0, work=name) for name in names)
        found = growth(Results(MACHINE, (facts("small-1000", 1000), facts("small-20000", 20_000)), samples, ()))
        self.assertEqual([step.cost for step in found["files"]], ["2000 µs per file", "100 µs per file"])
        self.assertEqual((found["bytes"], found["cores"], found["receivers"]), ([], [], []))

    def test_a_round_of_several_receivers_counts_the_bytes_of_all(self) -> None:
        found = growth(results(sample("receivers-4", 1, 8.0, work="growth")))
        self.assertEqual([(step.what, step.cost) for step in found["receivers"]], [("4 receivers", "512 MiB/s to all")])


class DocumentTest(unittest.TestCase):
    FOUND = results(*STREAMED.samples, failures=(Failure("solid-500", "7z", "no codec"),))

    def test_what_was_written_is_read_back(self) -> None:
        self.assertEqual(document.read(document.written(self.FOUND), "x.json"), self.FOUND)

    def test_it_holds_the_verdicts(self) -> None:
        aims = json.loads(document.written(self.FOUND))["aims"]
        self.assertEqual([aim["is_met"] for aim in aims], [True, True, False])

    def test_another_schema_or_a_missing_field_is_refused(self) -> None:
        written = json.loads(document.written(self.FOUND))
        wrongs: list[object] = [{**written, "schema": 2}, [], {**written, "samples": [{"work": "x"}]}, {"schema": 1}]
        for wrong in wrongs:
            with self.assertRaises(document.DocumentError):
                document.read(json.dumps(wrong), "x.json")
        with self.assertRaisesRegex(document.DocumentError, "x.json is not JSON"):
            document.read("# no", "x.json")

    def test_of_a_work_that_was_run_twice_the_last_counts(self) -> None:
        again = results(sample("stream", 1, 9.0), failures=(Failure("stored", "stream", "no space"),))
        other = results(sample("copy", 1, 1.0, work="growth"))
        both = merged([self.FOUND, other, again])
        self.assertEqual([one.seconds for one in both.of("solid-500", "stream")], [9.0])
        self.assertEqual(both.of("solid-500", "unrar"), [])
        self.assertEqual(len(both.of("growth", "copy")), 1)
        self.assertEqual(both.failures, again.failures)
        self.assertEqual([facts.name for facts in both.works], ["solid-500", "growth"])


class PageTest(unittest.TestCase):
    def test_only_what_is_between_the_marks_changes(self) -> None:
        page = f"# Title\n\n{pages.BEGIN}\nold\n{pages.END}\n\nWords.\n"
        once = pages.replaced(page, STREAMED)
        self.assertTrue(once.startswith(f"# Title\n\n{pages.BEGIN}\n") and once.endswith(f"{pages.END}\n\nWords.\n"))
        self.assertNotIn("old", once)
        self.assertIn("0.50 (0.40 … 0.80) | ≤ 0.6 | met |", once)
        self.assertIn("25 MiB (20 … 40) | ≤ 32 MiB | **not met** |", once)
        self.assertEqual(pages.replaced(once, STREAMED), once)

    def test_a_page_without_marks_is_refused(self) -> None:
        for page in ("", pages.BEGIN, pages.END, f"{pages.END}\n{pages.BEGIN}"):
            with self.assertRaises(pages.PageError):
                pages.replaced(page, STREAMED)

    def test_a_failure_is_one_line_without_a_path_of_this_machine(self) -> None:
        failure = Failure("solid-500", "curl-bsdtar", "bsdtar: /home/me/target/bench/a.eti:\n *bad* | <b> " + "x" * 500)
        found = pages.figures(results(*STREAMED.samples, failures=(failure,)))
        (line,) = [line for line in found.splitlines() if line.startswith("No time for `curl | bsdtar`")]
        self.assertIn("bsdtar: …/a.eti: \\*bad\\* \\| &lt;b>", line)
        self.assertLess(len(line), 400)

    def test_a_work_that_is_smaller_is_named_beside_the_aims(self) -> None:
        whole = pages.figures(STREAMED)
        self.assertNotIn("made smaller", whole)
        small = dataclasses.replace(STREAMED, works=(dataclasses.replace(STREAMED.works[0], scale=0.25),))
        self.assertIn("made smaller than the aims mean: `solid-500` × 0.25.", pages.figures(small))

    def test_every_row_of_a_table_has_its_columns(self) -> None:
        widths: list[int] = []
        piped = sample("curl-bsdtar", 1, 5.0, 1.0)
        found = pages.figures(results(*STREAMED.samples, piped)).replace("\\|", "").splitlines()
        heads = [line for line, below in itertools.pairwise(found) if below.startswith("|---")]
        for line in found:
            if line.startswith("|---"):
                widths.append(line.count("|"))
            elif line.startswith("|") and widths:
                # A head is above its rule.
                self.assertTrue(line.count("|") == widths[-1] or line in heads, line)
        self.assertEqual(len(widths), 4)
        self.assertTrue(any(line.startswith("| `curl  bsdtar` | 5.00 s") for line in found))


class PictureTest(unittest.TestCase):
    def test_it_is_xml_with_a_bar_and_an_aim_for_each_ratio(self) -> None:
        found = results(*STREAMED.samples, sample("install", 1, 5.0))
        root = ElementTree.fromstring(picture.drawn(found))
        classes = [element.get("class") for element in root.iter()]
        self.assertEqual((classes.count("met"), classes.count("unmet"), classes.count("aim")), (1, 1, 2))
        words = " ".join(root.itertext())
        self.assertIn("install --stream, solid, against unrar x", words)
        self.assertNotIn("MiB", words)

    def test_a_disturbed_ratio_is_marked(self) -> None:
        for is_disturbed in (False, True):
            found = results(sample("stream", 1, 1.0, is_disturbed=is_disturbed), sample("unrar", 1, 9.0, 1.0))
            drawn = picture.drawn(found)
            self.assertEqual(("met*" in drawn, "disturbed" in drawn), (is_disturbed, is_disturbed))

    def test_no_bar_leaves_the_picture(self) -> None:
        slow = results(sample("stream", 1, 90.0), sample("unrar", 1, 9.0, 1.0))
        bars = [
            float(element.get("x") or 0) + float(element.get("width") or 0)
            for element in ElementTree.fromstring(picture.drawn(slow)).iter()
            if element.get("class") in ("met", "unmet")
        ]
        self.assertEqual(len(bars), 1)
        self.assertLess(bars[0], picture.WIDTH - picture.RIGHT + 1)
