"""What must hold of every view of the room page, counted in the browser itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .web_room import BUSY, Room
from .web_server import WebServer
from .webdriver import Browser

VIEWS = ("room", "flow", "queue", "log", "metrics", "overview")

# Each text that can be seen, with the contrast to what is under it. Of a ground that is drawn with several colours, the
# worst one counts. Large text may have less.
_CONTRAST = """
const luminance = ([r, g, b]) => {
  const linear = [r, g, b].map(v => (v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4));
  return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2];
};
const ratio = (one, other) => {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + .05) / (dark + .05);
};
const colours = text => [...text.matchAll(/rgba?\\(([^)]*)\\)/g)]
  .map(found => found[1].split(/[ ,/]+/).map(Number)).filter(c => (c[3] ?? 1) > .5);
const grounds = element => {
  for (let e = element; e; e = e.parentElement) {
    const style = getComputedStyle(e), drawn = colours(style.backgroundImage), plain = colours(style.backgroundColor);
    if (drawn.length) return drawn;
    if (plain.length) return plain;
  }
  return [[255, 255, 255]];
};
const low = [];
let count = 0;
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const text = walk.currentNode, element = text.parentElement, style = getComputedStyle(element);
  if (!text.data.trim() || !element.checkVisibility() || element.closest('.unseen, .skip, noscript')) continue;
  count++;
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const worst = Math.min(...grounds(element).map(ground => ratio(colours(style.color)[0], ground)));
  if (!(worst >= (large ? 3 : 4.5))) low.push([text.data.slice(0, 30), element.className, worst]);
}
return [count, low];
"""

_SMALL_TARGETS = """
return [...document.querySelectorAll('button, a.button, input, summary, #views a, .wall a, .list a')]
  .filter(e => e.checkVisibility()).filter(e => Math.min(e.offsetWidth, e.offsetHeight) < 24)
  .map(e => e.textContent || e.placeholder);
"""

# The parts of the accessibility tree that must have a name.
_NAMED = {
    "button",
    "columnheader",
    "complementary",
    "grid",
    "gridcell",
    "link",
    "navigation",
    "progressbar",
    "rowheader",
    "searchbox",
    "textbox",
}


def low_contrast(browser: Browser) -> tuple[int, list[Any]]:
    """How many texts there are, and those whose contrast is too low."""
    count, low = browser.run(_CONTRAST)
    return count, low


def small_targets(browser: Browser) -> list[str]:
    return browser.run(_SMALL_TARGETS)


def roles(browser: Browser) -> tuple[dict[str, int], list[str]]:
    """How many elements of each role assistive technology is told of, and the roles of those without a name."""
    counts: dict[str, int] = {}
    nameless = []
    for node in browser.tools("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role is None:
            continue
        counts[role] = counts.get(role, 0) + 1
        if role in _NAMED and not node.get("name", {}).get("value"):
            nameless.append(role)
    return counts, nameless


def widths(browser: Browser) -> tuple[int, int]:
    """How wide the content of the page is, and how wide the window."""
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    return wide, window


def two_frames(browser: Browser) -> None:
    """Returns when all that was asked for has been drawn."""
    browser.run_async("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")


def go(browser: Browser, view: str) -> None:
    """Opens a view, or the details of something, by its address in the page."""
    browser.run("location.hash = arguments[0]", view)
    browser.until_script(f"return at.view === {view.split('/')[0]!r}", view)
    two_frames(browser)


def working(room: Room) -> int:
    return sum(cell["state"] in BUSY for cell in room.cells.values())


@contextmanager
def shown(browser: Browser, room: Room, token: str = "") -> Iterator[WebServer]:
    """The page, showing this room."""
    web = WebServer(room, token=token)
    web.start()
    try:
        browser.open(web.url)
        if not token:
            browser.until_script("return daemon.state === 'live'", "the page is live")
            two_frames(browser)
        yield web
    finally:
        browser.open("about:blank")
        web.stop()
