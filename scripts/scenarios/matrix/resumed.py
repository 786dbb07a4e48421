"""Operations that a daemon was asked for, and that the next one does."""

from __future__ import annotations

import signal

from .. import archives, checks
from ..contract import scenario
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..metrics import by_label, metrics_of
from ..peer import GAMES, Machine, Peer
from ..stage import Stage

WANTED = ("game-1", "game-2", "game-3")
CANCELLED = "game-4"
GAME_BYTES = 3_000_000
# The first game takes 12 seconds, in which the others wait, and the daemon is killed.
RATE = "256KiB/s"
STREAMING_BYTES = 300_000


def _operations(stage: Stage, machine: Machine, name: str) -> list[Event]:
    return stage.command(name, machine, "operations", "--games-dir", GAMES).events.all(named("operation"))


def _start(stage: Stage, machine: Machine) -> Peer:
    """A daemon that does one operation at a time."""
    arguments = [*stage.serve_arguments("seat", with_catalog=False), "--max-operations", "1"]
    daemon = stage.start("seat", arguments, machine)
    daemon.wait_for_event("peer-ready", stage.deadline)
    return daemon


def _make_games(stage: Stage) -> Peer:
    games_dir = stage.games_dir("den")
    for game in (*WANTED, CANCELLED):
        tree = stage.payload(game)
        tree.noise("data/content.bin", GAME_BYTES)
        stage.packed_game(games_dir, game, tree, switches=["-m0"])
    return stage.start_source("den", games_dir, catalog=None, options=["--limit-up", RATE])


@scenario(
    "S92",
    "What was asked for survives",
    claim="Games that a daemon was asked for with --detach are installed by the next one if it is killed while the "
    "first of them streams and the others wait: in the same order, and no client asks again. `wait GAME` there ends "
    "0. One that was cancelled does not come back, also not at the start after that. `operations` shows which ones an "
    "earlier run was asked for, and what became of them is what `wait`, `events` and `metrics` say.",
    conditions=f"One source that sends {RATE} until the daemon was killed (SIGKILL), and a machine whose daemon does "
    "one operation at a time. Four games are asked for in one command; the last is cancelled while it waits.",
    time_limit_s=120,
)
def asked_for_survives(stage: Stage) -> None:
    den = _make_games(stage)
    games_dir = stage.games_dir("seat")
    machine = stage.machine("seat", games_dir)
    daemon = _start(stage, machine)
    options = ["--games-dir", GAMES, "--no-discovery", "--peer", den.address]
    asked = stage.command("asked", machine, "install", "--stream", *WANTED, CANCELLED, "--detach", *options)
    detached = [(event["game"], event["joined"]) for event in asked.events.all(named("detached-operation"))]
    expect_equal(detached, [(game, False) for game in (*WANTED, CANCELLED)], "operations that were asked for")

    def streams(event: Event) -> bool:
        return named("stream-progress", game=WANTED[0])(event) and event["bytes"] >= STREAMING_BYTES

    daemon.wait_for_event(streams, stage.deadline, f"{STREAMING_BYTES} bytes of {WANTED[0]}")
    listed = [(event["game"], event["running"], event["resumed"]) for event in _operations(stage, machine, "before")]
    expected = [(game, game == WANTED[0], False) for game in (*WANTED, CANCELLED)]
    expect_equal(listed, expected, "operations before the daemon was killed")
    stage.command("cancel", machine, "cancel", CANCELLED, "--games-dir", GAMES)
    machine.signal(signal.SIGKILL, daemon.arguments)
    stage.finish(daemon, 128 + 9)
    expect(not daemon.events.all(named("stream-install-finished")), "a game was there before the daemon was killed")
    ended = [(event["game"], event["outcome"]) for event in daemon.events.all(named("operation-end"))]
    expect_equal(ended, [(CANCELLED, "cancelled")], "operations that the killed daemon has ended")

    again = _start(stage, machine)
    last = stage.start_command("wait", machine, "wait", WANTED[-1], "--games-dir", GAMES)
    resumed = [(event["game"], event["resumed"]) for event in _operations(stage, machine, "resumed")]
    expect_equal(resumed, [(game, True) for game in WANTED], "operations of the daemon that was started again")
    stage.command("limits", den.machine, "limits", "--up", "none", "--games-dir", GAMES)
    stage.finish(last, 0, f"the wait for {WANTED[-1]}")
    _all_is_done(stage, machine, again)
    for game in WANTED:
        reference = archives.extract(stage.games_dir("den") / game, stage.dir / "reference" / game)
        checks.trees_equal(stage, reference, games_dir / game / checks.LOCAL, f"tree of {game}")
        checks.only_local_tree(games_dir, game)
    expect(not (games_dir / CANCELLED).exists(), f"there is something of {CANCELLED}, which was cancelled")
    checks.no_operation_left(games_dir)

    machine.signal(signal.SIGKILL, again.arguments)
    stage.finish(again, 128 + 9)
    third = _start(stage, machine)
    stage.command("refused", machine, "wait", WANTED[0], "--games-dir", GAMES, exit_status=5)
    expect_equal(third.events.all(named("operation-queued")), [], "operations of a third run, which has nothing to do")
    machine.signal(signal.SIGTERM, third.arguments)
    stage.finish(third, 0)


def _all_is_done(stage: Stage, machine: Machine, daemon: Peer) -> None:
    """What the daemon that was started again says of what it did."""
    for game in WANTED:
        stage.command(f"wait-{game}", machine, "wait", game, "--games-dir", GAMES)
    expect_equal(_operations(stage, machine, "after"), [], "operations when all is done")
    ended = [(event["game"], event["outcome"]) for event in daemon.events.all(named("operation-end"))]
    expect_equal(ended, [(game, "done") for game in WANTED], "operations that have ended, in their order")
    counted = by_label(metrics_of(machine), "lanspread_operations_total", "outcome")
    expect_equal(counted, {"done": len(WANTED)}, "operations that the metrics count")
