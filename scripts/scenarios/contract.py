"""What a scenario is: a claim, its conditions, its time limit and its check, stated together in one place."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .stage import Run, Stage


class Outcome(enum.Enum):
    """Unsupported is a third thing: it is never counted as passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


# One that needs the whole machine, or measures what else depends on the processor.
ALONE = 1
# One with so many machines behind slowed links that several of its kind would fill the processor.
IN_PAIRS = 2


@dataclass(frozen=True)
class Scenario:
    """One row of the matrix. `run` drives the peers and checks; it raises `CheckFailed` with the evidence."""

    id: str
    name: str
    claim: str
    conditions: str
    time_limit_s: int
    run: Callable[[Stage], None]
    most_at_once: int | None = None
    """How many scenarios may run at the same time while this one does, if that is less than others may: `ALONE` or
    `IN_PAIRS`."""
    with_this_machine: bool = False
    """Whether this machine takes part in the scenario's network, because the harness itself opens connections to peers
    or takes some. Peers of such a scenario do without discovery: they would find a peer that serves on this machine."""
    decodes_at_source: bool = False
    """Whether streamed installs ask for streams that the source decodes, because the claim is about those."""

    def stage(self, run: Run, dir: Path) -> Stage:
        """What one run of it acts on."""
        return Stage(
            run,
            dir,
            scenario_id=self.id,
            time_limit_s=self.time_limit_s,
            with_this_machine=self.with_this_machine,
            decodes_at_source=self.decodes_at_source,
        )


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


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    id: str,
    name: str,
    *,
    claim: str,
    conditions: str,
    time_limit_s: int,
    most_at_once: int | None = None,
    with_this_machine: bool = False,
    decodes_at_source: bool = False,
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Registers the decorated function as the run-and-check of a scenario."""

    def register(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
        if id in SCENARIOS:
            raise ValueError(f"{id} is registered twice")
        SCENARIOS[id] = Scenario(
            id, name, claim, conditions, time_limit_s, run, most_at_once, with_this_machine, decodes_at_source
        )
        return run

    return register
