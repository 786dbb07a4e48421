"""Peers that find each other, leave, come back on another address, or share one identity."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..games import SLOW_GAME, STREAM_RATE_BYTES_PER_SECOND, make_slow_game
from ..listings import FIND_LIMIT_S, listed, offers, peers_listed, wait_until_found
from ..peer import GAMES, Peer
from ..stage import Stage

# A peer that says goodbye is missed at once; one that was killed, when its connection is broken and a few tries to get
# it back have failed.
LOSS_LIMIT_S = 40.0

GAME = "alpha-arena"


def names_listed(stage: Stage, peer: Peer, name: str) -> list[str]:
    return sorted(event["name"] for event in peers_listed(stage, peer.machine, name=name))


@scenario(
    "S27",
    "Discovery",
    claim="Peers on one network find each other without --peer, and notice when one leaves.",
    conditions="Three peers, none of which is given another's address, and a fourth without discovery, which no peer "
    "finds. One is stopped and another killed. A command on a separate machine lists the peers that are there, "
    "before and after.",
    time_limit_s=120,
)
def discovery(stage: Stage) -> None:
    hidden = stage.start_source("hidden", stage.games_from("hidden", f"fixture-alpha/{GAME}"))
    games = {"one": "fixture-alpha", "two": "fixture-bravo", "three": "fixture-solid"}
    peers = [
        stage.start_source(name, stage.games_from(name, fixture), discovery=True) for name, fixture in games.items()
    ]
    one, two, three = peers
    wait_until_found(stage, peers)
    for peer in peers:
        others = sorted(other.name for other in peers if other is not peer)
        expect_equal(names_listed(stage, peer, f"asks-{peer.name}"), others, f"peers that {peer.name} lists")
    observer = stage.machine("passer-by", stage.games_dir("passer-by"))
    asked = stage.command("before", observer, "peers")
    seen = sorted((event["peer"], event["name"]) for event in asked.events.all(named("peer")))
    expect_equal(seen, sorted((peer.identity, peer.name) for peer in peers), "peers that a command finds")

    two.signal(signal.SIGTERM)
    stage.finish(two, 0, "the end of the peer that was stopped")
    _wait_until_lost(stage, two, [one, three])
    three.kill()
    _wait_until_lost(stage, three, [one])
    alone = stage.command("asks-survivor", one.machine, "peers", "--games-dir", GAMES, exit_status=3)
    expect_equal([event["event"] for event in alone.events.window()], ["error"], "what the last one lists")
    after = stage.command("after", observer, "peers")
    names = [event["name"] for event in after.events.all(named("peer"))]
    expect_equal(names, ["one"], "peers that a command finds in the end")
    for peer in peers:
        found = [event["name"] for event in peer.events.all(named("peer-found"))]
        expect(hidden.name not in found, f"{peer.name} has found a peer without discovery")
    expect(not hidden.events.all(named("peer-found")), "a peer without discovery has found another")


def _wait_until_lost(stage: Stage, gone: Peer, others: list[Peer]) -> None:
    deadline = stage.deadline.sooner(LOSS_LIMIT_S)
    for other in others:
        lost = other.wait_for_event(named("peer-lost", peer=gone.identity), deadline, f"the loss of {gone.name}")
        expect_equal(lost["name"], gone.name, "name of the lost peer")
        expect(lost["reason"], "a loss without a reason")


@scenario(
    "S28",
    "Address change",
    claim="A peer that comes back on another address keeps its identity, and is not listed twice.",
    conditions="A peer is killed, and its state directory comes back in a container with another address. A peer "
    "that knew it before installs from it without being given the new address.",
    time_limit_s=120,
)
def address_change(stage: Stage) -> None:
    observer = stage.start_source("neighbour", stage.games_dir("neighbour"), discovery=True)
    games_dir = stage.games_from("mover", f"fixture-alpha/{GAME}")
    before = stage.start_source("mover", games_dir, discovery=True)
    wait_until_found(stage, [observer, before])
    old_address = before.ip_address()
    mark = observer.events.mark()
    before.kill()
    # Another container takes the address that is free now, so that the peer does not get it again.
    stage.machine("newcomer", stage.games_dir("newcomer"))
    after = stage.start_source("mover", games_dir, discovery=True)
    expect(after.ip_address() != old_address, f"it came back at {old_address}: nothing was tested")
    expect_equal(after.identity, before.identity, "identity of the peer that came back")
    deadline = stage.deadline.sooner(FIND_LIMIT_S + LOSS_LIMIT_S)
    observer.wait_for_event(named("peer-found", peer=after.identity), deadline, "its return", start=mark)
    observer.wait_for_event(named("peer-library-changed", peer=after.identity), deadline, "its library", start=mark)

    shown = [(event["peer"], event["addr"]) for event in peers_listed(stage, observer.machine)]
    address = f"{after.ip_address()}:{after.network_address()[1]}"
    expect_equal(shown, [(after.identity, address)], "peers that the observer lists")
    expect_equal(offers(listed(stage, observer.machine)), {GAME: (1, ["mover"])}, "games that the observer sees")
    story = [
        event["event"]
        for event in observer.events.window(mark)
        if event["event"] in ("peer-found", "peer-lost", "duplicate-identity")
    ]
    expect_equal(story, ["peer-lost", "peer-found"], "what the observer said about its neighbour")
    installed = stage.command("installer", observer.machine, "install", "--stream", GAME, "--games-dir", GAMES)
    reference = archives.extract(games_dir / GAME, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, installed, stage.games_dir("neighbour"), GAME, after, reference)


@scenario(
    "S29",
    "Self-connect",
    claim="A peer refuses to connect to itself.",
    conditions="A peer that serves a game and was given its own address. It is asked to install that game from "
    "itself by a command that its daemon performs, and by a command beside the daemon with the same identity.",
    time_limit_s=60,
)
def self_connect(stage: Stage) -> None:
    options = ["--peer", "myself:7300"]
    peer = stage.start_source("myself", stage.games_from("myself", f"fixture-alpha/{GAME}"), options=options)
    before = checks.user_tree(stage.games_dir("myself"))
    named_itself = ["--no-discovery", "--peer", peer.address, "--games-dir"]
    asked = stage.command("asker", peer.machine, "peers", *named_itself, GAMES, exit_status=3)
    install = ["install", "--stream", GAME, *named_itself]
    by_daemon = stage.command("by-daemon", peer.machine, *install, GAMES, exit_status=3)
    # Another games directory with the same state directory: the same identity, but no daemon that takes it over.
    beside = stage.command("beside", peer.machine, *install, "/tmp", exit_status=3)
    for command in (asked, by_daemon, beside):
        expect("itself" in command.stderr(), f"it does not say so: {command.stderr().strip()!r}")
        expect_equal(checks.attempts(command), [], "attempts to stream from oneself")
        expect(not command.events.all(named("peer")), "it lists itself as a peer")
    expect(not peer.events.all(named("transfer-begin")), "it has sent something to itself")
    expect(not peer.events.all(named("peer-found")), "it has found itself")
    checks.games_dir_as_before(before, stage.games_dir("myself"))


@scenario(
    "S30",
    "Duplicate identity",
    claim="Two peers with one copied identity are detected and reported: by each other, and by a third peer, which "
    "uses the one that it knew first.",
    conditions="The state directory of a peer is copied as a user would copy it. A third peer knows the original when "
    "the copy starts, whose archive of the game has another size: it would make a tie of one against one.",
    time_limit_s=120,
)
def duplicate_identity(stage: Stage) -> None:
    games_dir = stage.games_from("original", f"fixture-alpha/{GAME}")
    first = stage.start_source("original", games_dir)
    first.signal(signal.SIGTERM)
    first.wait_for_exit(stage.deadline, "the end of the peer that is copied")
    _copy_state(stage.dir / "state" / "original", stage.dir / "state" / "copy")
    original = stage.start_source("original", games_dir, discovery=True)
    third = stage.start_source("third", stage.games_dir("third"), discovery=True)
    wait_until_found(stage, [original, third])
    copied = stage.games_from("copy", f"fixture-alpha/{GAME}")
    with (copied / GAME / f"{GAME}.eti").open("ab") as archive:
        archive.write(b"another size")
    copy = stage.start_source("copy", copied, discovery=True)
    expect_equal(copy.identity, original.identity, "identity of the copy")
    addresses = {peer.name: f"{peer.ip_address()}:{peer.network_address()[1]}" for peer in (original, copy)}
    deadline = stage.deadline.sooner(FIND_LIMIT_S)
    for peer in (original, copy, third):
        reported = peer.wait_for_event("duplicate-identity", deadline)
        expect_equal(reported["peer"], original.identity, f"identity that {peer.name} reports")
        expect_equal(sorted(reported["names"]), ["copy", "original"], f"names that {peer.name} reports")
        elsewhere = sorted(address for name, address in addresses.items() if name != peer.name)
        expect_equal(sorted(reported["addrs"]), elsewhere, f"addresses that {peer.name} reports")
    installed = stage.command("installer", third.machine, "install", "--stream", GAME, "--games-dir", GAMES)
    reference = archives.extract(games_dir / GAME, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, installed, stage.games_dir("third"), GAME, original, reference)
    expect_equal(checks.attempts(installed), [original.name], "sources tried")
    expect(not copy.events.all(named("transfer-begin")), "the copy has sent something")

    copy.signal(signal.SIGTERM)
    copy.wait_for_exit(stage.deadline, "the end of the copy")
    third.wait_for_event(named("peer-lost", name="copy"), stage.deadline.sooner(LOSS_LIMIT_S), "the loss of the copy")
    for peer in (original, third):
        expect_equal(len(peer.events.all(named("duplicate-identity"))), 1, f"reports of {peer.name}")


def _copy_state(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        if path.is_file():
            shutil.copy2(path, target)


@scenario(
    "S36",
    "Mesh of six",
    claim="Every peer sees every other. One game goes from one peer to all five others.",
    conditions="Six daemons, none of which is given another's address. The one with a game is so slow that the first "
    "receiver cannot end before the last has begun; it may go faster when it counts five transfers.",
    time_limit_s=180,
    decodes_at_source=True,
)
def mesh_of_six(stage: Stage) -> None:
    game = make_slow_game(stage, "source", size=24_000_000)
    source = stage.start_source(
        "source", game.roots["source"].parent, catalog=game.catalog, discovery=True, can_be_slowed=True
    )
    others = [
        stage.start_source(name, stage.games_dir(name), catalog=game.catalog, discovery=True)
        for name in (f"pc-{number}" for number in range(1, 6))
    ]
    everybody = [source, *others]
    wait_until_found(stage, everybody)
    for peer in everybody:
        names = sorted(other.name for other in everybody if other is not peer)
        expect_equal(names_listed(stage, peer, f"asks-{peer.name}"), names, f"peers that {peer.name} lists")
    # For one receiver, the game then takes 24 s; five have begun by then, also beside other scenarios.
    source.limit_sending(STREAM_RATE_BYTES_PER_SECOND // 8)
    install = ["install", "--stream", SLOW_GAME, "--games-dir", GAMES]
    receivers = [stage.start_command(f"to-{peer.name}", peer.machine, *install) for peer in others]
    for receiver in receivers:
        receiver.wait_for_event("stream-progress", stage.deadline)
    expect_equal(stage.status_of(source).get("active_outbound_transfers"), 5, "transfers in the middle")
    source.limit_sending(8 * STREAM_RATE_BYTES_PER_SECOND)
    for receiver in receivers:
        stage.finish(receiver, 0, "one of five installs")
    reference = game.reference(stage, "source")
    for peer, receiver in zip(others, receivers, strict=True):
        games_dir = stage.games_dir(peer.name)
        checks.streamed_install_is_whole(stage, receiver, games_dir, SLOW_GAME, source, reference)
    begun = sorted(event["peer"] for event in source.events.all(named("transfer-begin")))
    expect_equal(begun, [peer.name for peer in others], "receivers that the source has served")
    for peer in everybody:
        expect(not peer.events.all(named("peer-lost")), f"{peer.name} has lost a peer")
