"""A lying source: a relay that passes everything between a receiver and a sound source, and changes one thing.

It runs in the harness and listens on the private network's gateway, which is this machine. What it changes are the
frames on their way to the receiver: after a greeting of ten bytes a connection is a row of frames, each with four bytes
of length, one of kind and a payload; kind 1 is content, kind 0 everything else.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .contract import CheckFailed

GREETING_BYTES = 10
CONTROL, DATA = 0, 1

# A connection of a scenario that lasts longer than this has been forgotten.
_SOCKET_LIMIT_S = 120


@dataclass(frozen=True)
class Frame:
    kind: int
    payload: bytes

    def encode(self) -> bytes:
        return struct.pack(">IB", len(self.payload), self.kind) + self.payload


class Silence(Exception):
    """Raised by a lie that says nothing more and keeps the connection open."""


class Lie:
    """Gets the frames of one connection in order, and gives back what the receiver shall see instead.

    A lie is told once, when `at` bytes of content have passed; connections with less content are left alone.
    """

    def __init__(self, at: int, tell: Callable[[list[Frame]], list[Frame]]) -> None:
        self.at = at
        self.tell = tell
        self.told = threading.Event()

    def frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        passed = 0
        file: list[Frame] = []
        for frame in frames:
            # The frames of a file: the control frame that begins it, content, the control frame that ends it.
            file = [*file, frame] if frame.kind == DATA else [frame]
            passed += len(frame.payload) if frame.kind == DATA else 0
            if frame.kind == DATA and passed > self.at and not self.told.is_set():
                self.told.set()
                yield from self.tell(file)
            else:
                yield frame


def flip_a_byte(file: list[Frame]) -> list[Frame]:
    """The right number of wrong bytes."""
    content = bytearray(file[-1].payload)
    content[len(content) // 2] ^= 0x01
    return [Frame(DATA, bytes(content))]


def drop_a_byte(file: list[Frame]) -> list[Frame]:
    """A file that is shorter than announced."""
    return [Frame(DATA, file[-1].payload[:-1])]


def add_a_byte(file: list[Frame]) -> list[Frame]:
    """A file that is longer than announced."""
    return [Frame(DATA, file[-1].payload + b"!")]


def begin_the_file_again(file: list[Frame]) -> list[Frame]:
    """Something that was not announced, in a place where it does not belong."""
    return [file[-1], file[0]]


def say_nothing_more(_file: list[Frame]) -> list[Frame]:
    """No end: the connection stays open and silent."""
    raise Silence


class Relay:
    """Stands in for `source`: under its name, at another address."""

    def __init__(self, host: str, source_name: str, source_address: tuple[str, int], lie: Lie) -> None:
        self.name = source_name
        self.lie = lie
        self._source = source_address
        self._listener = socket.create_server((host, 0))
        self._sockets: list[socket.socket] = []
        self._guard = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, name=f"relay of {source_name}", daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    def expect_told(self) -> None:
        if not self.lie.told.is_set():
            raise CheckFailed(f"the lie of {self.name} was never told: too little content passed the relay")

    def close(self) -> None:
        with self._guard:
            self._closed = True
            open_sockets = [self._listener, *self._sockets]
        for each in open_sockets:
            # Closing alone does not wake a thread that waits on it.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _keep(self, connection: socket.socket) -> None:
        connection.settimeout(_SOCKET_LIMIT_S)
        with self._guard:
            if self._closed:
                connection.close()
            self._sockets.append(connection)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                receiver, _ = self._listener.accept()
                self._keep(receiver)
                source = socket.create_connection(self._source, timeout=_SOCKET_LIMIT_S)
                self._keep(source)
                for work in (self._pass_on, self._tell):
                    threading.Thread(target=work, args=(receiver, source), daemon=True).start()

    @staticmethod
    def _pass_on(receiver: socket.socket, source: socket.socket) -> None:
        """Requests travel unchanged."""
        with contextlib.suppress(OSError):
            while content := receiver.recv(65536):
                source.sendall(content)
        # The source must see the receiver go, and the other way round.
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)

    def _tell(self, receiver: socket.socket, source: socket.socket) -> None:
        with contextlib.suppress(OSError, Silence):
            stream = source.makefile("rb")
            receiver.sendall(stream.read(GREETING_BYTES))
            for frame in self.lie.frames(_read_frames(stream)):
                receiver.sendall(frame.encode())
            receiver.shutdown(socket.SHUT_RDWR)


def _read_frames(stream: BinaryIO) -> Iterator[Frame]:
    while len(header := stream.read(5)) == 5:
        length, kind = struct.unpack(">IB", header)
        payload = stream.read(length)
        if len(payload) < length:
            return
        yield Frame(kind, payload)
