"""What a run says: the table on the terminal, results for machines, the matrix as a page of the documentation."""

from __future__ import annotations

import json
import re
import textwrap
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .contract import ALONE, IN_PAIRS, Outcome, Planned, Result, Scenario

# XML 1.0 has no way to write these, escaped or not; what a program printed may hold any of them.
_NO_XML_CHARACTER = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# What is shown of a message where only one line is wanted.
_FIRST_LINE_CHARACTERS = 120


def show_matrix(rows: Sequence[Planned | Scenario]) -> None:
    """The dry run: what is claimed, under which conditions, in what time, and what is not checked yet."""
    for row in rows:
        state = "implemented" if isinstance(row, Scenario) else "planned, unsupported"
        print(f"{row.id:4} {row.name} [{state}]")
        print(textwrap.indent(textwrap.fill(row.claim, 110), "       "))
        if isinstance(row, Scenario):
            print(textwrap.indent(textwrap.fill(f"Conditions: {row.conditions}", 110), "       "))
            print(f"       Time limit: {row.time_limit_s} s{_company(row)}")
    count = _implemented(rows)
    print(f"{len(rows)} scenarios, {count} implemented, {len(rows) - count} planned")


def _company(row: Scenario) -> str:
    """With how many others it runs, if that is less than most may."""
    words = {None: "", IN_PAIRS: ", runs in a pair", ALONE: ", runs alone"}
    return words[row.most_at_once]


def matrix_page(rows: Sequence[Planned | Scenario]) -> str:
    """The matrix as Markdown: docs/scenarios.md is this text."""
    count = _implemented(rows)
    lines = [
        "# Scenarios",
        "",
        "These scenarios run real peers in containers on private networks and drive them through the command line "
        "that users have. `scripts/run_extended_scenarios.py` runs them. A planned scenario never counts as passed. "
        "This page is generated: `scripts/run_extended_scenarios.py --markdown > docs/scenarios.md`.",
        "",
        f"{len(rows)} scenarios: {count} implemented, {len(rows) - count} planned. A scenario that runs alone "
        "measures time or needs the whole machine; one that runs in a pair measures time and has many machines.",
        "",
        "| Id | Name | Claim | Conditions | Time limit | State |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if isinstance(row, Scenario):
            state = f"implemented{_company(row)}"
            cells = [row.id, row.name, row.claim, row.conditions, f"{row.time_limit_s} s", state]
        else:
            cells = [row.id, row.name, row.claim, "", "", "planned"]
        lines.append(f"| {' | '.join(_cell(text) for text in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _implemented(rows: Iterable[Planned | Scenario]) -> int:
    return sum(isinstance(row, Scenario) for row in rows)


def show_result(result: Result) -> None:
    """One result as it comes, with what helps to understand a failure."""
    print(f"{result.id:4} {result.name}: {result.outcome.value} ({result.duration_s:.1f} s)", flush=True)
    for figure in result.figures:
        print(f"    {figure}", flush=True)
    if result.evidence:
        print(textwrap.indent(f"{result.message}\nlogs and trees: {result.evidence}".lstrip(), "    "), flush=True)


def show_results(results: Sequence[Result]) -> None:
    width = max((len(result.name) for result in results), default=0)
    print()
    for result in results:
        reason = f"  {result.message.splitlines()[0][:_FIRST_LINE_CHARACTERS]}" if result.message else ""
        print(f"{result.id:4} {result.name:{width}} {result.outcome.value:11} {result.duration_s:6.1f} s{reason}")
    print(", ".join(f"{count} {outcome.value}" for outcome, count in _counts(results).items()))


def _counts(results: Iterable[Result]) -> dict[Outcome, int]:
    outcomes = [result.outcome for result in results]
    return {outcome: outcomes.count(outcome) for outcome in Outcome}


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run, whole or not."""

    started: float
    results: Sequence[Result]
    problem: str = ""
    """Why the run ended early; empty if it did not."""
    not_run: Sequence[str] = ()
    """The scenarios that were asked for and have no result."""


def write_json(file: Path, record: RunRecord) -> None:
    results = record.results
    document = {
        "started": _utc(record.started),
        "complete": not record.problem,
        "problem": record.problem or None,
        "not_run": list(record.not_run),
        "counts": {outcome.value: count for outcome, count in _counts(results).items()},
        "scenarios": [
            {
                "id": result.id,
                "name": result.name,
                "claim": result.claim,
                "outcome": result.outcome.value,
                "duration_s": round(result.duration_s, 3),
                "message": result.message,
                "evidence": str(result.evidence) if result.evidence else None,
                "figures": list(result.figures),
            }
            for result in results
        ],
    }
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_junit(file: Path, record: RunRecord) -> None:
    """JUnit's XML, which build servers read. An unsupported scenario is one that was skipped; a run that ended early
    has an error of its own."""
    results = record.results
    counts = _counts(results)
    suite = ElementTree.Element(
        "testsuite",
        name="scenarios",
        timestamp=_utc(record.started).removesuffix("Z"),
        tests=str(len(results) + bool(record.problem)),
        failures=str(counts[Outcome.FAILED]),
        errors=str(int(bool(record.problem))),
        skipped=str(counts[Outcome.UNSUPPORTED]),
        # The sum, as JUnit has it; scenarios that ran side by side took less.
        time=f"{sum(result.duration_s for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname="lanspread.scenarios",
            name=f"{result.id} {_xml_text(result.name)}",
            time=f"{result.duration_s:.3f}",
        )
        message = _xml_text(result.message)
        if result.outcome is Outcome.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_first_line(message))
            evidence = f"\nlogs and trees: {_xml_text(str(result.evidence))}" if result.evidence else ""
            failure.text = f"{_xml_text(result.claim)}\n{message}{evidence}"
        elif result.outcome is Outcome.UNSUPPORTED:
            ElementTree.SubElement(case, "skipped", message=message)
    if record.problem:
        case = ElementTree.SubElement(suite, "testcase", classname="lanspread.scenarios", name="the run itself")
        text = f"{record.problem}\nnot run: {', '.join(record.not_run) or 'none'}"
        error = ElementTree.SubElement(case, "error", message=_first_line(_xml_text(record.problem)))
        error.text = _xml_text(text)
    ElementTree.indent(suite)
    ElementTree.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0][:_FIRST_LINE_CHARACTERS]


def _xml_text(text: str) -> str:
    return _NO_XML_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text)


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
