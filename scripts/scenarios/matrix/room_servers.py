"""Packed streams from HTTP servers: a good one alone, and bad ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..bad_servers import FAULTS, BadServers
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..nginx import start_nginx
from ..rooms import CHUNK_BYTES, GAME, Room, RoomGame, bytes_twice, make_room_game, start_room_source
from ..stage import Stage

# --- S82 ---
LINK_BYTES_PER_SECOND = 2_000_000
SERVER_RATIO_MAX = 1.05
# Of what the server sends, against the archive: heads and the manifest.
SENT_RATIO_MAX = 1.02

# What a command exits with if nothing has the game.
NO_SOURCE = 3


@scenario(
    "S82",
    "nginx as the only source",
    claim=f"A receiver whose only source is nginx takes at most {SERVER_RATIO_MAX:g} times as long as one of a peer, "
    "and has a verified tree. The manifest that its catalog names comes from beside the files. If none is there and "
    f"no catalog names one, the command exits with {NO_SOURCE}, says what to do and changes nothing.",
    conditions=f"A peer and nginx, each on a machine that sends {LINK_BYTES_PER_SECOND} bytes a second. One receiver "
    "of each at the same time, of which the one of nginx has only the catalog.",
    time_limit_s=120,
)
def server_alone(stage: Stage) -> None:
    game = make_room_game(stage, 30_000_000)
    source = start_room_source(stage, "source", game.root.parent, LINK_BYTES_PER_SECOND)
    served = game.copy(stage, "nginx")
    _put_manifest_beside(game, served)
    nginx = start_nginx(stage, "nginx", served, LINK_BYTES_PER_SECOND)
    room = Room(stage, game, rate=LINK_BYTES_PER_SECOND)
    with_peer, with_server = room.prepare("of-a-peer"), room.prepare("of-nginx", has_manifests=False)
    of_peer = room.begin(with_peer, [source])
    of_server = room.begin(with_server, [], options=["--from", nginx.url])
    room.finish()

    ratio = of_server.duration_s / of_peer.duration_s
    sent = sum(answer.sent for answer in nginx.answers())
    stage.figures.append(
        f"nginx {of_server.duration_s:.2f} s, a peer {of_peer.duration_s:.2f} s ({ratio:.3f}), the link "
        f"{game.link_s(LINK_BYTES_PER_SECOND):.2f} s; nginx sent {sent / game.archive_bytes:.3f} of the archive in "
        f"{len(nginx.answers())} answers"
    )
    expect_equal(of_peer.upstreams(), [("source", source.name)], "upstreams of the receiver of the peer")
    [(kind, upstream)] = of_server.upstreams()
    expect_equal((kind, upstream), ("http", nginx.url), "upstream of the receiver of nginx")
    expect_equal(of_server.bytes_from("http"), game.archive_bytes, "bytes that came from nginx")
    arrived = of_server.process.events.all(named("manifest-arrived"))
    expect_equal(len(arrived), 1, "manifests that came from nginx")
    expect(sent >= game.archive_bytes, f"nginx sent {sent} bytes; the archive has {game.archive_bytes}")
    expect(sent <= SENT_RATIO_MAX * game.archive_bytes, f"nginx sent {sent} bytes for {game.archive_bytes}")
    expect(ratio <= SERVER_RATIO_MAX, f"nginx took {of_server.duration_s:.2f} s, the peer {of_peer.duration_s:.2f} s")
    _without_manifest(stage, game)


def _put_manifest_beside(game: RoomGame, served: Path) -> None:
    assert isinstance(game.manifests.source, Path)  # it was made so
    [manifest] = game.manifests.source.glob("*.lsm")
    shutil.copy2(manifest, served / GAME / "manifest.lsm")


def _without_manifest(stage: Stage, game: RoomGame) -> None:
    bare = start_nginx(stage, "bare", game.copy(stage, "bare"))
    games_dir = stage.games_dir("refused")
    options = ["--from", bare.url]
    refused = stage.install(
        GAME, games_dir, [], name="refused", catalog=stage.catalog(GAME), options=options, exit_status=NO_SOURCE
    )
    error = refused.events.window()[-1]
    expect_equal((error["event"], error.get("code")), ("error", "no-server-manifest"), "last object of the command")
    expect("manifest.lsm" in error.get("hint", ""), f"the hint does not name the file: {error}")
    expect(not (games_dir / GAME).exists(), "the command left a game root")
    expect_equal({answer.status for answer in bare.answers()}, {404}, "what the server without a manifest answered")


# --- S83 ---


@scenario(
    "S83",
    "Bad HTTP servers",
    claim="Servers that send the whole file, another range, another length, half of it, an error, a refusal, something "
    "endless, redirects to themselves, another file each time, or wrong bytes are each left with the code for it. The "
    "next one takes over in the same attempt, and the tree is verified. No answer brings more than a chunk beyond what "
    "was asked for, and the liar is named.",
    conditions=f"{len(FAULTS)} bad servers are named before nginx, which is the last. No peer has the game.",
    time_limit_s=90,
    with_this_machine=True,
)
def bad_servers(stage: Stage) -> None:
    game = make_room_game(stage, 12_000_000)
    served = game.copy(stage, "nginx")
    nginx = start_nginx(stage, "nginx", served, LINK_BYTES_PER_SECOND)
    room = Room(stage, game)
    with BadServers(stage.gateway(), game.root.parent) as bad:
        urls = [*(bad.url(fault) for fault in FAULTS), nginx.url]
        receiver = room.begin(room.prepare("receiver"), [], options=[word for url in urls for word in ("--from", url)])
        room.finish()
    over = {fault: max((answer.sent - answer.asked for answer in bad.answered(fault)), default=0) for fault in FAULTS}
    stage.figures.append(
        f"{receiver.duration_s:.1f} s, {bytes_twice(game, receiver) >> 10} KiB twice; "
        + ", ".join(f"{fault} {len(bad.answered(fault))} answers, {max(over[fault], 0) >> 10} KiB over"
                    for fault in FAULTS)
    )  # fmt: skip
    for fault, code in FAULTS.items():
        expect(bad.answered(fault), f"the server with {fault} was not asked: nothing was tested")
        ended = receiver.process.events.all(named("upstream-end", kind="http", upstream=bad.url(fault)))
        codes = {event["code"] for event in ended} - {"complete"}
        expect_equal(codes, {code}, f"codes with which the server with {fault} was left")
        expect(over[fault] <= CHUNK_BYTES, f"the server with {fault} sent {over[fault]} bytes too many in one answer")
    lied = receiver.process.events.all(named("server-lied"))
    expect_equal([event["server"] for event in lied], [bad.url("wrong-bytes")], "servers that lied")
    expect(("http", nginx.url) in receiver.upstreams(), "nginx was not asked")
