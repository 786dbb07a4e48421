"""Made-up rooms of any size: what the room page is shown when it is tried out and tested.

A room is one answer of `GET /api/v1/room`, as JSON. Everything in it follows from a seed: two rooms of one kind
are equal.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

MIB = 1024 * 1024
GIB = 1024 * MIB

Json = dict[str, Any]

BUSY = {
    "streaming": "stream-install",
    "downloading": "download",
    "installing": "install",
    "updating": "update",
    "verifying": "verify",
    "repairing": "repair",
}
_WRONG = ("failed", "damaged")
_VERSION = "20260101"

# Names that try to be something else: markup, other writing directions, invisible signs, heaps of marks, other scripts.
HOSTILE_NAMES = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "seat-\u202egnp.exe",
    "x" * 200,
    "a" + "\u0301" * 60,
    "seat-20",
    "seat-20",
    "seat\u200b-20",
    "s\u0435at-20",
    "\u0000\u001b[31mred",
    "",
    "\u3164",
    "javascript:alert(1)",
    '"><svg onload=alert(1)>',
    "../../etc",
    "\u2066hidden\u2069",
)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Room:
    """A room that is being filled, and then lives on."""

    def __init__(self, party: str, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.operations_given = 40
        self.facts: Json = {"v": 1, "seq": 1, "time": now(), "self": "", "party": party, "commands": "room"}
        self.refuses: dict[str, Json] = {}
        """Why a peer refuses what it is asked to do: `code`, `message` and `hint`."""
        self.facts |= {"uptime_ms": 5_321_000, "links": [], "operations": [], "warnings": [], "looking": None}
        self.peers: dict[str, Json] = {}
        self.games: dict[str, Json] = {}
        self.cells: dict[tuple[str, str], Json] = {}

    # ---- filling it ----

    def peer(self, name: str, **facts: object) -> str:
        """Adds a peer and gives its identity. The first one is the daemon that answers."""
        index = len(self.peers)
        identity = "peer1" + hashlib.sha256(f"{index} {name}".encode()).hexdigest()[:32]
        self.peers[identity] = {
            "peer": identity,
            "name": name,
            "addr": f"192.168.{7 + index // 200}.{10 + index % 200}:4107",
            "version": "0.3.0",
            "state": "here",
            "free_bytes": self.random.randrange(60, 360) * GIB,
            "streams": 0,
            "streams_max": 8,
            "accepts": True,
            "seat": True,
            "games_ready": 0,
            "games_wanted": 0,
            "ready": False,
            **facts,
        }
        self.facts["self"] = self.facts["self"] or identity
        return identity

    def game(self, game: str, title: str, packed_gib: float, wanted: bool = True) -> str:
        packed = int(packed_gib * GIB)
        self.games[game] = {
            "game": game,
            "title": title,
            "version": _VERSION,
            "bytes": packed,
            "unpacked_bytes": int(packed * 2.6),
            "files": self.random.randrange(400, 9000),
            "wanted": wanted,
            "peers": [],
        }
        return game

    def cell(self, peer: str, game: str, state: str, **facts: object) -> Json:
        cell: Json = {"peer": peer, "game": game, "state": state, "shareable": False, **facts}
        if state not in ("absent", "failed", "waiting"):
            cell.setdefault("version", self.games[game]["version"])
        self.cells[peer, game] = cell
        return cell

    def silent(self, peer: str, seconds: int) -> None:
        """Nothing is heard of a peer any more."""
        self.peers[peer] |= {"state": "silent", "silent_ms": seconds * 1000, "free_bytes": None}
        message = "no word from it: what it does now is not known"
        hint = "look whether it is switched on, at its cable, and whether its daemon runs"
        self.facts["warnings"].append({"code": "no-word", "peer": peer, "message": message, "hint": hint})

    def archive(self, peer: str, game: str) -> None:
        self.cell(peer, game, "downloaded", shareable=True)
        self.games[game]["peers"].append(peer)

    def work(self, peer: str, game: str, state: str, part: float, mib_per_second: float, source: str | None) -> Json:
        total = self.games[game]["bytes" if state == "downloading" else "unpacked_bytes"]
        self.operations_given += 1
        speed = mib_per_second * MIB
        return self.cell(
            peer,
            game,
            state,
            operation=self.operations_given,
            kind=BUSY[state],
            bytes=int(total * part),
            bytes_total=total,
            bytes_per_second=speed,
            seconds_left=int(total * (1 - part) / speed) + 1,
            source=source,
            attempt=1,
        )

    def link(self, game: str, sender: str, receiver: str, mib_per_second: float, hop: int = 1, **facts: object) -> None:
        kind = "download" if self.cells[receiver, game]["state"] == "downloading" else "stream"
        link = {"game": game, "from": sender, "to": receiver, "kind": kind, "hop": hop}
        self.facts["links"].append({**link, "bytes_per_second": mib_per_second * MIB, "slow": False, **facts})

    # ---- what it says ----

    def count(self) -> None:
        """Counts what the daemon counts: who is ready, who is slowest, how many problems there are."""
        wanted = [game for game, facts in self.games.items() if facts["wanted"]]
        for identity, peer in self.peers.items():
            mine = [self.cells.get((identity, game), {"state": "absent"}) for game in wanted]
            left = [c["seconds_left"] for (p, _), c in self.cells.items() if p == identity and c.get("seconds_left")]
            peer["games_wanted"] = len(wanted)
            peer["games_ready"] = sum(cell["state"] in ("installed", "downloaded") for cell in mine)
            peer["ready"] = peer["state"] == "here" and peer["games_ready"] == len(wanted) and bool(wanted)
            peer["seconds_left"] = max(left, default=None)
            links = self.facts["links"]
            peer["send_bytes_per_second"] = sum(e["bytes_per_second"] for e in links if e["from"] == identity)
            peer["receive_bytes_per_second"] = sum(e["bytes_per_second"] for e in links if e["to"] == identity)
            peer["streams"] = sum(e["from"] == identity for e in links)
        seats = [peer for peer in self.peers.values() if peer["seat"]]
        slowest = max((p for p in seats if p["seconds_left"]), key=lambda p: p["seconds_left"], default=None)
        self.facts["summary"] = {
            "ready": sum(peer["ready"] for peer in seats),
            "seats": len(seats),
            "problems": sum(c["state"] in _WRONG for c in self.cells.values()) + len(self.facts["warnings"]),
            "seconds_left": slowest and slowest["seconds_left"],
            "slowest": slowest and slowest["peer"],
            "bytes_per_second": sum(link["bytes_per_second"] for link in self.facts["links"]),
        }

    def snapshot(self) -> Json:
        peers, games, cells = (list(each.values()) for each in (self.peers, self.games, self.cells))
        return {**self.facts, "time": now(), "peers": peers, "games": games, "cells": cells}

    def delta(self, cells: list[Json]) -> Json:
        """The next delta: these cells, and all that is counted from them."""
        self.count()
        self.facts["seq"] += 1
        parts = ("links", "operations", "warnings", "summary", "looking")
        peers = [peer for peer in self.peers.values() if peer["streams"] or peer["receive_bytes_per_second"]]
        moved = {cell["peer"] for cell in cells}
        peers += [peer for peer in self.peers.values() if peer["peer"] in moved and peer not in peers]
        head = {"v": 1, "seq": self.facts["seq"], "time": now(), "cells": cells, "peers": peers}
        return head | {part: self.facts[part] for part in parts}

    def advance(self, seconds: float) -> Json:
        """All that runs comes closer to its end."""
        moved = []
        for cell in list(self.cells.values()):
            if cell["state"] not in BUSY:
                continue
            speed = cell["bytes_per_second"] * self.random.uniform(0.9, 1.1)
            cell["bytes"] = min(cell["bytes_total"], int(cell["bytes"] + speed * seconds))
            cell["seconds_left"] = int((cell["bytes_total"] - cell["bytes"]) / cell["bytes_per_second"]) + 1
            if cell["bytes"] == cell["bytes_total"]:
                self.finish(cell)
            moved.append(self.cells[cell["peer"], cell["game"]])
        return self.delta(moved)

    def finish(self, cell: Json) -> None:
        done = "downloaded" if cell["state"] == "downloading" else "installed"
        self.cell(cell["peer"], cell["game"], done, shareable=done == "downloaded")
        ends = (cell["peer"], cell["game"])
        self.facts["links"] = [link for link in self.facts["links"] if (link["to"], link["game"]) != ends]
        self.facts["operations"] = [e for e in self.facts["operations"] if e["operation"] != cell.get("operation")]

    def actions(self, game: str, peers: list[str]) -> list[Json]:
        """What is possible with a game on these peers, and why not."""
        places = {peer: self._reasons(game, peer) for peer in peers}
        facts = self.games[game]
        unpacked, packed = (f"{facts[each] / GIB:.1f} GiB" for each in ("unpacked_bytes", "bytes"))
        messages = {
            "stream-install": f"Writes {unpacked}. The archive is not kept, so this seat cannot share it.",
            "download": f"Fetches the archive ({packed}) from {len(facts['peers'])} sources, and shares it.",
            "update": f"Brings version {facts['version']}. Settings and saved games stay.",
            "verify": "Reads every file and compares it.",
            "repair": "Fetches only what differs.",
            "cancel": "Ends what runs.",
        }
        found = []
        for kind, message in messages.items():
            stopped = [{"peer": peer, "message": why[kind]} for peer, why in places.items() if why[kind]]
            able = [peer for peer in peers if not places[peer][kind]]
            reason = None if able else stopped[0]["message"]
            action = {"kind": kind, "message": message, "reason": reason, "peers": able}
            found.append(action | ({"refused": stopped} if able and stopped else {}))
        return found

    def _reasons(self, game: str, peer: str) -> dict[str, str]:
        """Why each action is not possible there; empty if it is."""
        cell = self.cells.get((peer, game), {"state": "absent"})
        here, shareable = cell["state"] in ("installed", "outdated", "damaged"), cell.get("shareable")
        busy = "it is busy" if cell["state"] in BUSY else ""
        is_own = peer == self.facts["self"]
        closed = "it does not answer" if self.peers[peer]["state"] != "here" else busy
        if not is_own and not self.peers[peer]["accepts"]:
            closed = "it does not accept installs from this daemon"
        no_source = "" if [each for each in self.games[game]["peers"] if each != peer] else "no other peer offers it"
        archive = "its archive is here" if shareable else ""
        return {
            "stream-install": closed or ("it is installed" if here else "") or archive or no_source,
            "download": closed or archive or no_source,
            "update": closed or ("" if cell["state"] == "outdated" else "no newer version is offered"),
            "verify": closed or ("" if here or shareable else "it is not here"),
            "repair": closed or ("" if cell["state"] == "damaged" else "no damage is known"),
            "cancel": "nothing runs" if not busy else "" if is_own else "only that machine can cancel it",
        }

    def start(self, kind: str, game: str, peers: list[str]) -> tuple[Json, Json]:
        """Starts an operation on each peer that does not refuse it: the answer, and the delta that shows it."""
        state = next(state for state, each in BUSY.items() if each == kind)
        cells = []
        for peer in [peer for peer in peers if peer not in self.refuses]:
            source = next((each for each in self.games[game]["peers"] if each != peer), None)
            cell = self.work(peer, game, state, 0.0, 110, source)
            if source:
                self.link(game, source, peer, 110)
            cells.append(cell)
            if peer == self.facts["self"]:
                own = {key: cell[key] for key in ("operation", "kind", "game", "bytes", "bytes_total")}
                self.facts["operations"].append({**own, "running": True, "followers": 1})
        refused = [{"peer": peer, **self.refuses[peer]} for peer in peers if peer in self.refuses]
        answer = {"operations": [cell["operation"] for cell in cells]} | ({"refused": refused} if refused else {})
        return answer, self.delta(cells)

    def cancel(self, operation: int) -> Json | None:
        """Ends an operation of this daemon, if there is one of this number."""
        cell = next((c for (p, _), c in self.cells.items() if c.get("operation") == operation), None)
        if cell is None or cell["peer"] != self.facts["self"]:
            return None
        self.finish(cell)
        return self.delta([self.cell(cell["peer"], cell["game"], "absent")])


# ---- rooms -----------------------------------------------------------------------------------------------------------

_PARTY_GAMES = (
    ("alpha-racer", "Alpha Racer", 1.9, True),
    ("hexwing", "Hexwing", 5.1, True),
    ("ironfield", "Ironfield", 14.2, True),
    ("lunar-outpost", "Lunar Outpost", 18.8, True),
    ("night-convoy", "Night Convoy", 3.3, True),
    ("orbit-duel", "Orbit Duel", 0.7, True),
    ("bunker-siege", "Bunker Siege", 7.7, False),
    ("kart-kingdom", "Kart Kingdom", 1.2, False),
    ("quarry-wars", "Quarry Wars", 9.6, False),
)


def _filled(room: Room, seats: int) -> tuple[str, list[str]]:
    """A source with all games, and seats that have all wanted ones."""
    source = room.peer("den", seat=False, free_bytes=812 * GIB)
    names = [room.peer(f"seat-{number}") for number in range(1, seats + 1)]
    for game, facts in room.games.items():
        room.archive(source, game)
        for seat in names if facts["wanted"] else []:
            room.cell(seat, game, "installed")
    return source, names


def party() -> Room:
    """28 seats in every state: four of them are stuck, seven form a chain, one link is slow."""
    room = Room("Kellerparty 2026")
    for game, title, packed, wanted in _PARTY_GAMES:
        room.game(game, title, packed, wanted)
    den, seats = _filled(room, 28)
    attic = room.peer("attic", seat=False)
    for game in ("alpha-racer", "hexwing", "ironfield", "orbit-duel"):
        room.archive(attic, game)
    source = den
    chain = [seats[number - 1] for number in (18, 19, 20, 21, 23, 24, 27)]
    for hop, seat in enumerate(chain, 1):
        fast = hop <= 3
        room.work(seat, "ironfield", "streaming", 0.7 if fast else 0.4, 310 if fast else 32, source)
        room.link("ironfield", source, seat, 109 if fast else 11, hop, slow=hop == 4)
        source = seat
    for seat, part in ((seats[24], 0.93), (seats[25], 0.9)):
        room.work(seat, "hexwing", "streaming", part, 260, attic)
        room.link("hexwing", attic, seat, 95)
    room.work(seats[1], "kart-kingdom", "downloading", 0.43, 88, den)
    room.link("kart-kingdom", den, seats[1], 60)
    room.link("kart-kingdom", attic, seats[1], 28)
    room.work(seats[8], "night-convoy", "updating", 0.38, 74, den)
    room.link("night-convoy", den, seats[8], 74)
    for number in (7, 12):
        room.cell(seats[number - 1], "night-convoy", "outdated", version="20250102")
    room.cell(seats[27], "lunar-outpost", "waiting", kind="stream-install", waiting_for=den, before=2)
    for seat in seats[4:6]:
        room.cell(seat, "alpha-racer", "installed", shareable=True)
    trouble: list[tuple[int, str, str, str | None, str, str]] = [
        (
            4,
            "lunar-outpost",
            "failed",
            "not-enough-space",
            "needs 52.9 GiB, and 12.9 GiB are free",
            "free 40.0 GiB on seat-4, or uninstall a game there, and start it again",
        ),
        (
            11,
            "ironfield",
            "failed",
            "all-sources-failed",
            "every source failed; the last was attic: it sent data that does not match the manifest",
            "verify ironfield on attic, whose copy is damaged, and start it again: den has a free place",
        ),
        (
            14,
            "orbit-duel",
            "damaged",
            None,
            "3 files differ from the manifest, and 1 is missing",
            "Repair fetches 12.4 MiB and leaves added files alone",
        ),
    ]
    for number, game, state, code, message, hint in trouble:
        room.cell(seats[number - 1], game, state, code=code, message=message, hint=hint)
    room.cell(seats[21], "ironfield", "unknown")
    room.silent(seats[21], 41)
    slow = "it gets 11.0 MiB a second from seat-20, which 109 reach; four seats after it wait for that"
    hint = "that looks like a port or cable of 100 Mbit/s: change the cable"
    slow_seat = {"code": "slow-link", "peer": seats[20], "game": "ironfield"}
    room.facts["warnings"].append({**slow_seat, "message": slow, "hint": hint})
    return room


def broken() -> Room:
    """Six seats: three are broken, each in its way, one has lost its source, and the link of one is slow. In the words
    of the daemon."""
    room = Room("Three are broken")
    for game, title in (("alpha-racer", "Alpha Racer"), ("hexwing", "Hexwing")):
        room.game(game, title, 5.1)
    den, seats = _filled(room, 6)
    room.cell(
        seats[1],
        "hexwing",
        "failed",
        code="not-enough-space",
        message="5 GiB are free, and 13 GiB are needed",
        hint="free some space, or choose another --games-dir",
    )
    room.cell(
        seats[2],
        "alpha-racer",
        "damaged",
        code="differences",
        message="3 files differ, and 1 is missing",
        hint="Repair fetches what differs, and nothing else",
    )
    room.cell(
        seats[5],
        "hexwing",
        "failed",
        code="all-sources-failed",
        message="no source could send hexwing",
        hint="start it again when a source answers",
    )
    room.cell(seats[3], "hexwing", "unknown")
    room.silent(seats[3], 33)
    room.work(seats[4], "hexwing", "streaming", 0.2, 11, den)
    room.link("hexwing", den, seats[4], 11, slow=True)
    room.facts["warnings"].append(
        {
            "code": "slow-link",
            "peer": seats[4],
            "game": "hexwing",
            "message": "it gets 11.0 MiB a second, less than half of what reaches its sender",
            "hint": "11 MiB/s is what a port or cable of 100 Mbit/s carries: change the cable",
        }
    )
    return room


def big(seats: int = 60, games: int = 100) -> Room:
    """A room of that size, in which 94 cells work when it has its usual size."""
    room = Room("Big room")
    for number in range(1, games + 1):
        room.game(f"game-{number}", f"Game of the year {number}", 1 + number % 30, wanted=number <= games // 2)
    den, names = _filled(room, seats)
    pairs = [(seat, game) for seat in names for game in room.games]
    for index, (seat, game) in enumerate(room.random.sample(pairs, min(94, len(pairs)))):
        room.work(seat, game, list(BUSY)[index % 5], room.random.random() * 0.5, 12, den)
        room.link(game, den, seat, 12)
    return room


def hostile() -> Room:
    """Peers, games and messages that try to be markup, or to pass for others."""
    room = Room("<b onmouseover=alert(1)>Party</b>")
    markup = "<img src=x onerror=\"document.title='owned'\">"
    for number, name in enumerate(HOSTILE_NAMES):
        # The id of a game is checked by the daemon, its title is not.
        room.game(f"game-{number}", name, 1 + number)
    den = room.peer("den", seat=False)
    for index, name in enumerate(HOSTILE_NAMES):
        seat = room.peer(name, version=markup[:40])
        for each in range(index % 7):
            room.cell(seat, f"game-{each}", "installed")
        room.cell(seat, "game-8", "failed", code="all-sources-failed", message=markup, hint=f"{markup} \u202e{markup}")
    for game in room.games:
        room.archive(den, game)
    return room


def alone() -> Room:
    room = Room("Alone")
    room.game("alpha-racer", "Alpha Racer", 1.9)
    room.archive(room.peer("den", seat=False), "alpha-racer")
    message = "No other peer has answered on this network."
    room.facts["looking"] = {"since_ms": 134_000, "addrs": ["192.168.7.10 (enp3s0)"], "message": message, "hint": None}
    return room


def empty() -> Room:
    room = Room("Empty")
    for number in range(8):
        room.peer(f"seat-{number}")
    return room


def newcomer() -> Room:
    """A seat with an empty list, and two games that others offer."""
    room = Room("Newcomer")
    here = room.peer("seat-1")
    for number, name in enumerate(("den", "attic", "cellar")):
        source = room.peer(name, seat=False)
        if not number:
            room.game("quarry-wars", "Quarry Wars", 9.6, wanted=False)
            room.game("hexwing", "Hexwing", 5.1)
        room.archive(source, "quarry-wars")
        room.archive(source, "hexwing")
    room.cell(here, "hexwing", "absent")
    return room


ROOMS: dict[str, Callable[[], Room]] = {
    "party": party,
    "broken": broken,
    "big": big,
    "hostile": hostile,
    "alone": alone,
    "empty": empty,
    "newcomer": newcomer,
}


def make(kind: str) -> Room:
    room = ROOMS[kind]()
    room.count()
    return room
