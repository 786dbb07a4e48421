"""What a scenario acts on: folders, sources, receivers and commands, made for it and removed after it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from . import peer as inside
from .archives import pack
from .cleanup import RunLock
from .docker import (
    create_network,
    create_small_disk,
    docker,
    network_gateway,
    remove_containers,
    remove_network,
    remove_volume,
)
from .doubles import EAVESDROPPER, FAULT_PROXY, LYING_SOURCE, PROGRAMS, FaultProxy, LyingSource
from .events import Event, named
from .expectations import CheckFailed, Deadline, expect_equal
from .image import PROGRAM
from .payload import PayloadTree
from .peer import ContainerSettings, Machine, Mount, Peer, Reachable, environment_arguments
from .small_disk import SmallDisk
from .tools import CATALOG, FIXTURES_DIR, TOOLS_DIR

# The version of every game that a scenario packs itself.
VERSION = "20250601"

# What concerns this machine only; these commands have no options about peers.
_COMMANDS_WITHOUT_PEERS = ("uninstall", "remove", "verify")

# Sets a limit of the program for tests; it is neither an option nor documented.
_IDLE_TIMEOUT_MS = "LANSPREAD_TEST_IDLE_TIMEOUT_MS"

# The line of the party of most scenarios that have one.
PARTY_LINE = "party1qqqsyqcyq5rqwzqfpg9scrgwpuf8fyaf"

# Where the machine that asks sources keeps what it needs to be of the party of each.
_OBSERVER = "observer"

# A `status` or `list` is answered at once; this bounds one that hangs.
_COMMAND_TIME_LIMIT_S = 20


@dataclass(frozen=True)
class Run:
    """What all scenarios of one run share."""

    id: str
    lock: RunLock
    image: str
    dir: Path


class OperationSettings(TypedDict, total=False):
    """What a scenario may say of an operation that it starts."""

    name: str
    """Of the machine; `receiver` without."""
    catalog: Path
    options: Sequence[str]
    """More options for its command line."""
    mounts: Sequence[Mount]
    idle_limit_s: int
    """After how long without a byte the receiver gives a source up: less than the product's own limit, to save time."""


class Abandoned(BaseException):
    """The run is ending: nothing more is made in Docker. Not an `Exception`, so that no scenario takes it for a
    failure."""


class Stage:
    def __init__(
        self,
        run: Run,
        dir: Path,
        *,
        scenario_id: str,
        time_limit_s: int,
        with_this_machine: bool = False,
        decodes_at_source: bool = False,
    ) -> None:
        self.run = run
        self.scenario_id = scenario_id
        self.with_this_machine = with_this_machine
        self.variables = {"LANSPREAD_DECODE_AT": "source"} if decodes_at_source else {}
        self.deadline = Deadline(time_limit_s)
        self.dir = dir
        self.logs_dir = self.dir / "logs"
        self.logs_dir.mkdir()
        self.peers: list[Peer] = []
        self.figures: list[str] = []
        """What was measured, for people: it is shown beside the result and nothing is asserted about it."""
        self._containers: list[str] = []
        self._observer: str | None = None
        self._disks: list[str] = []
        # Held while something is made in Docker, so that `abandon` leaves nothing half made.
        self._guard = threading.Lock()
        self._abandoned = False
        self._network = f"lanspread-{run.id}-{scenario_id.lower()}"
        create_network(self._network, str(run.lock.path), with_this_machine=with_this_machine)

    # --- games ---

    def games_dir(self, name: str) -> Path:
        """The games directory of the peer of this name; empty when new."""
        path = self.dir / "games" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def games_from(self, name: str, *sources: str) -> Path:
        """A games directory with copies of fixtures (`fixture-solid`) or single games (`fixture-alpha/alpha-arena`)."""
        games_dir = self.games_dir(name)
        for source in sources:
            path = FIXTURES_DIR / source
            for game_root in [path] if (path / "version.ini").exists() else sorted(path.iterdir()):
                shutil.copytree(game_root, games_dir / game_root.name)
        return games_dir

    def packed_game(
        self, games_dir: Path, game: str, tree: PayloadTree, archive: str = "", switches: Iterable[str] = ()
    ) -> Path:
        """Packs a payload into a root archive of a game, removes it, and returns the game root."""
        game_root = games_dir / game
        game_root.mkdir(exist_ok=True)
        tree.settle()
        pack(game_root / (archive or f"{game}.eti"), tree.root, tree.names, switches)
        shutil.rmtree(tree.root)
        (game_root / "version.ini").write_text(f"{VERSION}\n")
        return game_root

    def payload(self, name: str) -> PayloadTree:
        """A new folder to fill; `name` also seeds the content, so different names are different bytes."""
        return PayloadTree(self.dir / "payload" / name, seed=f"{self.scenario_id}/{name}")

    def catalog(self, *games: str, version: str = VERSION) -> Path:
        """A catalog of games made here, which are all of this version."""
        path = self.dir / f"catalog-{version}.toml"
        lines = ["schema = 1"]
        for game in games:
            lines += [f"[games.{game}]", f'name = "Scenario game {game}"', f'version = "{version}"']
        path.write_text("\n".join(lines) + "\n")
        return path

    # --- peers ---

    def join_party(self, *names: str, line: str = PARTY_LINE) -> None:
        """Stores the line on these machines before they start, as `party join` does; who asks them is a member."""
        for name in names:
            for state_dir in (self.dir / "state" / name, self.dir / _OBSERVER / name):
                state_dir.mkdir(parents=True, exist_ok=True)
                file = state_dir / "party"
                file.touch(mode=0o600)
                file.write_text(f"{line}\n")

    def start_source(
        self,
        name: str,
        games_dir: Path,
        *,
        catalog: Path | None = CATALOG,
        unrar: str = "",
        discovery: bool = False,
        options: Sequence[str] = (),
        mounts: Sequence[Mount] = (),
        can_be_slowed: bool = False,
    ) -> Peer:
        """Serves a games directory, and returns when the peer says that it is ready."""
        arguments = self.serve_arguments(name, with_catalog=catalog is not None, discovery=discovery)
        if unrar:
            arguments += ["--unrar", unrar]
        source = self.start(
            name,
            [*arguments, *options],
            games_dir,
            catalog=catalog or CATALOG,
            mounts=mounts,
            capabilities=("NET_ADMIN",) if can_be_slowed else (),
        )
        source.wait_for_event("peer-ready", self.deadline)
        return source

    @staticmethod
    def serve_arguments(name: str, *, with_catalog: bool = True, discovery: bool = False) -> list[str]:
        """The arguments of a peer that serves: the daemon of its games directory."""
        arguments = ["--json", "--state-dir", inside.STATE, "serve", "--games-dir", inside.GAMES]
        arguments += ["--listen", f"0.0.0.0:{inside.PORT}", "--name", name]
        if with_catalog:
            arguments += ["--catalog", inside.CATALOG]
        if not discovery:
            arguments.append("--no-discovery")
        return arguments

    def start_command(self, name: str, machine: Machine, *arguments: str) -> Peer:
        """Begins a command with the state directory of a machine. If a peer serves there, its daemon does the work."""
        return self.start(name, ["--json", "--state-dir", inside.STATE, *arguments], machine)

    def command(self, name: str, machine: Machine, *arguments: str, exit_status: int = 0) -> Peer:
        """A whole command on a machine, which must end with this exit status."""
        return self.finish(self.start_command(name, machine, *arguments), exit_status, f"the end of `{arguments[0]}`")

    def start_typed(self, name: str, machine: Machine, home: str, *words: str) -> Peer:
        """Begins a command as a person types it: without the variables of the image, and with this home folder. Only
        the form of what it prints is asked for."""
        variables = ["PATH=/usr/local/bin:/usr/bin:/bin", f"HOME={home}", "LANSPREAD_JSON=1"]
        arguments = ["exec", machine.container, "env", "--ignore-environment", *variables, PROGRAM, *words]
        return self._begin(name, machine.container, arguments, words)

    def typed(self, name: str, machine: Machine, home: str, *words: str) -> Peer:
        """A whole command as a person types it, which must succeed."""
        return self.finish(self.start_typed(name, machine, home, *words), 0, f"the end of `{words[0]}`")

    def start_operation(
        self,
        operation: Sequence[str],
        games: Path | Mount | Machine,
        sources: Sequence[Reachable] = (),
        **settings: Unpack[OperationSettings],
    ) -> Peer:
        """Begins what a user does with games, such as `["download", game]`, and returns at once."""
        arguments = ["--json", "--state-dir", inside.STATE, *operation, "--games-dir", inside.GAMES]
        arguments += ["--catalog", inside.CATALOG]
        if operation[0] not in _COMMANDS_WITHOUT_PEERS:
            arguments.append("--no-discovery")
        arguments += [word for source in sources for word in ("--peer", source.address)]
        arguments += settings.get("options", ())
        idle_limit_s = settings.get("idle_limit_s")
        environment = {_IDLE_TIMEOUT_MS: str(idle_limit_s * 1000)} if idle_limit_s else {}
        return self.start(
            settings.get("name", "receiver"),
            arguments,
            games,
            catalog=settings.get("catalog", CATALOG),
            mounts=settings.get("mounts", ()),
            environment=environment,
        )

    def operation(
        self,
        operation: Sequence[str],
        games: Path | Mount | Machine,
        sources: Sequence[Reachable] = (),
        *,
        exit_status: int,
        **settings: Unpack[OperationSettings],
    ) -> Peer:
        """A whole operation, which must end with this exit status."""
        begun = self.start_operation(operation, games, sources, **settings)
        return self.finish(begun, exit_status, f"the end of {' '.join(operation)}")

    def start_install(
        self,
        game: str,
        games: Path | Mount | Machine,
        sources: Sequence[Reachable],
        **settings: Unpack[OperationSettings],
    ) -> Peer:
        """Begins a streamed install and returns at once."""
        return self.start_operation(["install", "--stream", game], games, sources, **settings)

    def install(
        self,
        game: str,
        games: Path | Mount | Machine,
        sources: Sequence[Reachable],
        *,
        exit_status: int,
        **settings: Unpack[OperationSettings],
    ) -> Peer:
        """A whole streamed install, which must end with this exit status."""
        begun = self.start_install(game, games, sources, **settings)
        return self.finish(begun, exit_status, f"the install of {game}")

    def finish(self, peer: Peer, exit_status: int, what: str = "its end") -> Peer:
        """Waits for the end of a process, which must have this exit status."""
        peer.wait_for_exit(self.deadline, what)
        peer.expect_exit(exit_status)
        return peer

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        games: Path | Mount | Machine,
        *,
        catalog: Path = CATALOG,
        mounts: Sequence[Mount] = (),
        capabilities: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Peer:
        """Runs the program on a machine if one is given, otherwise in a container of its own with this games directory.
        A peer of the same name later in the scenario is the same machine again: it finds the same state directory."""
        variables = {**self.variables, **(environment or {})}
        if isinstance(games, Machine):
            container = games.container
            docker_arguments = ["exec", *environment_arguments(variables), container, PROGRAM, *arguments]
        else:
            settings = replace(self._settings(name, games, catalog, mounts, capabilities), environment=variables)
            container = settings.container
            docker_arguments = settings.run_arguments(arguments)
        return self._begin(name, container, docker_arguments, arguments)

    def _begin(self, name: str, container: str, docker_arguments: Sequence[str], arguments: Sequence[str]) -> Peer:
        with self._making():
            logs = self.logs_dir / f"{len(self.peers) + 1:02}-{name}"
            process = Peer(name, container, docker_arguments, arguments, logs)
            self.peers.append(process)
        return process

    def machine(
        self,
        name: str,
        games: Path | Mount,
        *,
        catalog: Path = CATALOG,
        mounts: Sequence[Mount] = (),
        capabilities: Sequence[str] = (),
    ) -> Machine:
        """A container for many commands on one games directory: quicker than a new one for each."""
        return self._idle(self._settings(name, games, catalog, mounts, capabilities))

    def _settings(
        self,
        name: str,
        games: Path | Mount,
        catalog: Path,
        mounts: Sequence[Mount] = (),
        capabilities: Sequence[str] = (),
    ) -> ContainerSettings:
        state_dir = self.dir / "state" / name
        state_dir.mkdir(parents=True, exist_ok=True)
        return self._container(
            name,
            Mount(games, inside.GAMES) if isinstance(games, Path) else games,
            Mount(state_dir, inside.STATE),
            Mount(catalog, inside.CATALOG, read_only=True),
            Mount(TOOLS_DIR, inside.TOOLS, read_only=True),
            *mounts,
            capabilities=capabilities,
        )

    def _container(self, name: str, *mounts: Mount, capabilities: Sequence[str] = ()) -> ContainerSettings:
        """Settings under a container name that is used for nothing else."""
        self._containers.append(f"{self._network}-{len(self._containers)}-{name}")
        return ContainerSettings(
            image=self.run.image,
            container=self._containers[-1],
            alias=name,
            network=self._network,
            run_lock=str(self.run.lock.path),
            user=f"{os.getuid()}:{os.getgid()}",
            mounts=mounts,
            capabilities=tuple(capabilities),
        )

    def _idle(self, settings: ContainerSettings) -> Machine:
        """Starts a container that does nothing. It ignores signals, as process 1 does; removal kills it."""
        idle = replace(settings, entrypoint="sleep")
        with self._making():
            docker(*idle.run_arguments(["infinity"], detached=True))
        return Machine(idle.container)

    def gateway(self) -> str:
        """The address at which containers of this scenario reach this machine; it must be on their network."""
        if not self.with_this_machine:
            raise ValueError(f"{self.scenario_id} does not say `with_this_machine`")
        return network_gateway(self._network)

    # --- doubles ---

    def lying_sources(
        self, game_root: Path, lies: Sequence[str] = (), *, slow: bool = False, name: str = "liar"
    ) -> list[LyingSource]:
        """Sources of the downloaded game in this folder, each with one lie and a name that begins with `name`. Without
        `lies` these are all that are found out at once without a manifest, or all that take as long as the idle limit
        if `slow`.

        A lie about who the source is begins with its second connection, so one install can meet it.
        """
        mount = Mount(game_root, f"{inside.GAMES}/{game_root.name}", read_only=True)
        arguments = ["--game-root", mount.target]
        if not lies:
            listing = self.start_double(f"{name}-list", LYING_SOURCE, [*arguments, "--list"], mount)
            self.finish(listing, 0, "the list of lies")
            lies = [
                event["lie"]
                for event in listing.events.all(named("lie"))
                if event["slow"] is slow and not event["listed"]
            ]
        arguments += ["--listen", f"0.0.0.0:{inside.PORT}", "--name", name]
        for lie in lies:
            arguments += ["--lie", lie]
        process = self.start_double(f"{name}-lying", LYING_SOURCE, arguments, mount)
        process.wait_for_event("lying-source-ready", self.deadline)
        liars = [LyingSource.from_event(event, process.name) for event in process.events.all(named("lying"))]
        expect_equal(sorted(liar.lie for liar in liars), sorted(lies), "lies of the sources")
        return liars

    def fault_proxy(
        self, source: Peer, fault: str, *, direction: str = "to-client", after_connections: int = 0
    ) -> FaultProxy:
        """The same source as a receiver sees it through a fault: `delay=MS`, `cut=N`, `stall=N`, `flip=N:BIT` or
        `trickle=BYTES:MS`, where N counts the bytes of one connection. The first connections may pass undisturbed."""
        arguments = ["--listen", f"0.0.0.0:{inside.PORT}", "--to", source.address, "--fault", fault]
        arguments += ["--direction", direction, "--after-connections", str(after_connections)]
        process = self.start_double(f"proxy-{len(self._containers)}", FAULT_PROXY, arguments)
        process.wait_for_event("fault-proxy-ready", self.deadline)
        return FaultProxy(source.name, process)

    def eavesdrop(self, name: str, machine: Machine) -> Peer:
        """Begins to report every packet at a machine on which the doubles are mounted."""
        arguments = ["exec", "--user", "0", machine.container, f"{inside.DOUBLES}/{EAVESDROPPER}"]
        process = self._begin(name, machine.container, arguments, []).of_a_double()
        process.wait_for_event("eavesdropping", self.deadline)
        return process

    def start_double(self, name: str, program: str, arguments: Sequence[str], *mounts: Mount) -> Peer:
        """Runs one of the programs that stand in for peers."""
        double = replace(self._container(name, PROGRAMS, *mounts), entrypoint=f"{inside.DOUBLES}/{program}")
        return self._begin(name, double.container, double.run_arguments(arguments), arguments).of_a_double()

    # --- asking ---

    def status_of(self, source: Peer) -> Event:
        """What the source answers to `status`, asked from a third machine."""
        answer = docker(
            "exec", self._observe(), PROGRAM, "--json", "--state-dir", f"/{_OBSERVER}/{source.name}",
            "status", "--peer", source.address,
            timeout_s=_COMMAND_TIME_LIMIT_S,
        )  # fmt: skip
        for line in answer.splitlines():
            event = json.loads(line)
            if event.get("event") == "peer-status":
                return event
        raise CheckFailed(f"`status --peer {source.address}` printed no `peer-status`: {answer!r}")

    def list_games(self, games_dir: Path, sources: Sequence[Reachable] = (), *, name: str = "lister") -> list[Event]:
        """What `list` prints about a games directory and about these sources."""
        arguments = ["--json", "--state-dir", inside.STATE, "list", "--games-dir", inside.GAMES, "--no-discovery"]
        for source in sources:
            arguments += ["--peer", source.address]
        lister = self.start(name, arguments, games_dir)
        lister.wait_for_exit(self.deadline.sooner(_COMMAND_TIME_LIMIT_S), "the end of `list`")
        lister.expect_exit(0)
        return lister.events.window()

    def _observe(self) -> str:
        """A container that only waits to have commands run in it: quicker than a new one for every question."""
        if self._observer is None:
            (self.dir / _OBSERVER).mkdir(exist_ok=True)
            settings = self._container(_OBSERVER, Mount(self.dir / _OBSERVER, f"/{_OBSERVER}"))
            self._observer = self._idle(settings).container
        return self._observer

    def small_disk(self, size_bytes: int) -> SmallDisk:
        """A games directory on a file system of its own that is really full at its size."""
        volume = f"{self._network}-disk-{len(self._disks)}"
        with self._making():
            create_small_disk(volume, size_bytes, str(self.run.lock.path))
            self._disks.append(volume)
        mount = Mount(volume, inside.GAMES)
        return SmallDisk(mount, self._idle(self._container(f"disk-{len(self._disks)}", mount)).container)

    # --- the end ---

    def running_sources(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.is_running and "serve" in peer.arguments]

    @contextlib.contextmanager
    def _making(self) -> Iterator[None]:
        with self._guard:
            if self._abandoned:
                raise Abandoned
            yield

    def abandon(self) -> None:
        """Ends our attached commands, so that none starts a container after the cleanup; no other is started."""
        with self._guard:
            self._abandoned = True
        for peer in self.peers:
            peer.detach()

    def remove_containers(self) -> None:
        """Removes what was made in Docker for this scenario."""
        remove_containers(self._containers)
        self._containers.clear()
        remove_network(self._network)
        for disk in self._disks:
            remove_volume(disk)
