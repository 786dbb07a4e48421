"""The event log: nothing is consumed, waits end, and what is no event is noticed."""

import json
import threading
import unittest

from scenarios.events import EventLog, named
from scenarios.expectations import CheckFailed, Deadline, TimeLimitPassed


def line(event: str, **fields: object) -> str:
    return json.dumps({"event": event, "time": "2025-01-01T00:00:00Z", **fields})


class EventLogTest(unittest.TestCase):
    def setUp(self) -> None:
        self.log = EventLog("a peer")

    def test_a_wait_finds_what_came_before_it_and_consumes_nothing(self) -> None:
        self.log.add_line(line("first", number=1))
        self.log.add_line(line("second", number=2))
        for _ in range(2):
            self.assertEqual(self.log.wait_for(named("first"), Deadline(1), "first")["number"], 1)
        self.assertEqual([event["event"] for event in self.log.window()], ["first", "second"])

    def test_a_window_begins_where_it_was_marked(self) -> None:
        self.log.add_line(line("progress", bytes=1))
        mark = self.log.mark()
        self.log.add_line(line("progress", bytes=2))
        self.assertEqual(self.log.wait_for(named("progress"), Deadline(1), "progress", mark)["bytes"], 2)
        self.assertEqual([event["bytes"] for event in self.log.all(named("progress"), mark)], [2])
        self.assertEqual(len(self.log.all(named("progress"))), 2)

    def test_named_compares_fields(self) -> None:
        self.log.add_line(line("progress", peer="one"))
        self.log.add_line(line("progress", peer="two"))
        self.assertEqual(len(self.log.all(named("progress", peer="two"))), 1)
        self.assertEqual(self.log.all(named("progress", peer="three")), [])

    def test_a_wait_wakes_for_an_event_that_comes_later(self) -> None:
        writer = threading.Timer(0.05, self.log.add_line, [line("late")])
        writer.start()
        self.addCleanup(writer.join)
        self.assertEqual(self.log.wait_for(named("late"), Deadline(10), "late")["event"], "late")

    def test_a_wait_fails_when_the_process_ends(self) -> None:
        self.log.add_line(line("other"))
        self.log.close()
        with self.assertRaisesRegex(CheckFailed, "a peer ended without the event"):
            self.log.wait_for(named("never"), Deadline(10), "the event")

    def test_a_wait_fails_at_its_deadline(self) -> None:
        with self.assertRaisesRegex(TimeLimitPassed, "the event from a peer"):
            self.log.wait_for(named("never"), Deadline(0.01), "the event")

    def test_lines_that_are_no_events_are_complaints(self) -> None:
        for bad in ("human text", "[]", '{"event":"without-time"}', '{"time":"2025"}', ""):
            self.log.add_line(bad)
        self.assertEqual(len(self.log.complaints()), 5)
        self.assertEqual(self.log.window(), [])

    def test_events_that_are_not_as_the_schema_says_are_complaints(self) -> None:
        begin = {"operation": 1, "kind": "verify", "game": "g", "v": 1, "seq": 4}
        self.log.add_line(line("operation-begin", **begin))
        self.assertEqual(self.log.complaints(), [])
        wrong: list[tuple[str, dict[str, object]]] = [
            ("expected 1, got 2", {**begin, "v": 2}),
            ("expected integer", {**begin, "operation": "1"}),
            ("expected integer", {**begin, "seq": True}),
            ("/more is not described", {**begin, "more": 1}),
            ("no `game`", {key: value for key, value in begin.items() if key != "game"}),
        ]
        for _, fields in wrong:
            self.log.add_line(line("operation-begin", **fields))
        self.log.add_line(line("no-such-event", v=1))
        complaints = self.log.complaints()
        self.assertEqual(len(complaints), len(wrong) + 1)
        for (expected, _), complaint in zip(wrong, complaints, strict=False):
            self.assertIn(expected, complaint)
        self.assertIn("no-such-event", complaints[-1])


class DeadlineTest(unittest.TestCase):
    def test_a_sooner_deadline_never_lies_behind_the_first(self) -> None:
        self.assertLessEqual(Deadline(1).sooner(100).remaining(), 1)
        self.assertLessEqual(Deadline(100).sooner(1).remaining(), 1)


if __name__ == "__main__":
    unittest.main()
