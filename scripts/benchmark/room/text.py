"""The report on a terminal, and the tables of the page."""

from __future__ import annotations

from collections.abc import Iterator

from ..idle import FOREIGN_SHARE_MAX
from .bars import ONE, Verdict, verdicts
from .figures import CHAIN, DECODED, HTTP, MIB, STAR, Row, rows
from .samples import Report, RoomFacts, RoomResults

MARK_BEGIN = "<!-- room:begin: written by scripts/bench_room.py --markdown -->"
MARK_END = "<!-- room:end -->"


# How a page names a room of this mode, and what sends there.
ROOM_WORDS = {
    CHAIN: ("A chain", "the source"),
    STAR: ("A star", "the source"),
    DECODED: ("A room with decoded streams", "the source"),
    HTTP: ("A room at an HTTP server", "the server"),
}


class PageError(ValueError):
    pass


def report(found: Report) -> str:
    return "\n".join(lines(found)) + "\n"


def lines(found: Report) -> Iterator[str]:
    for results in found.runs:
        yield "; ".join(f"{what}: {value}" for what, value in results.machine.items())
        if results.room is not None:
            yield game_words(results.room)
        for row in rows(results):
            yield line(row)
        for failure in results.failures:
            yield f"  {failure.mode} {failure.receivers}, round {failure.round}, FAILED: {failure.why}"
        yield ""
    for room in found.simulated:
        yield f"  simulated, {room.receivers} receivers: {room.ratio:.2f} × one"
    for verdict in verdicts(found):
        yield f"  {verdict.id:<4} {verdict.what}: {got(verdict)}, bar {verdict.bar}: {met(verdict)}"


def line(row: Row) -> str:
    to_one = f"{row.to_one.words()} × one" if row.to_one else ""
    sent = f"sent {row.sent.median:.2f}" if row.sent else ""
    return (
        f"  {row.mode:<17} {row.receivers:>3}  {row.seconds.words(' s'):<28} {to_one:<28} {sent:<10}"
        f"  source {row.source_cpu_seconds:.2f} s {row.source_peak_bytes / MIB:.0f} MiB, receiver"
        f" {row.receiver_cpu_seconds:.2f} s {row.receiver_peak_bytes / MIB:.0f} MiB"
        f"; followers {row.followers.median:g}; others used {row.foreign_share:.0%}"
    )


def got(verdict: Verdict) -> str:
    if verdict.unit != " MiB":
        return verdict.got.words(verdict.unit)
    # A bar of 80 MiB is missed by less than one.
    found = verdict.got
    return f"{found.median:.1f} MiB ({found.low:.1f} … {found.high:.1f})"


def met(verdict: Verdict) -> str:
    return "met" if verdict.is_met else "NOT MET"


def game_words(room: RoomFacts) -> str:
    cores = f", {room.cpus:g} processors each" if room.cpus else ""
    return (
        f"{room.packed_bytes / 1e6:.1f} MB packed, {room.unpacked_bytes / 1e6:.1f} MB and {room.files} files unpacked,"
        f" a dictionary of {room.dictionary_bytes // MIB} MiB, links of"
        f" {room.rate_bytes_per_second * 8 / 1e6:g} Mbit/s, windows of {room.window_bytes // MIB} MiB{cores}"
    )


def page(found: Report) -> str:
    """What was found in Markdown: in words, the bars, then the rooms of each game."""
    return "\n".join(page_lines(found)) + "\n"


def page_lines(found: Report) -> Iterator[str]:
    bars = verdicts(found)
    yield from words(found, bars)
    if bars:
        yield ""
        yield "| bar | what | measured: median (low … high) | bound | met |"
        yield "|---|---|---|---|---|"
    for verdict in bars:
        word = "yes" if verdict.is_met else "**no**"
        yield f"| {verdict.id} | {verdict.what} | {got(verdict)} | {verdict.bar} | {word} |"
    for results in found.runs:
        yield from run_lines(results)


def words(found: Report, bars: list[Verdict]) -> Iterator[str]:
    """The figures as sentences, one on each line; a paragraph for each game."""
    for results in found.runs:
        said = list(run_words(results))
        yield from [*said, ""] if said else []
    for room in found.simulated:
        yield f"In the simulation, {room.receivers} receivers take {room.ratio:.2f} times as long as one."
    if bars:
        missed = list(dict.fromkeys(verdict.id for verdict in bars if not verdict.is_met))
        not_met = f" Not met: {', '.join(missed)}." if missed else ""
        yield f"Of {len(bars)} figures, {sum(verdict.is_met for verdict in bars)} meet their bar.{not_met}"
    share = max((one.foreign_share for results in found.runs for one in results.samples), default=0.0)
    if share > FOREIGN_SHARE_MAX:
        yield f"**These figures are provisional:** other programs used up to {share:.0%} of the machine meanwhile."


def run_words(results: RoomResults) -> Iterator[str]:
    found = {(row.mode, row.receivers): row for row in rows(results)}
    one = found.get(ONE)
    if results.room is None or one is None:
        return
    yield f"One receiver takes {one.seconds.median:.1f} s for the game of {results.room.packed_bytes / 1e6:.0f} MB."
    for (mode, receivers), row in found.items():
        if row.to_one and mode in ROOM_WORDS:
            sent = f", and {ROOM_WORDS[mode][1]} sends {row.sent.median:.2f} archives" if row.sent else ""
            words = f"{ROOM_WORDS[mode][0]} of {receivers} takes {row.to_one.median:.2f} times as long as one receiver"
            yield f"{words}{sent}."


def run_lines(results: RoomResults) -> Iterator[str]:
    """The rooms of one game."""
    keys = ("cores", "processor", "lanspread", "program")
    cores, processor, lanspread, program = (results.machine.get(key, "?") for key in keys)
    yield ""
    yield f"{cores} cores ({processor}), lanspread {lanspread} (program: {program})."
    if results.room is not None:
        yield f"The game has {game_words(results.room)}."
    yield ""
    yield (
        "| mode | receivers | rounds | until the last is installed | × one receiver | sent by the source, in archives"
        " | source: processor, peak | one receiver: processor, peak | followers | others used |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows(results):
        yield page_row(row)
    for failure in results.failures:
        yield f"| {failure.mode} | {failure.receivers} | | failed: {failure.why} | | | | | | |"


def page_row(row: Row) -> str:
    cells = (
        row.mode,
        str(row.receivers),
        str(row.rounds),
        row.seconds.words(" s"),
        row.to_one.words() if row.to_one else "",
        f"{row.sent.median:.2f}" if row.sent else "",
        f"{row.source_cpu_seconds:.2f} s, {row.source_peak_bytes / MIB:.0f} MiB",
        f"{row.receiver_cpu_seconds:.2f} s, {row.receiver_peak_bytes / MIB:.0f} MiB",
        f"{row.followers.median:g}",
        f"{row.foreign_share:.0%}",
    )
    return f"| {' | '.join(cells)} |"


def replaced(text: str, found: Report) -> str:
    """The page with these tables in the place of its earlier ones."""
    before, begin, rest = text.partition(MARK_BEGIN)
    _, end, after = rest.partition(MARK_END)
    if not begin or not end:
        raise PageError(f"the page has no lines {MARK_BEGIN} and {MARK_END}")
    return f"{before}{begin}\n\n{page(found)}\n{end}{after}"
