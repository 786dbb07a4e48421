"""Runs the rooms: in each round every mode with every number of receivers, in turn."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenarios import archives
from scenarios import peer as inside
from scenarios.cleanup import RunLock, remove_dead_runs, remove_run
from scenarios.docker import DockerError, engine_problem
from scenarios.events import named
from scenarios.expectations import CheckFailed
from scenarios.image import prepare_image
from scenarios.payload import PayloadTree
from scenarios.peer import Machine, Mount, Peer
from scenarios.stage import VERSION, Run
from scenarios.tools import TARGET_DIR, ToolFailed

from .. import idle
from . import machines
from .figures import CHAIN, DECODED, HTTP, MIB, STAR
from .machines import RoomStage
from .samples import RoomFacts, RoomFailure, RoomSample

GAME = "room-game"
DICTIONARY_BYTES = 32 * MIB
FILES = 16
# Other bytes for the same size get another number.
CONTENT_NUMBER = 1
# What is left for a room beside the time in which its links can carry it.
SPARE_SECONDS = 180
ROOMS_DIR = TARGET_DIR / "room"

# What a receiver is told in each mode.
OPTIONS: dict[str, tuple[str, ...]] = {
    CHAIN: (),
    STAR: ("--no-relay",),
    DECODED: ("--decode-at", "source"),
}
MODES = (*OPTIONS, HTTP)
# An nginx on this machine would have no link of its own.
REFUSED = {HTTP: "the image of the scenarios has no HTTP server"}


@dataclass(frozen=True)
class RoomOptions:
    """What is measured."""

    modes: tuple[str, ...]
    receivers: tuple[int, ...]
    rounds: int
    packed_bytes: int
    rate_bytes_per_second: int
    window_mib: int
    cpus: float
    rebuild: bool
    # Rooms of a star that would take longer than so many times one receiver are left out.
    star_max: int


def rooms(options: RoomOptions) -> list[tuple[str, int]]:
    """The rooms of a round, in their order. A star grows with its receivers, and its largest ones are left out."""
    return [
        (mode, receivers)
        for receivers in options.receivers
        for mode in options.modes
        if mode not in (STAR, DECODED) or receivers <= options.star_max
    ]


class RoomMeasurement:
    """A run: it has the samples of all rooms that ended, also when it is interrupted."""

    def __init__(self, options: RoomOptions, say: Callable[[str], None]) -> None:
        self.options = options
        self.samples: list[RoomSample] = []
        self.failures: list[RoomFailure] = []
        self.facts: RoomFacts | None = None
        self._say = say

    def run(self) -> None:
        problem = engine_problem()
        if problem:
            raise ToolFailed(problem)
        ROOMS_DIR.mkdir(parents=True, exist_ok=True)
        id = f"room-{time.strftime('%H%M%S')}-{secrets.token_hex(2)}"
        run_dir = ROOMS_DIR / id
        run_dir.mkdir()
        lock = RunLock(run_dir.with_name(f"{id}.lock"))
        try:
            remove_dead_runs()
            run = Run(id, lock, prepare_image(run_dir, rebuild=self.options.rebuild), run_dir)
            self._rounds(run)
        finally:
            remove_run(str(lock.path))
            lock.release()
            shutil.rmtree(run_dir, ignore_errors=True)

    def _rounds(self, run: Run) -> None:
        game = make_game(run, self.options)
        self.facts = game.facts
        for number in range(1, self.options.rounds + 1):
            for mode, receivers in rooms(self.options):
                try:
                    sample = one_room(run, game, self.options, mode, receivers, number)
                except (CheckFailed, DockerError) as failed:
                    self.failures.append(RoomFailure(mode, receivers, number, str(failed)))
                    self._say(f"round {number}, {mode} of {receivers} FAILED: {failed}")
                    continue
                self.samples.append(sample)
                sent = sample.source_tx_bytes / game.facts.packed_bytes
                self._say(
                    f"round {number}, {mode} of {receivers}: {sample.seconds:.2f} s, sent {sent:.2f}, "
                    f"{sample.followers} followers, others used {sample.foreign_share:.0%}"
                )


# ---- The game --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RoomGame:
    """The game of all rooms, with the catalog of its organiser."""

    root: Path
    catalog: Mount
    facts: RoomFacts


def make_game(run: Run, options: RoomOptions) -> RoomGame:
    """One solid archive, of which three quarters do not compress, and a catalog with its manifest; made once."""
    folder = ROOMS_DIR / f"game-{options.packed_bytes}-v{CONTENT_NUMBER}"
    root, record = folder / "games" / GAME, folder / "made.json"
    if not record.exists():
        shutil.rmtree(folder, ignore_errors=True)
        packed = pack_game(run, options.packed_bytes, root)
        # Last: a game without a record is not complete.
        record.write_text(json.dumps(packed))
    packed_bytes, unpacked_bytes = json.loads(record.read_text())
    facts = RoomFacts(
        options.rate_bytes_per_second,
        packed_bytes,
        unpacked_bytes,
        FILES,
        DICTIONARY_BYTES,
        options.window_mib * MIB,
        options.cpus,
    )
    # Each run builds the catalog with its own program.
    return RoomGame(root, build_catalog(run, root), facts)


def pack_game(run: Run, size: int, root: Path) -> tuple[int, int]:
    """Packs the game into its folder; returns the bytes of its archive and of its files."""
    tree = PayloadTree(run.dir / "payload", seed=GAME)
    noise = size * 3 // 4
    for number in range(FILES // 2):
        tree.noise(f"data/{number}.bin", noise // (FILES // 2))
        # Words of a few syllables are packed to a little less than a quarter.
        tree.prose(f"texts/{number}.txt", size // (FILES // 2))
    unpacked = sum((tree.root / name).stat().st_size for name in tree.names)
    tree.settle()
    root.mkdir(parents=True)
    archive = root / f"{GAME}.eti"
    archives.pack(archive, tree.root, tree.names, ["-s", "-m3", f"-md{DICTIONARY_BYTES // MIB}m"])
    shutil.rmtree(tree.root)
    (root / "version.ini").write_text(f"{VERSION}\n")
    return archive.stat().st_size, unpacked


def build_catalog(run: Run, root: Path) -> Mount:
    dir = run.dir / "organiser"
    dir.mkdir()
    stage = RoomStage(run, dir, scenario_id="organiser", time_limit_s=SPARE_SECONDS)
    out = dir / "catalog"
    out.mkdir()
    try:
        words = ["--json", "catalog", "build", "--games-dir", inside.GAMES, "--out", machines.CATALOG]
        mount = Mount(root.parent, inside.GAMES, read_only=True)
        builder = stage.start("organiser", words, mount, mounts=[Mount(out, machines.CATALOG)])
        stage.finish(builder, 0, "`catalog build`")
    finally:
        stage.abandon()
        stage.remove_containers()
    return Mount(out, machines.CATALOG, read_only=True)


# ---- One room --------------------------------------------------------------------------------------------------------


def one_room(run: Run, game: RoomGame, options: RoomOptions, mode: str, receivers: int, number: int) -> RoomSample:
    dir = run.dir / f"{mode}-{receivers}-{number}"
    dir.mkdir()
    factor = receivers * game.facts.unpacked_bytes / game.facts.packed_bytes
    link_seconds = factor * game.facts.packed_bytes / options.rate_bytes_per_second
    limit = int(SPARE_SECONDS + 2 * link_seconds)
    stage = RoomStage(run, dir, scenario_id=f"{mode}-{receivers}-{number}", time_limit_s=limit)
    try:
        return measured(stage, game, options, mode, receivers, number)
    finally:
        stage.abandon()
        stage.remove_containers()
        shutil.rmtree(dir, ignore_errors=True)


def measured(
    stage: RoomStage, game: RoomGame, options: RoomOptions, mode: str, receivers: int, number: int
) -> RoomSample:
    source = start_source(stage, game, options, receivers)
    gate = stage.dir / "gate"
    gate.mkdir()
    members = [start_member(stage, game, options, gate, f"seat-{seat:02}") for seat in range(1, receivers + 1)]
    command = ["install", "--stream", GAME, "--games-dir", inside.GAMES, "--no-discovery", "--peer", source.address]
    command += ["--catalog", f"{machines.CATALOG}/catalog.toml", *OPTIONS[mode]]
    if mode != DECODED:
        command += ["--window", str(options.window_mib)]
    commands = [stage.start_measured(name, machine, command) for name, machine in members]
    # So that all of them wait at the gate, whatever it takes to begin them.
    time.sleep(1 + 0.2 * receivers)
    sent, before = machines.sent_bytes(source.machine), idle.now()
    (gate / "open").touch()
    for receiver in commands:
        stage.finish(receiver, 0, f"the install of {receiver.name}")
    after = idle.now()
    sent = machines.sent_bytes(source.machine) - sent
    used = [machines.used_by_source(source), *map(machines.used_by_receiver, commands)]
    check(game, commands)
    own = sum(one.cpu_seconds for one in used)
    share = idle.foreign_share(before, after, own, os.cpu_count() or 1)
    return RoomSample(mode, receivers, number, sent, tuple(used), share)


def start_source(stage: RoomStage, game: RoomGame, options: RoomOptions, receivers: int) -> Peer:
    root = stage.games_dir("source") / GAME
    root.mkdir()
    for file in (f"{GAME}.eti", "version.ini"):
        (root / file).hardlink_to(game.root / file)
    source = stage.start_source(
        "source",
        root.parent,
        catalog=None,
        options=["--catalog", f"{machines.CATALOG}/catalog.toml", "--max-streams", str(max(8, receivers))],
        mounts=[game.catalog],
        can_be_slowed=True,
    )
    source.limit_sending(options.rate_bytes_per_second)
    machines.allow_processors(source.machine, options.cpus)
    return source


def start_member(stage: RoomStage, game: RoomGame, options: RoomOptions, gate: Path, name: str) -> tuple[str, Machine]:
    machine = stage.member(name, stage.games_dir(name), game.catalog, Mount(gate, machines.GATE, read_only=True))
    machine.limit_sending(options.rate_bytes_per_second)
    machines.allow_processors(machine, options.cpus)
    return name, machine


def check(game: RoomGame, commands: Sequence[Peer]) -> None:
    """Each byte was compared with the manifest; here it is only counted what was installed."""
    wanted = (game.facts.files, game.facts.unpacked_bytes)
    for receiver in commands:
        [finished] = receiver.events.all(named("stream-install-finished"))
        if (finished["files"], finished["bytes"]) != wanted:
            raise CheckFailed(f"{receiver.name} installed {finished}, and the game has {wanted}")
