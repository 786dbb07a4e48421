"""Sources that cannot deliver: the attempt fails whole, and the next source gets a fresh one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..doubles import LyingSource
from ..events import named
from ..expectations import expect, expect_equal
from ..games import FIRST, IDLE_LIMIT_S, SECOND, expect_equal_file_lists
from ..peer import Peer, Reachable
from ..stage import Stage

SOLID_GAME = "cnctw"

# About half of the solid game.
FAULT_AT_BYTES = 700_000


def _two_sources(stage: Stage) -> dict[str, Path]:
    """Game roots of two sources of the solid game: equal bytes."""
    roots = {}
    for name in (FIRST, SECOND):
        roots[name] = stage.games_from(name, f"fixture-solid/{SOLID_GAME}") / SOLID_GAME
    expect_equal_file_lists(roots[FIRST], roots[SECOND])
    return roots


def _second_source_completed(
    stage: Stage, receiver: Peer, received: Path, broken: Reachable, sound: Peer, reference: Path
) -> None:
    """The first source was tried and failed; all of what is installed came from the second."""
    expect_equal(checks.attempts(receiver), [broken.name, sound.name], "sources tried, in order")
    expect_equal(checks.failed_attempts(receiver), [broken.name], "sources that failed")
    failure = receiver.events.all(named("stream-attempt-failed"))[0]
    expect(failure.get("code") and failure.get("message"), f"the failed attempt has no code or no message: {failure}")
    checks.streamed_install_is_whole(stage, receiver, received, SOLID_GAME, sound, reference)


@scenario(
    "S42",
    "Retry fallback",
    claim="When the first source in order fails before it sends anything, the second completes a fresh stream: "
    "progress comes only from the second, no staging is left, and all hashes are those of the second source's "
    "archives. The same holds when the connection of the first source ends because a bit was changed on the way, and "
    "when that source sends a wrong byte, except that it then made progress too.",
    conditions="Two sources with the solid game. The first in order has `--unrar "
    "/missing-unrar`, in a second round sends through a proxy that flips one bit, and in a third sends a wrong byte.",
    time_limit_s=60,
    decodes_at_source=True,
)
def retry_fallback(stage: Stage) -> None:
    roots = _two_sources(stage)
    reference = archives.extract(roots[SECOND], stage.dir / "reference")
    broken = stage.start_source(FIRST, roots[FIRST].parent, unrar="/missing-unrar")
    sound = stage.start_source(SECOND, roots[SECOND].parent)
    received = stage.games_dir("receiver")
    # Named in the wrong order on the command line: the order of attempts is the peers', not the user's.
    receiver = stage.install(SOLID_GAME, received, [sound, broken], exit_status=0)
    from_broken = receiver.events.all(named("stream-progress", peer=broken.name))
    expect(not from_broken, f"progress was reported from the source that sent nothing: {from_broken[:1]}")
    _second_source_completed(stage, receiver, received, broken, sound, reference)
    checks.sender_is_clean(stage, broken)
    broken.signal(signal.SIGTERM)
    broken.wait_for_exit(stage.deadline)

    # This time there are files in staging when the attempt fails, and none of them may be in what is installed.
    honest = stage.start_source(FIRST, roots[FIRST].parent)
    proxy = stage.fault_proxy(honest, f"flip={FAULT_AT_BYTES}:0")
    received = stage.games_dir("second-receiver")
    receiver = stage.install(SOLID_GAME, received, [sound, proxy], name="second-receiver", exit_status=0)
    proxy.expect_felt()
    expect(receiver.events.all(named("stream-progress", peer=honest.name)), "no byte came before the damaged one")
    _second_source_completed(stage, receiver, received, proxy, sound, reference)
    checks.sender_is_clean(stage, honest)

    [liar] = stage.lying_sources(roots[FIRST], ["wrong-last-byte"], name=FIRST)
    received = stage.games_dir("third-receiver")
    receiver = stage.install(SOLID_GAME, received, [sound, liar], name="third-receiver", exit_status=0)
    expect(receiver.events.all(named("stream-progress", peer=liar.name)), "no byte came before the wrong one")
    _second_source_completed(stage, receiver, received, liar, sound, reference)


@scenario(
    "S57",
    "Lying source",
    claim="After a source that sends wrong bytes, too few or too many, something that was not announced, frames in "
    "the wrong order or malformed, a forbidden name, a flood, another key, party or hello, or nothing, the attempt "
    "fails with the code of that lie, and the next source is used. If all sources lie, the install exits 4 and leaves "
    "nothing.",
    conditions="One sound source of the solid game, and ahead of it in order one source for every lie in the "
    "list of `lanspread-testing`, with an equal file list: one install meets them all. Each source that falls silent "
    f"is met by a receiver of its own, whose idle limit is {IDLE_LIMIT_S} s.",
    time_limit_s=180,
    decodes_at_source=True,
)
def lying_source(stage: Stage) -> None:
    roots = _two_sources(stage)
    reference = archives.extract(roots[SECOND], stage.dir / "reference")
    sound = stage.start_source(SECOND, roots[SECOND].parent)

    silent = stage.lying_sources(roots[FIRST], slow=True, name=f"{FIRST}-silent")
    expect(len(silent) >= 3, f"only {len(silent)} sources are silent")
    # Below the time after which a source is left only because another one waits.
    waiting = {
        liar: stage.start_install(
            SOLID_GAME,
            stage.games_dir(f"to-{liar.lie}"),
            [sound, liar],
            name=f"to-{liar.lie}",
            idle_limit_s=IDLE_LIMIT_S,
        )
        for liar in silent
    }

    liars = stage.lying_sources(roots[FIRST], name=FIRST)
    expect(len(liars) > 80, f"there are only {len(liars)} lies")
    received = stage.games_dir("receiver")
    receiver = stage.install(SOLID_GAME, received, [sound, *liars], exit_status=0)
    _next_source_completed(stage, receiver, received, liars, sound, reference)

    nowhere_else = stage.games_dir("alone")
    before = checks.user_tree(nowhere_else)
    # Every second one: no more than a receiver asks at once, so that a slow machine asks all of them.
    alone = stage.lying_sources(roots[FIRST], [liar.lie for liar in liars[::2]], name="only")
    receiver = stage.install(SOLID_GAME, nowhere_else, alone, name="alone", exit_status=4)
    _expect_found_out(receiver, alone)
    checks.failed_install_left_nothing(stage, receiver, nowhere_else, before)

    for liar, receiver in waiting.items():
        stage.finish(receiver, 0, f"the install that met {liar.lie}")
        _next_source_completed(stage, receiver, stage.games_dir(receiver.name), [liar], sound, reference)


def _expect_found_out(receiver: Peer, liars: list[LyingSource]) -> None:
    """Every liar was tried once, in order, and failed with the code of its lie."""
    failed = receiver.events.all(named("stream-attempt-failed"))
    expect_equal(len(failed), len(liars), "failed attempts")
    for event, liar in zip(failed, liars, strict=True):
        expect_equal((event.get("peer"), event.get("code")), (liar.name, liar.code), "a source that lies, and its code")


def _next_source_completed(
    stage: Stage, receiver: Peer, received: Path, liars: list[LyingSource], sound: Peer, reference: Path
) -> None:
    """After the liars the sound source was tried, and all of what is installed came from there."""
    _expect_found_out(receiver, liars)
    expect_equal(checks.attempts(receiver)[len(liars) :], [sound.name], "sources tried after those that lie")
    checks.streamed_install_is_whole(stage, receiver, received, SOLID_GAME, sound, reference)


def _broken_only_source(stage: Stage, breakage: str, damage: Callable[[Path, str], int]) -> None:
    """One source whose archive is damaged in the middle of a late file: exit 4 and nothing left.

    Three archives: a solid one and an ordinary one, where the decoder loses its way, and a stored one, where every
    byte decodes and only the checksum shows the damage.
    """
    for kind, switches in (("solid", ["-s"]), ("ordinary", []), ("stored", ["-m0"])):
        game = f"{breakage}-{kind}"
        tree = stage.payload(game)
        # Early files arrive whole before the damage is met, so that there is something to roll back.
        for index in range(4):
            tree.prose(f"early/file-{index}.txt", 200_000)
        tree.noise("early/noise.bin", 3_000_000)
        tree.prose("late/damaged.txt", 400_000)
        tree.prose("late/after.txt", 50_000)
        served = stage.games_dir(f"source-{kind}")
        # Unless -ds is given, `rar` sorts solid archives; the damage must come late.
        game_root = stage.packed_game(served, game, tree, switches=[*switches, "-ds"])
        archive = game_root / f"{game}.eti"
        expect(archives.is_intact(archive), "the archive was not sound to begin with")
        damage(archive, "late/damaged.txt")
        expect(not archives.is_intact(archive), "the real `unrar` finds nothing wrong with the damaged archive")
        catalog = stage.catalog(game)
        source = stage.start_source(f"source-{kind}", served, catalog=catalog)
        received = stage.games_dir(f"receiver-{kind}")
        before = checks.user_tree(received)
        receiver = stage.install(game, received, [source], name=f"receiver-{kind}", catalog=catalog, exit_status=4)
        expect_equal(checks.failed_attempts(receiver), [source.name], "sources that failed")
        checks.failed_install_left_nothing(stage, receiver, received, before)
        if breakage == "corrupt":
            _expect_bytes_before_failure(receiver, source)


def _expect_bytes_before_failure(receiver: Peer, source: Peer) -> None:
    """The damage was met in the middle of a stream, not while the archive was being listed."""
    progress = receiver.events.all(named("stream-progress", peer=source.name))
    expect(progress and progress[-1]["bytes"] > 0, "the attempt failed before any byte flowed")
    expect(progress[-1]["bytes"] < progress[-1]["bytes_total"], "the attempt failed after the last byte")


@scenario(
    "S44",
    "Corrupt archive",
    claim="With a flipped byte in the packed data of the only source's archive, the install exits 4 and leaves "
    "neither local/ nor staging.",
    conditions="Three archives with one late damaged file each: solid, ordinary and stored. The last decodes to "
    "wrong bytes of the right length, so that only the checksum shows the damage.",
    time_limit_s=120,
)
def corrupt_archive(stage: Stage) -> None:
    _broken_only_source(stage, "corrupt", archives.flip_packed_byte)


@scenario(
    "S48",
    "Truncated archive",
    claim="With an archive that ends in the middle of a file on the only source, the install exits 4 and leaves "
    "neither local/ nor staging.",
    conditions="Three archives cut in the packed data of a late file: solid, ordinary and stored.",
    time_limit_s=120,
)
def truncated_archive(stage: Stage) -> None:
    _broken_only_source(stage, "truncated", archives.truncate_in)
