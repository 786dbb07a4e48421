"""A whole party: sixty seats and their source in one network, each of which tells all others what it does."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

from .. import event_schema
from ..contract import ALONE, scenario
from ..expectations import Deadline, expect, expect_equal
from ..hall import Cable, Hall
from ..stage import Stage
from ..webdriver import Browser

SEATS = 60
SOURCE = "den"
GAME = "party-game"
GAME_BYTES = 6_000_000
# So that three installs take some seconds, in which the room is looked at.
RATE = "2MiB/s"
INSTALLING = ("seat-01", "seat-30", "seat-59")
LOOKING = "seat-02"
KILLED = "seat-60"

# Sixty daemons begin at once, and connect to each other: 3660 connections on the processors of one machine. A peer that
# does not answer yet is tried again after 15 s.
FOUND_LIMIT_S = 150.0
COLUMNS = 80
PORT = 4180
# The names of the rows that say so.
_SILENT = """return [...document.querySelectorAll('th')].map(head => head.ariaLabel ?? '')
    .filter(label => label.endsWith('silent')).map(label => label.split(',')[0])"""
# How many cells say this, to who cannot see them.
_CELLS = "return [...document.querySelectorAll('td')].filter(cell => cell.ariaLabel.startsWith(arguments[0])).length"
# What is measured passes in about this time: each seat says at least once in it that it is there.
SPAN_S = 5.0

# Of one seat, in both directions together. Each of 60 neighbours asks every 4 s for news and hears that there are none:
# 30 questions and answers a second, with the headers of TLS and TCP. The seats also share one disk: when its free space
# passes a step of 16 MiB, all tell so within ten seconds, or at once if they have started together.
QUIET_BYTES_PER_SECOND = 20 * 1024
QUIET_PACKETS_PER_SECOND = 200
# The three that install and the source tell everybody about it once a second, and fill that disk.
BUSY_BYTES_PER_SECOND = 32 * 1024
BUSY_PACKETS_PER_SECOND = 320

# To the page, which hears of the room at most twice a second.
PAGE_BYTES_PER_SECOND = 8 * 1024

# Of one daemon with 60 neighbours, the pages of its program included.
MEMORY_KIB = 48 * 1024


def _wait_for_room(stage: Stage, hall: Hall, seat: str, what: str, holds: Any, limit_s: float) -> dict[str, Any]:
    deadline = stage.deadline.sooner(limit_s)
    while True:
        room = hall.room(seat)
        if holds(room):
            return room
        _check(deadline, hall, room, what)


def _check(deadline: Deadline, hall: Hall, room: dict[str, Any], what: str) -> None:
    here = {peer["name"] for peer in room["peers"]}
    missing = sorted(set(hall.seats) - here)
    deadline.check(f"{what}; of the room there are {len(here)}, without {', '.join(missing[:5]) or 'none'}")


def _all_here(room: dict[str, Any]) -> bool:
    return sum(peer["state"] == "here" for peer in room["peers"]) == SEATS + 1


def _states(room: dict[str, Any]) -> dict[str, str]:
    """The state of the game at each machine. While no seat has to do with it, only those that have it are there."""
    names = {peer["peer"]: peer["name"] for peer in room["peers"]}
    return {names[cell["peer"]]: cell["state"] for cell in room["cells"] if cell["game"] == GAME}


def _measure(hall: Hall, span_s: float) -> tuple[dict[str, Cable], float]:
    """What each seat sends and receives, and in what time."""
    before, begun = hall.cables(), time.monotonic()
    # Not to wait for something: it is what is measured.
    time.sleep(span_s)
    after = hall.cables()
    took_s = time.monotonic() - begun
    return {name: cable.since(before[name]) for name, cable in after.items()}, took_s


def _expect_bounded(
    stage: Stage, counted: dict[str, Cable], took_s: float, seats: list[str], bytes: int, packets: int, what: str
) -> None:
    most_bytes = max((cable.sent_bytes + cable.received_bytes) / took_s for cable in map(counted.__getitem__, seats))
    most_packets = max(
        (cable.sent_packets + cable.received_packets) / took_s for cable in map(counted.__getitem__, seats)
    )
    stage.figures.append(f"{what}: {most_bytes / 1024:.1f} KiB/s and {most_packets:.0f} packets/s at a seat")
    expect(most_bytes <= bytes, f"{what}: {most_bytes:.0f} bytes a second at one seat, at most {bytes}")
    expect(most_packets <= packets, f"{what}: {most_packets:.0f} packets a second at one seat, at most {packets}")
    silent = [name for name in seats if not counted[name].sent_packets]
    expect(not silent, f"{what}: nothing came from {', '.join(silent)}: nothing was tested")


@scenario(
    "S97",
    "Sixty seats",
    claim="Of 60 seats and a source, each has all others in its room, with what they do. What a seat sends and "
    "receives for that is bounded, while nothing happens and while three of them install. The table on a terminal of "
    "80 columns has a row for each and is no wider. One that is killed is shown as lost. The page of the source "
    "shows the same in a browser, which has nothing to complain about. A daemon with 60 neighbours "
    f"needs at most {MEMORY_KIB // 1024} MiB.",
    conditions="61 daemons in one container, each with a network, an address and folders of its own, on one bridge. "
    "Of two of them, the later one is named the earlier. Chromium on this machine has the page of "
    "the source open all the time; this part is S99. A seat's traffic is all that passes its cable, with the "
    f"headers: at most {QUIET_BYTES_PER_SECOND} bytes and {QUIET_PACKETS_PER_SECOND} packets a second if nothing "
    f"happens, and {BUSY_BYTES_PER_SECOND} and {BUSY_PACKETS_PER_SECOND} of a seat that does not install while others "
    "do.",
    time_limit_s=400,
    most_at_once=ALONE,
    with_this_machine=True,
)
def sixty_seats(stage: Stage) -> None:
    (stage.games_dir("hall") / SOURCE).mkdir()
    tree = stage.payload(GAME)
    tree.noise("data/content.bin", GAME_BYTES)
    stage.packed_game(stage.games_dir("hall") / SOURCE, GAME, tree, switches=["-m0"])
    names = [f"seat-{number:02}" for number in range(1, SEATS + 1)]
    begun = time.monotonic()
    hall = Hall(stage, {SOURCE: ["--limit-up", RATE, "--web", f"0.0.0.0:{PORT}"], **{name: [] for name in names}})
    hall.wait_until_ready(stage.deadline.sooner(FOUND_LIMIT_S))
    for seat in (LOOKING, KILLED, SOURCE):
        _wait_for_room(stage, hall, seat, f"the whole room at {seat}", _all_here, FOUND_LIMIT_S)
    stage.figures.append(f"all found in {time.monotonic() - begun:.1f} s")
    expect_equal(_states(hall.room(LOOKING)), {SOURCE: "downloaded"}, "cells at first")

    with Browser() as browser:
        _page_is_whole(stage, hall, browser)
        spent_s, sent = browser.metrics()["TaskDuration"], hall.sent_to_this_machine()
        counted, took_s = _measure(hall, SPAN_S)
        _page_at_rest(stage, browser.metrics()["TaskDuration"] - spent_s, hall.sent_to_this_machine() - sent, took_s)
        _expect_bounded(stage, counted, took_s, names, QUIET_BYTES_PER_SECOND, QUIET_PACKETS_PER_SECOND, "quiet room")
        _while_three_install(stage, hall, names, browser)
        _on_a_terminal(hall, names)
        expect(all(map(hall.is_alive, (SOURCE, LOOKING, *INSTALLING))), "a daemon has ended by itself")
        hall.kill(KILLED)
        lost = _wait_for_room(
            stage, hall, LOOKING, f"{KILLED} is lost", lambda it: _peer(it, KILLED)["state"] == "lost", FOUND_LIMIT_S
        )
        expect_equal(len(lost["peers"]), SEATS + 1, "machines in the room when one is lost")
        _page_shows_the_lost_one(browser, _peer(lost, KILLED)["peer"])
    status = hall.process_status(LOOKING)
    stage.figures.append(f"peak memory {status['VmHWM'] // 1024} MiB")
    expect(status["VmHWM"] <= MEMORY_KIB, f"{LOOKING} needed {status['VmHWM']} KiB, at most {MEMORY_KIB}")
    _outputs_are_sound(hall)


def _peer(room: dict[str, Any], name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [peer for peer in room["peers"] if peer["name"] == name]
    expect_equal(len(found), 1, f"machines of the room that are called {name}")
    return found[0]


def _page_is_whole(stage: Stage, hall: Hall, browser: Browser) -> None:
    browser.tools("Performance.enable", timeDomain="threadTicks")
    browser.open_with_token(*hall.page(PORT, stage.deadline))
    browser.run("location.hash = '#room'")
    browser.until(lambda: browser.run(_CELLS, "not here") == SEATS, "a cell for each seat, without the game", 30)
    expect_equal(browser.run(_CELLS, "archive here"), 1, "cells of the source")
    nodes = browser.run("return document.querySelectorAll('*').length")
    stage.figures.append(f"page of {nodes} elements, built in {browser.metrics()['TaskDuration'] * 1000:.0f} ms")


def _page_at_rest(stage: Stage, spent_s: float, sent: int, took_s: float) -> None:
    bytes_per_second = sent / took_s
    stage.figures.append(
        f"page at rest: {bytes_per_second / 1024:.1f} KiB/s, {spent_s / took_s * 1000:.0f} ms of its thread a second"
    )
    expect(
        bytes_per_second <= PAGE_BYTES_PER_SECOND,
        f"{bytes_per_second:.0f} bytes a second for a page at rest, at most {PAGE_BYTES_PER_SECOND}",
    )


def _page_shows_the_lost_one(browser: Browser, peer: str) -> None:
    browser.run("location.hash = `#room/seat/${arguments[0]}`", peer)
    browser.until(lambda: "No word" in browser.text("#detail"), f"the page says that {KILLED} is silent", 30)
    browser.until(lambda: browser.text("#detail .trouble"), f"the page says why {KILLED} is silent", 30)
    # Another one may be, for a moment, on a machine that runs all of them.
    browser.until(lambda: browser.run(_SILENT) == [KILLED], f"the table says of {KILLED} alone that it is silent", 30)
    expect_equal(browser.complaints(), [], "complaints of the browser")


def _while_three_install(stage: Stage, hall: Hall, names: list[str], browser: Browser) -> None:
    for seat in INSTALLING:
        hall.ask(seat, "install", "--stream", GAME, "--detach")

    def three_stream(room: dict[str, Any]) -> bool:
        states = _states(room)
        return all(states.get(seat) == "streaming" for seat in INSTALLING)

    room = _wait_for_room(stage, hall, LOOKING, "three seats that stream", three_stream, FOUND_LIMIT_S)
    others = [name for name in names if name not in INSTALLING]
    expect_equal({_states(room)[name] for name in others}, {"absent"}, "cells of the seats that do nothing")
    browser.until(lambda: browser.run(_CELLS, "streaming") == len(INSTALLING), "three cells that stream")
    counted, took_s = _measure(hall, SPAN_S / 2)
    _expect_bounded(stage, counted, took_s, others, BUSY_BYTES_PER_SECOND, BUSY_PACKETS_PER_SECOND, "three install")

    def three_installed(room: dict[str, Any]) -> bool:
        states = _states(room)
        return all(states.get(seat) == "installed" for seat in INSTALLING)

    room = _wait_for_room(stage, hall, LOOKING, "three seats that are done", three_installed, FOUND_LIMIT_S)
    browser.until(lambda: browser.run(_CELLS, "installed, not") == len(INSTALLING), "three cells that are installed")
    expect_equal((room["summary"]["ready"], room["summary"]["seats"]), (len(INSTALLING), SEATS), "seats that are ready")


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _on_a_terminal(hall: Hall, names: list[str]) -> None:
    shown = hall.on_terminal(LOOKING, COLUMNS, "room", "--once")
    wide = [line for line in shown if _columns(line) > COLUMNS]
    expect(not wide, f"lines of more than {COLUMNS} columns: {wide[:2]}")
    rows = {line.split()[0]: line for line in shown if line.startswith(("seat-", SOURCE))}
    expect_equal(sorted(rows), sorted([SOURCE, *names]), "rows of the table")
    head = next(line for line in shown if GAME in line and line.startswith(" "))
    for name, row in rows.items():
        expected = "\u25a3 archives" if name == SOURCE else "\u2713 streamed" if name in INSTALLING else "\u00b7"
        expect_equal(
            row[head.index(GAME) :].strip(), expected, f"what the table says of {name}, below the name of the game"
        )
        ready = "source" if name == SOURCE else "1/1" if name in INSTALLING else "0/1"
        expect_equal(row[head.index("ready") :].split()[0], ready, f"games that {name} has ready")
    expect(shown[0].startswith(f"{len(INSTALLING)} of {SEATS} machines ready"), f"the first line is {shown[0]!r}")


def _outputs_are_sound(hall: Hall) -> None:
    """What no process of the scenario can be asked about: their output is in files."""
    for seat in (SOURCE, LOOKING, *INSTALLING):
        for event in hall.said(seat):
            problem = event_schema.problem(event)
            expect(not problem, f"{seat} said {event}, which is not as the schema says: {problem}")
        expect("panicked at" not in hall.stderr(seat), f"{seat} panicked: {hall.stderr(seat)!r}")
