"""What a source never gives, however it is asked. The harness itself asks, byte by byte."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..expectations import CheckFailed, Deadline, expect, expect_equal
from ..peer import Mount, Peer
from ..stage import VERSION, Stage
from ..trees import manifest
from ..wire import (
    DATA,
    ChunkReply,
    Frame,
    RawConnection,
    Reader,
    Reply,
    Request,
    StreamReply,
    about_game,
    chunk_request,
)

GAME = "alpha-arena"
OTHER_GAME = "bravo-blocks"
UNFINISHED_GAME = "unfinished"

# Longer than the silence after which a peer gives up on a connection without requests.
ANSWER_LIMIT_S = 20.0

# What a receiver asks for at most at once.
CHUNK_BYTES = 16 * 1024 * 1024

_ABOUT_GAMES = (Request.DETAILS, Request.TOTALS, Request.STREAM_INSTALL, Request.DOWNLOAD)


@scenario(
    "S12",
    "Serve gate",
    claim="Raw requests for local/, staging, .lanspread/, `..`, another game's path, and bytes outside a file are "
    "refused. The connection survives or closes cleanly, the peer lives, and no byte of those files comes back.",
    conditions="A source without a catalog, which serves whatever passes as a game. At each of those paths is a "
    "sentinel with an intact archive. Every request about a game is sent for each of them, as well as chunk requests "
    "with numbers out of range. The same requests for the offered game return what is on disk.",
    time_limit_s=120,
    with_this_machine=True,
)
def serve_gate(stage: Stage) -> None:
    games_dir = stage.games_from("source", f"fixture-alpha/{GAME}", f"fixture-bravo/{OTHER_GAME}")
    root = stage.games_dir("root-of-the-container")
    archive = games_dir / OTHER_GAME / f"{OTHER_GAME}.eti"
    inside = [games_dir / GAME / name for name in (checks.LOCAL, checks.STAGING, ".local.backup")]
    for folder in (*inside, games_dir / checks.OUR_STATE, games_dir / UNFINISHED_GAME, root):
        folder.mkdir(exist_ok=True)
        shutil.copy2(archive, folder / "secret.eti")
        (folder / "version.ini").write_text(f"{VERSION}\n")
    (games_dir / UNFINISHED_GAME / "version.ini").unlink()
    (games_dir / GAME / "notes.txt").write_text("not for others\n")
    expect(archives.is_intact(inside[0] / "secret.eti"), "the archive behind the gate could not be served anyway")
    served_before = manifest(games_dir)
    above = [Mount(root / name, f"/{name}", read_only=True) for name in ("secret.eti", "version.ini")]
    source = stage.start_source("source", games_dir, catalog=None, mounts=above)
    gate = _Gate(source, games_dir)

    gate.expect_offered_game_served()
    for game in _FORBIDDEN:
        for request in _ABOUT_GAMES:
            gate.expect_refused(request, game)
    gate.expect_bad_chunks_refused()

    gate.expect_offered_game_served()
    after = {path: node for path, node in manifest(games_dir).items() if not path.startswith(checks.OUR_STATE)}
    before = {path: node for path, node in served_before.items() if not path.startswith(checks.OUR_STATE)}
    expect_equal(after, before, "what is on disk at the source")
    received = stage.games_dir("receiver")
    receiver = stage.install(GAME, received, [source], exit_status=0)
    reference = archives.extract(games_dir / GAME, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, source, reference)


# Each as a game's id, which is a folder's name.
_FORBIDDEN: tuple[str | bytes, ...] = (
    "..",
    ".",
    checks.OUR_STATE,
    f"{GAME}/{checks.LOCAL}",
    f"{GAME}/{checks.STAGING}",
    f"{GAME}/.local.backup",
    f"{GAME}/../{OTHER_GAME}",
    f"{GAME}\\..\\{OTHER_GAME}",
    f"./{OTHER_GAME}",
    f"{OTHER_GAME}/",
    f"/games/{OTHER_GAME}",
    f"../games/{OTHER_GAME}",
    f"{OTHER_GAME}\0",
    "",
    b"\xff\xfe",
    "a" * 65,
    UNFINISHED_GAME,
    "no-such-game",
)


class _Gate:
    """Asks a source."""

    def __init__(self, source: Peer, games_dir: Path) -> None:
        self._source = source
        self._address = source.network_address()
        self._games_dir = games_dir
        self._root = games_dir / GAME
        self._version = (self._root / "version.ini").read_text().strip()
        self._archive = (self._root / f"{GAME}.eti").read_bytes()

    def expect_offered_game_served(self) -> None:
        """The same requests for what is offered: if these brought nothing either, a refusal would prove nothing."""
        with self._connect() as connection:
            connection.send(about_game(Request.DETAILS, GAME, self._version))
            files = _root_files(_expect_reply(connection, Reply.DETAILS))
            expected = {name: (self._root / name).stat().st_size for name in (f"{GAME}.eti", "version.ini")}
            expect_equal(files, expected, f"root files of {GAME} as the source lists them")
            connection.send(about_game(Request.TOTALS, GAME, self._version))
            _expect_reply(connection, Reply.TOTALS)
        with self._connect() as connection:
            connection.send(about_game(Request.STREAM_INSTALL, GAME, self._version))
            streamed = sum(len(frame.payload) for frame in _frames(connection) if frame.kind == DATA)
            expect(streamed > len(self._archive), f"a stream of {GAME} carried {streamed} bytes")
        with self._connect() as connection:
            connection.send(about_game(Request.DOWNLOAD, GAME, self._version))
            _expect_reply(connection, Reply.DOWNLOAD_READY)
            connection.send(chunk_request(0, 1000, 2000))
            content = _chunk(connection)
            expect_equal(content, self._archive[1000:3000], f"the bytes 1000 to 3000 of {GAME}.eti")

    def expect_refused(self, request: Request, game: str | bytes) -> None:
        what = f"{request.name} of {game!r}"
        with self._connect() as connection:
            connection.send(about_game(request, game, VERSION))
            frame = connection.frame()
            if frame is None:
                return
            expect(frame.kind != DATA, f"{what} brought {len(frame.payload)} bytes of data")
            refusal = StreamReply.FAILED if request is Request.STREAM_INSTALL else Reply.REFUSED
            expect_equal(frame.number, refusal, f"first number of the answer to {what}")
            # It may continue or end here, also while the next request is on its way; if it continues, it works.
            with contextlib.suppress(ConnectionError):
                connection.send(about_game(Request.DETAILS, GAME, self._version))
                frame = connection.frame()
                if frame is not None:
                    expect_equal(Reply(frame.number), Reply.DETAILS, f"answer to the request after {what}")
        expect(self._source.is_running, f"{what} has ended the source")

    def expect_bad_chunks_refused(self) -> None:
        size = len(self._archive)
        for file, offset, length in (
            (2, 0, 1),
            (0xFFFF_FFFF, 0, 1),
            (1 << 40, 0, 1),
            (0, size, 1),
            (0, size - 1, 2),
            (0, 0, size + 1),
            (0, 0, 0),
            (0, 0, CHUNK_BYTES + 1),
            (0, (1 << 64) - 1, 1),
            (0, (1 << 64) - 1, (1 << 64) - 1),
            (0, 1, (1 << 64) - 1),
        ):
            what = f"{length} bytes at {offset} of file {file}"
            mark = self._source.events.mark()
            with self._connect() as connection:
                connection.send(about_game(Request.DOWNLOAD, GAME, self._version))
                _expect_reply(connection, Reply.DOWNLOAD_READY)
                connection.send(chunk_request(file, offset, length))
                for frame in _frames(connection):
                    expect(frame.kind != DATA, f"{what} brought {len(frame.payload)} bytes of data")
                    expect(frame.number in (ChunkReply.FAILED, ChunkReply.KEEP_ALIVE), f"{what} was answered")
            expect(self._source.is_running, f"a request for {what} has ended the source")
            ended = self._source.wait_for_event("transfer-end", Deadline(ANSWER_LIMIT_S), start=mark)
            # A number that does not fit its field is no request at all.
            outcome = "bad-request" if file < 1 << 32 else "protocol-violation"
            expect_equal((ended["outcome"], ended["bytes"]), (outcome, 0), f"outcome and bytes of {what}")

    def _connect(self) -> RawConnection:
        return RawConnection(self._address, Deadline(ANSWER_LIMIT_S))


def _frames(connection: RawConnection) -> Iterator[Frame]:
    """Everything until the source closes."""
    while (frame := connection.frame()) is not None:
        yield frame


def _expect_reply(connection: RawConnection, expected: Reply) -> Reader:
    """One answer that has only one part; what follows its number."""
    frame = connection.frame()
    if frame is None or frame.kind == DATA:
        raise CheckFailed(f"no {expected.name} but {frame}")
    reader = Reader(frame.payload)
    expect_equal(Reply(reader.number()), expected, "answer")
    return reader


def _root_files(details: Reader) -> dict[str, int]:
    details.text()  # the version
    return {details.text(): details.number() for _ in range(details.number())}


def _chunk(connection: RawConnection) -> bytes:
    content = bytearray()
    while True:
        frame = connection.frame()
        if frame is None:
            raise CheckFailed("the connection ended in the middle of a chunk")
        if frame.kind == DATA:
            content += frame.payload
        elif frame.number == ChunkReply.END:
            return bytes(content)
        else:
            expect_equal(frame.number, ChunkReply.KEEP_ALIVE, "message in the middle of a chunk")
