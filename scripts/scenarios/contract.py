"""What a scenario is: a claim, its conditions, its time limit and its check, stated together in one place."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stage import Stage


class CheckFailed(AssertionError):
    """The claim did not hold, or the mechanism under test was not exercised."""


class TimeLimitPassed(CheckFailed):
    """What was waited for did not happen in time."""


class Outcome(enum.Enum):
    """Unsupported is a third thing: it is never counted as passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Scenario:
    """One row of the matrix. `run` drives the peers and checks; it raises `CheckFailed` with the evidence."""

    id: str
    name: str
    claim: str
    conditions: str
    time_limit_s: int
    run: Callable[[Stage], None]
    alone: bool = False
    """Whether no other scenario may run at the same time, because it measures time or needs the whole machine."""
    with_this_machine: bool = False
    """Whether this machine takes part in the scenario's network, because the harness itself opens connections to peers
    or takes some. Peers of such a scenario do without discovery: they would find a peer that serves on this machine."""


@dataclass(frozen=True)
class Planned:
    """A row of the matrix that nothing checks yet."""

    id: str
    name: str
    claim: str


@dataclass(frozen=True)
class Result:
    id: str
    name: str
    claim: str
    outcome: Outcome
    duration_s: float = 0.0
    message: str = ""
    evidence: Path | None = None
    """Where logs and trees were kept; only after a failure, or when asked to keep everything."""
    figures: tuple[str, ...] = ()
    """What was measured on the way, for people."""


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


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    id: str,
    name: str,
    *,
    claim: str,
    conditions: str,
    time_limit_s: int,
    alone: bool = False,
    with_this_machine: bool = False,
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Registers the decorated function as the run-and-check of a scenario."""

    def register(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
        if id in SCENARIOS:
            raise ValueError(f"{id} is registered twice")
        SCENARIOS[id] = Scenario(id, name, claim, conditions, time_limit_s, run, alone, with_this_machine)
        return run

    return register


def expect(condition: object, message: str) -> None:
    if not condition:
        raise CheckFailed(message)


def expect_equal(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise CheckFailed(f"{what}: expected {expected!r}, got {actual!r}")
