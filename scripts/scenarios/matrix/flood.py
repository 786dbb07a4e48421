"""A machine that is not of the party, with very many connections to a peer that serves."""

from __future__ import annotations

import time

from .. import checks
from ..contract import ALONE, scenario
from ..docker import docker
from ..doubles import OUTSIDER_FLOOD
from ..events import Event, named
from ..expectations import CheckFailed, expect, expect_equal
from ..games import SLOW_GAME, SlowGame, make_slow_game
from ..peer import Peer
from ..stage import Stage

CONNECTIONS = 10_000

# The flood then takes longer than the install that runs beside it.
CONNECTIONS_PER_SECOND = 800
FLOOD_LIMIT_S = 60

# Open at the same time: many more than a peer lets one address have, and fewer than a container may open.
AT_ONCE = 500

# How much longer the install may take beside the flood, and how much more memory the source may need.
SLOWDOWN_MAX = 1.25
MORE_MEMORY_MAX_KIB = 16 * 1024

# Times that another machine asks while the flood is on, and how long each answer may take.
QUESTIONS = 5
ANSWER_LIMIT_S = 3.0


@scenario(
    "S66",
    "Outsider flood",
    claim=f"While one machine makes {CONNECTIONS} connections to a source, which say nothing, half of a first message, "
    f"or prove nothing, a member's install from that source takes at most {SLOWDOWN_MAX} times as long as without "
    f"them, and another member gets its answers within {ANSWER_LIMIT_S:g} s. The source needs at most "
    f"{MORE_MEMORY_MAX_KIB // 1024} MiB more memory.",
    conditions=f"A slowed source in a party. {CONNECTIONS_PER_SECOND} connections a second from one address, the three "
    "manners in turn, from before the install to after it. The source's memory is its peak, before and after.",
    time_limit_s=180,
    most_at_once=ALONE,
)
def outsider_flood(stage: Stage) -> None:
    game = make_slow_game(stage, "source")
    stage.join_party("source", "alone", "beside", "member")
    member = stage.machine("member", stage.games_dir("member"))
    source = game.start(stage, "source", slow=True)
    alone_s = _install(stage, game, source, "alone")
    before_kib = _peak_memory_kib(source)

    arguments = ["--target", source.address, "--connections", str(CONNECTIONS), "--seconds", str(FLOOD_LIMIT_S)]
    arguments += ["--per-second", str(CONNECTIONS_PER_SECOND), "--at-once", str(AT_ONCE)]
    flood = stage.start_double("outsider", OUTSIDER_FLOOD, arguments)
    flood.wait_for_event("flooding", stage.deadline)
    answers_s = []
    for number in range(QUESTIONS):
        begun = time.monotonic()
        stage.command(f"question-{number}", member, "status", "--peer", source.address)
        answers_s.append(time.monotonic() - begun)
    beside_s = _install(stage, game, source, "beside")
    expect(not flood.events.all(named("flood-over")), "the flood was over before the install: nothing was tested")
    counts = flood.wait_for_event("flood-over", stage.deadline)
    _expect_flooded(counts)
    after_kib = _peak_memory_kib(source)

    stage.figures.append(
        f"install: {alone_s:.1f} s alone, {beside_s:.1f} s beside {counts['connected']} connections, "
        f"{counts['encrypted']} of them encrypted; slowest answer {max(answers_s):.2f} s; peak memory "
        f"{before_kib / 1024:.1f} MiB before, {after_kib / 1024:.1f} MiB after"
    )
    expect(beside_s <= SLOWDOWN_MAX * alone_s, f"the install took {beside_s:.1f} s, and {alone_s:.1f} s alone")
    expect(max(answers_s) <= ANSWER_LIMIT_S, f"an answer took {max(answers_s):.1f} s")
    more_kib = after_kib - before_kib
    expect(more_kib <= MORE_MEMORY_MAX_KIB, f"the source needed {more_kib} KiB more")
    expect(source.is_running, "the source has ended")
    expect_equal(counts["welcomed"], 0, "connections without a proof on which the source has said hello")


def _install(stage: Stage, game: SlowGame, source: Peer, name: str) -> float:
    """How long the whole install took, as the command reports it."""
    received = stage.games_dir(name)
    receiver = stage.install(SLOW_GAME, received, [source], name=name, catalog=game.catalog, exit_status=0)
    reference = game.reference(stage, source.name) if name == "alone" else stage.dir / "reference" / source.name
    checks.trees_equal(stage, reference, received / SLOW_GAME / checks.LOCAL, f"tree of {name}")
    checks.only_local_tree(received, SLOW_GAME)
    [finished] = receiver.events.all(named("stream-install-finished"))
    duration_ms: float = finished["duration_ms"]
    return duration_ms / 1000


def _expect_flooded(counts: Event) -> None:
    """The flood did what it is for."""
    made = counts["connected"] + counts["failed"]
    expect_equal(made, CONNECTIONS, f"connections that were tried ({counts})")
    expect(counts["connected"] > CONNECTIONS * 0.9, f"most connections were not made: {counts}")
    expect(counts["encrypted"] > CONNECTIONS / 50, f"too few connections got as far as a proof: {counts}")


def _peak_memory_kib(peer: Peer) -> int:
    status = docker("exec", "--user", "0", peer.container, "cat", "/proc/1/status")
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise CheckFailed(f"{peer.name} has no peak of its memory")
