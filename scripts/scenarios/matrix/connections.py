"""What a peer does with connections that are not from a well-behaved peer.

The harness itself opens these, from the machine to the container's address on the private network.
"""

from __future__ import annotations

import random
import socket
import struct

from .. import archives, checks
from ..contract import scenario
from ..docker import docker
from ..expectations import CheckFailed, Deadline, expect, expect_equal
from ..peer import Peer
from ..stage import Stage

GAME = "alpha-arena"

# A connection begins with this in both directions, then two bytes of version, then frames: four bytes of length, one
# of kind, payload.
MAGIC = b"LANSPRD\n"
CONTROL = 0

# By this time a peer has given up on a greeting that does not come.
HELLO_LIMIT_S = 20

# More than a peer accepts from one address.
IDLE_CONNECTIONS = 300


def _open_sockets(peer: Peer) -> int:
    found = docker("exec", "--user", "0", peer.container, "find", "/proc/1/fd", "-lname", "socket:*")
    return len(found.splitlines())


def _expect_end(connection: socket.socket, what: str, deadline: Deadline) -> None:
    """The peer closes it; what it says before does not matter."""
    try:
        while True:
            connection.settimeout(deadline.check(f"the end of a connection with {what}"))
            if not connection.recv(65536):
                return
    except ConnectionError:
        return
    except TimeoutError as error:
        raise CheckFailed(f"a connection with {what} is still open after {deadline.seconds:g} s") from error


def _install_still_works(stage: Stage, source: Peer) -> None:
    received = stage.games_dir("receiver")
    receiver = stage.install(GAME, received, [source], exit_status=0)
    reference = archives.extract(stage.games_dir("source") / GAME, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, source, reference)


@scenario(
    "S32",
    "Malformed bytes",
    claim="After random bytes, another protocol, a wrong version, an oversized or unknown frame, half a frame or "
    "silence, the connection ends and the peer lives.",
    conditions="One source gets all of these at once. Afterwards it serves a real install and has no more sockets "
    "open than before.",
    time_limit_s=90,
    with_this_machine=True,
)
def malformed_bytes(stage: Stage) -> None:
    source = stage.start_source("source", stage.games_from("source", f"fixture-alpha/{GAME}"))
    address = source.network_address()
    sockets_before = _open_sockets(source)
    with socket.create_connection(address, timeout=HELLO_LIMIT_S) as connection:
        greeting = connection.recv(len(MAGIC) + 2, socket.MSG_WAITALL)
    expect_equal(greeting[: len(MAGIC)], MAGIC, "what a peer says first")
    version = struct.unpack(">H", greeting[len(MAGIC) :])[0]
    noise = random.Random(stage.scenario_id).randbytes(1_000_000)
    sent = {
        "random bytes": noise,
        "another protocol": b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n",
        "a wrong version": MAGIC + struct.pack(">H", version + 1) + noise[:100],
        "an oversized frame": greeting + struct.pack(">IB", 0xFFFF_FFFF, CONTROL) + noise,
        "an unknown frame": greeting + struct.pack(">IB", 16, 77) + noise[:16],
        "an empty frame": greeting + struct.pack(">IB", 0, CONTROL),
        "a frame of noise": greeting + struct.pack(">IB", 1000, CONTROL) + noise[:1000],
        "half a frame": greeting + struct.pack(">IB", 1000, CONTROL) + noise[:10],
        "half a greeting": greeting[:3],
        "silence": b"",
    }
    connections = {what: socket.create_connection(address, timeout=HELLO_LIMIT_S) for what in sent}
    try:
        for what, content in sent.items():
            try:
                connections[what].sendall(content)
            except ConnectionError:
                pass  # it has seen enough already
        deadline = stage.deadline.sooner(HELLO_LIMIT_S)
        for what, connection in connections.items():
            _expect_end(connection, what, deadline)
    finally:
        for connection in connections.values():
            connection.close()
    expect(source.is_running, "the source ended")
    _install_still_works(stage, source)
    deadline = stage.deadline.sooner(checks.SOURCE_RELEASE_LIMIT_S)
    while _open_sockets(source) > sockets_before:
        deadline.check("the source's sockets to be closed")


@scenario(
    "S33",
    "Many idle connections",
    claim="Past the limit, new connections are refused. A real install still works.",
    conditions=f"{IDLE_CONNECTIONS} connections from one address that send nothing. The receiver is another machine.",
    time_limit_s=60,
    with_this_machine=True,
)
def many_idle_connections(stage: Stage) -> None:
    source = stage.start_source("source", stage.games_from("source", f"fixture-alpha/{GAME}"))
    address = source.network_address()
    connections = []
    try:
        accepted = []
        for _ in range(IDLE_CONNECTIONS):
            connections.append(socket.create_connection(address, timeout=HELLO_LIMIT_S))
            try:
                # A peer greets on the connections that it accepts.
                if connections[-1].recv(1):
                    accepted.append(connections[-1])
            except ConnectionError:
                pass
        refused = len(connections) - len(accepted)
        expect(accepted and refused, f"{len(accepted)} connections accepted, {refused} refused")
        _install_still_works(stage, source)
    finally:
        for connection in connections:
            connection.close()
