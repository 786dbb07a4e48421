"""The receiver's own disk is the problem: no other source could help."""

from __future__ import annotations

import re

from .. import checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..games import FIRST, SECOND, SLOW_GAME, SLOW_GAME_BYTES, make_slow_game, wait_for_fault_point
from ..peer import GAMES, Mount
from ..stage import Stage


@scenario(
    "S35",
    "Read-only games folder",
    claim="An install into a games directory that cannot be written fails with a clear error and exit 7, and no "
    "source is tried.",
    conditions="Two sources, so that a second attempt would show. The games directory is mounted read-only.",
    time_limit_s=60,
)
def read_only_games_folder(stage: Stage) -> None:
    game = "alpha-arena"
    sources = [stage.start_source(name, stage.games_from(name, f"fixture-alpha/{game}")) for name in ("one", "two")]
    received = stage.games_dir("receiver")
    before = checks.user_tree(received)
    mount = Mount(received, GAMES, read_only=True)
    refused = stage.install(game, mount, sources, exit_status=7)
    expect(re.search(r"read.only", refused.stderr(), re.IGNORECASE), f"unclear error: {refused.stderr().strip()!r}")
    expect(GAMES in refused.stderr(), f"the error does not name the folder: {refused.stderr().strip()!r}")
    expect(not refused.events.all(named("stream-progress")), "bytes were asked for")
    checks.games_dir_as_before(before, received)


@scenario(
    "S51",
    "Disk too small",
    claim="Too little space is refused before the first byte, with both numbers and exit 7. When the disk fills "
    "mid-way, the attempt is rolled back, the next source is refused before its first byte, and the exit status is 7.",
    conditions="The receiver's games directory is a file system of its own: first one that is smaller than the game, "
    "then a larger one that another program fills in the middle of the stream.",
    time_limit_s=120,
    decodes_at_source=True,
)
def disk_too_small(stage: Stage) -> None:
    game = make_slow_game(stage, FIRST, SECOND)
    sources = [game.start(stage, FIRST, slow=True), game.start(stage, SECOND, slow=True)]
    small = stage.small_disk(SLOW_GAME_BYTES // 2)
    refused = stage.install(SLOW_GAME, small.mount, sources, name="small", catalog=game.catalog, exit_status=7)
    expect(not refused.events.all(named("stream-progress")), "bytes were received before the refusal")
    numbers = [int(number) for number in re.findall(r"\d+", refused.stderr())]
    expect(
        any(number >= SLOW_GAME_BYTES for number in numbers),
        f"needed bytes are not named: {refused.stderr().strip()!r}",
    )
    expect(
        any(SLOW_GAME_BYTES // 4 < number <= SLOW_GAME_BYTES // 2 for number in numbers),
        f"free bytes are not named: {refused.stderr().strip()!r}",
    )
    expect_equal(small.names(), [], "left on the small disk")

    filled = stage.small_disk(SLOW_GAME_BYTES * 3)
    receiver = stage.start_install(SLOW_GAME, filled.mount, sources, name="filled", catalog=game.catalog)
    wait_for_fault_point(stage, receiver, sources[0])
    filled.fill("another-programs-file")
    stage.finish(receiver, 7, "the end of the install whose disk was filled")
    expect_equal(checks.attempts(receiver), [FIRST, SECOND], "sources tried: the second may have announced less")
    second_sent = receiver.events.all(named("stream-progress", peer=SECOND))
    expect(not second_sent, "the second source sent bytes that do not fit")
    checks.failed_event(receiver)
    expect_equal(filled.names(), ["another-programs-file"], "left on the filled disk")
    for source in sources:
        checks.sender_is_clean(stage, source)
