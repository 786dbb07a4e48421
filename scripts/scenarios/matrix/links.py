"""Links that lose packets: some of them, those of one direction, or the large ones."""

from __future__ import annotations

from .. import checks
from ..contract import scenario
from ..expectations import expect, expect_equal
from ..games import (
    FIRST,
    IDLE_LIMIT_S,
    SECOND,
    SLOW_GAME,
    STREAM_RATE_BYTES_PER_SECOND,
    make_slow_game,
    wait_for_fault_point,
)
from ..peer import Peer
from ..stage import Stage

# Enough that TCP has to send again all the time, and not so much that a connection is not made at all.
LOSS = "0.03"

# The handshake and the list of files fit into smaller packets; content does not.
LARGE_PACKET_BYTES = "1000:65535"


@scenario(
    "S59",
    "Bad links",
    claim="An install over a link that loses packets completes. If the packets of one direction stop arriving, or "
    "large packets never arrive, the source is given up after the idle limit, and the next one is used.",
    conditions="One source loses three in a hundred packets each way. Then two sources, of which the first in order "
    f"loses, once it has sent some of the game, everything that it sends; then everything that is sent to it; and then "
    f"from the start all packets over {LARGE_PACKET_BYTES.split(':')[0]} bytes that it sends. The scenario sets the "
    f"idle limit to {IDLE_LIMIT_S} s.",
    time_limit_s=240,
    decodes_at_source=True,
)
def bad_links(stage: Stage) -> None:
    game = make_slow_game(stage, FIRST, SECOND)
    references = {name: game.reference(stage, name) for name in (FIRST, SECOND)}

    def start(name: str) -> Peer:
        catalog = game.catalog
        return stage.start_source(name, game.roots[name].parent, catalog=catalog, can_be_slowed=True)

    def expect_served_by(receiver: Peer, source: Peer, attempts: list[str]) -> None:
        stage.finish(receiver, 0, f"the install of {receiver.name}")
        expect_equal(checks.attempts(receiver), attempts, f"attempts of {receiver.name}")
        reference = references[source.name]
        checks.streamed_install_is_whole(stage, receiver, stage.games_dir(receiver.name), SLOW_GAME, source, reference)

    def begin(name: str, sources: list[Peer]) -> Peer:
        return stage.start_install(
            SLOW_GAME, stage.games_dir(name), sources, name=name, catalog=game.catalog, idle_limit_s=IDLE_LIMIT_S
        )

    sound = start(SECOND)
    lossy = start(FIRST)
    for chain in ("INPUT", "OUTPUT"):
        lossy.drop_packets(chain, "--match", "statistic", "--mode", "random", "--probability", LOSS)
    expect_served_by(begin("over-lossy", [lossy]), lossy, [FIRST])
    expect(lossy.dropped_packets() > 0, "no packet was lost: nothing was tested")
    lossy.kill()

    for chain in ("OUTPUT", "INPUT"):
        one_way = start(FIRST)
        one_way.limit_sending(STREAM_RATE_BYTES_PER_SECOND)
        receiver = begin(f"without-{chain.lower()}", [one_way, sound])
        wait_for_fault_point(stage, receiver, one_way)
        one_way.drop_packets(chain)
        expect_served_by(receiver, sound, [FIRST, SECOND])
        one_way.kill()

    small_only = start(FIRST)
    small_only.drop_packets("OUTPUT", "--match", "length", "--length", LARGE_PACKET_BYTES)
    expect_served_by(begin("behind-black-hole", [small_only, sound]), sound, [FIRST, SECOND])
    expect(small_only.dropped_packets() > 0, "no large packet was lost: nothing was tested")
    # A source that waits for room in a full connection notices at the deadline for a frame that its receiver has left;
    # that is later than this scenario.
    small_only.kill()
