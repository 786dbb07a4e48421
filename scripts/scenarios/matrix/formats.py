"""What archives may contain: both decoders against the real `unrar`, on every fixture."""

from __future__ import annotations

from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..expectations import expect, expect_equal
from ..games import installable_games
from ..peer import TOOLS, Machine, Mount, Peer
from ..stage import Stage
from ..tools import FIXTURES_DIR

_ENCRYPTED = ("encrypted-data", "encrypted-headers")


@scenario(
    "S38",
    "Unicode and long names",
    claim="Names in many scripts, with spaces and punctuation and up to 200 bytes long, are installed as `unrar x` "
    "installs them.",
    conditions="fixture-unicode from one source for each decoder. Both run without a UTF-8 locale, as a service does.",
    time_limit_s=60,
)
def unicode_names(stage: Stage) -> None:
    game = "unicode-names"
    for decoder, unrar in (("native", ""), ("unrar", f"{TOOLS}/bin/unrar")):
        served = stage.games_from(decoder, f"fixture-unicode/{game}")
        source = stage.start_source(decoder, served, unrar=unrar)
        received = stage.games_dir(f"to-{decoder}")
        reference = archives.extract(served / game, stage.dir / "reference" / decoder)
        receiver = stage.install(game, received, [source], name=f"to-{decoder}", exit_status=0)
        tree = checks.streamed_install_is_whole(stage, receiver, received, game, source, reference)
        longest = max(len(path.rsplit("/", 1)[-1].encode()) for path in tree)
        expect(longest >= 190 and any(not path.isascii() for path in tree), "the tree has no long or no foreign name")


@scenario(
    "S54",
    "Both providers agree",
    claim="`native` and `unrar` give the same tree and byte count on every fixture, and the tree is that of `unrar x`.",
    conditions="Every fixture that can be installed, from two sources: one decodes by itself and has no `unrar`; the "
    "other runs the real `unrar` through a wrapper that records each call.",
    time_limit_s=300,
    decodes_at_source=True,
)
def both_providers_agree(stage: Stage) -> None:
    calls_dir = stage.dir / "unrar-calls"
    calls_dir.mkdir()
    # More than one games directory, because two fixtures have another payload under the same game id.
    games = installable_games()
    shelves: list[list[Path]] = [[] for _ in range(max(len(game_roots) for game_roots in games.values()))]
    for game_roots in games.values():
        for shelf, game_root in zip(shelves, game_roots, strict=False):
            shelf.append(game_root)
    for number, shelf in enumerate(shelves):
        names = [f"{game_root.parent.name}/{game_root.name}" for game_root in shelf]
        native = stage.start_source(f"native-{number}", stage.games_from(f"native-{number}", *names))
        unrar = _start_recording_source(stage, f"unrar-{number}", names, calls_dir)
        machines = {
            source: stage.machine(f"to-{source.name}", stage.games_dir(f"to-{source.name}"))
            for source in (native, unrar)
        }
        for name, game_root in zip(names, shelf, strict=True):
            reference = archives.extract(game_root, stage.dir / "reference" / name)
            byte_counts = [
                _install_and_count(stage, game_root.name, source, machine, reference)
                for source, machine in machines.items()
            ]
            expect_equal(byte_counts[1], byte_counts[0], f"bytes reported for {name}: unrar against native")
        calls = (calls_dir / unrar.name).read_text().splitlines()
        _expect_calls(calls, shelf)


def _start_recording_source(stage: Stage, name: str, games: list[str], calls_dir: Path) -> Peer:
    """A source whose `unrar` is the real one, called through a few lines that record how it was called."""
    wrapper = calls_dir / f"{name}.sh"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>/unrar-calls/{name}\nexec {TOOLS}/bin/unrar "$@"\n')
    wrapper.chmod(0o755)
    (calls_dir / name).touch()
    return stage.start_source(
        name,
        stage.games_from(name, *games),
        unrar=f"/unrar-calls/{wrapper.name}",
        mounts=[Mount(calls_dir, "/unrar-calls")],
    )


def _install_and_count(stage: Stage, game: str, source: Peer, machine: Machine, reference: Path) -> int:
    name = f"to-{source.name}"
    receiver = stage.install(game, machine, [source], name=name, exit_status=0)
    tree = checks.streamed_install_is_whole(stage, receiver, stage.games_dir(name), game, source, reference)
    return checks.finished_event(receiver, game, source, tree)["bytes"]


def _expect_calls(calls: list[str], shelf: list[Path]) -> None:
    """One listing and one pass for each root archive, and never a member's name, which would be a wildcard mask."""
    archive_names = sorted(path.name for game_root in shelf for path in archives.root_archives(game_root))
    for command in ("lt", "p"):
        called = [call.split() for call in calls if call.split()[0] == command]
        expect_equal(
            sorted(Path(call[-1]).name for call in called), archive_names, f"archives given to `unrar {command}`"
        )


@scenario(
    "S55",
    "BLAKE2sp, file references, multi-volume, RAR 4, encrypted",
    claim="Each of these formats is installed byte-exact. An encrypted archive is a clear error and leaves nothing.",
    conditions="One source for each decoder. `unrar lt` proves that each fixture is what its name says.",
    time_limit_s=180,
)
def special_formats(stage: Stage) -> None:
    fixtures = ("fixture-blake2", "fixture-references", "fixture-volumes", "fixture-rar4")
    games = [game_root for fixture in fixtures for game_root in sorted((FIXTURES_DIR / fixture).iterdir())]
    for game_root in games:
        _expect_format(game_root)
    for decoder, unrar in (("native", ""), ("unrar", f"{TOOLS}/bin/unrar")):
        served = stage.games_from(decoder, *fixtures, "fixture-encrypted")
        source = stage.start_source(decoder, served, unrar=unrar)
        received = stage.games_dir(f"to-{decoder}")
        machine = stage.machine(f"to-{decoder}", received)
        for game_root in games:
            reference = archives.extract(game_root, stage.dir / "reference" / f"{decoder}-{game_root.name}")
            receiver = stage.install(game_root.name, machine, [source], name=f"to-{decoder}", exit_status=0)
            checks.streamed_install_is_whole(stage, receiver, received, game_root.name, source, reference)
        for game in _ENCRYPTED:
            before = checks.user_tree(received)
            refused = stage.install(game, machine, [source], name=f"to-{decoder}", exit_status=4)
            checks.failed_install_left_nothing(stage, refused, received, before)
            expect("encrypt" in refused.stderr().lower(), f"{game}: the error does not say that it is encrypted")


def _expect_format(game_root: Path) -> None:
    name = game_root.name
    first = archives.root_archives(game_root)
    expect(first, f"{game_root} has no root archive")
    listing = archives.listing(first[0])
    kinds = {entry.kind for entry in listing.entries}
    if name.startswith("blake2"):
        expect(all(entry.has_blake2 for entry in listing.entries), f"{name} is not hashed with BLAKE2sp")
    if name in ("references-files", "references-solid", "blake2-references"):
        expect("File reference" in kinds, f"{name} has no file reference")
    if name == "references-hard-links":
        expect("Hard link" in kinds, f"{name} has no hard link")
    if name.startswith("volumes"):
        expect("volume 1" in listing.details, f"{name} is not a multi-volume archive: {listing.details}")
        split = [entry.name for entry in listing.entries][-1]
        second = archives.listing(game_root / f"{name}.part2.eti")
        expect(second.entries[0].name == split, f"{name}: no file lies across a volume's end")
    if name.startswith("rar4"):
        expect(listing.details.startswith("RAR 4"), f"{name} is not RAR 4: {listing.details}")
