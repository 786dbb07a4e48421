"""Runs the rooms: in each round every one of them, in turn."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scenarios import peer as inside
from scenarios.cleanup import RunLock, remove_dead_runs, remove_run
from scenarios.docker import DockerError, engine_problem
from scenarios.doubles import build_programs
from scenarios.events import named
from scenarios.expectations import CheckFailed, expect_equal
from scenarios.image import prepare_image
from scenarios.nginx import start_nginx
from scenarios.peer import Machine, Mount, Peer
from scenarios.rooms import Receiver
from scenarios.stage import Run
from scenarios.tools import ToolFailed

from .. import idle
from . import machines
from .bars import Room
from .figures import DECODED, MIB
from .folders import FolderPeaks
from .game import DICTIONARY_BYTES, GAME, ROOMS_DIR, RoomGame, make_game
from .machines import RoomStage, Sender
from .modes import MODES, Cast
from .samples import RoomFacts, RoomFailure, RoomSample, Used

# What is left for a room beside the time in which its links can carry it.
SPARE_SECONDS = 180
# A few chunks of a game of this size.
DAMAGED_EVERY_BYTES = 3 * MIB
# The files that open the gate of all, and of one that comes late.
GATE, LATE_GATE = "open", "late"


@dataclass(frozen=True)
class RoomOptions:
    """What is measured."""

    rooms: tuple[Room, ...]
    rounds: int
    packed_bytes: int
    rate_bytes_per_second: int
    window_mib: int
    cpus: float
    rebuild: bool


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
        if any(MODES[mode].prelude for mode, _ in self.options.rooms):
            build_programs()
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
        game = make_game(run, self.options.packed_bytes)
        self.facts = RoomFacts(
            self.options.rate_bytes_per_second,
            game.packed_bytes,
            game.unpacked_bytes,
            game.files,
            DICTIONARY_BYTES,
            self.options.window_mib * MIB,
            self.options.cpus,
        )
        for number in range(1, self.options.rounds + 1):
            for mode, receivers in self.options.rooms:
                began = time.monotonic()
                try:
                    sample = one_room(run, game, self.options, (mode, receivers), number)
                except (CheckFailed, DockerError, ToolFailed) as failed:
                    self.failures.append(RoomFailure(mode, receivers, number, str(failed)))
                    self._say(f"round {number}, {mode} of {receivers} FAILED: {failed}")
                    continue
                self.samples.append(sample)
                sent = sample.source_tx_bytes / game.packed_bytes
                self._say(
                    f"round {number}, {mode} of {receivers}: {sample.seconds:.2f} s, sent {sent:.2f}, "
                    f"{sample.followers} followers, others used {sample.foreign_share:.0%}; "
                    f"with its containers {time.monotonic() - began:.0f} s"
                )


# ---- One room --------------------------------------------------------------------------------------------------------


def one_room(run: Run, game: RoomGame, options: RoomOptions, room: Room, number: int) -> RoomSample:
    mode, receivers = room
    id = f"{mode}-{receivers}-{number}"
    dir = run.dir / id
    dir.mkdir()
    link_seconds = game.packed_bytes / options.rate_bytes_per_second
    limit = int(SPARE_SECONDS + 2 * link_seconds * MODES[mode].link_times(receivers))
    stage = RoomStage(run, dir, scenario_id=id, time_limit_s=limit)
    try:
        return RoomRun(stage, game, options, room, number).sample()
    finally:
        stage.abandon()
        stage.remove_containers()
        shutil.rmtree(dir, ignore_errors=True)


class RoomRun:
    """One room, from its first machine to its sample."""

    def __init__(self, stage: RoomStage, game: RoomGame, options: RoomOptions, room: Room, number: int) -> None:
        self._stage, self._game, self._options, self._number = stage, game, options, number
        self._name, self._receivers = room
        self._mode = MODES[self._name]
        self._gates = stage.dir / "gates"
        self._gates.mkdir()

    def sample(self) -> RoomSample:
        names = self._sender_names()
        if self._mode.last_is_wrong:
            damage(self._games(names[-1]) / GAME / f"{GAME}.eti")
        senders = [self._server(names[0])] if self._mode.is_http else [self._source(name) for name in names]
        machines_of = {name: self._machine(name) for name in self._seats()}
        for sender in senders:
            self._slow_down(sender, list(machines_of.values()))
        receivers = [self._receiver(name, machine, senders) for name, machine in machines_of.items()]
        if self._mode.prelude and senders[0].peer:
            self._mode.prelude(self._stage, senders[0].peer)
        # So that all of them wait at the gate, whatever it takes to begin them.
        time.sleep(1 + 0.2 * self._receivers)
        return self._measured(Cast(self._stage, senders, receivers, self._gates / LATE_GATE))

    def _measured(self, cast: Cast) -> RoomSample:
        sent, before = {one.name: one.sent_bytes() for one in cast.senders}, idle.now()
        # Starting up is not part of the room.
        worked = {one.name: one.used().cpu_seconds for one in cast.senders}
        folders = {one.name: [one.games_dir, self._stage.dir / "state" / one.name] for one in cast.receivers}
        (self._gates / GATE).touch()
        with FolderPeaks(folders) as watched:
            with self._mode.disturbance(cast) as hit:
                for receiver in cast.receivers:
                    if receiver.name not in hit:
                        self._finish(receiver)
            # To whom something happened is slow or late: nothing is measured of the room meanwhile but that one.
            done = [one for one in cast.receivers if self._mode.all_install or one.name not in hit]
            for receiver in done:
                self._finish(receiver)
        after = idle.now()
        running = [one for one in cast.senders if one.is_running]
        used = [_since(one.used(), worked[one.name]) for one in running]
        for receiver in done:
            role = "hit" if receiver.name in hit else "receiver"
            used.append(machines.used_by_receiver(receiver.process, role, watched.peaks[receiver.name]))
            check(self._game, receiver.process)
        share = idle.foreign_share(before, after, sum(one.cpu_seconds for one in used), os.cpu_count() or 1)
        # What a source sent that has ended is not known.
        sent_bytes = sum(one.sent_bytes() - sent[one.name] for one in running)
        return RoomSample(self._name, self._receivers, self._number, sent_bytes, tuple(used), share)

    def _finish(self, receiver: Receiver) -> None:
        self._stage.finish(receiver.process, 0, f"the install of {receiver.name}")

    def _sender_names(self) -> list[str]:
        return ["source", *(f"source-{number}" for number in range(2, self._mode.sources + 1))]

    def _seats(self) -> list[str]:
        return [f"seat-{seat:02}" for seat in range(1, self._receivers + 1)]

    def _games(self, name: str) -> Path:
        """A folder with the game. It shares nothing with another one: a further link to a file is a change of it."""
        root = self._stage.games_dir(name) / GAME
        if root.exists():
            return root.parent
        root.mkdir()
        for file in (f"{GAME}.eti", "version.ini"):
            shutil.copy2(self._game.root / file, root / file)
        return root.parent

    def _source(self, name: str) -> Sender:
        options = ["--max-streams", str(max(8, self._receivers))]
        if self._mode.has_catalog:
            options += ["--catalog", f"{machines.CATALOG}/catalog.toml"]
        peer = self._stage.start_source(
            name,
            self._games(name),
            catalog=None,
            options=options,
            mounts=[self._game.catalog],
            can_be_slowed=True,
        )
        return Sender.source(peer)

    def _server(self, name: str) -> Sender:
        return Sender.server(start_nginx(self._stage, name, self._games(name)))

    def _machine(self, name: str) -> Machine:
        gates = Mount(self._gates, machines.GATE, read_only=True)
        machine = self._stage.member(name, self._stage.games_dir(name), self._game.catalog, gates)
        machine.limit_sending(self._options.rate_bytes_per_second)
        machines.allow_processors(machine, self._options.cpus)
        return machine

    def _slow_down(self, sender: Sender, receivers: Sequence[Machine]) -> None:
        machines.allow_processors(sender.machine, self._options.cpus)
        uplinks, rate = self._mode.uplinks, self._options.rate_bytes_per_second
        if self._mode.is_open:
            sender.machine.limit_sending(uplinks * rate)
        else:
            machines.share_link(sender.machine, receivers, uplinks, rate)

    def _receiver(self, name: str, machine: Machine, senders: Sequence[Sender]) -> Receiver:
        command = ["install", "--stream", GAME, "--games-dir", inside.GAMES, "--no-discovery"]
        command += [word for sender in senders for word in sender.options]
        command += ["--catalog", f"{machines.CATALOG}/catalog.toml", *self._mode.options]
        if self._name != DECODED:
            command += ["--window", str(self._options.window_mib)]
        gate = LATE_GATE if self._mode.is_late and name == self._seats()[-1] else GATE
        process = self._stage.start_measured(name, machine, command, gate)
        return Receiver(name, machine, self._stage.games_dir(name), process)


def _since(used: Used, cpu_seconds: float) -> Used:
    return replace(used, cpu_seconds=used.cpu_seconds - cpu_seconds)


def damage(archive: Path) -> None:
    """Changes a bit in each piece of an archive, so that a receiver of some of it soon has a wrong one."""
    with archive.open("r+b") as file:
        for at in range(DAMAGED_EVERY_BYTES, archive.stat().st_size, DAMAGED_EVERY_BYTES):
            file.seek(at)
            [byte] = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ 1]))


def check(game: RoomGame, receiver: Peer) -> None:
    """Each byte was compared with the manifest. What was installed is only counted, and so are the attempts."""
    [finished] = receiver.events.all(named("stream-install-finished"))
    expect_equal((finished["files"], finished["bytes"]), (game.files, game.unpacked_bytes), f"game of {receiver.name}")
    failed = receiver.events.all(named("stream-attempt-failed"))
    expect_equal(failed, [], f"failed attempts of {receiver.name}")
