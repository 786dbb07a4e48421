"""The room page in a browser: Chromium of the distribution, driven over WebDriver, and a daemon that is made up.

Pictures of it are kept in target/page/.
"""

import gzip
import json
import re
import unittest
from pathlib import Path
from typing import ClassVar

from scenarios.page_checks import VIEWS, go, low_contrast, roles, shown, small_targets, two_frames, widths, working
from scenarios.web_room import HOSTILE_NAMES, big, make
from scenarios.web_server import ASSETS, WebServer
from scenarios.webdriver import Browser

PICTURES = Path(__file__).resolve().parents[2] / "target" / "page"
PICTURE_BYTES_MAX = 300_000

# The design had 40 KiB in mind, and needed 45 KiB for less: it did not name the seats that refuse, and did not say what
# a visitor may do. The files are sent as people read them: a network of 1 Gbit/s brings them in a millisecond.
PAGE_BYTES_MAX = 59_500
_WAITS_S = [1, 2, 4, 8, 15]

# The texts of elements that are wholly inside the window, and of which nothing is cut.
_LINES_THAT_CAN_BE_SEEN = """
const isSeen = element => {
  const { top, bottom, left, right } = element.getBoundingClientRect();
  return element.checkVisibility() && top >= 0 && bottom <= innerHeight && left >= 0 && right <= innerWidth;
};
return [...document.querySelectorAll(arguments[0])].filter(isSeen).map(element => element.innerText);
"""
_NO_WAITING = """
const wait = window.setTimeout;
window.waits = [];
window.setTimeout = (then, ms) => { waits.push(ms / 1000); return waits.length < 8 ? wait(then, 0) : 0; };
"""
_COUNT_CHANGES = """
window.repainted = new Set();
window.added = 0;
new MutationObserver(changes => {
  for (const { target, addedNodes } of changes) {
    const cell = (target.closest ? target : target.parentElement)?.closest('td');
    if (cell) repainted.add(cell);
    added += [...addedNodes].filter(node => node.nodeType === 1).length;
  }
}).observe(document.querySelector('#grid'), { subtree: true, childList: true, attributes: true, characterData: true });
"""
# Elements that a name could make, if it were ever taken for markup.
MADE = "return document.querySelectorAll('img, svg, iframe, main script, b[onmouseover]').length"
FOCUS = "const e = document.activeElement; return [e.localName, e.ariaLabel || e.textContent, e.dataset.group || '']"


def identity(web: WebServer, name: str) -> str:
    return next(peer["peer"] for peer in web.room.peers.values() if peer["name"] == name)


class PageTest(unittest.TestCase):
    browser: ClassVar[Browser]

    @classmethod
    def setUpClass(cls) -> None:
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        # Seconds of a processor, not of a clock: other work on this machine does not count.
        cls.browser.tools("Performance.enable", timeDomain="threadTicks")

    def setUp(self) -> None:
        self.browser.size(1440, 900)
        self.browser.prefer("light")
        self.browser.console()

    def press_until(self, key: str, script: str) -> None:
        for _ in range(40):
            self.browser.press(key)
            if self.browser.run(script):
                return
        self.fail(f"{key} does not lead to: {script}; the focus is on {self.browser.run(FOCUS)}")

    # ---- names ----

    def test_hostile_names_stay_text_in_every_view(self) -> None:
        with shown(self.browser, make("hostile")) as web:
            seat = identity(web, HOSTILE_NAMES[0])
            for view in (*VIEWS, f"room/seat/{seat}", f"room/seat/{seat}/game/game-8", "room/game/game-0"):
                with self.subTest(view=view):
                    go(self.browser, view)
                    self.assertEqual(self.browser.run(MADE), 0)
                    self.assertNotIn("owned", self.browser.run("return document.title"))
                    hidden = re.findall(
                        r"[\u0000-\u0008\u001b\u200b-\u200f\u202a-\u202e\u2066-\u2069]", self.browser.text("body")
                    )
                    self.assertEqual(hidden, [])
            go(self.browser, "room")
            self.assertIn(HOSTILE_NAMES[0][:10], self.browser.text("#grid"))
            self.assertEqual(self.browser.console(), [])

    def test_a_name_that_passes_for_another_carries_its_identity(self) -> None:
        with shown(self.browser, make("hostile")) as web:
            names = dict(self.browser.run("return [...peers.values()].map(peer => [peer.peer, nameOf(peer)])"))
            for peer in web.room.peers.values():
                mark = f" ·{peer['peer'].removeprefix('peer1')[:4]}"
                doubtful = peer["name"] in ("seat-20", "s\u0435at-20", "seat\u200b-20", "", "seat-\u202egnp.exe")
                if doubtful:
                    self.assertTrue(names[peer["peer"]].endswith(mark), names[peer["peer"]])
                if peer["name"] == "den":
                    self.assertEqual(names[peer["peer"]], "den")
            self.assertTrue(all(len(name) <= 28 + 6 for name in names.values()))

    # ---- keyboard ----

    def test_the_keyboard_alone_leads_to_a_problem_and_back(self) -> None:
        with shown(self.browser, make("party")) as web:
            in_grid = "return !!document.activeElement.closest('table')"
            self.press_until("Tab", in_grid)
            self.assertEqual(self.browser.run("return document.querySelectorAll('table [tabindex=\"0\"]').length"), 1)
            self.browser.press("Down", "Right")
            self.assertEqual(self.browser.run("return grid.focus[1]"), "alpha-racer")
            self.browser.press("Ctrl+End")
            self.assertEqual(
                self.browser.run("return document.activeElement.at"), [identity(web, "seat-28"), "quarry-wars"]
            )
            self.browser.press("Ctrl+Home", "n")
            self.assertEqual(self.browser.run(FOCUS)[2], "bad")
            problem = self.browser.run("return document.activeElement.at")
            self.assertIn("needs 52.9 GiB", self.browser.text("#read"))
            self.browser.press("Enter")
            self.browser.until_script("return document.activeElement.id === 'about'", "the details have the focus")
            self.assertIn("free 40.0 GiB", self.browser.text("#detail"))
            # The table is narrower now, and was built again. A delta changes it once more.
            web.advance(0.5)
            self.browser.press("Escape")
            self.browser.until_script("return document.querySelector('#detail').hidden", "the details are closed")
            self.assertEqual(self.browser.run("return document.activeElement.at"), problem)
            self.browser.press("Home")
            self.assertEqual(self.browser.run(FOCUS)[0], "th")

    def test_low_disk_install_is_the_first_action_and_works_by_keys(self) -> None:
        with shown(self.browser, make("newcomer")) as web:
            here = identity(web, "seat-1")
            self.press_until("Tab", "return document.activeElement.closest('table') !== null")
            self.browser.press("Ctrl+End", "Enter")
            self.browser.until_script("return document.querySelector('.actions button') !== null", "the actions")
            self.press_until("Tab", "return document.activeElement.closest('.actions') !== null")
            self.assertEqual(self.browser.run(FOCUS)[1], "Low-disk install")
            self.browser.press("Enter")
            self.browser.until_script("return act.said === 'Accepted.'", "the daemon accepted it")
            seat = self.browser.run("return at.seat")
            self.assertEqual([(e["kind"], e["peers"]) for e in web.asked], [("stream-install", [seat])])
            self.assertEqual(seat, here)

    def test_low_disk_install_by_click_then_installed_not_shareable_with_its_reason(self) -> None:
        with shown(self.browser, make("newcomer")) as web:
            here = identity(web, "seat-1")
            go(self.browser, f"room/seat/{here}/game/hexwing")
            self.browser.click(".actions button", "Low-disk install")
            self.browser.until_script(
                "return /streaming 0 %/.test(document.querySelector('#detail').innerText)", "streaming"
            )
            web.advance(40)
            self.browser.until_script(
                "return /streaming [1-9]\\d %/.test(document.querySelector('#detail').innerText)", "more"
            )
            web.advance(1000)
            self.browser.until_script(
                "return /installed, not shareable/.test(document.querySelector('#detail').innerText)", "end"
            )
            self.assertIn("the archive was not kept: that saved 5.1", self.browser.text("#detail").replace("\n", " "))
            self.assertIn("1 of 1", self.browser.text(".lead"))
            spoken = "return document.querySelector('#say').textContent"
            self.browser.until_script(f"{spoken}.includes('Hexwing installed')", "the end is spoken")

    def test_cancel_needs_two_presses_and_a_double_click_is_one(self) -> None:
        with shown(self.browser, make("newcomer")) as web:
            go(self.browser, f"room/seat/{identity(web, 'seat-1')}/game/hexwing")
            self.browser.click(".actions button", "Low-disk install")
            web_asked = len(self.browser.until(lambda: web.asked, "started"))
            self.browser.click(".actions button", "Cancel")
            self.browser.until_script("return document.querySelector('.twice .danger') !== null", "it asks")
            self.assertIn("What has arrived is dropped", self.browser.text(".twice"))
            second_of_two = "new MouseEvent('click', { bubbles: true, detail: 2 })"
            self.browser.run(f"document.querySelector('.twice .danger').dispatchEvent({second_of_two})")
            two_frames(self.browser)
            self.assertEqual(len(web.asked), web_asked)
            self.browser.click(".twice button", "Yes, cancel")
            self.browser.until(lambda: len(web.asked) > web_asked, "the cancel arrives")
            self.assertIn("cancel", web.asked[-1])
            self.browser.until_script("return act.said === 'Cancelled.'", "the page says so")

    def test_many_seats_need_two_presses(self) -> None:
        with shown(self.browser, make("party")) as web:
            # Of 28 seats one is silent.
            go(self.browser, "room/game/quarry-wars")
            self.browser.click(".choice button", "On 27 seats without it")
            self.browser.click(".actions button", "Low-disk install")
            self.assertEqual(web.asked, [])
            self.assertIn("This starts on 27 seats", self.browser.text(".twice"))
            self.browser.click(".twice button", "Yes, low-disk install")
            self.browser.until(lambda: web.asked, "it arrives")
            self.assertEqual(len(web.asked[0]["peers"]), 27)

    def test_each_seat_that_refuses_is_named_with_its_reason(self) -> None:
        room = make("party")
        names = {peer["name"]: peer["peer"] for peer in room.peers.values()}
        room.peers[names["seat-3"]]["accepts"] = False
        closed = {"code": "not-permitted", "message": "it accepts nothing from this peer", "hint": "--accept-from"}
        room.refuses = {
            names["seat-5"]: closed,
            names["seat-7"]: {"code": "unreachable", "message": "192.168.7.17:4107: connection refused"},
        }
        with shown(self.browser, room) as web:
            go(self.browser, "room/game/quarry-wars")
            self.browser.click(".choice button", "On 26 seats without it")
            self.browser.click(".actions button", "Low-disk install")
            self.browser.click(".twice button", "Yes, low-disk install")
            said = "return document.querySelector('#detail [role=status]').innerText"
            self.browser.until_script(f"{said}.includes('24 of 26 seats accepted it.')", "how many accepted")
            lines = self.browser.run(said).split("\n")[1:]
            self.assertEqual("".join(lines).count("seat-"), 2, lines)
            for part in ("seat-5", closed["message"], "--accept-from", "seat-7", "connection refused"):
                self.assertIn(part, " ".join(lines))
            web.asked.clear()
            room.refuses = dict.fromkeys(room.peers, closed)
            go(self.browser, "room/game/bunker-siege")
            self.browser.click(".actions button", "Download")
            self.browser.click(".twice button", "Yes, download")
            self.browser.until_script(f"{said}.includes('None of 26 seats accepted it.')", "that none has")
            self.assertEqual(self.browser.run("return document.querySelectorAll('[role=status] .lines li').length"), 26)

    def test_what_is_possible_on_some_seats_names_the_others(self) -> None:
        with shown(self.browser, make("party")) as web:
            web.room.cell(identity(web, "seat-3"), "quarry-wars", "failed", code="disk-full")
            web.room.peers[identity(web, "seat-3")]["state"] = "silent"
            go(self.browser, "room/game/quarry-wars")
            self.browser.click(".choice button", "On 27 seats without it")
            expected = r"/Not on 1 seat:\s*seat-3\s*it does not answer/"
            self.browser.until_script(
                f"return {expected}.test(document.querySelector('.actions').innerText)", "where it is not possible"
            )

    def test_the_page_offers_only_what_it_may_and_says_why_no_more(self) -> None:
        why = "Why not more."
        for commands, on_a_game, on_another_seat in (
            ("none", [], []),
            ("own", ["Low-disk install", "Download"], []),
            ("room", ["On den", "On 27 seats without it", "Verify"], ["Low-disk install", "Download"]),
        ):
            room = make("party")
            room.facts |= {"commands": commands, "commands_reason": None if commands == "room" else why}
            with self.subTest(commands=commands), shown(self.browser, room) as web:
                offered = (
                    "return JSON.stringify([...document.querySelectorAll('#detail button')].map(e => e.textContent))"
                )
                if commands == "own":
                    web.room.facts["self"] = identity(web, "seat-1")
                    web.tell("snapshot", web.room.snapshot())
                go(self.browser, "room/game/quarry-wars")
                self.browser.until_script(
                    f"{offered} === '{json.dumps(on_a_game, separators=(',', ':'))}'", "the actions"
                )
                self.assertEqual(why in self.browser.text("#detail"), commands != "room")
                if commands == "none":
                    go(self.browser, "queue")
                    self.assertNotIn("Cancel", self.browser.text("#view"))
                go(self.browser, f"room/seat/{identity(web, 'seat-10')}/game/quarry-wars")
                two_frames(self.browser)
                if on_another_seat:
                    expected = json.dumps(on_another_seat, separators=(",", ":"))
                    self.browser.until_script(f"{offered} === '{expected}'", "the actions")

    # ---- to see and to touch ----

    def test_contrast_names_and_targets_in_light_and_dark(self) -> None:
        with shown(self.browser, make("party")) as web:
            details = f"room/seat/{identity(web, 'seat-11')}/game/ironfield"
            for scheme in ("light", "dark"):
                self.browser.prefer(scheme, "reduce")
                for view in (*VIEWS, details):
                    with self.subTest(scheme=scheme, view=view):
                        go(self.browser, view)
                        count, low = low_contrast(self.browser)
                        self.assertGreater(count, 20)
                        self.assertEqual(low, [])
                        self.assertEqual(small_targets(self.browser), [])
                        self.assertEqual(roles(self.browser)[1], [])
            go(self.browser, "room")
            counts, _ = roles(self.browser)
            self.assertEqual((counts["grid"], counts["rowheader"], counts["gridcell"]), (1, 30, 270))

    def test_no_view_scrolls_sideways_on_small_windows(self) -> None:
        with shown(self.browser, make("party")) as web:
            details = f"room/seat/{identity(web, 'seat-11')}/game/ironfield"
            for width in (320, 360, 768):
                self.browser.size(width, 800)
                for view in (*VIEWS, details):
                    with self.subTest(width=width, view=view):
                        go(self.browser, view)
                        wide, window = widths(self.browser)
                        self.assertLessEqual(wide, window)
            self.browser.size(320, 800)
            go(self.browser, "room")
            self.assertEqual(self.browser.run("return document.querySelectorAll('.list li').length"), 30)

    def test_an_organiser_who_has_only_the_overview_finds_each_broken_seat_with_reason_and_remedy(self) -> None:
        with shown(self.browser, make("broken")) as web:
            broken = {
                "seat-2": ("5 GiB are free, and 13 GiB are needed", "free some space"),
                "seat-3": ("3 files differ, and 1 is missing", "Repair"),
                "seat-4": ("no word from it", "look whether it is switched on, at its cable"),
                "seat-5": ("it gets 11.0 MiB a second", "change the cable"),
                "seat-6": ("no source could send hexwing", "when a source answers"),
            }
            for width, height in ((1440, 900), (1920, 1080)):
                self.browser.size(width, height)
                go(self.browser, "overview")
                said = self.browser.run(_LINES_THAT_CAN_BE_SEEN, "#needs li")
                for seat, (reason, remedy) in broken.items():
                    with self.subTest(seat=seat, width=width):
                        line = next((line for line in said if seat in line), "")
                        self.assertIn(reason, line)
                        self.assertIn(remedy, line)
                tiles = self.browser.run(_LINES_THAT_CAN_BE_SEEN, ".wall li")
                wrong = [tile.split("\n")[0] for tile in tiles if not re.search("✓|▸", tile)]
                self.assertEqual(wrong, ["seat-2", "seat-3", "seat-4", "seat-6"])
                self.assertIn("seat-3\n! damaged", tiles)
            self.assertEqual(self.browser.run("return document.title"), "1/6 ready · 5 need you – Three are broken")
            # A click on what is said leads to where it is put right.
            go(self.browser, "room")
            self.browser.click("#needs a", "seat-3 Alpha Racer")
            self.browser.click(".actions button", "Repair")
            self.browser.until(lambda: web.asked, "the repair is asked for")
            self.assertEqual(web.asked, [{"kind": "repair", "game": "alpha-racer", "peers": [identity(web, "seat-3")]}])
            web.advance(100_000)
            go(self.browser, "overview")
            self.assertNotIn("seat-3", self.browser.text("#needs"))

    def test_empty_rooms_say_what_to_do(self) -> None:
        for kind, text in (("alone", "No other peer is here yet"), ("empty", "8 machines here, no game yet")):
            with self.subTest(kind=kind), shown(self.browser, make(kind)):
                self.assertIn(text, self.browser.text("#view"))

    # ---- live ----

    def test_focus_and_what_is_typed_stay_through_updates(self) -> None:
        with shown(self.browser, make("party")) as web:
            self.browser.run("document.querySelector('input[type=search]').focus()")
            for letter in "iron":
                self.browser.type(letter)
                web.advance(0.5)
                two_frames(self.browser)
            self.assertEqual(self.browser.run("return document.activeElement.value"), "iron")
            self.assertEqual(self.browser.run("return columns.map(game => game.game)"), ["ironfield"])

    def test_a_daemon_that_ends_leaves_a_grey_picture_and_comes_back_without_doubles(self) -> None:
        with shown(self.browser, make("party")) as web:
            lines = self.browser.run("return document.querySelectorAll('tbody tr').length")
            web.stop()
            self.browser.until_script("return document.body.dataset.live === 'gone'", "the daemon is missed")
            two_frames(self.browser)
            self.assertIn("The daemon does not answer", self.browser.text("#gone"))
            self.assertIn(
                "grayscale", self.browser.run("return getComputedStyle(document.querySelector('main')).filter")
            )
            self.assertEqual(self.browser.run("return document.querySelectorAll('tbody tr').length"), lines)
            go(self.browser, "room/game/quarry-wars")
            self.browser.run("start('stream-install', games.get('quarry-wars'), [room.self])")
            self.assertIn("nothing was started", self.browser.run("return act.said"))
            go(self.browser, "room")
            web.start()
            self.browser.click("#again button", "Try now")
            self.browser.until_script("return document.body.dataset.live === 'live'", "it is back")
            two_frames(self.browser)
            self.assertEqual(self.browser.run("return document.querySelectorAll('tbody tr').length"), lines)
            self.assertTrue(self.browser.run("return document.querySelector('#gone').hidden"))

    def test_the_waits_between_two_tries_grow_to_15_s_and_begin_again(self) -> None:
        # Each wait is noted, and is over at once.
        self.assertGreater(len(_WAITS_S), 3)
        with shown(self.browser, make("newcomer")) as web:
            self.browser.run(_NO_WAITING)
            web.stop()
            self.browser.until_script("return waits.length === 8", "eight waits")
            self.assertEqual(self.browser.run("return waits"), [*_WAITS_S, 15, 15, 15])
            self.assertRegex(self.browser.text("#again"), r"Next try in 1[45] s\. Try now")
            web.start()
            self.browser.click("#again button", "Try now")
            self.browser.until_script("return document.body.dataset.live === 'live'", "it is back")
            self.browser.run("waits.length = 0")
            web.stop()
            self.browser.until_script("return waits.length > 1", "it tries again")
            self.assertEqual(self.browser.run("return waits.slice(0, 2)"), _WAITS_S[:2])

    def test_a_room_with_a_token_asks_for_it_and_keeps_it_in_memory_only(self) -> None:
        with shown(self.browser, make("party"), token="right"):
            field = "return document.querySelector('form input[type=password]') !== null"
            self.browser.until_script(field, "a field for the token")
            self.assertEqual(self.browser.run("return peers.size"), 0)
            for token in ("wrong", "right"):
                self.browser.run("document.querySelector('form input').focus()")
                self.browser.type(token)
                self.browser.press("Enter")
                if token == "wrong":
                    self.browser.until_script("return daemon.locked.includes('not accepted')", "it is refused")
                    # The form is drawn again with the next frame.
                    emptied = "const field = document.querySelector('form input'); if (field) field.value = '';"
                    self.browser.until_script(f"{emptied} return !!field", "the field is there again")
            self.browser.until_script("return daemon.state === 'live'", "the page is live")
            self.assertEqual(
                self.browser.run("return [localStorage.length, sessionStorage.length, document.cookie]"), [0, 0, ""]
            )
            asked = self.browser.run("return performance.getEntriesByType('resource').map(each => each.name)")
            self.assertFalse([url for url in asked if "right" in url])
            origin = self.browser.run("return location.origin")
            self.assertTrue(all(url.startswith(origin) for url in asked), asked)

    # ---- size ----

    def test_the_files_of_the_page_stay_as_small_as_they_are(self) -> None:
        content = [(ASSETS / name).read_bytes() for name in ("index.html", "room.css", "room.js")]
        plain, packed = sum(map(len, content)), len(gzip.compress(b"".join(content)))
        print(f"\nthe page: {plain} bytes, {packed} packed with gzip")
        self.assertLessEqual(plain, PAGE_BYTES_MAX)

    def test_a_big_room_is_built_and_kept_up_within_its_budget(self) -> None:
        # Bounds against gross faults, two to three times what was measured; docs/web-page.md has the figures.
        self.browser.size(1920, 1080)
        before = self.browser.metrics()["TaskDuration"]
        with shown(self.browser, make("big")) as web:
            self.browser.until_script("return document.querySelectorAll('td').length === 61 * 100", "all cells")
            two_frames(self.browser)
            start = self.browser.metrics()["TaskDuration"]
            nodes = self.browser.run("return document.querySelectorAll('*').length")
            self.assertLess(nodes, 61 * 101 + 1000, "elements: one for each cell, and some more")
            self.browser.run(_COUNT_CHANGES)
            self.assertLess(start - before, 1, "seconds of the main thread to build 60 × 100")
            self.assertGreater(working(web.room), 80)
            seconds = 3
            for _ in range(2 * seconds):
                web.advance(0.5)
                self.browser.until_script(f"return room.seq >= {web.room.facts['seq']}", "the delta was taken")
                two_frames(self.browser)
            repainted, added = self.browser.run("return [repainted.size, added]")
            self.assertGreater(repainted, 0)
            self.assertLessEqual(repainted, 94, "cells that were touched: of those that work")
            self.assertEqual(added, 0, "elements that were made")
            spent = (self.browser.metrics()["TaskDuration"] - start) / seconds
            self.assertLess(spent, 0.2, "seconds of the main thread per second, with two deltas a second")
            print(
                f"\n60 × 100: built in {(start - before) * 1000:.0f} ms, {spent * 1000:.0f} ms per second at 2 deltas/s"
            )

    def test_a_room_of_other_size_is_a_table_too(self) -> None:
        room = big(seats=3, games=4)
        room.count()
        with shown(self.browser, room):
            self.assertEqual(self.browser.run("return document.querySelectorAll('td').length"), 16)

    # ---- pictures ----

    def test_pictures_in_light_and_dark_are_kept(self) -> None:
        with shown(self.browser, make("party")) as web:
            views = {
                "room": "room",
                "overview": "overview",
                "flow": "flow",
                "failed-seat": f"room/seat/{identity(web, 'seat-11')}/game/ironfield",
            }
            for scheme in ("light", "dark"):
                self.browser.prefer(scheme)
                for name, view in views.items():
                    go(self.browser, view)
                    size = self.browser.picture(PICTURES / f"{name}-{scheme}.png")
                    self.assertLess(size, PICTURE_BYTES_MAX, f"{name} {scheme}")
            self.browser.size(320, 720)
            go(self.browser, "room")
            self.browser.picture(PICTURES / "phone.png")


if __name__ == "__main__":
    unittest.main()
