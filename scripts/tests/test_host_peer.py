"""Scenarios are isolated from this machine, and what would not be is noticed."""

import json
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest import mock

from scenarios import docker
from scenarios.events import EventLog
from scenarios.expectations import CheckFailed
from scenarios.host_peer import HostPeer
from scenarios.peer import Peer
from scenarios.tools import ToolFailed

# Plays the program: it reports that it is ready and that it has found a peer, and ends with status 0 when asked to.
_PROGRAM = f"""#!{sys.executable}
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('{{"event":"peer-ready","time":"t","peer":"host"}}')
print('{{"event":"peer-found","time":"t","peer":"found","name":"found"}}', flush=True)
signal.pause()
"""


def peer(identity: str, *found: str) -> Peer:
    log = EventLog(identity)
    for event in ({"event": "peer-ready", "peer": identity}, *({"event": "peer-found", "peer": id} for id in found)):
        log.add_line(json.dumps({**event, "time": "t"}))
    return cast(Peer, SimpleNamespace(name=identity, identity=identity, events=log))


class HostPeerTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def program(self, text: str) -> Path:
        path = self.dir / "program"
        path.write_text(text)
        path.chmod(0o755)
        return path

    def host_peer(self) -> HostPeer:
        host_peer = HostPeer(self.dir / "host", self.program(_PROGRAM))
        self.addCleanup(host_peer.terminate)
        host_peer.expect_to_find(peer("found"))
        return host_peer

    def test_who_was_noticed_in_either_direction_is_a_failure(self) -> None:
        host_peer = self.host_peer()
        host_peer.expect_unnoticed([peer("one"), peer("two", "one")])
        with self.assertRaisesRegex(CheckFailed, "the peer on this machine has found found"):
            host_peer.expect_unnoticed([peer("one"), peer("found")])
        with self.assertRaisesRegex(CheckFailed, "two has found the peer on this machine"):
            host_peer.expect_unnoticed([peer("one"), peer("two", "host")])

    def test_it_ends_when_asked(self) -> None:
        self.host_peer().stop()

    def test_one_that_ended_by_itself_has_proved_nothing(self) -> None:
        host_peer = self.host_peer()
        host_peer.terminate()
        with self.assertRaisesRegex(CheckFailed, "has ended"):
            host_peer.expect_unnoticed([])
        with self.assertRaisesRegex(ToolFailed, "ended by itself"):
            host_peer.stop()

    def test_one_that_does_not_start_ends_the_run(self) -> None:
        with self.assertRaisesRegex(ToolFailed, "port in use"):
            HostPeer(self.dir / "host", self.program("#!/bin/sh\necho port in use >&2\n"))


class NetworkTest(unittest.TestCase):
    def create(self, gateway: str, *, with_this_machine: bool) -> list[tuple[str, ...]]:
        calls: list[tuple[str, ...]] = []

        def run(*arguments: str) -> str:
            calls.append(arguments)
            return f"{gateway}\n" if arguments[1] == "inspect" else ""

        with mock.patch.object(docker, "docker", run):
            docker.create_network("net", "lock", with_this_machine=with_this_machine)
        return calls

    def test_this_machine_has_no_address_unless_asked_for(self) -> None:
        # From the block for documentation: no machine has it.
        self.assertIn(
            "com.docker.network.bridge.inhibit_ipv4=true", self.create("203.0.113.1", with_this_machine=False)[0]
        )
        self.assertNotIn("--opt", self.create("127.0.0.1", with_this_machine=True)[0])

    def test_an_engine_that_ignores_the_option_is_noticed(self) -> None:
        with self.assertRaisesRegex(docker.DockerError, "asked for without"):
            self.create("127.0.0.1", with_this_machine=False)


if __name__ == "__main__":
    unittest.main()
