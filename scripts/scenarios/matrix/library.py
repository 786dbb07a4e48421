"""What peers report about their games: to a user, to each other, and when the games on disk change."""

from __future__ import annotations

import shutil

from ..contract import scenario
from ..events import Event, named
from ..expectations import Deadline, expect_equal
from ..games import root_bytes
from ..listings import listed, offers, peers_listed
from ..peer import Peer
from ..stage import Stage

# How long a change on disk may take to be announced: it is read when the folder has come to rest, and then announced.
ANNOUNCE_LIMIT_S = 10.0

ALPHA_GAMES = ["alpha-arena", "alpha-racer", "common-quest"]
BRAVO_GAMES = ["bravo-blocks", "bravo-tactics", "common-quest"]


@scenario(
    "S1",
    "Start-up scan",
    claim="The peer reports that it is ready and what its library holds. Games of fixtures are listed as downloaded, "
    "not installed and Ready.",
    conditions="A games directory with the games of two fixtures, and one game without a sentinel, which does not "
    "count as one.",
    time_limit_s=30,
)
def start_up_scan(stage: Stage) -> None:
    games_dir = stage.games_from("source", "fixture-alpha", "fixture-solid")
    complete = sorted(path.name for path in games_dir.iterdir())
    half_copied = games_dir / "bravo-blocks"
    shutil.copytree(games_dir / "alpha-arena", half_copied)
    (half_copied / "version.ini").unlink()
    source = stage.start_source("source", games_dir)
    ready = source.wait_for_event("peer-ready", stage.deadline)
    expect_equal(ready["name"], "source", "name of the peer that is ready")
    library = source.wait_for_event("library-changed", stage.deadline)
    reported = {key: library.get(key) for key in ("revision", "games", "changed")}
    expect_equal(reported, {"revision": 1, "games": len(complete), "changed": complete}, "the library at the start")
    found = {event["game"]: event for event in listed(stage, source.machine) if named("local-game")(event)}
    expect_equal(sorted(found), sorted([*complete, half_copied.name]), "games that are listed")
    for game in complete:
        state = {key: found[game].get(key) for key in ("state", "downloaded", "installed", "version", "bytes")}
        version = (games_dir / game / "version.ini").read_text().strip()
        bytes = root_bytes(games_dir / game)
        expected = {"state": "ready", "downloaded": True, "installed": False, "version": version, "bytes": bytes}
        expect_equal(state, expected, f"state of {game}")
    expect_equal(found[half_copied.name]["state"], "incomplete", "state of the game without a sentinel")


@scenario(
    "S2",
    "Direct connect",
    claim="Each side lists exactly one remote peer and never itself. Both learn each other's library.",
    conditions="Two serving peers with different games and without discovery. Only the second is given the address "
    "of the first.",
    time_limit_s=30,
)
def direct_connect(stage: Stage) -> None:
    one = stage.start_source("one", stage.games_from("one", "fixture-alpha"))
    two = stage.start_source("two", stage.games_from("two", "fixture-bravo"), options=["--peer", one.address])
    for peer, other, games in ((one, two, BRAVO_GAMES), (two, one, ALPHA_GAMES)):
        changed = peer.wait_for_event(named("peer-library-changed", name=other.name), stage.deadline)
        expect_equal((changed["peer"], changed["games"]), (other.identity, len(games)), f"what {peer.name} has learned")
        listing = peers_listed(stage, peer.machine, "--no-discovery", name=f"asks-{peer.name}")
        shown = [(event["peer"], event["name"], event["games"]) for event in listing]
        expect_equal(shown, [(other.identity, other.name, len(games))], f"peers that {peer.name} lists")
        address = f"{other.ip_address()}:{other.address.rpartition(':')[2]}"
        expect_equal(listing[0]["addr"], address, f"where {other.name} answers")
        offered = offers(listed(stage, peer.machine, "--no-discovery", name=f"lists-{peer.name}"))
        expect_equal(offered, dict.fromkeys(games, (1, [other.name])), f"games that {peer.name} sees")
        found = [event["name"] for event in peer.events.all(named("peer-found"))]
        expect_equal(found, [other.name], f"peers that {peer.name} has found")


@scenario(
    "S3",
    "Aggregation",
    claim="A game on two peers is listed once, with peer count 2; a game on one peer has peer count 1.",
    conditions="Two sources with one game in common and two of their own each. They are asked by a command without a "
    "daemon, and by the daemon of a third machine that knows both.",
    time_limit_s=30,
)
def aggregation(stage: Stage) -> None:
    one = stage.start_source("one", stage.games_from("one", "fixture-alpha"))
    two = stage.start_source("two", stage.games_from("two", "fixture-bravo"))
    expected = {game: (1, ["one"]) for game in ALPHA_GAMES} | {game: (1, ["two"]) for game in BRAVO_GAMES}
    (common,) = set(ALPHA_GAMES) & set(BRAVO_GAMES)
    expected[common] = (2, ["one", "two"])
    named_peers = ["--peer", one.address, "--peer", two.address]
    alone = stage.machine("alone", stage.games_dir("alone"))
    expect_equal(offers(listed(stage, alone, "--no-discovery", *named_peers)), expected, "games seen by a command")

    third = stage.start_source("third", stage.games_dir("third"), options=named_peers)
    for source in (one, two):
        third.wait_for_event(named("peer-library-changed", name=source.name), stage.deadline)
    seen = offers(listed(stage, third.machine, "--no-discovery", name="daemon-lister"))
    expect_equal(seen, expected, "games seen by a daemon")


@scenario(
    "S26",
    "Library watch",
    claim="A game that is added, changed or removed on disk is announced without a restart.",
    conditions="A source, and a second peer that follows it. A game is copied in, sentinel last; it gets another "
    "archive; its sentinel changes to a version that the catalog does not have, and back; its folder is removed. "
    f"Each change is announced within {ANNOUNCE_LIMIT_S:g} s.",
    time_limit_s=90,
)
def library_watch(stage: Stage) -> None:
    games_dir = stage.games_from("source", "fixture-alpha/alpha-arena")
    source = stage.start_source("source", games_dir)
    follower = stage.start_source("follower", stage.games_dir("follower"), options=["--peer", source.address])
    watch = _Watch(stage, source, follower)
    watch.expect_announced("at the start", ["alpha-arena"], games=1)

    added = stage.games_from("elsewhere", "fixture-alpha/alpha-racer") / "alpha-racer"
    game_root = games_dir / added.name
    game_root.mkdir()
    shutil.copy2(added / "alpha-racer.eti", game_root)
    shutil.copy2(added / "version.ini", game_root)
    watch.expect_announced("a game that was copied in", [added.name], games=2)
    expect_equal(watch.offered(), {"alpha-arena", added.name}, "games offered after one was added")

    before = watch.offered_bytes(added.name)
    (game_root / "more.eti").write_bytes((added / "alpha-racer.eti").read_bytes())
    watch.expect_announced("another archive", [added.name], games=2)
    expect_equal(watch.offered_bytes(added.name), before + (game_root / "more.eti").stat().st_size, "bytes offered")

    sentinel = (game_root / "version.ini").read_text()
    (game_root / "version.ini").write_text("20190101\n")
    watch.expect_announced("a version that is not the catalog's", [added.name], games=1)
    expect_equal(watch.offered(), {"alpha-arena"}, "games offered at the catalog's version")
    (game_root / "version.ini").write_text(sentinel)
    watch.expect_announced("the right version", [added.name], games=2)

    shutil.rmtree(game_root)
    watch.expect_announced("a game that was removed", [added.name], games=1)
    expect_equal(watch.offered(), {"alpha-arena"}, "games offered after one was removed")
    expect_equal(len(source.events.all(named("peer-ready"))), 1, "starts of the source")


class _Watch:
    """What the source says of its library, and what reaches the peer that follows it, change by change."""

    def __init__(self, stage: Stage, source: Peer, follower: Peer) -> None:
        self.stage = stage
        self.source = source
        self.follower = follower
        self._revision = 0
        self._asked = 0

    def expect_announced(self, what: str, changed: list[str], games: int) -> None:
        """The next change of the library, which is about these games, has reached the other side."""
        self._revision += 1
        deadline = self._deadline()
        reported = self.source.wait_for_event(
            named("library-changed", revision=self._revision), deadline, f"library-changed for {what}"
        )
        expect_equal(
            (reported["changed"], reported["games"]), (changed, games), f"{what}: what has changed, games offered"
        )
        arrived = self.follower.wait_for_event(
            named("peer-library-changed", name=self.source.name, revision=self._revision),
            deadline,
            f"peer-library-changed for {what}",
        )
        expect_equal(arrived["games"], games, f"{what}: games that the other peer knows of")

    def offered(self) -> set[str]:
        return {event["game"] for event in self._offers()}

    def offered_bytes(self, game: str) -> int:
        found = [event["bytes"] for event in self._offers() if event["game"] == game]
        expect_equal(len(found), 1, f"offers of {game}")
        return found[0]

    def _offers(self) -> list[Event]:
        self._asked += 1
        events = listed(self.stage, self.follower.machine, "--no-discovery", name=f"lister-{self._asked}")
        return [event for event in events if named("offered-game")(event)]

    def _deadline(self) -> Deadline:
        return self.stage.deadline.sooner(ANNOUNCE_LIMIT_S)
