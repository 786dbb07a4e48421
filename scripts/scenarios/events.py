"""The whole event log of one process, checked against the schema, and waiting on it.

Nothing is ever consumed: a wait looks at everything from its start on, so an event that arrived before the wait began
is found, and a later check sees what an earlier wait saw.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from . import event_schema
from .expectations import CheckFailed, Deadline

Event = dict[str, Any]
Predicate = Callable[[Event], bool]


def named(name: str, /, **fields: Any) -> Predicate:
    """Matches events of one name whose given fields have the given values."""

    def matches(event: Event) -> bool:
        return event.get("event") == name and all(event.get(key) == value for key, value in fields.items())

    return matches


class EventLog:
    """Filled by one reader thread, read by the scenario."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.is_of_a_double = False
        """Stand-ins for the program print objects of their own, which the schema does not have."""
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._complaints: list[str] = []
        self._wrong: list[str] = []
        self._closed = False

    def add_line(self, line: str) -> None:
        """Takes one line of standard output, which holds events and nothing else."""
        complaint = wrong = None
        event: Event | None = None
        try:
            event = json.loads(line)
        except ValueError:
            complaint = f"not JSON: {line!r}"
        is_event = isinstance(event, dict) and isinstance(event.get("event"), str) and "time" in event
        if complaint is None and not is_event:
            complaint = f"without `event` and `time`: {line!r}"
        elif complaint is None and (problem := event_schema.problem(event)):
            wrong = f"not as docs/event-schema.json says: {problem}: {line!r}"
        with self._changed:
            if complaint:
                self._complaints.append(complaint)
            if wrong:
                self._wrong.append(wrong)
            # What has an unknown field can still be waited for.
            if event is not None and is_event:
                self._events.append(event)
            self._changed.notify_all()

    def close(self) -> None:
        """No more lines will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def mark(self) -> int:
        """The position after the newest event, to begin a window with."""
        with self._changed:
            return len(self._events)

    def window(self, start: int = 0, end: int | None = None) -> list[Event]:
        with self._changed:
            return self._events[start:end]

    def all(self, predicate: Predicate, start: int = 0) -> list[Event]:
        return [event for event in self.window(start) if predicate(event)]

    def complaints(self) -> list[str]:
        """Lines that were not events, and of the program those that are not as the schema says."""
        with self._changed:
            return self._complaints + ([] if self.is_of_a_double else self._wrong)

    def wait_for(self, predicate: Predicate, deadline: Deadline, what: str, start: int = 0) -> Event:
        """The first matching event at or after `start`; fails when the process ends without one."""
        waiting_for = f"{what} from {self.owner}"
        with self._changed:
            looked_at = start
            while True:
                while looked_at < len(self._events):
                    event = self._events[looked_at]
                    looked_at += 1
                    if predicate(event):
                        return event
                if self._closed:
                    raise CheckFailed(f"{self.owner} ended without {what}")
                self._changed.wait(deadline.check(waiting_for))
