"""Rooms as a plot: how many times as long as one receiver a room takes, by its size. Plain SVG, no script."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from .figures import CHAIN, DECODED, HTTP, STAR, Row, rows
from .samples import Report, RoomResults

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 150, 60, 50

TITLES = {CHAIN: "chain", STAR: "star, packed", DECODED: "star, decoded", HTTP: "HTTP server"}

# Colours that can be told apart without red and green, and other shapes of lines; the second set is for dark pages.
STYLE = """
  .page { fill: #ffffff } .words { fill: #1f2328 } .faint { fill: #59636e } .grid { stroke: #d1d9e0 }
  .line { fill: none; stroke-width: 2 } .spread { stroke-width: 2; stroke-opacity: 0.6 }
  .mode-0 { stroke: #2f6fb3 } .mode-1 { stroke: #d97706; stroke-dasharray: 7 4 }
  .mode-2 { stroke: #59636e; stroke-dasharray: 2 3 } .mode-3 { stroke: #7c3aed; stroke-dasharray: 9 3 2 3 }
  text { font: 13px system-ui, sans-serif } .title { font-size: 16px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .words { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d }
    .mode-0 { stroke: #58a6ff } .mode-1 { stroke: #e3a008 } .mode-2 { stroke: #9198a1 } .mode-3 { stroke: #b794f6 }
  }
"""


def drawn(report: Report) -> str:
    """Both axes in powers of two: a room that costs as much for each receiver is a straight line. Of several games, the
    one with the most kinds of rooms is drawn."""
    games = [lines_of(results) for results in report.runs]
    lines = max(games, key=len, default={})
    largest = max([2, *(row.receivers for found in lines.values() for row in found)])
    highest = max([2.0, *(row.to_one.high for found in lines.values() for row in found if row.to_one)])
    scale = Scale(math.ceil(math.log2(largest)), math.ceil(math.log2(highest)))
    parts = [*_head(), *_grid(scale)]
    for number, (mode, found) in enumerate(lines.items()):
        parts += _line(mode, f"mode-{list(TITLES).index(mode)}", found, scale, number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def lines_of(results: RoomResults) -> dict[str, list[Row]]:
    lines = {mode: points(results, mode) for mode in TITLES}
    return {mode: found for mode, found in lines.items() if found}


def points(results: RoomResults, mode: str) -> list[Row]:
    """One receiver, which is 1 by definition, and every room that has a ratio."""
    return [row for row in rows(results) if row.mode == mode and (row.receivers == 1 or row.to_one)]


class Scale:
    """From receivers and ratios to places."""

    def __init__(self, doublings: int, ratio_doublings: int) -> None:
        self.doublings, self.ratio_doublings = doublings, ratio_doublings

    def x(self, receivers: float) -> float:
        return LEFT + math.log2(receivers) * (WIDTH - LEFT - RIGHT) / self.doublings

    def y(self, ratio: float) -> float:
        # A room that is a little faster than one receiver is drawn on the axis.
        above = math.log2(max(1.0, ratio))
        return HEIGHT - BOTTOM - above * (HEIGHT - TOP - BOTTOM) / self.ratio_doublings


def _head() -> Iterator[str]:
    title = "Time until the last receiver has the game, in times of one receiver"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' role="img" aria-label="{title}">'
    )
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>'
    yield f'<text class="words title" x="16" y="24">{title}</text>'
    yield '<text class="faint" x="16" y="42">lower is faster; upright line: lowest to highest of the rounds</text>'


def _grid(scale: Scale) -> Iterator[str]:
    for power in range(scale.ratio_doublings + 1):
        y = scale.y(2**power)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="faint" x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{2**power}</text>'
    for power in range(scale.doublings + 1):
        x = scale.x(2**power)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text class="faint" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{2**power}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="faint" x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">receivers</text>'


def _line(mode: str, style: str, found: list[Row], scale: Scale, number: int) -> Iterator[str]:
    places = [(scale.x(row.receivers), row.to_one) for row in found]
    drawn_at = [(x, scale.y(ratio.median if ratio else 1.0)) for x, ratio in places]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn_at)
    yield f'<polyline class="line {style}" points="{joined}"/>'
    for x, ratio in places:
        if ratio:
            low, high = scale.y(ratio.low), scale.y(ratio.high)
            yield f'<line class="spread {style}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    x, y = WIDTH - RIGHT + 12, TOP + 12 + 24 * number
    yield f'<line class="line {style}" x1="{x}" x2="{x + 26}" y1="{y}" y2="{y}"/>'
    yield f'<text class="words" x="{x + 32}" y="{y + 4.5}">{escape(TITLES[mode])}</text>'
