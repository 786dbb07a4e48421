"""What a user does with games that are downloaded and installed: install, uninstall, update, remove, verify."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..download_checks import nothing_is_left, record_lines, sentinel_came_last
from ..events import named
from ..expectations import Deadline, expect, expect_equal
from ..games import SENTINEL
from ..peer import TOOLS, Machine, Mount, Peer
from ..stage import VERSION, Stage
from ..trees import Manifest, file_count, manifest, total_size
from ..watch import Change, FolderWatch

GAME = "alpha-racer"
SAVED = "saves/slot1.sav"


def _root_files(game_root: Path) -> Manifest:
    """Archives and sentinel, by content: a download keeps no times."""
    return {path: node for path, node in manifest(game_root).items() if "/" not in path and node.sha256}


def _contents(nodes: Manifest) -> dict[str, tuple[int, str]]:
    return {path: (node.size, node.sha256) for path, node in nodes.items()}


def _installed_from_archives(
    stage: Stage, receiver: Peer, games_dir: Path, game: str, served: Path, reference: Path
) -> Manifest:
    """Downloaded and installed: root files as the source has them, `local/` as `unrar x` makes it, nothing else."""
    tree = checks.trees_equal(stage, reference, games_dir / game / checks.LOCAL, f"local tree of {game}")
    expect(file_count(tree) > 0, "the reference tree has no file: nothing was tested")
    expect_equal(_contents(_root_files(games_dir / game)), _contents(_root_files(served / game)), f"files of {game}")
    names = {path.name for path in (games_dir / game).iterdir()}
    expect_equal(names, {*_root_files(served / game), checks.LOCAL}, f"contents of the game root of {game}")
    nothing_is_left(games_dir)
    finished = receiver.events.all(named("install-finished", game=game))
    numbers = [(event["files"], event["bytes"]) for event in finished]
    expect_equal(numbers, [(file_count(tree), total_size(tree))], f"files and bytes in `install-finished` of {game}")
    expect(not receiver.events.all(named("install-failed")), "the install also reported a failure")
    return tree


def _start_with(stage: Stage, *games: str) -> tuple[Peer, Path, Machine, Path]:
    """A source of fixtures, its folder, and a receiver's machine with its folder, where nothing is yet."""
    served = stage.games_from("source", *games)
    received = stage.games_dir("receiver")
    return stage.start_source("source", served), served, stage.machine("receiver", received), received


@scenario(
    "S5",
    "Download and install",
    claim="The game is downloaded and then installed. Its tree equals that of `unrar x`, and it is Ready.",
    conditions="One source. An ordinary game, a game that is really solid, and one of several volumes, one after the "
    "other.",
    time_limit_s=60,
)
def download_and_install(stage: Stage) -> None:
    fixtures = (f"fixture-alpha/{GAME}", "fixture-solid/cnctw", "fixture-volumes/volumes-few")
    source, served, machine, received = _start_with(stage, *fixtures)
    expect(archives.listing(served / "cnctw" / "cnctw.eti").is_solid, "the solid fixture is not solid")
    for game in (GAME, "cnctw", "volumes-few"):
        reference = archives.extract(served / game, stage.dir / "reference" / game)
        receiver = stage.operation(["install", game], machine, [source], exit_status=0)
        _installed_from_archives(stage, receiver, received, game, served, reference)
        steps = ("download-begin", "download-finished", "install-begin", "install-finished")
        said = [event["event"] for event in receiver.events.window() if event["event"] in steps]
        expect_equal(said, list(steps), "what was done, in order")
        checks.sender_is_clean(stage, source)
        checks.listed_as(stage, received, game, state="ready", downloaded=True, installed=True)


@scenario(
    "S6",
    "Install, then uninstall",
    claim="local/ is made and removed; archives and sentinel stay as they are. What the user added to local/ is not "
    "lost without --force.",
    conditions="A downloaded game. Every command except the download runs without any peer.",
    time_limit_s=60,
)
def install_then_uninstall(stage: Stage) -> None:
    source, served, machine, received = _start_with(stage, f"fixture-alpha/{GAME}")
    stage.operation(["download", GAME], machine, [source], exit_status=0)
    source.signal(signal.SIGTERM)
    source.wait_for_exit(stage.deadline)
    downloaded = checks.user_tree(received)
    inodes = _inodes(received / GAME)
    reference = archives.extract(served / GAME, stage.dir / "reference")
    for round in ("first", "second"):
        receiver = stage.operation(["install", GAME], machine, exit_status=0, name=f"{round}-install")
        _installed_from_archives(stage, receiver, received, GAME, served, reference)
        if round == "second":
            saved = received / GAME / checks.LOCAL / SAVED
            saved.parent.mkdir()
            saved.write_text("a saved game that belongs to the user\n")
            before = checks.user_tree(received)
            refused = stage.operation(["uninstall", GAME], machine, exit_status=5, name="refused-uninstall")
            expect(SAVED in refused.stderr(), f"the user's file is not named: {refused.stderr().strip()!r}")
            checks.games_dir_as_before(before, received)
        options = ["--force"] if round == "second" else []
        gone = stage.operation(["uninstall", GAME], machine, exit_status=0, options=options, name=f"{round}-uninstall")
        gone.wait_for_event("uninstall-finished", stage.deadline)
        checks.games_dir_as_before(downloaded, received)
        expect_equal(_inodes(received / GAME), inodes, "archives and sentinel, which should not have been touched")
        nothing_is_left(received)
        checks.listed_as(stage, received, GAME, state="ready", downloaded=True, installed=False)


def _inodes(game_root: Path) -> dict[str, tuple[int, int]]:
    """Which file each root file is, and when it was changed last in any way."""
    files = [path for path in game_root.iterdir() if path.is_file()]
    return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in files}


NEW_VERSION = "20260101"
UPDATED = "updated-game"

# What the held decoder lets through before it waits: less than the new game, more than all buffers before staging.
HELD_AFTER_BYTES = 2_000_000


@scenario(
    "S22",
    "Update",
    claim="A newer catalog version replaces archives and local/. The old tree is whole until the new one is "
    "promoted. If the user added a file, an update without --force is refused with exit 5, names the file, and "
    "touches nothing.",
    conditions="A game installed from its archives, and a source of its next version, in which files and an archive "
    f"are added, changed and removed. The decoder is held when it has sent {HELD_AFTER_BYTES} bytes of the new tree.",
    time_limit_s=90,
)
def update(stage: Stage) -> None:
    old_source = stage.start_source("old-source", _old_version(stage), catalog=stage.catalog(UPDATED))
    new_served = _new_version(stage)
    new_catalog = stage.catalog(UPDATED, version=NEW_VERSION)
    received = stage.games_dir("receiver")
    stage.operation(["install", UPDATED], received, [old_source], catalog=stage.catalog(UPDATED), exit_status=0)
    local = received / UPDATED / checks.LOCAL
    (local / SAVED).parent.mkdir()
    (local / SAVED).write_text("a saved game that belongs to the user\n")
    everything, old_tree = manifest(received), manifest(local)

    new_source = stage.start_source("new-source", new_served, catalog=new_catalog)
    refused = stage.operation(["update", UPDATED], received, [new_source], catalog=new_catalog, exit_status=5)
    expect(SAVED in refused.stderr(), f"the user's file is not named: {refused.stderr().strip()!r}")
    expect_equal(manifest(received), everything, "games directory, our own state included, after the refusal")
    expect(not new_source.events.all(named("transfer-begin")), "archives were fetched before the refusal")

    with FolderWatch(received / UPDATED) as watch, _held_decoder(stage) as (mount, release):
        receiver = stage.start_operation(
            ["update", "--force", UPDATED],
            received,
            [new_source],
            catalog=new_catalog,
            options=["--unrar", f"{mount.target}/unrar"],
            mounts=[mount],
        )
        watch.wait_for(Change(checks.STAGING, "appears"), stage.deadline)
        release.wait_until_held(stage.deadline)
        staged = total_size(manifest(received / UPDATED / checks.STAGING))
        expect(staged >= HELD_AFTER_BYTES // 2, f"only {staged} bytes are staged: the decoder was held too soon")
        expect(manifest(local) == old_tree, "the old tree is not whole while the new one is being staged")
        expect(receiver.is_running, "the update had ended while its decoder was held")
        release.go_on()
        stage.finish(receiver, 0, "the update")
        changes = watch.changes()
    reference = archives.extract(new_served / UPDATED, stage.dir / "reference")
    tree = _installed_from_archives(stage, receiver, received, UPDATED, new_served, reference)
    expect(SAVED not in tree and "data/gone.txt" not in tree, "the new version has files that it should not have")
    files = [change for change in changes if not change.name.startswith(".") and change.name != checks.LOCAL]
    sentinel_came_last([change for change in files if change.kind == "appears"], new_served / UPDATED)
    expect_equal(files[0], Change(SENTINEL, "goes"), "what happened first to the files of the old version")
    _trees_changed_places(changes)
    checks.sender_is_clean(stage, new_source)
    current = stage.operation(["update", UPDATED], received, [new_source], catalog=new_catalog, exit_status=0)
    current.wait_for_event(named("already-current", version=NEW_VERSION), stage.deadline)


def _trees_changed_places(changes: list[Change]) -> None:
    """The new tree was staged before the old one was moved, and nothing of the old one went before the new one stood
    in its place."""
    of_trees = [
        (change.name, change.kind) for change in changes if change.name in (checks.LOCAL, checks.STAGING, checks.BACKUP)
    ]
    expected = [
        (checks.STAGING, "appears"),
        (checks.LOCAL, "goes"),
        (checks.BACKUP, "appears"),
        (checks.STAGING, "goes"),
        (checks.LOCAL, "appears"),
        (checks.BACKUP, "goes"),
    ]
    expect_equal(of_trees, expected, "order in which the trees came and went")


def _old_version(stage: Stage) -> Path:
    served = stage.games_dir("old-source")
    tree = stage.payload("old")
    tree.noise("data/noise.bin", 300_000)
    tree.prose("data/changed.txt", 40_000)
    tree.prose("data/gone.txt", 20_000)
    stage.packed_game(served, UPDATED, tree, "data.eti")
    more = stage.payload("old-more")
    more.prose("more/gone.txt", 10_000)
    stage.packed_game(served, UPDATED, more, "gone.eti")
    return served


def _new_version(stage: Stage) -> Path:
    served = stage.games_dir("new-source")
    tree = stage.payload("new")
    for index in range(8):
        tree.noise(f"data/noise-{index}.bin", HELD_AFTER_BYTES // 4)
    tree.prose("data/changed.txt", 40_000)
    stage.packed_game(served, UPDATED, tree, "data.eti")
    more = stage.payload("new-more")
    more.prose("more/added.txt", 10_000)
    # After the other one in every order, so that the decoder is held in that one.
    root = stage.packed_game(served, UPDATED, more, "zz-added.eti")
    expect((root / SENTINEL).read_text() == f"{VERSION}\n", "the two versions are one")
    (root / SENTINEL).write_text(f"{NEW_VERSION}\n")
    return served


# Stands in for `unrar`: lists as it does, but stops in the middle of an archive's content until it may continue.
_HELD_UNRAR = f"""#!/bin/sh
if [ "$1" != p ]; then
    exec {TOOLS}/bin/unrar "$@"
fi
{TOOLS}/bin/unrar "$@" | {{
    head -c {HELD_AFTER_BYTES}
    echo held > /gate/held
    read -r _ < /gate/go-on
    cat
}}
"""


class _Release:
    """Both ends of the two pipes that the held decoder waits at."""

    def __init__(self, gate: Path) -> None:
        # Opened for both directions, so that neither side waits for the other to open.
        self._held, self._go_on = (os.open(gate / name, os.O_RDWR) for name in ("held", "go-on"))

    def wait_until_held(self, deadline: Deadline) -> None:
        ready, _, _ = select.select([self._held], [], [], deadline.check("the decoder to be held"))
        expect(ready, "the decoder never came to the place where it is held")

    def go_on(self) -> None:
        os.write(self._go_on, b"go on\n" * 8)

    def close(self) -> None:
        os.close(self._held)
        os.close(self._go_on)


@contextmanager
def _held_decoder(stage: Stage) -> Iterator[tuple[Mount, _Release]]:
    gate = stage.dir / "gate"
    gate.mkdir()
    (gate / "unrar").write_text(_HELD_UNRAR)
    (gate / "unrar").chmod(0o755)
    for name in ("held", "go-on"):
        os.mkfifo(gate / name)
    release = _Release(gate)
    try:
        yield Mount(gate, "/gate"), release
    finally:
        release.close()


@scenario(
    "S23",
    "Remove downloaded files",
    claim="Archives and sentinel are removed, local/ stays as it is, the state is LocalOnly, and the freed bytes are "
    "counted.",
    conditions="A game that was downloaded and installed. A second removal is refused.",
    time_limit_s=60,
)
def remove_downloaded_files(stage: Stage) -> None:
    source, served, machine, received = _start_with(stage, f"fixture-alpha/{GAME}", "fixture-bravo/bravo-blocks")
    stage.operation(["install", GAME], machine, [source], exit_status=0)
    stage.operation(["install", "bravo-blocks"], machine, [source], exit_status=0)
    other = manifest(received / "bravo-blocks")
    files = _root_files(received / GAME)
    record_lines(received, GAME)
    removed = stage.operation(["remove", GAME], machine, exit_status=0)
    said = [(event["game"], event["files"], event["bytes"]) for event in removed.events.all(named("remove-finished"))]
    expect_equal(said, [(GAME, len(files), total_size(files))], "what was removed")
    checks.only_local_tree(received, GAME)
    reference = archives.extract(served / GAME, stage.dir / "reference")
    checks.trees_equal(stage, reference, received / GAME / checks.LOCAL, f"local tree of {GAME} after the removal")
    nothing_is_left(received)
    checks.listed_as_not_shareable(stage, received, GAME)
    expect_equal(manifest(received / "bravo-blocks"), other, "the game beside it")
    before = checks.user_tree(received)
    stage.operation(["remove", GAME], machine, exit_status=5, name="second-removal")
    checks.games_dir_as_before(before, received)


@scenario(
    "S24",
    "Verify",
    claim="A flipped byte in local/ or in an archive is found and named, with exit 6. An untouched game exits 0, and "
    "so does one to which the user added a file.",
    conditions="A game of several volumes that was downloaded and installed. Every change keeps sizes and times as "
    "they were, and is undone before the next.",
    time_limit_s=60,
)
def verify(stage: Stage) -> None:
    game = "volumes-few"
    source, _, machine, received = _start_with(stage, f"fixture-volumes/{game}")
    stage.operation(["install", game], machine, [source], exit_status=0)
    source.signal(signal.SIGTERM)
    source.wait_for_exit(stage.deadline)
    root = received / game
    files = {path: node for path, node in manifest(root).items() if node.sha256}
    before = manifest(received)

    sound = stage.operation(["verify", game], machine, exit_status=0, name="sound")
    _found(sound, [], files)
    expect_equal(manifest(received), before, "games directory after a comparison")
    in_local = max(path for path, node in files.items() if path.startswith(f"{checks.LOCAL}/") and node.size > 1000)
    in_archive = f"{game}.part2.eti"
    expect(in_archive in files, f"there is no {in_archive} among {', '.join(files)}")
    for path, part, name in (
        (in_local, "local", in_local.removeprefix(f"{checks.LOCAL}/")),
        (in_archive, "download", in_archive),
    ):
        with _flipped_byte(root / path, files[path].size // 2):
            found = stage.operation(["verify", game], machine, exit_status=6, name=f"flipped-in-{part}")
            _found(found, [(part, name, "content")], files)
            said = found.stderr() + found.stdout_file.read_text()
            expect(re.search(rf"\b{re.escape(name)}\b", said), f"{name} is not named")
    expect_equal(manifest(received), before, "the changes were not taken back")

    (root / checks.LOCAL / "added.txt").write_text("the user's\n")
    added = stage.operation(["verify", game], machine, exit_status=0, name="added")
    _found(added, [("local", "added.txt", "added")], files)


def _found(verified: Peer, differences: list[tuple[str, str, str]], files: Manifest) -> None:
    """These differences and no others, and everything was looked at."""
    reported = [
        (event["part"], event["path"], event["problem"]) for event in verified.events.all(named("verify-difference"))
    ]
    expect_equal(reported, differences, "differences that were reported")
    finished = verified.events.all(named("verify-finished"))
    expect_equal(len(finished), 1, "`verify-finished` events")
    faults = sum(problem != "added" for _, _, problem in differences)
    counts = {key: finished[0][key] for key in ("files", "differences", "added")}
    expected = {"files": len(files), "differences": faults, "added": len(differences) - faults}
    expect_equal(counts, expected, "what `verify-finished` counts")
    if not faults:
        expect_equal(finished[0]["bytes"], total_size(files), "bytes compared")


@contextmanager
def _flipped_byte(path: Path, offset: int) -> Iterator[None]:
    """Flips one bit, and changes neither size nor times."""

    def flip() -> None:
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[offset] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    flip()
    try:
        yield
    finally:
        flip()
