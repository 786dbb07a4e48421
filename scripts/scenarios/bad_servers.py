"""An HTTP server of the harness itself that has a game and answers wrongly: each fault is below a path of its own.

What a fault sends after the head of its answer is counted, so that a scenario knows how much of it a receiver took.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

# What is counted as sent has left, or is just about to. It comes no faster than over a link of a room: so little of it
# waits in the kernel of the receiver, where it would be counted although the program did not take it.
_UNSENT_BYTES_MAX = 16 * 1024
_BYTES_PER_SECOND = 2_000_000

# Of Linux; Python has no name for it.
_SO_MAX_PACING_RATE = 47

# A receiver that takes nothing, and does not close, is given up.
_SENDING_LIMIT_S = 20

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")

# Each fault, and the code with which a receiver leaves the server.
FAULTS = {
    "whole-file": "http-range",
    "other-range": "http-range",
    "other-length": "http-range",
    "cut": "connection-lost",
    "server-error": "http-status",
    "too-many": "busy",
    "endless": "http-range",
    "redirects": "http-redirect",
    "other-file": "http-changed",
    "wrong-bytes": "not-as-listed",
}


@dataclass
class Answered:
    """A request for a part of a file."""

    asked: int
    """Bytes."""
    sent: int = 0
    """Bytes of the body."""


@dataclass
class BadServers:
    address: str
    """Of this machine, on the network of the scenario."""
    root: Path
    """A games directory."""
    _answered: dict[str, list[Answered]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = _Server((self.address, 0), self.root, self._answered)
        self._thread = threading.Thread(target=self._server.serve_forever, name="bad servers", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        # Waits for the threads that answer.
        self._server.server_close()
        self._thread.join()

    def url(self, fault: str) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/{fault}"

    def answered(self, fault: str) -> list[Answered]:
        """One for each request, in their order; complete after the block."""
        return self._answered.get(fault, [])


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, address: tuple[str, int], root: Path, answered: dict[str, list[Answered]]) -> None:
        super().__init__(address, _Handler)
        self.root = root
        self.answered = answered
        self.guard = threading.Lock()

    def answer(self, fault: str, asked: int) -> Answered:
        with self.guard:
            answers = self.answered.setdefault(fault, [])
            answers.append(Answered(asked))
            return answers[-1]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _SENDING_LIMIT_S

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES_MAX)
        self.connection.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _BYTES_PER_SECOND)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the harness writes results there."""

    def do_GET(self) -> None:
        """One request for each connection: what fails may leave half an answer."""
        self.close_connection = True
        fault, _, path = self.path.lstrip("/").partition("/")
        content = (self.server.root / path).read_bytes()
        asked = _RANGE.fullmatch(self.headers.get("range", ""))
        if fault not in FAULTS or not asked:
            self._begin(400, {"Content-Length": "0"})
            return
        begin, end = int(asked[1]), int(asked[2]) + 1
        answer = self.server.answer(fault, end - begin)
        # A receiver that has seen enough closes.
        with contextlib.suppress(OSError):
            self._answer(fault, content, begin, end, answer)

    def _answer(self, fault: str, content: bytes, begin: int, end: int, answer: Answered) -> None:
        part, total = content[begin:end], len(content)
        fields = {"Content-Range": f"bytes {begin}-{end - 1}/{total}", "Content-Length": str(end - begin)}
        if fault == "whole-file":
            self._begin(200, {"Content-Length": str(total)})
            self._send([content], answer)
        elif fault == "other-range":
            self._begin(206, {**fields, "Content-Range": f"bytes {begin + 1}-{end}/{total}"})
            self._send([part], answer)
        elif fault == "other-length":
            self._begin(206, {**fields, "Content-Length": str(end - begin + 1)})
            self._send([part, b"x"], answer)
        elif fault == "cut":
            self._begin(206, fields)
            self._send([part[: len(part) // 2]], answer)
        elif fault == "server-error":
            self._begin(500, {"Content-Length": "0"})
        elif fault == "too-many":
            self._begin(429, {"Content-Length": "0", "Retry-After": "1"})
        elif fault == "endless":
            # Without a length the body ends with the connection, which stays.
            self._begin(206, {"Content-Range": fields["Content-Range"]})
            self._send(itertools.chain([part], itertools.repeat(bytes(_UNSENT_BYTES_MAX))), answer)
        elif fault == "redirects":
            self._begin(302, {"Content-Length": "0", "Location": self.path})
        elif fault == "other-file":
            # Never the same file again.
            number = len(self.server.answered[fault])
            self._begin(206, {**fields, "ETag": f'"{number}"'})
            self._send([part], answer)
        elif fault == "wrong-bytes":
            self._begin(206, fields)
            self._send([bytes([part[0] ^ 1]), part[1:]], answer)

    def _begin(self, status: int, fields: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, pieces: Iterator[bytes] | list[bytes], answer: Answered) -> None:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                sent = self.connection.send(rest)
                answer.sent += sent
                rest = rest[sent:]
