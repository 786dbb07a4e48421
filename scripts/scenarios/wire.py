"""The wire protocol, as far as the harness needs it to ask for what no receiver would ask for.

Numbers and order are those of the crate `lanspread-proto`, whose tests hold them fixed; `test_wire.py` has the same
bytes. Requests are put together here by hand, so that they can say what the library's types cannot.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
from dataclasses import dataclass

from .expectations import Deadline

MAGIC = b"LANSPRD\n"
VERSION = 2
CONTROL = 0
DATA = 1

# What a peer sends at most in one frame.
_FRAME_BYTES_MAX = 1 << 20


class Request(enum.IntEnum):
    """What can be asked, as the first number of a control frame."""

    GAMES = 0
    DETAILS = 1
    TOTALS = 2
    STATUS = 3
    STREAM_INSTALL = 4
    DOWNLOAD = 5


class Reply(enum.IntEnum):
    """What is answered to a request."""

    GAMES = 0
    DETAILS = 1
    TOTALS = 2
    STATUS = 3
    REFUSED = 4
    UNCHANGED = 6
    DOWNLOAD_READY = 5


class StreamReply(enum.IntEnum):
    """What a stream is refused with, or broken off."""

    FAILED = 8


class ChunkReply(enum.IntEnum):
    """What comes after and between the data of chunks."""

    END = 0
    FAILED = 1
    KEEP_ALIVE = 2


def number(value: int) -> bytes:
    """An unsigned number of any size."""
    for limit, prefix, form in ((0xFB, b"", "<B"), (1 << 16, b"\xfb", "<H"), (1 << 32, b"\xfc", "<I")):
        if value < limit:
            return prefix + struct.pack(form, value)
    return b"\xfd" + struct.pack("<Q", value)


def text(value: str | bytes) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return number(len(encoded)) + encoded


def about_game(request: Request, game: str | bytes, version: str) -> bytes:
    """A request about a game; `version` is left out where it is not asked."""
    payload = number(request) + text(game)
    return payload if request is Request.DETAILS else payload + text(version)


def chunk_request(file: int, offset: int, length: int) -> bytes:
    return number(file) + number(offset) + number(length)


class Reader:
    """Takes a control frame apart."""

    def __init__(self, payload: bytes) -> None:
        self._rest = payload

    def number(self) -> int:
        first = self.bytes(1)[0]
        if first < 0xFB:
            return first
        form = {0xFB: "<H", 0xFC: "<I", 0xFD: "<Q"}[first]
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def bytes(self, count: int) -> bytes:
        taken, self._rest = self._rest[:count], self._rest[count:]
        if len(taken) < count:
            raise ValueError("the frame is too short")
        return taken

    def text(self) -> str:
        return self.bytes(self.number()).decode()


@dataclass(frozen=True)
class Frame:
    kind: int
    payload: bytes

    @property
    def number(self) -> int:
        """The first number of a control frame: which message it is."""
        return Reader(self.payload).number()


class RawConnection:
    """A connection after its greetings, on which anything can be said."""

    def __init__(self, address: tuple[str, int], deadline: Deadline) -> None:
        self._deadline = deadline
        self._socket = socket.create_connection(address, timeout=deadline.check("a connection"))
        hello = os.urandom(16) + text("raw") + b"\0" + number(1) + b"\0"
        self._socket.sendall(MAGIC + struct.pack(">H", VERSION) + _frame(CONTROL, hello))
        greeting = self._read(len(MAGIC) + 2)
        if greeting != MAGIC + struct.pack(">H", VERSION):
            raise ValueError(f"the peer greets with {greeting!r}")
        self.frame()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, payload: bytes) -> None:
        self._socket.sendall(_frame(CONTROL, payload))

    def frame(self) -> Frame | None:
        """The next frame; nothing when the peer has closed between two frames, which it may. A connection that breaks
        in any other way is an error."""
        header = self._read(5)
        if not header:
            return None
        length, kind = struct.unpack(">IB", header)
        if length > _FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {length} bytes")
        return Frame(kind, self._read(length))

    def _read(self, count: int) -> bytes:
        """Nothing at the end; otherwise all of it."""
        read = bytearray()
        while len(read) < count:
            self._socket.settimeout(self._deadline.check("an answer to a raw request"))
            part = self._socket.recv(count - len(read))
            if not part and read:
                raise ConnectionError(f"the connection ended after {len(read)} of {count} bytes")
            if not part:
                break
            read += part
        return bytes(read)


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">IB", len(payload), kind) + payload
