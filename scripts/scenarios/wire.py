"""The wire protocol, as far as the harness needs it to ask for what no receiver would ask for.

Numbers and order are those of the crate `lanspread-proto`, whose tests hold them fixed; `test_wire.py` has the same
bytes. Requests are put together here by hand, so that they can say what the library's types cannot.

Python can make no TLS with raw public keys. The program `tls_peer` (`crates/lanspread-testing/examples/`) makes it,
with both proofs, and then passes on what is said inside.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import select
import struct
import subprocess
from dataclasses import dataclass

from .doubles import PROGRAMS_DIR, TLS_PEER
from .expectations import Deadline

MAGIC = b"LANSPRD\n"
VERSION = 5
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


def hello() -> bytes:
    """Of a peer that serves nothing and has no signed catalog."""
    return text("raw") + b"\0" + number(1) + b"\0"


class Inside:
    """A connection to a peer inside TLS: after the preambles and proofs, unless the options say otherwise."""

    def __init__(self, address: tuple[str, int], deadline: Deadline, *options: str) -> None:
        self._deadline = deadline
        host, port = address
        command = [str(PROGRAMS_DIR / TLS_PEER), "--as-client", f"{host}:{port}", *options]
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            self.peer, self.proves = self._greeted()
        except BaseException:
            self.close()
            raise

    def _greeted(self) -> tuple[str, bool | None]:
        """Who the other end is, and whether it has proved that it is of the same party."""
        assert self._process.stderr
        line = b""
        while not line.endswith(b"\n"):
            part = self._read(self._process.stderr.fileno(), 4096, "TLS and a proof")
            if not part:
                raise ConnectionError(line.decode(errors="replace").strip() or "the connection has ended")
            line += part
        if not line.startswith(b"{"):
            raise ConnectionError(line.decode(errors="replace").strip())
        greeted = json.loads(line)
        return greeted["peer"], greeted["proves"]

    def _read(self, file: int, count: int, what: str) -> bytes:
        ready, _, _ = select.select([file], [], [], self._deadline.check(what))
        if not ready:
            self._deadline.check(what)
            raise TimeoutError(what)
        return os.read(file, count)

    def send(self, content: bytes) -> None:
        assert self._process.stdin
        unsent = memoryview(content)
        while unsent:
            unsent = unsent[self._process.stdin.write(unsent) :]

    def receive(self, count: int, what: str) -> bytes:
        """At most so many bytes; nothing when the peer has closed the connection."""
        assert self._process.stdout
        received = self._read(self._process.stdout.fileno(), count, what)
        if not received and self._process.wait(self._deadline.check(what)) != 0:
            assert self._process.stderr
            raise ConnectionError(self._process.stderr.read().decode(errors="replace").strip())
        return received

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


class RawConnection:
    """A connection after its greetings, on which anything can be said."""

    def __init__(self, address: tuple[str, int], deadline: Deadline) -> None:
        self._inside = Inside(address, deadline)
        self._inside.send(frame(CONTROL, hello()))
        self.frame()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._inside.close()

    def send(self, payload: bytes) -> None:
        self._inside.send(frame(CONTROL, payload))

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
            part = self._inside.receive(count - len(read), "an answer to a raw request")
            if not part and read:
                raise ConnectionError(f"the connection ended after {len(read)} of {count} bytes")
            if not part:
                break
            read += part
        return bytes(read)


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">IB", len(payload), kind) + payload
