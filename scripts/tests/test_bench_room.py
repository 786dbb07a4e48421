"""What bench_room.py reports follows from its samples: ratios, bars, JSON, tables and plot. No Docker."""

import argparse
import contextlib
import io
import unittest
import xml.etree.ElementTree as ElementTree

import bench_room
from benchmark import document
from benchmark.room import picture, samples, text
from benchmark.room.figures import (
    CHAIN,
    DECODED,
    HTTP,
    LOOP_DECODED,
    LOOP_PACKED,
    STAR,
    Verdict,
    ratio,
    rows,
    seconds,
    verdicts,
)
from benchmark.room.machines import cpu_of, peak_of, span
from benchmark.room.measure import rooms
from benchmark.room.samples import RoomFacts, RoomFailure, RoomResults, RoomSample, Used
from benchmark.statistics import Spread
from scenarios.expectations import CheckFailed

MIB = 1024 * 1024
ROOM = RoomFacts(2_000_000, 40_000_000, 80_000_000, 16, 32 * MIB, 16 * MIB, 0.0)


def sample(
    mode: str, receivers: int, number: int, took: float, *, sent: int = 0, source_cpu: float = 0.1, peak: int = 60
) -> RoomSample:
    """A room whose last receiver takes so long; the others are a little earlier, and all but the first have a relay."""
    found = [Used("source", "source", source_cpu, 20 * MIB)]
    for seat in range(receivers):
        relayed = 40_000_000 if mode == CHAIN and seat > 0 else 0
        done = took - 0.01 * (receivers - 1 - seat)
        found.append(
            Used(f"seat-{seat}", "receiver", 1.0, peak * MIB, done, done + 1, relayed, 40_000_000 - relayed, 1)
        )
    return RoomSample(mode, receivers, number, sent, tuple(found), 0.25)


def results(*found: RoomSample, failures: tuple[RoomFailure, ...] = ()) -> RoomResults:
    return RoomResults({"processor": "abacus", "cores": "2", "lanspread": "abc"}, ROOM, found, failures)


MEASURED = results(
    sample(CHAIN, 1, 1, 20.0, sent=41_000_000, source_cpu=0.5),
    sample(CHAIN, 8, 1, 21.0, sent=42_000_000, source_cpu=0.55),
    sample(STAR, 1, 1, 20.0, sent=41_000_000),
    sample(STAR, 8, 1, 160.0, sent=320_000_000),
    sample(DECODED, 1, 1, 40.0, sent=80_000_000, source_cpu=6.0),
    sample(CHAIN, 1, 2, 30.0, sent=41_000_000, source_cpu=0.5),
    sample(CHAIN, 8, 2, 30.0, sent=42_000_000, source_cpu=0.5),
    sample(STAR, 1, 2, 20.0, sent=41_000_000),
    sample(STAR, 8, 2, 150.0, sent=320_000_000),
    sample(DECODED, 1, 2, 60.0, sent=80_000_000, source_cpu=6.0),
)


class FiguresTest(unittest.TestCase):
    def test_a_room_takes_as_long_as_its_last_receiver(self) -> None:
        self.assertEqual(MEASURED.of(CHAIN, 8)[0].seconds, 21.0)

    def test_a_ratio_is_taken_within_a_round(self) -> None:
        self.assertEqual(ratio(MEASURED, (CHAIN, 8), (CHAIN, 1), seconds), Spread(1.025, 1.0, 1.05))
        self.assertIsNone(ratio(MEASURED, (CHAIN, 16), (CHAIN, 1), seconds))

    def test_a_round_without_one_receiver_has_no_ratio(self) -> None:
        found = results(sample(CHAIN, 8, 2, 9.0), sample(CHAIN, 1, 1, 3.0), sample(CHAIN, 8, 1, 3.3))
        got = ratio(found, (CHAIN, 8), (CHAIN, 1), seconds)
        self.assertIsNotNone(got)
        self.assertAlmostEqual(got.high if got else 0, 1.1)

    def test_a_row_has_what_the_source_sent_and_who_followed(self) -> None:
        [chain, star] = [row for row in rows(MEASURED) if row.receivers == 8]
        self.assertEqual((chain.mode, star.mode), (CHAIN, STAR))
        self.assertEqual((chain.sent, chain.followers.median), (Spread.of([1.05]), 7))
        self.assertEqual((star.sent, star.followers.median), (Spread.of([8.0]), 0))
        self.assertEqual((chain.receiver_cpu_seconds, chain.receiver_peak_bytes), (1.0, 60 * MIB))


class BarTest(unittest.TestCase):
    def verdict(self, what: str, found: RoomResults = MEASURED) -> Verdict:
        [verdict] = [one for one in verdicts(found) if what in one.what]
        return verdict

    def test_one_receiver_is_compared_with_its_link(self) -> None:
        verdict = self.verdict("against the link")
        # 40 MB at 2 MB/s are 20 s; the bar is 5 % and a second more.
        self.assertEqual((verdict.limit, verdict.got.median, verdict.is_met), (22.0, 25.0, False))

    def test_a_lower_bar_is_met_from_above(self) -> None:
        verdict = self.verdict("decoded against packed stream")
        self.assertEqual((verdict.got.median, verdict.limit, verdict.is_met), (2.0, 1.8, True))
        self.assertEqual(verdict.bar, "≥ 1.80")

    def test_a_long_room_has_the_stricter_bar(self) -> None:
        self.assertEqual([one.limit for one in verdicts(MEASURED) if one.id == "R3"], [1.10])
        long = results(sample(CHAIN, 1, 1, 60.0), sample(CHAIN, 8, 1, 66.0))
        [ratio_of_rooms] = [one for one in verdicts(long) if one.id == "R3"]
        self.assertEqual((ratio_of_rooms.limit, ratio_of_rooms.is_met), (1.05, False))

    def test_memory_is_judged_by_the_highest_peak(self) -> None:
        found = results(
            sample(CHAIN, 1, 1, 20.0), sample(CHAIN, 8, 1, 20.0), sample(CHAIN, 1, 2, 20.0), sample(CHAIN, 8, 2, 20.0)
        )
        self.assertTrue(self.verdict("highest peak", found).is_met)
        found = results(*found.samples[:3], sample(CHAIN, 8, 2, 20.0, peak=81))
        verdict = self.verdict("highest peak", found)
        self.assertEqual((verdict.limit, verdict.decisive, verdict.is_met), (80, 81, False))

    def test_loopback_needs_no_room(self) -> None:
        found = RoomResults({}, None, (sample(LOOP_PACKED, 1, 1, 2.0), sample(LOOP_DECODED, 1, 1, 2.0)), ())
        self.assertEqual([(one.id, one.got.median) for one in verdicts(found)], [("R1", 1.0)])

    def test_what_was_not_measured_has_no_verdict(self) -> None:
        self.assertEqual(verdicts(results()), [])


class ReportTest(unittest.TestCase):
    def test_json_is_read_back(self) -> None:
        found = results(*MEASURED.samples, failures=(RoomFailure(CHAIN, 4, 1, "it rained"),))
        self.assertEqual(samples.read(samples.written(found, []), "a file"), found)
        alone = RoomResults({}, None, (sample(LOOP_PACKED, 1, 1, 2.0),), ())
        self.assertEqual(samples.read(samples.written(alone, []), "a file"), alone)

    def test_another_document_is_refused_by_name(self) -> None:
        for wrong in ("[]", "no JSON", '{"schema": 1}', '{"schema": 99}'):
            with self.assertRaisesRegex(document.DocumentError, "^a file "):
                samples.read(wrong, "a file")

    def test_no_ratio_mixes_two_runs(self) -> None:
        first, second = results(sample(CHAIN, 1, 1, 10.0)), results(sample(CHAIN, 8, 1, 5.0))
        self.assertIsNone(ratio(samples.merged([first, second]), (CHAIN, 8), (CHAIN, 1), seconds))
        both = samples.merged([MEASURED, first, second])
        self.assertEqual([one.round for one in both.of(CHAIN, 1)], [1, 2, 3])
        self.assertEqual([one.round for one in both.of(CHAIN, 8)], [1, 2, 4])

    def test_both_tables_have_every_room_and_bar(self) -> None:
        found = results(*MEASURED.samples, failures=(RoomFailure(CHAIN, 4, 1, "it rained"),))
        for report in (text.report(found), text.page(found)):
            self.assertIn("it rained", report)
            self.assertIn("25.00 s (20.00 … 30.00)", report)
            self.assertIn("R5", report)
        tables = [line.count("|") for line in text.page(found).splitlines() if line.startswith("|")]
        self.assertEqual(set(tables), {11, 6})

    def test_a_page_keeps_what_is_around_the_tables(self) -> None:
        page = f"before\n{text.MARK_BEGIN}\nold\n{text.MARK_END}\nafter\n"
        new = text.replaced(page, MEASURED)
        self.assertTrue(new.startswith("before\n") and new.endswith("after\n"))
        self.assertNotIn("old\n", new)
        self.assertEqual(text.replaced(new, MEASURED), new)
        with self.assertRaises(text.PageError):
            text.replaced("no place", MEASURED)


class PictureTest(unittest.TestCase):
    def test_the_plot_has_a_line_for_each_mode_that_has_ratios(self) -> None:
        root = ElementTree.fromstring(picture.drawn(MEASURED))
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(lines), 3)
        words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        self.assertTrue({"chain", "star, packed", "star, decoded", "receivers"} <= words)

    def test_a_room_that_takes_longer_is_higher(self) -> None:
        root = ElementTree.fromstring(picture.drawn(MEASURED))
        chain, star, _ = (line.get("points", "") for line in root.findall("{http://www.w3.org/2000/svg}polyline"))
        height = [float(points.split()[-1].split(",")[1]) for points in (chain, star)]
        self.assertLess(height[1], height[0])

    def test_nothing_measured_is_still_a_picture(self) -> None:
        ElementTree.fromstring(picture.drawn(results()))


class ProcessTest(unittest.TestCase):
    SAID = (
        "room-peak 100\nsomething else\nroom-peak 2048\nroom-span 10.500000 12.750000\n"
        "0m0.010s 0m0.020s\n1m2.500s 0m0.250s\n"
    )

    def test_the_shell_beside_a_receiver_says_what_it_used(self) -> None:
        found = span(self.SAID)
        self.assertEqual((found.begun, found.ended), (10.5, 12.75))
        self.assertEqual((found.cpu_seconds, found.peak_bytes), (62.75, 2048 * 1024))

    def test_a_shell_that_said_nothing_fails_the_room(self) -> None:
        with self.assertRaisesRegex(CheckFailed, "did not say"):
            span("Killed\n")

    def test_a_name_may_hold_anything(self) -> None:
        stat = "1 (a) b) S " + " ".join(str(number) for number in range(4, 50))
        self.assertEqual(cpu_of(stat, 100), (14 + 15) / 100)
        self.assertEqual(peak_of("Name:\tx\nVmHWM:\t  12 kB\n"), 12 * 1024)


class ArgumentsTest(unittest.TestCase):
    def refusal(self, *given: str) -> str:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit):
            bench_room.arguments(list(given))
        return said.getvalue()

    def test_what_cannot_be_measured_is_refused_with_its_reason(self) -> None:
        self.assertIn("has no HTTP server", self.refusal("--modes", f"{CHAIN},{HTTP}"))
        self.assertIn("no mode ring", self.refusal("--modes", "ring"))
        self.assertIn("a room has", self.refusal("--receivers", "0,4"))

    def test_the_largest_stars_are_left_out(self) -> None:
        options = self.options("--receivers", "1,16", "--modes", f"{CHAIN},{STAR}")
        self.assertEqual(rooms(bench_room.room_options(options)), [(CHAIN, 1), (STAR, 1), (CHAIN, 16)])
        options = self.options("--receivers", "16", "--modes", STAR, "--star-max", "16")
        self.assertEqual(rooms(bench_room.room_options(options)), [(STAR, 16)])

    def test_quick_is_smaller_and_can_be_changed(self) -> None:
        quick = bench_room.room_options(self.options("--quick", "--rounds", "2"))
        full = bench_room.room_options(self.options())
        self.assertLess(quick.packed_bytes, full.packed_bytes)
        self.assertEqual((quick.rounds, quick.receivers, full.receivers), (2, (1, 4), (1, 4, 8, 16)))

    def options(self, *given: str) -> argparse.Namespace:
        return bench_room.arguments(list(given))


if __name__ == "__main__":
    unittest.main()
