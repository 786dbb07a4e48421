"""Daemons that stop or read their settings again while another machine streams from them."""

from __future__ import annotations

import signal
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..metrics import metrics_of, sent
from ..peer import GAMES, PORT, STATE, Machine, Peer
from ..stage import Stage

GAME = "drained-game"
GAME_BYTES = 6_000_000
# So slow that nothing ends before the limit is taken away.
RATE = "512KiB/s"
RATE_BYTES_PER_SECOND = 512 * 1024
# Where the signal comes: some of the game has come, and most has not.
SIGNAL_AT_BYTES = 500_000
DRAIN_S = 60
# Packed bytes that were on their way when the source stopped and come again: a chunk for each request ahead.
TWICE_BYTES = 1_000_000

_LIMITED = f'limit-up = "{RATE}"\n'
_UNLIMITED = 'limit-up = "none"\n'


class _Source:
    """A source whose daemon can be started again on the same machine, with settings in a file."""

    def __init__(self, stage: Stage, name: str, games_dir: Path, drain: str) -> None:
        self.name = name
        self.address = f"{name}:{PORT}"
        self.stage = stage
        self.games_dir = games_dir
        self.settings = stage.dir / "state" / name / "lanspread.toml"
        self.machine = stage.machine(name, games_dir)
        self.settings.write_text(_LIMITED)
        self._drain = drain
        self.daemon = self.start()

    def start(self) -> Peer:
        arguments = [*self.stage.serve_arguments(self.name, with_catalog=False), "--drain", self._drain]
        # A daemon that a service manager started reads its settings again on SIGHUP; no manager has to listen there.
        environment = {"NOTIFY_SOCKET": "@no-manager"}
        arguments += ["--config", f"{STATE}/lanspread.toml"]
        self.daemon = self.stage.start(self.name, arguments, self.machine, environment=environment)
        self.daemon.wait_for_event("peer-ready", self.stage.deadline)
        return self.daemon

    def signal(self, number: int) -> None:
        self.daemon.end_is_wanted = True
        self.machine.signal(number, self.daemon.arguments)

    def end(self) -> None:
        """It serves no one any more."""
        self.signal(signal.SIGTERM)
        self.stage.finish(self.daemon, 0, f"the end of {self.name}")

    def limit(self, name: str, *change: str) -> int | None:
        """What it sends at most, after a change if one is given."""
        said = self.stage.command(name, self.machine, "limits", *change, "--games-dir", GAMES)
        limit: int | None = said.events.all(named("limits"))[0]["up_bytes_per_second"]
        return limit


def _begin(stage: Stage, source: _Source) -> Peer:
    """A receiver in the middle of the stream."""
    name = f"of-{source.name}"
    receiver = stage.start_install(GAME, stage.games_dir(name), [source], name=name, catalog=stage.catalog(GAME))
    receiver.wait_for_event(
        lambda event: named("stream-progress")(event) and event["bytes"] >= SIGNAL_AT_BYTES,
        stage.deadline,
        f"{SIGNAL_AT_BYTES} bytes at {name}",
    )
    expect(receiver.is_running, f"{name} had ended before its source heard the signal")
    return receiver


def _end(stage: Stage, receiver: Peer, reference: Path) -> None:
    """It has the whole game, in one attempt."""
    stage.finish(receiver, 0, "the install whose source was told something")
    games_dir = stage.games_dir(receiver.name)
    checks.trees_equal(stage, reference, games_dir / GAME / checks.LOCAL, f"tree of {receiver.name}")
    checks.only_local_tree(games_dir, GAME)
    expect_equal(len(checks.attempts(receiver)), 1, f"attempts of {receiver.name}")
    expect_equal(checks.failed_attempts(receiver), [], f"failed attempts of {receiver.name}")


@scenario(
    "S93",
    "A source that stops",
    claim="With --drain, SIGTERM ends no stream: the one that runs ends well, a new one and a new operation are "
    "refused with the reason, and the daemon exits 0 as soon as the stream has ended. Without time to drain, the "
    "receiver waits for the same source and goes on in the same attempt when it is back: both runs of the source "
    "together send the archive about once. A reload changes the limit, and the stream that runs does not notice.",
    conditions=f"Three sources that send {RATE}, as a file of settings says: with {DRAIN_S} s to drain, with none, "
    f"and one that gets SIGHUP. Each has one receiver, and hears the signal when that has {SIGNAL_AT_BYTES} bytes; "
    "what is left then comes without a limit.",
    time_limit_s=120,
)
def source_that_stops(stage: Stage) -> None:
    sources = []
    for name, drain in (("draining", f"{DRAIN_S}s"), ("reloading", "0s"), ("stopping", "0s")):
        games_dir = stage.games_dir(name)
        tree = stage.payload(GAME)
        tree.noise("data/content.bin", GAME_BYTES)
        stage.packed_game(games_dir, GAME, tree, switches=["-m0"])
        sources.append(_Source(stage, name, games_dir, drain))
    draining, reloading, stopping = sources
    for source in sources:
        # What is decoded by its receivers goes on where it stopped.
        source.daemon.wait_for_event("packing-list-made", stage.deadline)
    late = stage.machine("late", stage.games_dir("late"), catalog=stage.catalog(GAME))
    reference = archives.extract(draining.games_dir / GAME, stage.dir / "reference")
    _stops_and_comes_back(stage, stopping, reference)
    _reloads(stage, reloading, reference)
    _drains(stage, draining, late, reference)


def _stops_and_comes_back(stage: Stage, source: _Source, reference: Path) -> None:
    receiver = _begin(stage, source)
    first = source.daemon
    source.signal(signal.SIGTERM)
    stage.finish(first, 0, "the source that has no time to drain")
    earlier = sum(event["bytes"] for event in first.events.all(named("transfer-end")))
    source.settings.write_text(_UNLIMITED)
    source.start()
    _end(stage, receiver, reference)
    later = sum(sent(metrics_of(source.machine)).values())
    archive = (source.games_dir / GAME / f"{GAME}.eti").stat().st_size
    expect(0 < earlier < archive and 0 < later < archive, f"{earlier} bytes before, {later} after: nothing was tested")
    expect(
        archive <= earlier + later <= archive + TWICE_BYTES,
        f"both runs of the source have sent {earlier + later} bytes; the archive has {archive}",
    )
    begun = receiver.events.all(named("upstream-begin"))
    expect_equal([event["upstream"] for event in begun], [source.name] * 2, "upstreams of the receiver")
    source.end()
    stage.figures.append(f"sent {(earlier + later) / archive:.2f} times the archive in two runs")


def _reloads(stage: Stage, source: _Source, reference: Path) -> None:
    receiver = _begin(stage, source)
    expect_equal(source.limit("limits-before"), RATE_BYTES_PER_SECOND, "limit before the reload")
    source.settings.write_text(_UNLIMITED)
    source.machine.signal(signal.SIGHUP, source.daemon.arguments)
    _end(stage, receiver, reference)
    expect_equal(source.limit("limits-after"), None, "limit after the reload")
    begun = source.daemon.events.all(named("transfer-begin"))
    expect_equal(len(begun), 1, "transfers of the source that was reloaded")
    expect(source.daemon.is_running, "the source ended at SIGHUP")
    source.end()


def _drains(stage: Stage, source: _Source, late: Machine, reference: Path) -> None:
    receiver = _begin(stage, source)
    source.signal(signal.SIGTERM)
    draining = source.daemon.wait_for_event("peer-draining", stage.deadline)
    expect_equal((draining["transfers"], draining["drain_ms"]), (1, DRAIN_S * 1000), "what the source waits for")
    refused = stage.install(GAME, late, [source], name="late", exit_status=4, options=["--no-wait"])
    # The packed stream is refused, and the one that the source would decode.
    attempts = {(attempt["peer"], attempt["code"]) for attempt in checks.failed_event(refused)["attempts"]}
    expect_equal(attempts, {(source.name, "source-stopping")}, "attempts that came too late")
    expect("stop" in refused.stderr(), f"the reason is not said: {refused.stderr().strip()!r}")
    refused = stage.command("verify", source.machine, "verify", GAME, "--games-dir", GAMES, exit_status=5)
    codes = [event["code"] for event in refused.events.all(named("error"))]
    expect_equal(codes, ["daemon-stopping"], "code of an operation that came too late")
    expect(receiver.is_running and source.daemon.is_running, "the stream was over before the late ones were refused")
    # What runs is still under the control of its user.
    expect_equal(source.limit("limits-of-draining", "--up", "none"), None, "limit of the source that drains")
    _end(stage, receiver, reference)
    source.daemon.wait_for_exit(stage.deadline.sooner(DRAIN_S / 2), "its end when its last stream has ended")
    source.daemon.expect_exit(0)
    outcomes = [event["outcome"] for event in source.daemon.events.all(named("transfer-end", peer="of-draining"))]
    expect_equal(outcomes, ["complete"], "how the stream ended at the source that drained")
