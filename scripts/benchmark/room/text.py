"""The report on a terminal, and the tables of the page."""

from __future__ import annotations

from collections.abc import Iterator

from .figures import MIB, Row, rows, verdicts
from .samples import RoomResults

MARK_BEGIN = "<!-- room:begin: written by scripts/bench_room.py --markdown -->"
MARK_END = "<!-- room:end -->"


class PageError(ValueError):
    pass


def report(results: RoomResults) -> str:
    return "\n".join(lines(results)) + "\n"


def lines(results: RoomResults) -> Iterator[str]:
    yield "; ".join(f"{what}: {value}" for what, value in results.machine.items())
    if results.room is not None:
        yield game_words(results)
    for row in rows(results):
        to_one = f"{row.to_one.words()} × one" if row.to_one else ""
        sent = f"sent {row.sent.median:.2f}" if row.sent else ""
        yield (
            f"  {row.mode:<17} {row.receivers:>3}  {row.seconds.words(' s'):<28} {to_one:<28} {sent:<10}"
            f"  source {row.source_cpu_seconds:.2f} s {row.source_peak_bytes / MIB:.0f} MiB, receiver"
            f" {row.receiver_cpu_seconds:.2f} s {row.receiver_peak_bytes / MIB:.0f} MiB"
            f"; followers {row.followers.median:g}; others used {row.foreign_share:.0%}"
        )
    for failure in results.failures:
        yield f"  {failure.mode} {failure.receivers}, round {failure.round}, FAILED: {failure.why}"
    for verdict in verdicts(results):
        met = "met" if verdict.is_met else "NOT MET"
        yield f"  {verdict.id:<4} {verdict.what}: {verdict.got.words(verdict.unit)}, bar {verdict.bar}: {met}"


def game_words(results: RoomResults) -> str:
    room = results.room
    assert room is not None  # asked only for a room
    cores = f", {room.cpus:g} processors each" if room.cpus else ""
    return (
        f"{room.packed_bytes / 1e6:.1f} MB packed, {room.unpacked_bytes / 1e6:.1f} MB and {room.files} files unpacked,"
        f" a dictionary of {room.dictionary_bytes // MIB} MiB, links of"
        f" {room.rate_bytes_per_second * 8 / 1e6:g} Mbit/s, windows of {room.window_bytes // MIB} MiB{cores}"
    )


def page(results: RoomResults) -> str:
    """The tables in Markdown."""
    return "\n".join(page_lines(results)) + "\n"


def page_lines(results: RoomResults) -> Iterator[str]:
    keys = ("cores", "processor", "lanspread", "program")
    cores, processor, lanspread, program = (results.machine.get(key, "?") for key in keys)
    yield f"{cores} cores ({processor}), lanspread {lanspread} (program: {program})."
    if results.room is not None:
        yield f"The game has {game_words(results)}."
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
    found = verdicts(results)
    if not found:
        return
    yield ""
    yield "| bar | what | got: median (low … high) | bar | verdict |"
    yield "|---|---|---|---|---|"
    for verdict in found:
        met = "met" if verdict.is_met else "**not met**"
        yield f"| {verdict.id} | {verdict.what} | {verdict.got.words(verdict.unit)} | {verdict.bar} | {met} |"


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


def replaced(text: str, results: RoomResults) -> str:
    """The page with these tables in the place of its earlier ones."""
    before, begin, rest = text.partition(MARK_BEGIN)
    _, end, after = rest.partition(MARK_END)
    if not begin or not end:
        raise PageError(f"the page has no lines {MARK_BEGIN} and {MARK_END}")
    return f"{before}{begin}\n\n{page(results)}\n{end}{after}"
