"""How a check fails, and how long it may wait."""

from __future__ import annotations

import time


class CheckFailed(AssertionError):
    """The claim did not hold, or the mechanism under test was not exercised."""


class TimeLimitPassed(CheckFailed):
    """What was waited for did not happen in time."""


class Deadline:
    """A point in time by which something must have happened."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        return self._end - time.monotonic()

    def check(self, waiting_for: str) -> float:
        """The time that is left; raises when there is none."""
        remaining = self.remaining()
        if remaining <= 0:
            raise TimeLimitPassed(f"{self.seconds:g} s passed while waiting for {waiting_for}")
        return remaining

    def sooner(self, seconds: float) -> Deadline:
        """A deadline at most `seconds` away and not after this one."""
        return Deadline(max(0.0, min(seconds, self.remaining())))


def expect(condition: object, message: str) -> None:
    if not condition:
        raise CheckFailed(message)


def expect_equal(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise CheckFailed(f"{what}: expected {expected!r}, got {actual!r}")
