"""The aims as a picture: one bar per aim and work, with its spread and with the aim as a line. Plain SVG, no script."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from xml.sax.saxutils import escape

from .aims import Verdict, verdicts
from .samples import Results

WIDTH, LEFT, RIGHT = 840, 150, 160
TOP, BAR, ROW, HEADING, GROUP_GAP, BOTTOM = 60, 14, 24, 24, 10, 44
RATIO_SHOWN_MIN = 1.1

# Colours that can be told apart without red and green; the second set is for dark pages.
STYLE = """
  .page { fill: #ffffff } .words { fill: #1f2328 } .faint { fill: #59636e } .grid { stroke: #d1d9e0 }
  .met { fill: #2f6fb3 } .unmet { fill: #d97706 } .aim { stroke: #1f2328 }
  .spread { stroke: #1f2328; stroke-opacity: 0.65 }
  text { font: 13px system-ui, sans-serif } .title { font-size: 16px; font-weight: 600 } .heading { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .words { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d }
    .met { fill: #58a6ff } .unmet { fill: #e3a008 } .aim { stroke: #f0f6fc } .spread { stroke: #f0f6fc }
  }
"""


def drawn(results: Results) -> str:
    """Ratios only: memory has another unit."""
    ratios = [verdict for verdict in verdicts(results) if not verdict.unit]
    groups = [(what, list(found)) for what, found in groupby(ratios, lambda verdict: verdict.what)]
    height = TOP + sum(HEADING + len(found) * ROW + GROUP_GAP for _, found in groups) + BOTTOM
    highest = max([RATIO_SHOWN_MIN, *(verdict.got.high * 1.05 for verdict in ratios)])
    unit = (WIDTH - LEFT - RIGHT) / highest
    is_disturbed = any(verdict.is_disturbed for verdict in ratios)
    return (
        "\n".join([*_head(height, is_disturbed), *_grid(highest, unit, height), *_groups(groups, unit), "</svg>"])
        + "\n"
    )


def _head(height: int, is_disturbed: bool) -> Iterator[str]:
    title = "Time of lanspread divided by the time of the other program"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" aria-label="{title}">'
    )
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    yield f'<text class="words title" x="16" y="24">{title}</text>'
    legend = "shorter is faster; upright line: the aim; thin line: lowest to highest"
    legend += "; *: other programs disturbed it" if is_disturbed else ""
    yield f'<text class="faint" x="16" y="42">{legend}</text>'


def _grid(highest: float, unit: float, height: int) -> Iterator[str]:
    steps = 0.25 if highest <= 2.5 else 1.0
    for number in range(int(highest / steps) + 1):
        x, value = LEFT + number * steps * unit, number * steps
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM + 6}"/>'
        label = "1 (as fast)" if value == 1 else f"{value:g}"
        yield f'<text class="faint" x="{x:.1f}" y="{height - BOTTOM + 24}" text-anchor="middle">{label}</text>'


def _groups(groups: list[tuple[str, list[Verdict]]], unit: float) -> Iterator[str]:
    y = TOP
    for what, found in groups:
        yield f'<text class="words heading" x="16" y="{y + 17}">{escape(what.replace("`", ""))}</text>'
        y += HEADING
        for verdict in found:
            yield from _bar(verdict, y, unit)
            y += ROW
        y += GROUP_GAP


def _bar(verdict: Verdict, y: int, unit: float) -> Iterator[str]:
    got, middle = verdict.got, y + ROW / 2
    colour = "met" if verdict.is_met else "unmet"
    top, bottom = middle - BAR / 2, middle + BAR / 2
    yield f'<text class="words" x="{LEFT - 8}" y="{middle + 4.5}" text-anchor="end">{escape(verdict.work)}</text>'
    yield f'<rect class="{colour}" x="{LEFT}" y="{top}" width="{got.median * unit:.1f}" height="{BAR}" rx="2"/>'
    low, high, aim = (LEFT + value * unit for value in (got.low, got.high, verdict.limit))
    yield f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke-width="2"/>'
    yield f'<line class="aim" x1="{aim:.1f}" x2="{aim:.1f}" y1="{top - 3}" y2="{bottom + 3}" stroke-width="2"/>'
    is_met = ("met" if verdict.is_met else "not met") + ("*" if verdict.is_disturbed else "")
    yield (
        f'<text class="words" x="{WIDTH - 12}" y="{middle + 4.5}" text-anchor="end">'
        f"{got.median:.2f} (≤ {verdict.limit:.2f}) {is_met}</text>"
    )
