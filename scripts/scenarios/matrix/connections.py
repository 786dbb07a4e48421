"""What a peer does with connections that are not from a well-behaved peer.

The harness itself opens these, from the machine to the container's address on the private network.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack

from .. import archives, checks
from ..contract import scenario
from ..docker import docker
from ..doubles import OUTSIDER_FLOOD
from ..expectations import CheckFailed, Deadline, expect, expect_equal
from ..peer import Peer
from ..stage import Stage
from ..wire import CONTROL, MAGIC, VERSION, Inside, frame, hello

GAME = "alpha-arena"

# By this time a peer has given up on a greeting that does not come.
HELLO_LIMIT_S = 20

# A peer drops a connection that has not greeted for a newer one of the same address, so only so many are there at once.
UNFINISHED_AT_ONCE = 7

# More than a peer accepts from one address.
IDLE_CONNECTIONS = 300


def _open_sockets(peer: Peer) -> int:
    found = docker("exec", "--user", "0", peer.container, "find", "/proc/1/fd", "-lname", "socket:*")
    return len(found.splitlines())


class _ClearText:
    """A connection without TLS, with the words of `Inside`."""

    def __init__(self, address: tuple[str, int], deadline: Deadline) -> None:
        self._deadline = deadline
        self._socket = socket.create_connection(address, timeout=deadline.check("a connection"))

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def receive(self, count: int, what: str) -> bytes:
        self._socket.settimeout(self._deadline.check(what))
        return self._socket.recv(count)

    def close(self) -> None:
        self._socket.close()


def _until_closed(connection: _ClearText | Inside, what: str) -> bytes:
    """What the peer says until it closes the connection."""
    said = b""
    try:
        while part := connection.receive(65536, f"the end of a connection with {what}"):
            said += part
    except ConnectionError:
        pass
    except TimeoutError as error:
        raise CheckFailed(f"a connection with {what} is still open") from error
    return said


def _install_still_works(stage: Stage, source: Peer) -> None:
    received = stage.games_dir("receiver")
    receiver = stage.install(GAME, received, [source], exit_status=0)
    reference = archives.extract(stage.games_dir("source") / GAME, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, source, reference)


_NOISE = random.Random("S32").randbytes(1_000_000)
_OTHER_PROTOCOL = b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n"

_IN_CLEAR_TEXT = {
    "random bytes": b"\x00" + _NOISE,
    "another protocol": _OTHER_PROTOCOL,
    "half a greeting of the first version": MAGIC[:3],
    "half a record of TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "a record of TLS that holds noise": b"\x16\x03\x01\x02\x00" + _NOISE[:512],
    "an oversized record of TLS": b"\x16\x03\x01\xff\xff" + _NOISE[:0xFFFF],
    "silence": b"",
}

# Each with the options for the handshake.
_INSIDE_TLS: Mapping[str, tuple[tuple[str, ...], bytes]] = {
    "another protocol inside TLS": (("--only-tls",), _OTHER_PROTOCOL),
    "noise inside TLS": (("--only-tls",), _NOISE),
    "silence inside TLS": (("--only-tls",), b""),
    "half a preamble": (("--only-tls",), MAGIC[:3]),
    "a version that does not exist": (("--version", str(VERSION + 1)), b""),
    "half a proof": (("--no-proof",), _NOISE[:16]),
    "a proof of nothing": (("--other-proof",), frame(CONTROL, hello())),
    "a proof and silence": ((), b""),
    "an oversized frame": ((), struct.pack(">IB", 0xFFFF_FFFF, CONTROL) + _NOISE),
    "an unknown frame": ((), struct.pack(">IB", 16, 77) + _NOISE[:16]),
    "an empty frame": ((), struct.pack(">IB", 0, CONTROL)),
    "a frame of noise": ((), struct.pack(">IB", 1000, CONTROL) + _NOISE[:1000]),
    "half a frame": ((), struct.pack(">IB", 1000, CONTROL) + _NOISE[:10]),
    "an unknown frame after the hello": ((), frame(CONTROL, hello()) + struct.pack(">IB", 16, 77) + _NOISE[:16]),
}


@scenario(
    "S32",
    "Malformed bytes",
    claim="After random bytes, another protocol, a wrong version, a wrong proof, an oversized or unknown frame, half a "
    "frame or silence, in clear text or inside TLS, the connection ends and the peer lives. A program of the first "
    "version of the protocol learns which version is spoken.",
    conditions=f"One source gets all of these, {UNFINISHED_AT_ONCE} at once. Afterwards it serves a real install and "
    "has no more sockets open than before.",
    time_limit_s=150,
    with_this_machine=True,
)
def malformed_bytes(stage: Stage) -> None:
    source = stage.start_source("source", stage.games_from("source", f"fixture-alpha/{GAME}"))
    address = source.network_address()
    sockets_before = _open_sockets(source)
    with ExitStack() as stack:
        first_version = _ClearText(address, Deadline(HELLO_LIMIT_S))
        stack.callback(first_version.close)
        first_version.send(MAGIC + b"\x00\x01")
        answer = _until_closed(first_version, "the first version")
        expect_equal(answer, MAGIC + struct.pack(">H", VERSION), "what a peer says to the first version")
    names = [*_IN_CLEAR_TEXT, *_INSIDE_TLS]
    for start in range(0, len(names), UNFINISHED_AT_ONCE):
        _send_at_once(address, names[start : start + UNFINISHED_AT_ONCE])
    expect(source.is_running, "the source ended")
    _install_still_works(stage, source)
    deadline = stage.deadline.sooner(checks.SOURCE_RELEASE_LIMIT_S)
    while _open_sockets(source) > sockets_before:
        deadline.check("the source's sockets to be closed")


def _send_at_once(address: tuple[str, int], names: list[str]) -> None:
    """Says all of these on connections of their own, and waits until the peer has closed each."""
    with ExitStack() as stack:
        connections: dict[str, _ClearText | Inside] = {}
        for what in names:
            deadline = Deadline(HELLO_LIMIT_S)
            if what in _IN_CLEAR_TEXT:
                content = _IN_CLEAR_TEXT[what]
                connection: _ClearText | Inside = _ClearText(address, deadline)
            else:
                options, content = _INSIDE_TLS[what]
                try:
                    connection = Inside(address, deadline, *options)
                except ConnectionError:
                    # A peer may close a connection with a wrong preamble before its own has been read.
                    if not options:
                        raise
                    continue
            stack.callback(connection.close)
            connections[what] = connection
            try:
                connection.send(content)
            except ConnectionError:
                pass  # it has seen enough already
        for what, connection in connections.items():
            _until_closed(connection, what)


@scenario(
    "S33",
    "Many idle connections",
    claim="Past the limits, connections of one address are closed: those that say nothing for newer ones, those of a "
    "peer that has introduced itself at once. A real install still works.",
    conditions=f"{IDLE_CONNECTIONS} connections from one address that send nothing, and as many from another one that "
    "say hello and then nothing. The receiver is a third machine.",
    time_limit_s=90,
    with_this_machine=True,
)
def many_idle_connections(stage: Stage) -> None:
    source = stage.start_source("source", stage.games_from("source", f"fixture-alpha/{GAME}"))
    address = source.network_address()
    flood = stage.start_double(
        "crowd",
        OUTSIDER_FLOOD,
        ["--target", source.address, "--manner", "idle", "--per-second", "100", "--seconds", "20"]
        + ["--connections", str(IDLE_CONNECTIONS), "--at-once", str(IDLE_CONNECTIONS)],
    )
    flood.wait_for_event("flooding", stage.deadline)
    with ExitStack() as stack:
        silent = []
        for _ in range(IDLE_CONNECTIONS):
            silent.append(_ClearText(address, stage.deadline))
            stack.callback(silent[-1].close)
        # The first of them has given way.
        expect_equal(_until_closed(silent[0], "silence, which gives way to a newer one"), b"", "what a peer says")
        _install_still_works(stage, source)
    counts = flood.wait_for_event("flood-over", stage.deadline)
    welcomed, connected = counts["welcomed"], counts["connected"]
    expect(0 < welcomed < connected, f"of {connected} connections that say hello, {welcomed} were accepted")
