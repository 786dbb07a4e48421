"""Checks that many scenarios share. Each one raises `CheckFailed` with what was expected and what was there."""

from __future__ import annotations

from pathlib import Path

from .events import Event, named
from .expectations import CheckFailed, Deadline, expect, expect_equal
from .peer import Peer, Reachable
from .stage import Stage
from .trees import DIRECTORY, Manifest, differences, file_count, manifest, total_size, write_manifest

# The names of the product's layout that a check looks for.
LOCAL = "local"
STAGING = ".local.installing"
BACKUP = ".local.backup"
OUR_STATE = ".lanspread"
INTENTS = f"{OUR_STATE}/intents"

# How long a source may take to let go of a stream that has ended.
SOURCE_RELEASE_LIMIT_S = 2.0

# More lines than this of a tree's differences do not help; the manifests are kept in full.
_DIFFERENCES_SHOWN = 8


def trees_equal(stage: Stage, expected: Path, actual: Path, what: str) -> Manifest:
    """Full comparison; keeps both manifests for the case of a failure. Returns the common manifest."""
    wanted, found = manifest(expected), manifest(actual)
    slug = what.replace("/", "-").replace(" ", "-")
    write_manifest(wanted, stage.dir / f"{slug}.expected.json")
    write_manifest(found, stage.dir / f"{slug}.actual.json")
    lines = differences(wanted, found)
    if lines:
        more = f" (and {len(lines) - _DIFFERENCES_SHOWN} more)" if len(lines) > _DIFFERENCES_SHOWN else ""
        raise CheckFailed(f"{what}: {expected} and {actual} differ: {'; '.join(lines[:_DIFFERENCES_SHOWN])}{more}")
    return wanted


def only_local_tree(games_dir: Path, game: str) -> None:
    """The game root holds `local/` and nothing else: no archive, no sentinel, no staging."""
    game_root = games_dir / game
    expect(game_root.is_dir(), f"{game_root} is missing")
    names = sorted(path.name for path in game_root.iterdir())
    expect_equal(names, [LOCAL], f"contents of the game root of {game}")
    expect((game_root / LOCAL).is_dir() and not (game_root / LOCAL).is_symlink(), f"{game}: local/ is not a directory")


def no_operation_left(games_dir: Path) -> None:
    """No staging folder and no intent anywhere in the games directory."""
    left = [path for path in games_dir.glob(f"*/{STAGING}")]
    intents = games_dir / INTENTS
    left += [path for path in intents.rglob("*") if path.is_file()] if intents.is_dir() else []
    expect(not left, f"left over: {', '.join(str(path) for path in left)}")


def user_tree(games_dir: Path) -> Manifest:
    """Everything in a games directory except our own state."""
    nodes = manifest(games_dir)
    return {path: node for path, node in nodes.items() if path.split("/")[0] != OUR_STATE}


def games_dir_as_before(before: Manifest, games_dir: Path) -> None:
    """A refused or failed operation has changed nothing that a user can see, and left nothing of its own."""
    lines = differences(before, user_tree(games_dir))
    expect(not lines, f"the games directory is not as it was: {'; '.join(lines[:_DIFFERENCES_SHOWN])}")
    no_operation_left(games_dir)


def listed_as_not_shareable(stage: Stage, games_dir: Path, game: str) -> None:
    """`list` calls the game installed, not downloaded, local only."""
    listed_as(stage, games_dir, game, state="local-only", downloaded=False, installed=True)


def listed_as(stage: Stage, games_dir: Path, game: str, *, state: str, downloaded: bool, installed: bool) -> None:
    """What `list` says of one game."""
    found = [event for event in stage.list_games(games_dir) if named("local-game", game=game)(event)]
    expect_equal(len(found), 1, f"`local-game` events for {game}")
    said = {key: found[0].get(key) for key in ("state", "downloaded", "installed")}
    expect_equal(said, {"state": state, "downloaded": downloaded, "installed": installed}, f"state of {game}")


def finished_event(receiver: Peer, game: str, source: Reachable, tree: Manifest) -> Event:
    """One `stream-install-finished`, from this source, whose numbers are those of the tree."""
    finished = receiver.events.all(named("stream-install-finished"))
    expect_equal(len(finished), 1, "`stream-install-finished` events")
    expect_equal(finished[0].get("game"), game, "game that was installed")
    expect_equal(finished[0].get("peer"), source.name, "source that the install came from")
    expect_equal(finished[0].get("files"), file_count(tree), "files reported")
    expect_equal(finished[0].get("bytes"), total_size(tree), "bytes reported against the sum of the tree's sizes")
    expect(not receiver.events.all(named("stream-install-failed")), "the install also reported a failure")
    return finished[0]


def failed_event(receiver: Peer) -> Event:
    """One `stream-install-failed` and no success."""
    failed = receiver.events.all(named("stream-install-failed"))
    expect_equal(len(failed), 1, "`stream-install-failed` events")
    expect(failed[0].get("code"), "`stream-install-failed` has no code")
    expect(not receiver.events.all(named("stream-install-finished")), "the install also reported success")
    return failed[0]


def progress_is_consistent(receiver: Peer, source: Reachable, total: int, start: int = 0) -> None:
    """Progress came from this source only, never went back, and ended at the total."""
    progress = receiver.events.all(named("stream-progress"), start)
    expect(progress, "no `stream-progress` event")
    others = sorted({str(event.get("peer")) for event in progress} - {source.name})
    expect(not others, f"progress was reported from {', '.join(others)}")
    counts = [event["bytes"] for event in progress]
    expect_equal(counts, sorted(counts), "order of the byte counts")
    expect_equal({event.get("bytes_total") for event in progress}, {total}, "announced totals")
    expect_equal(counts[-1], total, "last byte count")


def attempts(receiver: Peer, start: int = 0) -> list[str]:
    """The sources that were tried, in order."""
    return [event["peer"] for event in receiver.events.all(named("stream-attempt-begin"), start)]


def failed_attempts(receiver: Peer, start: int = 0) -> list[str]:
    return [event["peer"] for event in receiver.events.all(named("stream-attempt-failed"), start)]


def streamed_install_is_whole(
    stage: Stage, receiver: Peer, games_dir: Path, game: str, source: Peer, reference: Path
) -> Manifest:
    """Everything that holds after a streamed install, on both sides."""
    tree = trees_equal(stage, reference, games_dir / game / LOCAL, f"local tree of {game} from {source.name}")
    expect(any(node.kind != DIRECTORY for node in tree.values()), "the reference tree has no file: nothing was tested")
    only_local_tree(games_dir, game)
    no_operation_left(games_dir)
    finished_event(receiver, game, source, tree)
    progress_is_consistent_in_last_attempt(receiver, source, total_size(tree))
    sender_is_clean(stage, source)
    return tree


def progress_is_consistent_in_last_attempt(receiver: Peer, source: Reachable, total: int) -> None:
    begins = [index for index, event in enumerate(receiver.events.window()) if event["event"] == "stream-attempt-begin"]
    expect(begins, "no `stream-attempt-begin` event")
    progress_is_consistent(receiver, source, total, begins[-1])


def failed_install_left_nothing(stage: Stage, receiver: Peer, games_dir: Path, before: Manifest) -> None:
    """Everything that holds after a streamed install that no source could deliver."""
    failed_event(receiver)
    expect(receiver.stderr().strip(), "nothing on standard error says what went wrong")
    games_dir_as_before(before, games_dir)
    for source in stage.running_sources():
        sender_is_clean(stage, source)


def sender_is_clean(stage: Stage, source: Peer, within_s: float = SOURCE_RELEASE_LIMIT_S) -> None:
    """No active outbound transfer, no process but the peer, no open descriptor on an archive."""
    deadline = Deadline(within_s)
    while True:
        findings = _sender_findings(stage, source)
        if not findings:
            return
        if deadline.remaining() <= 0:
            raise CheckFailed(f"{within_s:g} s after the stream, {source.name} still has {'; '.join(findings)}")


def _sender_findings(stage: Stage, source: Peer) -> list[str]:
    # Each question takes a tenth of a second, which is all the pacing that the loop above needs.
    findings = []
    transfers = stage.status_of(source).get("active_outbound_transfers")
    if transfers != 0:
        findings.append(f"{transfers!r} active outbound transfers")
    processes = source.processes()
    if len(processes) != 1:
        findings.append(f"more processes than the peer: {processes}")
    descriptors = source.open_archives()
    if descriptors:
        findings.append(f"open archives: {descriptors}")
    return findings


def sources_still_run(stage: Stage) -> None:
    """Every serving peer that the scenario did not end, and whose end it did not wait for, is still there."""
    for peer in stage.peers:
        if "serve" in peer.arguments and not peer.is_running and not peer.end_is_wanted:
            last_words = peer.stderr().strip().splitlines()[-1:]
            raise CheckFailed(f"{peer.name} ended by itself; its last words: {''.join(last_words) or 'none'}")


def outputs_are_sound(stage: Stage) -> None:
    """Standard output held events only, and nothing panicked, in any process of the scenario."""
    for peer in stage.peers:
        complaints = peer.events.complaints()
        expect(not complaints, f"standard output of {peer.name} is not events only: {complaints[:1]}")
        panics = [line for line in peer.stderr().splitlines() if "panicked at" in line]
        expect(not panics, f"{peer.name} panicked: {panics[:1]}")
