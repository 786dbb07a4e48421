"""A peer on this machine itself while the scenarios run: the check that they are isolated from their Docker host.

Someone who works on lanspread may well have a daemon running. It must not be found by the peers of a scenario, nor find
them. So a run can start a real one, with discovery, that serves a game; it fails every scenario in which one of the two
has noticed the other. A control comes first: on a network in which this machine does take part, it must find a peer.
Otherwise its silence later would prove nothing.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

from .contract import Scenario
from .events import named
from .expectations import CheckFailed, Deadline, expect
from .peer import Peer
from .process import Process
from .stage import Run, Stage
from .tools import CATALOG, FIXTURES_DIR, ToolFailed

# It looks for new networks every few seconds, and asks in each as it finds it.
_FIND_LIMIT_S = 30.0

# A start and an end take well below a second.
_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 10.0

_GAME = "fixture-alpha/alpha-arena"


class HostPeer:
    """It runs from its construction until `stop`."""

    def __init__(self, dir: Path, program: Path) -> None:
        games_dir, state_dir, logs_dir = (dir / name for name in ("games", "state", "logs"))
        for folder in (games_dir, state_dir, logs_dir):
            folder.mkdir(parents=True)
        shutil.copytree(FIXTURES_DIR / _GAME, games_dir / Path(_GAME).name)
        # It lists itself in the state directory of its user, which is not the one of the user who runs the scenarios.
        command = [
            "env",
            f"XDG_STATE_HOME={dir / 'home'}",
            str(program),
            "--json",
            "--state-dir",
            str(state_dir),
            "serve",
            "--games-dir",
            str(games_dir),
        ]
        command += ["--catalog", str(CATALOG), "--listen", "0.0.0.0:0", "--name", "scenarios-host"]
        self._process = Process("the peer on this machine", command, logs_dir / "host-peer")
        try:
            self._identity = self._wait_for("peer-ready")["peer"]
        except CheckFailed as error:
            self._process.terminate()
            raise ToolFailed(f"{error}; it said: {self._process.stderr().strip() or 'nothing'}") from error

    def _wait_for(self, name: str) -> dict[str, str]:
        return self._process.wait_for_event(name, Deadline(_START_LIMIT_S))

    def expect_to_find(self, peer: Peer) -> None:
        """The control: this peer is on a network in which this machine takes part."""
        found = named("peer-found", peer=peer.identity)
        try:
            self._process.wait_for_event(found, Deadline(_FIND_LIMIT_S), f"`peer-found` of {peer.name}")
        except CheckFailed as error:
            raise ToolFailed(f"{error}: whether scenarios are isolated from this machine cannot be checked") from error

    def expect_unnoticed(self, peers: Iterable[Peer]) -> None:
        """None of these peers has found it, and it has found none of them."""
        expect(self._process.is_running, f"the peer on this machine has ended: {self._process.stderr().strip()}")
        found = {event["peer"]: event["name"] for event in self._process.events.all(named("peer-found"))}
        for peer in peers:
            for ready in peer.events.all(named("peer-ready")):
                expect(ready["peer"] not in found, f"not isolated: the peer on this machine has found {peer.name}")
            met = peer.events.all(named("peer-found", peer=self._identity))
            expect(not met, f"not isolated: {peer.name} has found the peer on this machine")

    def stop(self) -> None:
        """Ends it as a user would; a peer that does not end properly is a failure of the run."""
        if not self._process.is_running:
            raise ToolFailed(f"the peer on this machine has ended by itself: {self._process.stderr().strip()}")
        self._process.signal(signal.SIGTERM)
        try:
            self._process.wait_for_exit(Deadline(_STOP_LIMIT_S))
            self._process.expect_exit(0)
        except CheckFailed as error:
            raise ToolFailed(str(error)) from error

    def terminate(self) -> None:
        """Makes sure that it has ended, however the run has ended."""
        self._process.terminate()


def prove_that_it_hears(host_peer: HostPeer, run: Run) -> None:
    """Runs the control; raises `ToolFailed` when the peer on this machine does not notice what it must notice."""

    def control(stage: Stage) -> None:
        host_peer.expect_to_find(stage.start_source("control", stage.games_dir("control"), discovery=True))

    row = Scenario("H0", "Control", "", "", int(_START_LIMIT_S + _FIND_LIMIT_S), control, with_this_machine=True)
    dir = run.dir / row.id
    dir.mkdir()
    stage = row.stage(run, dir)
    try:
        row.run(stage)
    finally:
        stage.abandon()
        stage.remove_containers()
    shutil.rmtree(dir)
