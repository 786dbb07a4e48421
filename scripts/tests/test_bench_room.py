"""What bench_room.py reports follows from its samples: ratios, bars, JSON, tables and plot. No Docker."""

import argparse
import contextlib
import io
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from unittest import mock

import bench_room
from benchmark import document
from benchmark.room import bars, folders, machines, picture, plan, samples, simulation, text
from benchmark.room.bars import BARS, Verdict
from benchmark.room.figures import (
    CHAIN,
    DECODED,
    FROZEN,
    HTTP,
    KILLED,
    LIED,
    LOOP_DECODED,
    LOOP_PACKED,
    OPEN_LATE,
    SLOW,
    SOURCE_KILLED,
    SOURCE_LIED,
    STAR,
    TWO_SOURCES,
    WIDE_LATE,
    WIDE_SLOW,
    ratio,
    rows,
    seconds,
)
from benchmark.room.machines import cpu_of, peak_of, span
from benchmark.room.modes import MODES
from benchmark.room.samples import Report, RoomFacts, RoomFailure, RoomResults, RoomSample, Simulated, Used
from benchmark.statistics import Spread
from scenarios.expectations import CheckFailed
from scenarios.peer import Machine

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


def report(*found: RoomResults) -> Report:
    return Report(tuple(found))


def verdicts(found: RoomResults) -> list[Verdict]:
    return bars.verdicts(report(found))


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


class FaultTest(unittest.TestCase):
    """Rooms in which something happens, against rooms in which nothing does."""

    def room(self, mode: str, receivers: int, took: float, hit: float = 0.0) -> RoomSample:
        found = sample(mode, receivers, 1, took, source_cpu=0.5)
        if not hit:
            return found
        last = found.processes[-1]
        return replace(found, processes=(*found.processes[:-1], replace(last, role="hit", installed_seconds=hit)))

    def figures(self, *found: RoomSample) -> dict[tuple[str, float], list[float]]:
        figures: dict[tuple[str, float], list[float]] = {}
        for one in verdicts(results(*found)):
            if one.unit != " MiB":
                figures.setdefault((one.id, one.limit), []).append(round(one.got.median, 3))
        return figures

    def test_a_room_takes_as_long_as_those_to_whom_nothing_happened(self) -> None:
        late = self.room(WIDE_LATE, 9, 20.0, hit=22.5)
        self.assertEqual((round(late.seconds, 2), late.hit_seconds), (19.99, 22.5))

    def test_each_fault_is_held_to_its_bar(self) -> None:
        one = self.room(CHAIN, 1, 20.0)
        found = self.figures(
            one,
            self.room(CHAIN, 8, 20.5),
            self.room(KILLED, 8, 21.5),
            self.room(FROZEN, 8, 24.0),
            self.room(SOURCE_KILLED, 3, 23.0),
            self.room(SLOW, 8, 24.6),
            self.room(WIDE_SLOW, 8, 21.525),
            self.room(LIED, 2, 21.0),
            self.room(SOURCE_LIED, 1, 18.0),
            self.room(TWO_SOURCES, 1, 10.0),
            self.room(HTTP, 1, 20.2),
        )
        # Of a dying relay against one receiver, and against the same chain without it.
        wanted: dict[tuple[str, float], list[float]] = {
            ("R6", 2): [1.5, 1.0],
            ("R6", 5): [4.0, 3.5],
            ("R7", 5): [3.0],
            ("R8", 1.1): [1.05],
            ("R8", 1.25): [1.2],
            ("R10", 1.08): [1.05, 0.9],
            ("R12", 0.55): [0.5],
            ("R13", 1.05): [1.01],
        }
        self.assertEqual({at: got for at, got in found.items() if at in wanted}, wanted)

    def test_a_late_receiver_has_a_bar_and_so_have_the_others(self) -> None:
        rooms = (self.room(CHAIN, 1, 20.0), self.room(CHAIN, 8, 20.0))
        for mode in (WIDE_LATE, OPEN_LATE):
            found = self.figures(*rooms, self.room(mode, 9, 21.01, hit=20.5))
            late = {at: got for at, got in found.items() if at[0] == "R15"}
            self.assertEqual(late, {("R15", 1): [0.5], ("R15", 1.05): [1.05]})

    def test_what_was_fetched_twice_is_bounded_by_the_worst_receiver(self) -> None:
        found = self.room(KILLED, 8, 21.0)
        processes = [
            replace(one, from_sources_bytes=one.from_sources_bytes + 5 * MIB) if one.name == "seat-3" else one
            for one in found.processes
        ]
        [twice] = [one for one in verdicts(results(replace(found, processes=tuple(processes)))) if "twice" in one.what]
        self.assertEqual((twice.got.high, twice.is_met), (5.0, False))

    def test_the_disk_may_hold_the_game_and_little_else(self) -> None:
        whole = self.room(CHAIN, 8, 20.0)
        for beside, is_met in ((16 * MIB, True), (ROOM.packed_bytes, False)):
            used = tuple(replace(one, disk_peak_bytes=ROOM.unpacked_bytes + beside) for one in whole.processes)
            [verdict] = [one for one in verdicts(results(replace(whole, processes=used))) if one.id == "R11"]
            self.assertEqual(verdict.is_met, is_met)

    def test_the_simulation_says_its_ratio(self) -> None:
        found = simulation.said("\nrunning 1 test\n200 receivers: 1.312 times one, 1003 chunks from the source\n")
        self.assertEqual(found, (Simulated(200, 1.312),))
        [verdict] = bars.verdicts(Report((), found))
        self.assertEqual((verdict.id, verdict.got.median, verdict.is_met), ("R14", 1.312, True))

    def test_a_bar_without_a_figure_is_not_passed_over(self) -> None:
        self.assertEqual(bars.not_measured(report(MEASURED), ["R3", "R13", "R14"]), ["R13", "R14"])

    def test_every_room_of_a_bar_can_be_made(self) -> None:
        for bar in BARS.values():
            for mode, receivers in (*bar.rooms, *bar.long_rooms):
                self.assertIn(mode, MODES)
                self.assertGreater(receivers, 0)


class FolderTest(unittest.TestCase):
    def test_what_is_on_the_disk_counts_also_below(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "a" / "b").mkdir(parents=True)
            empty = folders.disk_bytes(Path(name))
            (Path(name) / "a" / "b" / "file").write_bytes(bytes(100_000))
            self.assertGreaterEqual(folders.disk_bytes(Path(name)) - empty, 100_000)
            self.assertEqual(folders.disk_bytes(Path(name) / "gone"), 0)


class ReportTest(unittest.TestCase):
    def test_json_is_read_back(self) -> None:
        found = results(*MEASURED.samples, failures=(RoomFailure(CHAIN, 4, 1, "it rained"),))
        self.assertEqual(samples.read(samples.written(report(found), []), "a file"), report(found))
        alone = RoomResults({}, None, (sample(LOOP_PACKED, 1, 1, 2.0),), ())
        self.assertEqual(samples.read(samples.written(report(alone), []), "a file"), report(alone))

    def test_another_document_is_refused_by_name(self) -> None:
        for wrong in ("[]", "no JSON", '{"schema": 2}', '{"schema": 99}'):
            with self.assertRaisesRegex(document.DocumentError, "^a file "):
                samples.read(wrong, "a file")

    def test_no_ratio_mixes_two_runs(self) -> None:
        first, second = results(sample(CHAIN, 1, 1, 10.0)), results(sample(CHAIN, 8, 1, 5.0))
        [both] = samples.merged([report(first), report(second)]).runs
        self.assertIsNone(ratio(both, (CHAIN, 8), (CHAIN, 1), seconds))
        [all_three] = samples.merged([report(MEASURED), report(first), report(second)]).runs
        self.assertEqual([one.round for one in all_three.of(CHAIN, 1)], [1, 2, 3])
        self.assertEqual([one.round for one in all_three.of(CHAIN, 8)], [1, 2, 4])

    def test_games_are_not_merged_with_each_other(self) -> None:
        long = RoomResults({}, replace(ROOM, packed_bytes=120_000_000), (sample(CHAIN, 1, 1, 61.0),), ())
        both = samples.merged([report(MEASURED, long), report(MEASURED)])
        self.assertEqual([len(run.of(CHAIN, 1)) for run in both.runs], [4, 1])
        named = [verdict.what for verdict in bars.verdicts(both) if "against the link" in verdict.what]
        self.assertEqual([what.rpartition("; ")[2] for what in named], ["one takes 25 s", "one takes 61 s"])

    def test_both_tables_have_every_room_and_bar(self) -> None:
        found = results(*MEASURED.samples, failures=(RoomFailure(CHAIN, 4, 1, "it rained"),))
        for page in (text.report(report(found)), text.page(report(found))):
            self.assertIn("it rained", page)
            self.assertIn("25.00 s (20.00 … 30.00)", page)
            self.assertIn("R5", page)
        tables = [line.count("|") for line in text.page(report(found)).splitlines() if line.startswith("|")]
        self.assertEqual(set(tables), {11, 6})

    def test_a_page_says_in_words_what_was_found(self) -> None:
        page = text.page(Report((MEASURED,), (Simulated(200, 1.3),)))
        self.assertIn("One receiver takes 25.0 s for the game of 40 MB.", page)
        self.assertIn(
            "A chain of 8 takes 1.02 times as long as one receiver, and the source sends 1.05 archives.", page
        )
        self.assertIn("200 receivers take 1.30 times", page)
        self.assertRegex(page, r"Of \d+ figures, \d+ meet their bar. Not met: R2")
        self.assertIn("other programs used up to 25% of the machine", page)

    def test_a_bar_that_is_missed_by_little_does_not_look_met(self) -> None:
        eight = sample(CHAIN, 8, 1, 20.0)
        used = tuple(replace(one, peak_bytes=80 * MIB + 300_000) for one in eight.processes)
        self.assertIn(
            "| 80.3 MiB (80.3 … 80.3) | ≤ 80 MiB | **no** |", text.page(report(results(replace(eight, processes=used))))
        )

    def test_a_quiet_machine_is_not_called_busy(self) -> None:
        quiet = replace(MEASURED, samples=tuple(replace(one, foreign_share=0.01) for one in MEASURED.samples))
        self.assertNotIn("provisional", text.page(report(quiet)))

    def test_a_page_keeps_what_is_around_the_tables(self) -> None:
        page = f"before\n{text.MARK_BEGIN}\nold\n{text.MARK_END}\nafter\n"
        new = text.replaced(page, report(MEASURED))
        self.assertTrue(new.startswith("before\n") and new.endswith("after\n"))
        self.assertNotIn("old\n", new)
        self.assertEqual(text.replaced(new, report(MEASURED)), new)
        with self.assertRaises(text.PageError):
            text.replaced("no place", report(MEASURED))


class PictureTest(unittest.TestCase):
    def test_the_plot_has_a_line_for_each_mode_that_has_ratios(self) -> None:
        root = ElementTree.fromstring(picture.drawn(report(MEASURED)))
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(lines), 3)
        words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        self.assertTrue({"chain", "star, packed", "star, decoded", "receivers"} <= words)

    def test_a_room_that_takes_longer_is_higher(self) -> None:
        root = ElementTree.fromstring(picture.drawn(report(MEASURED)))
        chain, star, _ = (line.get("points", "") for line in root.findall("{http://www.w3.org/2000/svg}polyline"))
        height = [float(points.split()[-1].split(",")[1]) for points in (chain, star)]
        self.assertLess(height[1], height[0])

    def test_nothing_measured_is_still_a_picture(self) -> None:
        ElementTree.fromstring(picture.drawn(Report(())))


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

    def test_a_shared_link_has_one_rate_for_each_and_one_for_all(self) -> None:
        addresses = iter(["10.0.0.3", "10.0.0.4"])
        with (
            mock.patch.object(machines, "docker") as docker,
            mock.patch.object(machines, "address", side_effect=lambda _: next(addresses)),
        ):
            machines.share_link(Machine("source"), [Machine("one"), Machine("two")], 2, 1_000_000)
        script = docker.call_args.args[-1]
        self.assertIn("classid 1:1 htb rate 16000000bit", script)
        self.assertEqual(script.count("ceil 8000000bit"), 2)
        self.assertIn("ip dst 10.0.0.3/32 flowid 1:2", script)
        self.assertIn("ip dst 10.0.0.4/32 flowid 1:3", script)

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

    def test_what_there_is_not_is_refused(self) -> None:
        self.assertIn("no mode ring", self.refusal("--modes", "ring"))
        self.assertIn("no bar R99", self.refusal("--bars", "R1,R99"))
        self.assertIn("a room has", self.refusal("--receivers", "0,4"))
        # What happens there is for a bar, which says what it is compared with.
        self.assertIn(f"no mode {KILLED}", self.refusal("--modes", KILLED))

    def test_the_largest_stars_are_left_out(self) -> None:
        self.assertEqual(
            self.rooms("--receivers", "1,16", "--modes", f"{STAR},{CHAIN},{HTTP}"),
            ((CHAIN, 1), (CHAIN, 16), (STAR, 1), (HTTP, 1)),
        )
        self.assertEqual(self.rooms("--receivers", "16", "--modes", STAR, "--star-max", "16"), ((STAR, 16),))

    def test_quick_is_smaller_and_can_be_changed(self) -> None:
        quick, full = self.wanted("--quick", "--rounds", "2"), self.wanted()
        self.assertLess(quick.packed_bytes, full.packed_bytes)
        sizes = [{size for _, size in wanted.planned.rooms} for wanted in (quick, full)]
        self.assertEqual((quick.rounds, *sizes), (2, {1, 4}, {1, 4, 8, 16}))

    def test_a_bar_needs_its_rooms_and_no_others(self) -> None:
        wanted = self.wanted("--bars", "r13")
        self.assertEqual(wanted.planned, plan.Plan(rooms=((CHAIN, 1), (HTTP, 1))))
        self.assertEqual(self.wanted("--bars", "R1").planned, plan.Plan(on_loopback=True))
        self.assertEqual(self.rooms("--bars", "R13", "--modes", STAR, "--receivers", "4")[1:2], ((STAR, 4),))

    def test_all_bars_take_less_than_half_an_hour(self) -> None:
        words = self.wanted("--bars").words().splitlines()
        total = sum(float(line.split()[0]) for line in words[:-1])
        self.assertLess(total, 1800)
        self.assertAlmostEqual(total, float(words[-1].split()[0]), delta=len(words))

    def wanted(self, *given: str) -> bench_room.Wanted:
        return bench_room.wanted(self.options(*given))

    def rooms(self, *given: str) -> tuple[bars.Room, ...]:
        return self.wanted(*given).planned.rooms

    def options(self, *given: str) -> argparse.Namespace:
        return bench_room.arguments(list(given))


if __name__ == "__main__":
    unittest.main()
