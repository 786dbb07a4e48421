"""Commands that a daemon performs: what they see, which others see it, and what happens when one of the two ends."""

from __future__ import annotations

import signal
from pathlib import Path

from .. import checks
from ..contract import scenario
from ..events import Event, named
from ..expectations import Deadline, expect, expect_equal
from ..games import SLOW_GAME, SlowGame, make_slow_game, wait_for_fault_point
from ..peer import GAMES, Machine, Peer
from ..stage import Stage
from ..trees import total_size

# What differs between two runs of the same thing.
_OF_THIS_RUN = ("time", "seq", "operation", "waited_ms", "duration_ms")

# What is written to a socket arrives at once.
_SOCKET_LIMIT_S = 5.0


def _start_install(stage: Stage, name: str, machine: Machine, source: Peer) -> Peer:
    options = ["--games-dir", GAMES, "--no-discovery", "--peer", source.address]
    return stage.start_command(name, machine, "install", "--stream", SLOW_GAME, *options)


def _operations(stage: Stage, machine: Machine, name: str) -> list[Event]:
    return stage.command(name, machine, "operations", "--games-dir", GAMES).events.all(named("operation"))


def _story(peer: Peer) -> list[Event]:
    """What a command said, without what differs from run to run: of progress, which comes as it comes, only that it
    came."""
    story: list[Event] = []
    for event in peer.events.window():
        said = {key: value for key, value in event.items() if key not in _OF_THIS_RUN}
        if event["event"] == "stream-progress":
            said.pop("bytes")
            if story and story[-1] == said:
                continue
        story.append(said)
    return story


@scenario(
    "D1",
    "A command and its daemon",
    claim="A streamed install by a daemon gives the same tree and the same events as one without a daemon. Two "
    "clients at once see one operation: one transfer at the source, and both exit 0.",
    conditions="A slowed source, one receiver without a daemon, and one whose daemon is asked by two commands, the "
    "second when the first has received some bytes.",
    time_limit_s=120,
    decodes_at_source=True,
)
def command_and_daemon(stage: Stage) -> None:
    game = make_slow_game(stage, "source")
    source = game.start(stage, "source", slow=True)
    reference = game.reference(stage, "source")
    alone_dir = stage.games_dir("alone")
    alone = stage.install(SLOW_GAME, alone_dir, [source], name="alone", catalog=game.catalog, exit_status=0)
    checks.streamed_install_is_whole(stage, alone, alone_dir, SLOW_GAME, source, reference)

    games_dir = stage.games_dir("daemon")
    daemon = stage.start_source("daemon", games_dir, catalog=game.catalog)
    mark = source.events.mark()
    first = _start_install(stage, "first", daemon.machine, source)
    wait_for_fault_point(stage, first, source)
    second = _start_install(stage, "second", daemon.machine, source)
    second.wait_for_event("stream-progress", stage.deadline)
    running = [
        {key: event.get(key) for key in ("kind", "game", "running", "followers")}
        for event in _operations(stage, daemon.machine, "operations")
    ]
    expected = {"kind": "stream-install", "game": SLOW_GAME, "running": True, "followers": 2}
    expect_equal(running, [expected], "operations in the middle")
    expect(first.is_running, "the install was over before the operations were asked for: nothing was tested")
    for client in (first, second):
        stage.finish(client, 0)
    tree = checks.streamed_install_is_whole(stage, first, games_dir, SLOW_GAME, source, reference)
    # A client that joins in the middle sees what happens from then on.
    checks.finished_event(second, SLOW_GAME, source, tree)
    checks.progress_is_consistent(second, source, total_size(tree))
    # Without a daemon the command is another peer with another name, which none of the events contains.
    expect_equal(_story(first), _story(alone), "events of an install, by a daemon and without one")
    begun = source.events.all(named("transfer-begin"), mark)
    expect_equal([event["peer_id"] for event in begun], [daemon.identity], "receivers that the source has served")
    ended = source.events.all(named("transfer-end"), mark)
    expect_equal([event["outcome"] for event in ended], ["complete"], "transfers that ended")
    expect_equal(_operations(stage, daemon.machine, "operations-after"), [], "operations afterwards")
    checks.sender_is_clean(stage, daemon)


@scenario(
    "D2",
    "Cancel",
    claim="`cancel` ends a running operation: the client exits 130, nothing is left, and the source is clean. "
    "`operations` lists the operation before that, and `events --follow` shows it.",
    conditions="A slowed source and a daemon. A third command cancels when the client has received some bytes.",
    time_limit_s=90,
)
def cancel(stage: Stage) -> None:
    game = make_slow_game(stage, "source")
    source = game.start(stage, "source", slow=True)
    games_dir = stage.games_dir("daemon")
    before = checks.user_tree(games_dir)
    daemon = stage.start_source("daemon", games_dir, catalog=game.catalog)
    follower = stage.start_command("follower", daemon.machine, "events", "--follow", "--games-dir", GAMES)
    follower.wait_for_event("peer-ready", stage.deadline)
    client = _start_install(stage, "client", daemon.machine, source)
    wait_for_fault_point(stage, client, source)
    listed = _operations(stage, daemon.machine, "operations")
    expect_equal(
        [(event["kind"], event["game"]) for event in listed], [("stream-install", SLOW_GAME)], "operations before"
    )
    number = listed[0]["operation"]
    cancelled = stage.command("canceller", daemon.machine, "cancel", SLOW_GAME, "--games-dir", GAMES)
    counts = [event["count"] for event in cancelled.events.all(named("operations-cancelled", game=SLOW_GAME))]
    expect_equal(counts, [1], "operations that were cancelled")
    stage.finish(client, 130)
    checks.sender_is_clean(stage, source)
    expect(not client.events.all(named("stream-install-finished")), "the cancelled install reported success")
    expect_equal(_operations(stage, daemon.machine, "operations-after"), [], "operations afterwards")
    checks.games_dir_as_before(before, games_dir)

    deadline = stage.deadline.sooner(_SOCKET_LIMIT_S)
    follower.wait_for_event(named("operation-end", operation=number, outcome="cancelled"), deadline, "its end")
    shown = [event["event"] for event in follower.events.all(lambda event: event.get("game") == SLOW_GAME)]
    for name in ("operation-begin", "stream-install-begin", "stream-progress"):
        expect(name in shown, f"`events --follow` has not shown `{name}`")
    daemon.machine.signal(signal.SIGINT, follower.arguments)
    stage.finish(follower, 0)
    checks.sender_is_clean(stage, daemon)
    # The cancel ended an operation, not the daemon.
    again = _start_install(stage, "again", daemon.machine, source)
    stage.finish(again, 0)
    checks.streamed_install_is_whole(stage, again, games_dir, SLOW_GAME, source, game.reference(stage, "source"))


@scenario(
    "D3",
    "Daemon and client killed",
    claim="If a command is killed, its operation runs to its end. A daemon that is killed in the middle and started "
    "again repairs its games directory and installs, unasked. A second daemon on one games directory is refused with "
    "exit 5 and the pid of the first.",
    conditions="A slowed source. Each is killed with SIGKILL when the client has received some bytes. The killed "
    "daemon is not the first process of its container, so that the client survives and sees the daemon end.",
    time_limit_s=150,
)
def killed(stage: Stage) -> None:
    game = make_slow_game(stage, "source")
    source = game.start(stage, "source", slow=True)
    reference = game.reference(stage, "source")
    _client_killed(stage, game, source, reference)
    _daemon_killed(stage, game, source, reference)


def _client_killed(stage: Stage, game: SlowGame, source: Peer, reference: Path) -> None:
    games_dir = stage.games_dir("steady")
    daemon = stage.start_source("steady", games_dir, catalog=game.catalog)
    client = _start_install(stage, "killed-client", daemon.machine, source)
    wait_for_fault_point(stage, client, source)
    daemon.machine.signal(signal.SIGKILL, client.arguments)
    stage.finish(client, 128 + 9)
    expect(not daemon.events.all(named("stream-install-finished")), "the install ended before its client was killed")
    left = _operations(stage, daemon.machine, "operations-without-client")
    expect_equal(
        [(event["game"], event["followers"]) for event in left], [(SLOW_GAME, 0)], "operations without the client"
    )
    daemon.wait_for_event("operation-end", stage.deadline)
    checks.streamed_install_is_whole(stage, daemon, games_dir, SLOW_GAME, source, reference)


def _daemon_killed(stage: Stage, game: SlowGame, source: Peer, reference: Path) -> None:
    games_dir = stage.games_dir("struck")
    machine = stage.machine("struck", games_dir, catalog=game.catalog)
    daemon = stage.start("struck", stage.serve_arguments("struck"), machine)
    daemon.wait_for_event("peer-ready", stage.deadline)
    pid = machine.pid_of(daemon.arguments)
    client = _start_install(stage, "client", machine, source)
    wait_for_fault_point(stage, client, source)
    _second_daemon_refused(stage, machine, pid)
    expect(client.is_running, "the install had ended before the daemon was killed")
    machine.signal(signal.SIGKILL, daemon.arguments)
    stage.finish(daemon, 128 + 9)
    client.wait_for_exit(Deadline(_SOCKET_LIMIT_S), "its end without a daemon")
    client.expect_exit(1)
    codes = [event["code"] for event in client.events.all(named("error"))]
    expect_equal(codes, ["daemon-gone"], "what the client says of its end")
    staging = games_dir / SLOW_GAME / checks.STAGING
    expect(staging.is_dir() and any(staging.rglob("*.bin")), "the killed daemon left no staging to recover from")
    # Something that only the dead attempt can have left; a recovery that reuses its folder would keep it.
    (staging / "left-by-the-dead.txt").write_text("must not be installed\n")

    restarted = stage.start("struck", stage.serve_arguments("struck"), machine)
    restarted.wait_for_event("peer-ready", stage.deadline)
    recovered = [event["game"] for event in restarted.events.all(named("game-recovered"))]
    expect_equal(recovered, [SLOW_GAME], "games that were put in order at the start")
    # It was asked for, so it is done again, although no command asks.
    restarted.wait_for_event("operation-end", stage.deadline)
    queued = restarted.events.all(named("operation-queued"))
    expect_equal([event["resumed"] for event in queued], [True], "operations of the daemon that was started again")
    checks.streamed_install_is_whole(stage, restarted, games_dir, SLOW_GAME, source, reference)
    machine.signal(signal.SIGTERM, restarted.arguments)
    stage.finish(restarted, 0)


def _second_daemon_refused(stage: Stage, machine: Machine, pid: int) -> None:
    """With an identity and a port of its own, so that only the games directory is in the way."""
    arguments = stage.serve_arguments("second-daemon")
    arguments[arguments.index("--state-dir") + 1] = "/tmp/second-daemon"
    arguments[arguments.index("--listen") + 1] = "0.0.0.0:7301"
    second = stage.start("second-daemon", arguments, machine)
    stage.finish(second, 5)
    expect(f"{pid}" in second.stderr(), f"no pid {pid} in {second.stderr().strip()!r}")
    expect(not second.events.all(named("peer-ready")), "the second daemon served before it was refused")
