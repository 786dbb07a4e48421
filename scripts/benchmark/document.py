"""Results as JSON: every sample, for other programs and for putting several runs together.

    schema    the number below; it changes when a field changes its meaning or goes away
    machine   words, by what they are about
    works     one object per work that was made: see `WorkFacts`
    samples   one object per sample, see `Sample`; `processes` holds one object per process, see `Process`
    failures  contenders that have no time, with the reason
    aims      what was aimed at, for what was measured: `what`, `work`, `got` (`median`, `low`, `high`), `limit`, `unit`
              (empty for a ratio), `is_met`. Derived from the samples, and not read back.

Seconds and bytes, as the names of the fields say. Ratios and verdicts follow from the samples of one round each.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from .aims import verdicts
from .samples import Failure, Process, Results, Sample, WorkFacts

SCHEMA = 1


class DocumentError(ValueError):
    pass


def document_of_schema(text: str, name: str, expected: int) -> dict[str, Any]:
    """The JSON object in a text, if it says that it has this schema."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise DocumentError(f"{name} is not JSON: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != expected:
        raise DocumentError(f"{name} has schema {schema}: expected {expected}")
    return document


def written(results: Results) -> str:
    aims = [{**asdict(verdict), "is_met": verdict.is_met} for verdict in verdicts(results)]
    return json.dumps({"schema": SCHEMA, **asdict(results), "aims": aims}, indent=1) + "\n"


def read(text: str, name: str) -> Results:
    """Results from a text; `name` is where it is from, for the message if it is not one of ours."""
    document = document_of_schema(text, name, SCHEMA)
    try:
        return Results(
            machine=dict(document["machine"]),
            works=tuple(WorkFacts(**work) for work in document["works"]),
            samples=tuple(sample(one) for one in document["samples"]),
            failures=tuple(Failure(**failure) for failure in document["failures"]),
        )
    except (KeyError, TypeError) as error:
        raise DocumentError(f"{name} is not what bench.py writes: {error}") from error


def sample(fields: dict[str, Any]) -> Sample:
    processes = tuple(Process(**process) for process in fields["processes"])
    return Sample(**{**fields, "processes": processes})
