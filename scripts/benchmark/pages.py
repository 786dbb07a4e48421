"""The part of docs/performance.md that a run writes: everything between two comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .aims import failed_aims, verdicts
from .contenders import CONTENDERS
from .rows import Row, growth, rows
from .samples import Failure, Results, WorkFacts
from .works import MIB

BEGIN = "<!-- bench:begin: written by scripts/bench.py --markdown -->"
END = "<!-- bench:end -->"
DASH, BAR = "·", "\\|"
# Of what a program said when it failed.
FAILURE_LETTERS = 300


class PageError(ValueError):
    pass


def replaced(page: str, results: Results) -> str:
    """The page with new figures between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageError(f"the page has no place for the figures: expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{figures(results)}\n{END}{after}"


def figures(results: Results) -> str:
    return "\n".join(lines(results)) + "\n"


def lines(results: Results) -> Iterator[str]:
    yield "### The machine"
    yield ""
    yield from table(("what", "here"), results.machine.items())
    yield ""
    yield "### The aims"
    yield ""
    yield "A time is a ratio: the smaller, the better. A peak is the highest of all rounds."
    yield ""
    yield from table(
        ("aim", "work", "got: median (low … high)", "aim", "verdict"),
        (
            (
                verdict.what,
                verdict.work,
                verdict.got.words(verdict.unit) + ("\\*" if verdict.is_disturbed else ""),
                f"≤ {verdict.limit:g}{verdict.unit}",
                "met" if verdict.is_met else "**not met**",
            )
            for verdict in verdicts(results)
        ),
    )
    if scaled := [f"`{facts.name}` × {facts.scale:g}" for facts in results.works if facts.scale != 1]:
        yield ""
        yield f"Works that were made smaller than the aims mean: {', '.join(scaled)}."
    for failed in failed_aims(results):
        yield ""
        yield f"**Not met**: {plain(failed)}."
    if any(sample.is_disturbed for sample in results.samples):
        yield ""
        yield "\\* Other programs used the machine in some of the rounds, also when they were repeated."
    for facts in results.works:
        found = rows(results, facts.name)
        failures = [failure for failure in results.failures if failure.work == facts.name]
        if found or failures:
            yield ""
            yield from work(facts, found, failures)
    for failure in results.failures:
        if results.facts(failure.work) is None:
            yield ""
            yield f"No time for {failure.contender} on `{failure.work}`: {plain(failure.why)}"
    yield ""
    yield from costs(results)


def work(facts: WorkFacts, found: Sequence[Row], failures: Sequence[Failure]) -> Iterator[str]:
    scaled = "" if facts.scale == 1 else f", at scale {facts.scale:g}"
    yield f"### `{facts.name}`: {facts.title}{scaled}"
    yield ""
    programs = ""
    if facts.real_program_bytes:
        programs = f" Of these, {facts.real_program_bytes / MIB:,.0f} MiB are programs of this machine."
    yield (
        f"{facts.files:,} files, {facts.unpacked_bytes / MIB:,.0f} MiB unpacked, {facts.packed_bytes / MIB:,.0f} MiB"
        f" packed.{programs} Before the first round, creating an empty file took {facts.creation_seconds * 1e6:.0f} µs."
    )
    yield ""
    yield from table(
        ("contender", "time", "with sync", "ratio", "both synced", "MiB/s", "processor time", "peak memory"),
        (
            (
                row.title + ("\\*" if row.disturbed_rounds else ""),
                row.seconds.words(" s"),
                f"{row.synced.median:.2f} s" if row.synced else DASH,
                f"{row.alone_ratio.median:.2f} × {reference(row)}" if row.alone_ratio else DASH,
                f"{row.synced_ratio.median:.2f}" if row.synced_ratio and not is_dry(row) else DASH,
                f"{row.mib_per_second:,.0f}",
                ", ".join(f"{role} {cpu:.2f} s" for role, cpu, _ in row.processes),
                ", ".join(f"{role} {peak:.0f} MiB" for role, _, peak in row.processes),
            )
            for row in found
        ),
    )
    for failure in failures:
        yield ""
        title = CONTENDERS[failure.contender].title if failure.contender in CONTENDERS else failure.contender
        yield f"No time for {title}: {plain(failure.why)}"


def costs(results: Results) -> Iterator[str]:
    yield "### How cost grows"
    yield ""
    yield "A streamed install; with several receivers, until the last one has finished."
    yield ""
    steps = [(unit, step) for unit, found in growth(results).items() for step in found]
    yield from table(
        ("with", "step", "time", "cost", "processor time: source, receivers", "peak of the source", "× `unrar x`"),
        (
            (
                unit,
                step.what,
                step.seconds.words(" s"),
                step.cost,
                f"{step.source_cpu_seconds:.2f} s, {step.receiver_cpu_seconds:.2f} s",
                f"{step.source_peak_mib:.0f} MiB",
                f"{step.synced_ratio.median:.2f}" if step.synced_ratio else DASH,
            )
            for unit, step in steps
        ),
    )


def reference(row: Row) -> str:
    return CONTENDERS[row.reference].title


def is_dry(row: Row) -> bool:
    """Nothing is written, so there is nothing to sync."""
    return row.reference == "unrar-t"


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for cells in body:
        # `curl | bsdtar` is one cell.
        yield f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def plain(words: str) -> str:
    """What a program said, in one line that a page can hold: no path of this machine, nothing that is markup."""
    named = re.sub(r"/\S*/", "…/", " ".join(words.split()))
    cut = f"{named[:FAILURE_LETTERS]} …" if len(named) > FAILURE_LETTERS else named
    return cut.replace("|", BAR).replace("<", "&lt;").replace("*", "\\*")
