"""The programs that stand in for peers, each in a container of its own: sources and relays that lie, a proxy that
damages what passes, a neighbour that attacks, and an outsider with very many connections. `eavesdropper` reports the
packets at a machine, and `tls_peer` makes TLS for the harness itself (`wire.py`).

They are the examples of the crate `lanspread-testing` (`crates/lanspread-testing/examples/`), on the same test doubles
as the tests of the library. A scenario makes them through its stage:

    liars = stage.lying_sources(game_root, ["wrong-bytes", "silence"])     peers with the file list of that game root
    proxy = stage.fault_proxy(source, "flip=700000:0")                     the same source, seen through the proxy
    stage.install(game, received, [proxy, *liars, sound], exit_status=0)
    proxy.expect_felt()
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from .events import Event
from .expectations import Deadline
from .peer import DOUBLES, PORT, Mount, Peer
from .tools import PROJECT_DIR, TARGET_DIR, ToolFailed

LYING_SOURCE = "lying_source"
LYING_RELAY = "lying_relay"
FAULT_PROXY = "fault_proxy"
HOSTILE_NEIGHBOUR = "hostile_neighbour"
OUTSIDER_FLOOD = "outsider_flood"
EAVESDROPPER = "eavesdropper"
TLS_PEER = "tls_peer"

# Debug builds: they are not measured, and `cargo test` has built them.
PROGRAMS_DIR = TARGET_DIR / "debug" / "examples"
PROGRAMS = Mount(PROGRAMS_DIR, DOUBLES, read_only=True)

# A fault that hits before the end of an install has been reported by then.
_REPORT_LIMIT_S = 5.0


def build_programs() -> None:
    """Quick when they are up to date. With the features of the whole workspace, as `cargo test` builds them: with those
    of their own crate alone, a third of the crates that they need would be built once more."""
    command = ["cargo", "build", "--quiet", "--locked", "--workspace", "--all-features"]
    for program in (LYING_SOURCE, LYING_RELAY, FAULT_PROXY, HOSTILE_NEIGHBOUR, OUTSIDER_FLOOD, EAVESDROPPER, TLS_PEER):
        command += ["--example", program]
    try:
        status = subprocess.run(command, cwd=PROJECT_DIR, stdin=subprocess.DEVNULL).returncode
    except FileNotFoundError as error:
        raise ToolFailed("cargo is not here; install Rust, for the programs that stand in for peers") from error
    if status != 0:
        raise ToolFailed(f"{' '.join(command)}: exit {status}")


@dataclass(frozen=True)
class LyingSource:
    """A peer that offers a game as an honest source does, and lies when it streams it."""

    name: str
    address: str
    lie: str
    code: str
    """Of the failure that the lie must be answered with."""

    @classmethod
    def from_event(cls, event: Event, host: str) -> LyingSource:
        return cls(event["peer"], f"{host}:{event['port']}", event["lie"], event["code"])


@dataclass(frozen=True)
class FaultProxy:
    """A source as a receiver sees it through a fault: under its name, at another address."""

    name: str
    process: Peer

    @property
    def address(self) -> str:
        return f"{self.process.name}:{PORT}"

    def expect_felt(self) -> None:
        """At least one connection has had the fault."""
        self.process.wait_for_event("fault-felt", Deadline(_REPORT_LIMIT_S), f"the fault in front of {self.name}")
