"""A daemon for the room page that has no games: it answers as `serve --web` does, from a room that was made up.

    python3 scripts/scenarios/web_server.py --room party --port 4191

With `--still`, nothing moves. The files of the page are read at each request, so that they can be edited meanwhile.
"""

from __future__ import annotations

import argparse
import json
import queue
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

if __package__ in (None, ""):  # run as a program
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenarios.web_room import ROOMS, Json, Room, make

ASSETS = Path(__file__).resolve().parents[2] / "crates" / "lanspread-web" / "assets"
FILES = {"/": ("index.html", "text/html"), "/room.css": ("room.css", "text/css")}
FILES["/room.js"] = ("room.js", "text/javascript")

# As the daemon sends them: with these no markup can be parsed at all.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SIGN_OF_LIFE_S = 5
_LOG = [
    {"event": "peer-found", "time": "2026-11-25T20:14:41.000Z", "name": "seat-28", "message": "192.168.7.39:4107"},
    {"event": "stream-install-finished", "time": "2026-11-25T20:12:09.000Z", "name": "seat-17", "game": "ironfield"},
]


class WebServer:
    """Serves one room, and tells all that look at it what changes."""

    def __init__(self, room: Room, port: int = 0, token: str = "") -> None:
        self.room = room
        self.token = token
        self.port = port
        self.asked: list[Json] = []
        """What was asked for by POST and DELETE, tickets aside."""
        self._lock = threading.Lock()
        self._readers: list[queue.Queue[tuple[str, object] | None]] = []
        self._tickets: set[str] = set()
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        web = self

        class Handler(_Handler):
            server_of = web

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the server and every connection to it, as the end of a daemon does."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for reader in self._readers:
                reader.put(None)

    def tell(self, event: str, data: object) -> None:
        with self._lock:
            for reader in self._readers:
                reader.put((event, json.loads(json.dumps(data))))

    def advance(self, seconds: float) -> None:
        self.tell("delta", self.room.advance(seconds))

    @contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    @contextmanager
    def reading(self) -> Iterator[queue.Queue[tuple[str, object] | None]]:
        reader: queue.Queue[tuple[str, object] | None] = queue.Queue()
        with self._lock:
            reader.put(("snapshot", self.room.snapshot()))
            self._readers.append(reader)
        reader.put(("log", _LOG))
        try:
            yield reader
        finally:
            with self._lock:
                self._readers.remove(reader)

    def give_ticket(self) -> str:
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    def take_ticket(self, ticket: str) -> bool:
        known = ticket in self._tickets
        self._tickets.discard(ticket)
        return known


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: WebServer

    def handle(self) -> None:
        with self.server_of.connected(self.connection), suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: object = None, kind: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_headers(kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_headers(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        for name, value in HEADERS.items():
            self.send_header(name, value)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, {"code": code, "message": message})

    def allowed(self) -> bool:
        web = self.server_of
        if not web.token or self.headers.get("Authorization") == f"Bearer {web.token}":
            return True
        self.refuse(401, "token-needed", "a token is needed")
        return False

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = parse_qs(address.query)
        if address.path in FILES:
            name, kind = FILES[address.path]
            self.answer(200, (ASSETS / name).read_bytes(), f"{kind}; charset=utf-8")
        elif address.path == "/api/v1/live":
            if self.server_of.take_ticket(asked.get("ticket", [""])[0]) or self.allowed():
                self.send_live()
        elif not self.allowed():
            return
        elif address.path == "/api/v1/room":
            self.answer(200, self.server_of.room.snapshot())
        elif address.path == "/api/v1/actions":
            actions = self.server_of.room.actions(asked["game"][0], asked["peer"])
            self.answer(200, {"v": 1, "actions": actions})
        elif address.path == "/metrics":
            self.answer(200, b"# TYPE lanspread_peers gauge\nlanspread_peers 3\n", "text/plain")
        else:
            self.refuse(404, "not-found", "there is no such page")

    def send_live(self) -> None:
        self.send_response(200)
        self.send_headers("text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        with self.server_of.reading() as reader:
            while True:
                try:
                    next_event = reader.get(timeout=_SIGN_OF_LIFE_S)
                except queue.Empty:
                    next_event = ("time", {"v": 1})
                if next_event is None:
                    return
                event, data = next_event
                self.wfile.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if not self.allowed():
            return
        web = self.server_of
        if self.path == "/api/v1/ticket":
            self.answer(200, {"ticket": web.give_ticket()})
            return
        web.asked.append(body)
        answer, delta = web.room.start(body["kind"], body["game"], body["peers"])
        if answer["operations"]:
            self.answer(202, answer)
        else:
            first = answer["refused"][0]
            self.answer(409, {"code": first["code"], "message": first["message"], "refused": answer["refused"]})
        web.tell("delta", delta)

    def do_DELETE(self) -> None:
        if not self.allowed():
            return
        operation = int(self.path.rsplit("/", 1)[1])
        self.server_of.asked.append({"cancel": operation})
        delta = self.server_of.room.cancel(operation)
        if delta is None:
            self.refuse(404, "no-such-operation", "no operation of this number runs here")
            return
        self.answer(200, {})
        self.server_of.tell("delta", delta)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--room", choices=ROOMS, default="party")
    parser.add_argument("--port", type=int, default=4191)
    parser.add_argument("--token", default="", help="without it, nothing is refused")
    parser.add_argument("--still", action="store_true", help="nothing moves")
    parser.add_argument("--per-second", type=float, default=2, help="how many deltas a second")
    asked = parser.parse_args()
    web = WebServer(make(asked.room), asked.port, asked.token)
    web.start()
    print(web.url, flush=True)
    ended = threading.Event()
    try:
        while not ended.wait(1 / asked.per_second):
            if not asked.still:
                web.advance(1 / asked.per_second)
    except KeyboardInterrupt:
        web.stop()


if __name__ == "__main__":
    main()
