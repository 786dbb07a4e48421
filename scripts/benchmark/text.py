"""The report on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from .aims import Verdict, failed_aims, verdicts
from .rows import Row, growth, rows
from .samples import Results
from .works import MIB


def report(results: Results) -> str:
    return "\n".join(lines(results)) + "\n"


def lines(results: Results) -> Iterator[str]:
    yield "; ".join(f"{what}: {value}" for what, value in results.machine.items())
    for facts in results.works:
        scaled = "" if facts.scale == 1 else f", scale {facts.scale:g}"
        creation = f"{facts.creation_seconds * 1e6:.0f} µs"
        yield ""
        yield (
            f"{facts.name} ({facts.title}{scaled}): {facts.files:,} files, {facts.unpacked_bytes / MIB:,.0f} MiB"
            f" unpacked, {facts.packed_bytes / MIB:,.0f} MiB packed; creating a file: {creation}"
        )
        for row in rows(results, facts.name):
            yield from line(row)
        for failure in results.failures:
            if failure.work == facts.name:
                yield f"  {failure.contender:<14} FAILED: {failure.why}"
    for failure in results.failures:
        if results.facts(failure.work) is None:
            yield f"{failure.work}, {failure.contender} FAILED: {failure.why}"
    for unit, steps in growth(results).items():
        if steps:
            yield ""
            yield f"a streamed install, by {unit}"
        for step in steps:
            ratio = f"  {step.synced_ratio.median:.2f} × unrar x" if step.synced_ratio else ""
            yield (
                f"  {step.what:<46} {step.seconds.words(' s'):<28} {step.cost:<18} cpu source"
                f" {step.source_cpu_seconds:.2f} s, receivers {step.receiver_cpu_seconds:.2f} s; source"
                f" {step.source_peak_mib:.0f} MiB{ratio}"
            )
    found = verdicts(results)
    if found:
        yield ""
        yield "aims"
    for verdict in found:
        yield f"  {verdict_line(verdict)}"
    for failed in failed_aims(results):
        yield f"  NOT MET, failed: {failed}"


def line(row: Row) -> Iterator[str]:
    alone = f"{row.alone_ratio.median:5.2f} × {row.reference}" if row.alone_ratio else ""
    synced = f"{row.synced_ratio.median:5.2f} synced" if row.synced_ratio and row.reference in ("unrar", "curl") else ""
    with_sync = f"+ sync {row.synced.median:.2f} s" if row.synced else ""
    used = ", ".join(f"{role} {cpu:.2f} s {peak:.0f} MiB" for role, cpu, peak in row.processes)
    marked = f"  ({row.disturbed_rounds} rounds disturbed)" if row.disturbed_rounds else ""
    yield (
        f"  {row.contender:<14} {row.seconds.words(' s'):<27} {with_sync:<14} {row.mib_per_second:5.0f} MiB/s"
        f"  {alone:<17} {synced:<12}  cpu, peak: {used}{marked}"
    )


def verdict_line(verdict: Verdict) -> str:
    is_met = "met" if verdict.is_met else "NOT MET"
    marked = ", disturbed" if verdict.is_disturbed else ""
    got = verdict.got.words(verdict.unit)
    return f"{verdict.what}; {verdict.work}: {got}, aim ≤ {verdict.limit:g}{verdict.unit}: {is_met}{marked}"
