"""What a user does with the whole program, from the first command on, with only `--help` to go by."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..docker import docker
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..games import root_bytes
from ..image import PROGRAM
from ..listings import listed
from ..peer import GAMES, STATE, Machine
from ..stage import Stage

GAME = "tournament"
NEWER_VERSION = "20250915"


def _pack(stage: Stage, name: str, version: str) -> Path:
    """A version of the game, in a folder of its own: the content of each is another."""
    tree = stage.payload(f"{GAME}-{version}")
    tree.prose("readme.txt", 20_000)
    tree.noise("data/maps.bin", 3_000_000)
    if version == NEWER_VERSION:
        tree.noise("data/new-map.bin", 200_000)
    root = stage.packed_game(stage.games_dir(name), GAME, tree)
    (root / "version.ini").write_text(f"{version}\n")
    return root


def _state(stage: Stage, machine: Machine, name: str) -> dict[str, object]:
    games = [event for event in listed(stage, machine, name=name) if named("local-game", game=GAME)(event)]
    expect_equal(len(games), 1, f"lines of `list` on {GAME}")
    return {key: games[0].get(key) for key in ("state", "version", "installed_version", "downloaded", "installed")}


def _last(events: list[Event], name: str) -> Event:
    found = [event for event in events if event["event"] == name]
    expect(found, f"no `{name}` event")
    return found[-1]


@scenario(
    "O1",
    "What an organiser does first",
    claim="On two machines on one network, without --peer and without a catalog, peers, list, install --stream, "
    "download and update do what their help says, all by discovery.",
    conditions="One machine serves a game. On the other, the commands of `--help` are typed one after the other; the "
    "first two are also read as a person reads them. Then the first machine gets a newer version of the game, "
    "without a restart.",
    time_limit_s=120,
)
def organiser(stage: Stage) -> None:
    old_root = _pack(stage, "party-server", "20250601")
    source = stage.start_source("party-server", old_root.parent, catalog=None, discovery=True)
    games_dir = stage.games_dir("gaming-pc")
    machine = stage.machine("gaming-pc", games_dir)
    typed = ["exec", machine.container, PROGRAM, "--state-dir", STATE]
    said = docker(*typed, "peers")
    for word in ("party-server", source.ip_address()):
        expect(word in said, f"`peers` does not say {word}: {said!r}")
    said = docker(*typed, "list", "--games-dir", GAMES)
    for word in (GAME, "20250601", "party-server"):
        expect(word in said, f"`list` does not say {word}: {said!r}")

    reference = archives.extract(old_root, stage.dir / "reference" / "old")
    streamed = stage.command("installer", machine, "install", "--stream", GAME, "--games-dir", GAMES)
    checks.streamed_install_is_whole(stage, streamed, games_dir, GAME, source, reference)
    checks.listed_as_not_shareable(stage, games_dir, GAME)

    downloaded = stage.command("downloader", machine, "download", GAME, "--games-dir", GAMES)
    finished = _last(downloaded.events.window(), "download-finished")
    expect_equal((finished["version"], finished["bytes"]), ("20250601", root_bytes(old_root)), "what was downloaded")
    _expect_root_files(stage, old_root, games_dir, "download")
    checks.trees_equal(stage, reference, games_dir / GAME / checks.LOCAL, "local tree after the download")

    mark = source.events.mark()
    newer_root = _pack(stage, "next-version", NEWER_VERSION)
    for name in (f"{GAME}.eti", "version.ini"):
        shutil.copy2(newer_root / name, old_root / f".{name}.new")
        (old_root / f".{name}.new").rename(old_root / name)
    offered = named("library-changed", changed=[GAME])
    source.wait_for_event(offered, stage.deadline, "the newer version to be offered", start=mark)
    updated = stage.command("updater", machine, "update", GAME, "--games-dir", GAMES)
    expect_equal(_last(updated.events.window(), "download-finished")["version"], NEWER_VERSION, "version downloaded")
    expect_equal(_last(updated.events.window(), "install-finished")["version"], NEWER_VERSION, "version installed")
    _expect_root_files(stage, newer_root, games_dir, "update")
    newer = archives.extract(newer_root, stage.dir / "reference" / "newer")
    checks.trees_equal(stage, newer, games_dir / GAME / checks.LOCAL, "local tree after the update")
    expected = {
        "state": "ready",
        "version": NEWER_VERSION,
        "installed_version": NEWER_VERSION,
        "downloaded": True,
        "installed": True,
    }
    expect_equal(_state(stage, machine, "lister"), expected, f"state of {GAME} in the end")
    again = stage.command("updater-again", machine, "update", GAME, "--games-dir", GAMES)
    expect(again.events.all(named("already-current", game=GAME)), "an update of what is current does not say so")
    checks.no_operation_left(games_dir)


@scenario(
    "O2",
    "No option at all",
    claim="On a machine without a config file, install --stream, list, download, verify and serve work with nothing "
    "but the game on their command line: peers by discovery, games in the folder below the user's data directory, "
    "which is created and named. A command takes the folder of the running daemon.",
    conditions="As O1, but the second machine has an empty home folder and no variable of ours. In the end it serves, "
    "and a command without options asks its daemon.",
    time_limit_s=120,
)
def no_option(stage: Stage) -> None:
    old_root = _pack(stage, "party-server", "20250601")
    source = stage.start_source("party-server", old_root.parent, catalog=None, discovery=True)
    home = stage.games_dir("gaming-pc")
    machine = stage.machine("gaming-pc", home)
    games_dir = home / ".local/share/lanspread/games"
    reference = archives.extract(old_root, stage.dir / "reference")

    streamed = stage.typed("installer", machine, GAMES, "install", "--stream", GAME)
    named_folder = f"games directory: {GAMES}/.local/share/lanspread/games"
    expect(f"{named_folder}, created now" in streamed.stderr(), f"the folder is not named: {streamed.stderr()!r}")
    checks.streamed_install_is_whole(stage, streamed, games_dir, GAME, source, reference)
    seen = stage.typed("lister", machine, GAMES, "list")
    expect(seen.events.all(named("offered-game", game=GAME)), "`list` does not show what is offered")
    downloaded = stage.typed("downloader", machine, GAMES, "download", GAME)
    expect(f"{named_folder}\n" in downloaded.stderr(), f"the folder is not named: {downloaded.stderr()!r}")
    _expect_root_files(stage, old_root, games_dir, "download")
    stage.typed("verifier", machine, GAMES, "verify", GAME)

    daemon = stage.start_typed("daemon", machine, GAMES, "serve")
    daemon.wait_for_event("peer-ready", stage.deadline)
    status = stage.typed("status", machine, GAMES, "status")
    expect_equal(_last(status.events.window(), "peer-status")["games"], [GAME], "games that the daemon serves")
    asked = stage.typed("asked", machine, GAMES, "list")
    expect("of the running daemon" in asked.stderr(), f"the daemon is not found: {asked.stderr()!r}")
    expect(asked.events.all(named("local-game", game=GAME)), "the daemon does not list its game")
    machine.signal(signal.SIGTERM, ["serve"])
    stage.finish(daemon, 0, "the end of `serve`")
    checks.no_operation_left(games_dir)


def _expect_root_files(stage: Stage, expected: Path, games_dir: Path, operation: str) -> None:
    """The root files are the source's, byte for byte; of our own there is nothing but local/."""
    found = games_dir / GAME
    names = sorted(path.name for path in found.iterdir())
    expect_equal(names, sorted([f"{GAME}.eti", checks.LOCAL, "version.ini"]), f"the game root after the {operation}")
    for name in (f"{GAME}.eti", "version.ini"):
        same = (found / name).read_bytes() == (expected / name).read_bytes()
        expect(same, f"{name} is not the source's after the {operation}")
