"""Rooms: receivers of one packed stream, each on a machine of its own whose link is slowed, and what holds of them.

The game is one solid archive. Its content is written as hexadecimal digits, so that the archive has half the size of
what is unpacked, and what was written to a disk says whether the archive was among it.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from . import archives, checks
from .docker import docker
from .events import Event, named
from .expectations import CheckFailed, expect, expect_equal
from .open_files import PIECE_INTERVAL_BYTES, OpenFiles
from .payload import PayloadTree
from .peer import GAMES, Machine, Mount, Peer, Reachable
from .slow_machine import CAPABILITY, tracing
from .stage import Stage
from .trees import FILE, Manifest, manifest, total_size

GAME = "room-game"

# Of a game below 256 MiB.
CHUNK_BYTES = 256 * 1024

# With this rate a machine decodes and checks at a fraction of what its processor can do, also with others beside it.
LINK_BYTES_PER_SECOND = 1_500_000

# A window that holds a part of the game only, in MiB.
WINDOW_MIB = 16

# The dictionary of the archive, in MiB: more than a source that decodes nothing needs in all.
DICTIONARY_MIB = 32

_CATALOG_DIR = "/organised"
_SAMPLE_INTERVAL_S = 0.1


@dataclass(frozen=True)
class RoomGame:
    """A game with a manifest that its receivers know."""

    root: Path
    reference: Path
    catalog: Path
    manifests: Mount

    @property
    def archive_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.root.glob("*.eti"))

    @property
    def chunks(self) -> int:
        return sum(-(-path.stat().st_size // CHUNK_BYTES) for path in self.root.glob("*.eti"))

    def link_s(self, bytes_per_second: int = LINK_BYTES_PER_SECOND) -> float:
        """How long its archive takes over a link of this rate."""
        return self.archive_bytes / bytes_per_second

    def copy(self, stage: Stage, name: str) -> Path:
        """Another source's copy. Returns its games directory. It shares nothing: a further link to a file is a change
        of it, which a source that serves it would notice."""
        games_dir = stage.games_dir(name)
        shutil.copytree(self.root, games_dir / GAME)
        return games_dir


# Making a game takes longer than streaming it.
_MAKING = threading.Lock()


def make_room_game(stage: Stage, archive_bytes: int) -> RoomGame:
    """The game with an archive of about this size, for a source `source`, and the catalog that names its manifest. It
    is made once in a run."""
    shared = stage.run.dir / f"{GAME}-{archive_bytes}"
    with _MAKING:
        if not (shared / "reference").exists():
            _make(stage, shared, archive_bytes)
    made = RoomGame(shared / "games" / GAME, shared / "reference", shared / "catalog.toml",
                    Mount(shared / "manifests", "/manifests", read_only=True))  # fmt: skip
    return replace(made, root=made.copy(stage, "source") / GAME)


def _make(stage: Stage, shared: Path, archive_bytes: int) -> None:
    tree = PayloadTree(shared / "payload", seed=GAME)
    files = 12
    for index in range(files):
        name = f"data/map-{index}.txt"
        tree.file(name, tree.random(name).randbytes(archive_bytes // files).hex().encode())
    games_dir = shared / "games"
    games_dir.mkdir()
    root = stage.packed_game(games_dir, GAME, tree, switches=["-m1", "-s", f"-md{DICTIONARY_MIB}m"])
    catalog, manifests = build_catalog(stage, games_dir)
    assert isinstance(manifests.source, Path)  # it was made so
    catalog.rename(shared / "catalog.toml")
    manifests.source.rename(shared / "manifests")
    archives.extract(root, shared / "draft")
    # Last: if it is there, everything is.
    (shared / "draft").rename(shared / "reference")


def build_catalog(stage: Stage, games_dir: Path, name: str = "catalog") -> tuple[Path, Mount]:
    """The catalog that an organiser makes of all games in a folder: its file, and its manifests beside it."""
    out = stage.dir / name
    out.mkdir()
    words = ["--json", "catalog", "build", "--games-dir", GAMES, "--out", _CATALOG_DIR]
    builder = stage.start(
        "organiser", words, Mount(games_dir, GAMES, read_only=True), mounts=[Mount(out, _CATALOG_DIR)]
    )
    stage.finish(builder, 0, "`catalog build`")
    return out / "catalog.toml", Mount(out / "manifests", "/manifests", read_only=True)


def start_room_source(stage: Stage, name: str, games_dir: Path, rate: int = 0, options: Sequence[str] = ()) -> Peer:
    source = stage.start_source(name, games_dir, catalog=None, options=options, can_be_slowed=True)
    if rate:
        source.limit_sending(rate)
    return source


@dataclass
class Receiver:
    """A machine that installs the game."""

    name: str
    machine: Machine
    games_dir: Path
    process: Peer

    def freeze(self) -> None:
        """It says and takes nothing any more, and its connections stay."""
        self.machine.signal(signal.SIGSTOP, self.process.arguments)

    def thaw(self) -> None:
        self.machine.signal(signal.SIGCONT, self.process.arguments)

    @property
    def finished(self) -> Event:
        finished: list[Event] = self.process.events.all(named("stream-install-finished"))
        expect_equal(len(finished), 1, f"`stream-install-finished` of {self.name}")
        return finished[0]

    @property
    def duration_s(self) -> float:
        """From the first attempt to the end."""
        duration: int = self.finished["duration_ms"]
        return duration / 1000

    def upstreams(self) -> list[tuple[str, str]]:
        """Kind and name of each upstream that it began with, in that order."""
        begun = self.process.events.all(named("upstream-begin"))
        return [(event["kind"], event["upstream"]) for event in begun]

    def bytes_from(self, kind: str) -> int:
        ended = self.process.events.all(named("upstream-end", kind=kind))
        return sum(event["bytes"] for event in ended)


@dataclass
class Room:
    """The receivers of one game."""

    stage: Stage
    game: RoomGame
    rate: int = LINK_BYTES_PER_SECOND
    receivers: list[Receiver] = field(default_factory=list)

    def prepare(
        self, name: str, *, rate: int | None = None, has_manifests: bool = True, can_be_traced: bool = False
    ) -> tuple[str, Machine, Path]:
        """A machine that is ready to install, with a slowed link unless `rate` is 0."""
        games_dir = self.stage.games_dir(name)
        mounts = [self.game.manifests] if has_manifests else []
        capabilities = ["NET_ADMIN"]
        if can_be_traced:
            mounts.append(tracing(self.stage.run))
            capabilities.append(CAPABILITY)
        machine = self.stage.machine(
            name, games_dir, catalog=self.game.catalog, mounts=mounts, capabilities=capabilities
        )
        rate = self.rate if rate is None else rate
        if rate:
            machine.limit_sending(rate)
        return name, machine, games_dir

    def begin(
        self,
        prepared: tuple[str, Machine, Path],
        sources: Sequence[Reachable],
        *,
        window_mib: int = WINDOW_MIB,
        options: Sequence[str] = (),
    ) -> Receiver:
        name, machine, games_dir = prepared
        process = self.stage.start_install(
            GAME, machine, sources, name=name, options=["--window", str(window_mib), *options]
        )
        receiver = Receiver(name, machine, games_dir, process)
        self.receivers.append(receiver)
        return receiver

    def begin_together(
        self,
        count: int,
        sources: Sequence[Reachable],
        *,
        window_mib: int = WINDOW_MIB,
        prefix: str = "seat",
        can_be_traced: bool = False,
    ) -> list[Receiver]:
        """Receivers of one wave, in the order of their positions."""
        prepared = [self.prepare(f"{prefix}-{number}", can_be_traced=can_be_traced) for number in range(count)]
        begun = [self.begin(each, sources, window_mib=window_mib) for each in prepared]
        placed = {wait_until_placed(self.stage, receiver)["position"]: receiver for receiver in begun}
        expect_equal(sorted(placed), list(range(count)), "positions in the wave")
        return [placed[position] for position in range(count)]

    def finish(self, receivers: Sequence[Receiver] | None = None) -> None:
        """Waits for the end of these receivers, and checks that each has all of the game."""
        receivers = self.receivers if receivers is None else receivers
        for receiver in receivers:
            self.stage.finish(receiver.process, 0, f"the install of {receiver.name}")
        tree = manifest(self.game.reference)
        for receiver in receivers:
            installed_whole(self.stage, self.game, receiver, tree)


def wait_until_placed(stage: Stage, receiver: Receiver) -> Event:
    return receiver.process.wait_for_event("packed-placed", stage.deadline)


def wait_for_progress(stage: Stage, receiver: Receiver, share: float) -> None:
    """Returns when it has unpacked this share of the game, and not all of it."""

    def reached(event: Event) -> bool:
        return named("stream-progress")(event) and event["bytes"] >= share * event["bytes_total"]

    event = receiver.process.wait_for_event(reached, stage.deadline, f"{share:.0%} of the game")
    expect(event["bytes"] < event["bytes_total"] * 0.95, f"the install was all but over: {event}")


def installed_whole(stage: Stage, game: RoomGame, receiver: Receiver, tree: Manifest | None = None) -> None:
    """What holds of each receiver at its end: the whole tree and nothing else, in one attempt, and verified."""
    checks.trees_equal(stage, game.reference, receiver.games_dir / GAME / checks.LOCAL, f"tree of {receiver.name}")
    checks.only_local_tree(receiver.games_dir, GAME)
    checks.no_operation_left(receiver.games_dir)
    tree = tree or manifest(game.reference)
    finished = receiver.finished
    expect_equal(finished["bytes"], total_size(tree), f"bytes that {receiver.name} reports")
    expect_equal(finished["trust"], "verified", f"trust of what {receiver.name} has")
    expect_equal(len(checks.attempts(receiver.process)), 1, f"attempts of {receiver.name}")
    expect_equal(checks.failed_attempts(receiver.process), [], f"failed attempts of {receiver.name}")


def bytes_twice(game: RoomGame, receiver: Receiver) -> int:
    """What a receiver fetched more than once."""
    ended = receiver.process.events.all(named("upstream-end"))
    return sum(event["bytes"] for event in ended) - game.archive_bytes


def time_of(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def longest_s(receivers: Sequence[Receiver]) -> float:
    """How long the slowest of them took. They begin as the machine starts them, up to two seconds apart."""
    return max(receiver.duration_s for receiver in receivers)


def sent_bytes(machine: Machine) -> int:
    """What a machine has sent in all, as its network device counts."""
    return int(docker("exec", machine.container, "cat", "/sys/class/net/eth0/statistics/tx_bytes"))


# --- what processes cost ---


def limit_processor(machine: Machine, cores: float) -> None:
    """What a machine may use of the processor, from now on."""
    docker("update", "--cpus", f"{max(cores, 0.01):.2f}", machine.container)


def pid_here(machine: Machine, words: Sequence[str]) -> int:
    """The process in a container whose command line has all these words, by its number on this machine."""
    table = docker("top", machine.container, "-eo", "pid,args").splitlines()[1:]
    found = [int(line.split()[0]) for line in table if all(word in line.split() for word in words)]
    expect_equal(len(found), 1, f"processes with {' '.join(words)} among {table}")
    return found[0]


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Sampler:
    """Looks at processes every tenth of a second, until they have ended: how much memory each had of its own, how many
    bytes it has written to a disk, and what is in its files."""

    def __init__(self) -> None:
        self.memory_peaks: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.files: dict[str, OpenFiles] = {}
        self._pids: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def watch(self, name: str, pid: int) -> None:
        self.files[name] = OpenFiles(CHUNK_BYTES)
        self._pids[name] = pid

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_INTERVAL_S):
            for name, pid in list(self._pids.items()):
                self.files[name].look(pid)
                try:
                    status = _fields(f"/proc/{pid}/status")
                    written = _fields(f"/proc/{pid}/io")["write_bytes"]
                except (OSError, KeyError):
                    continue  # it has ended
                if "RssAnon" in status:
                    self.memory_peaks[name] = max(self.memory_peaks.get(name, 0), status["RssAnon"] * 1024)
                    self.written[name] = written


def _fields(file: str) -> dict[str, int]:
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return {key: int(value.split()[0]) for key, _, value in lines if value.split() and value.split()[0].isdigit()}


def nothing_stored(receiver: Receiver, sampler: Sampler, tree: Manifest) -> None:
    """It has written what it installed and little else, wherever. No file that it had open had a chunk of the archive
    in it, and nothing but the tree is as large as a chunk."""
    written, open_files = sampler.written[receiver.name], sampler.files[receiver.name]
    files = sum(node.kind == FILE for node in tree.values())
    unpacked = total_size(tree)
    expect(written >= unpacked // 2, f"only {written} bytes written by {receiver.name} were seen: nothing was tested")
    most = unpacked + 4096 * files + 16 * 1024 * 1024
    expect(written <= most, f"{receiver.name} wrote {written} bytes; the game has {unpacked}")
    expect(
        open_files.pieces * PIECE_INTERVAL_BYTES >= unpacked // 4,
        f"only {open_files.pieces} pieces of the files of {receiver.name} were seen: nothing was tested",
    )
    expect(not open_files.packed, f"{receiver.name} had something packed in {open_files.packed}")
    changed = receiver.machine.changed_outside_mounts()
    expect(not changed, f"{receiver.name} changed {changed}")
    local = receiver.games_dir / GAME / checks.LOCAL
    for path in receiver.games_dir.rglob("*"):
        if path.is_file() and local not in path.parents and path.stat().st_size >= CHUNK_BYTES:
            raise CheckFailed(f"{path} has {path.stat().st_size} bytes")
