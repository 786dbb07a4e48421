"""More receivers than a source serves at once: each waits for its turn and is served."""

from __future__ import annotations

import time
from pathlib import Path

from .. import checks
from ..contract import scenario
from ..events import named
from ..expectations import expect_equal
from ..games import SLOW_GAME, STREAM_RATE_BYTES_PER_SECOND, SlowGame, make_slow_game
from ..peer import Peer
from ..stage import Stage

# What a source serves at once by default.
PLACES = 8
RECEIVERS = 12

# So slow is a source until all its receivers have come that none of them is done by then.
GAME_BYTES = 12_000_000
GATHERING_BYTES_PER_SECOND = STREAM_RATE_BYTES_PER_SECOND // 8


@scenario(
    "S89",
    "Ninth receiver",
    claim="No receiver is refused for coming ninth: all receivers of one source end 0, those that found no place were "
    "told how many are before them, and the source says how many wait. So it is with one place, where every receiver "
    "but one waits.",
    conditions=f"A slowed source with {PLACES} places and {RECEIVERS} receivers; then one with one place and "
    "four receivers. One more gives up at once, with exit status 8. The source decodes for all of them.",
    time_limit_s=240,
    decodes_at_source=True,
)
def ninth_receiver(stage: Stage) -> None:
    game = make_slow_game(stage, "many", "one", size=GAME_BYTES)
    many = game.start(stage, "many", slow=True)
    many.limit_sending(GATHERING_BYTES_PER_SECOND)
    receivers = [_install(stage, game, many, f"receiver-{number}") for number in range(1, RECEIVERS + 1)]
    _wait_until_waiting(stage, many, RECEIVERS - PLACES)
    many.limit_sending(4 * STREAM_RATE_BYTES_PER_SECOND)
    waited = _finish(stage, game, many, receivers)
    expect_equal(len(waited), RECEIVERS - PLACES, f"receivers that waited, of {RECEIVERS} at {PLACES} places: {waited}")
    many.kill()

    one = game.start(stage, "one", slow=True, options=("--max-streams", "1"))
    one.limit_sending(GATHERING_BYTES_PER_SECOND)
    installs = [_install(stage, game, one, f"single-{number}") for number in range(1, 5)]
    _wait_until_waiting(stage, one, len(installs) - 1)
    impatient = _install(stage, game, one, "impatient", "--no-wait")[0]
    stage.finish(impatient, 8, "the install that does not wait")
    one.limit_sending(4 * STREAM_RATE_BYTES_PER_SECOND)
    expect_equal(impatient.events.all(named("error"))[0]["code"], "no-place", "code of the install that does not wait")

    waited = _finish(stage, game, one, installs)
    expect_equal(len(waited), len(installs) - 1, f"those that waited for the one place: {waited}")
    checks.sender_is_clean(stage, one)


def _wait_until_waiting(stage: Stage, source: Peer, count: int) -> None:
    """Waits until the source says that so many wait for a place."""
    while (waiting := stage.status_of(source)["waiting"]) < count:
        stage.deadline.check(f"{count} receivers that wait, not {waiting}")
        time.sleep(0.5)


def _install(stage: Stage, game: SlowGame, source: Peer, name: str, *options: str) -> tuple[Peer, Path]:
    folder = stage.games_dir(name)
    return stage.start_install(SLOW_GAME, folder, [source], name=name, catalog=game.catalog, options=options), folder


def _finish(stage: Stage, game: SlowGame, source: Peer, receivers: list[tuple[Peer, Path]]) -> list[str]:
    """Waits for all of them. Returns the names of those that had to wait for a place."""
    reference = game.reference(stage, source.name)
    for receiver, _ in receivers:
        stage.finish(receiver, 0, f"the install {receiver.name}")
    waited = []
    for receiver, folder in receivers:
        checks.streamed_install_is_whole(stage, receiver, folder, SLOW_GAME, source, reference)
        expect_equal(checks.attempts(receiver), [source.name], f"attempts of {receiver.name}")
        if receiver.events.all(named("queued", peer=source.name)):
            waited.append(receiver.name)
    return waited
