"""What a scenario acts on: folders, sources, receivers and commands, made for it and removed behind it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import peer as inside
from .archives import pack
from .cleanup import RunLock
from .contract import CheckFailed, Deadline, Scenario, expect_equal
from .docker import (
    DockerError,
    create_network,
    create_small_disk,
    docker,
    network_gateway,
    remove_containers,
    remove_network,
    remove_volume,
)
from .events import Event
from .image import PROGRAM
from .payload import PayloadTree
from .peer import ContainerSettings, Machine, Mount, Peer, Reachable
from .relay import Lie, Relay
from .tools import CATALOG, FIXTURES_DIR, TOOLS_DIR

# The version of every game that a scenario packs itself.
VERSION = "20250601"

# A `status` or `list` is answered at once; this bounds one that hangs.
_COMMAND_TIME_LIMIT_S = 20


@dataclass(frozen=True)
class Run:
    """What all scenarios of one run share."""

    id: str
    lock: RunLock
    image: str
    dir: Path


@dataclass(frozen=True)
class SmallDisk:
    """A games directory that this machine does not see; a container that holds it open looks for us."""

    mount: Mount
    holder: str

    def names(self) -> list[str]:
        """Every path on it, except our own state."""
        listing = docker("exec", self.holder, "find", inside.GAMES, "-mindepth", "1", "-printf", "%P\\n")
        return sorted(path for path in listing.splitlines() if path.split("/")[0] != ".lanspread")

    def fill(self, file: str) -> None:
        """Takes all the space that is left."""
        try:
            docker("exec", self.holder, "dd", "if=/dev/zero", f"of={inside.GAMES}/{file}", "bs=1M")
        except DockerError as error:
            if "No space left" not in error.stderr:
                raise
        else:
            raise CheckFailed("the small disk took everything: it is not small")


class Stage:
    def __init__(self, run: Run, scenario: Scenario, dir: Path) -> None:
        self.run = run
        self.scenario = scenario
        self.deadline = Deadline(scenario.time_limit_s)
        self.dir = dir
        self.logs_dir = self.dir / "logs"
        self.logs_dir.mkdir()
        self.peers: list[Peer] = []
        self._containers: list[str] = []
        self._observer: str | None = None
        self._disks: list[str] = []
        self._relays: list[Relay] = []
        self._network = f"lanspread-{run.id}-{scenario.id.lower()}"
        create_network(self._network, str(run.lock.path))

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
        return PayloadTree(self.dir / "payload" / name, seed=f"{self.scenario.id}/{name}")

    def catalog(self, *games: str) -> Path:
        """A catalog of games packed here."""
        path = self.dir / "catalog.toml"
        lines = ["schema = 1"]
        for game in games:
            lines += [f"[games.{game}]", f'name = "Scenario game {game}"', f'version = "{VERSION}"']
        path.write_text("\n".join(lines) + "\n")
        return path

    # --- peers ---

    def start_source(
        self,
        name: str,
        games_dir: Path,
        *,
        catalog: Path = CATALOG,
        unrar: str = "",
        options: Sequence[str] = (),
        mounts: Sequence[Mount] = (),
        can_be_slowed: bool = False,
    ) -> Peer:
        """Serves a games directory, and returns when the peer says that it is ready."""
        arguments = ["--json", "--state-dir", inside.STATE, "serve", "--games-dir", inside.GAMES]
        arguments += [
            "--listen",
            f"0.0.0.0:{inside.PORT}",
            "--name",
            name,
            "--catalog",
            inside.CATALOG,
            "--no-discovery",
        ]
        if unrar:
            arguments += ["--unrar", unrar]
        source = self.start(
            name,
            [*arguments, *options],
            games_dir,
            catalog=catalog,
            mounts=mounts,
            capabilities=("NET_ADMIN",) if can_be_slowed else (),
        )
        source.wait_for_event("peer-ready", self.deadline)
        return source

    def start_install(
        self,
        game: str,
        games: Path | Mount | Machine,
        sources: Sequence[Reachable],
        *,
        name: str = "receiver",
        catalog: Path = CATALOG,
        options: Sequence[str] = (),
    ) -> Peer:
        """Begins a streamed install and returns at once."""
        return self.start(name, self._install_arguments(game, sources, options), games, catalog=catalog)

    @staticmethod
    def _install_arguments(game: str, sources: Sequence[Reachable], options: Sequence[str] = ()) -> list[str]:
        arguments = ["--json", "--state-dir", inside.STATE, "install", "--stream", game, "--games-dir", inside.GAMES]
        arguments += ["--catalog", inside.CATALOG, "--no-discovery"]
        for source in sources:
            arguments += ["--peer", source.address]
        return [*arguments, *options]

    def install(
        self,
        game: str,
        games: Path | Mount | Machine,
        sources: Sequence[Reachable],
        *,
        exit_status: int,
        name: str = "receiver",
        catalog: Path = CATALOG,
        options: Sequence[str] = (),
    ) -> Peer:
        """A whole streamed install, which must end with this exit status."""
        receiver = self.start_install(game, games, sources, name=name, catalog=catalog, options=options)
        receiver.wait_for_exit(self.deadline, f"the install of {game}")
        self.expect_exit(receiver, exit_status)
        return receiver

    @staticmethod
    def expect_exit(peer: Peer, status: int) -> None:
        last_words = peer.stderr().strip().splitlines()[-3:]
        expect_equal(
            peer.status, status, f"exit status of {peer.name} (it said: {' / '.join(last_words) or 'nothing'})"
        )

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        games: Path | Mount | Machine,
        *,
        catalog: Path = CATALOG,
        mounts: Sequence[Mount] = (),
        capabilities: Sequence[str] = (),
    ) -> Peer:
        """Runs the program with these arguments: on a machine if one is given, otherwise in a container of its own with
        this games directory. A peer of the same name later in the scenario is the same machine again: it finds the same
        state directory."""
        if isinstance(games, Machine):
            container = games.container
            docker_arguments = ["exec", container, PROGRAM, *arguments]
        else:
            settings = self._settings(name, games, catalog, mounts, capabilities)
            container = settings.container
            docker_arguments = settings.run_arguments(arguments)
        process = Peer(name, container, docker_arguments, arguments, self.logs_dir / f"{len(self.peers) + 1:02}-{name}")
        self.peers.append(process)
        return process

    def machine(self, name: str, games: Path | Mount, *, catalog: Path = CATALOG) -> Machine:
        """A container for many commands on one games directory: quicker than a new one for each."""
        return self._idle(self._settings(name, games, catalog))

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

    @staticmethod
    def _idle(settings: ContainerSettings) -> Machine:
        """Starts a container that does nothing. It ignores signals, as process 1 does; removal kills it."""
        idle = replace(settings, entrypoint="sleep")
        docker(*idle.run_arguments(["infinity"], detached=True))
        return Machine(idle.container)

    def lying(self, source: Peer, lie: Lie) -> Relay:
        """The same source as a receiver sees it through a relay that tells a lie."""
        relay = Relay(network_gateway(self._network), source.name, source.network_address(), lie)
        self._relays.append(relay)
        return relay

    # --- asking ---

    def status_of(self, source: Peer) -> Event:
        """What the source answers to `status`, asked from a third machine."""
        answer = docker(
            "exec", self._observe(), PROGRAM, "--json", "--state-dir", "/tmp/observer",
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
        self.expect_exit(lister, 0)
        return lister.events.window()

    def _observe(self) -> str:
        """A container that only waits to have commands run in it: quicker than a new one for every question."""
        if self._observer is None:
            self._observer = self._idle(self._container("observer")).container
        return self._observer

    def small_disk(self, size_bytes: int) -> SmallDisk:
        """A games directory on a file system of its own that is really full at its size."""
        volume = f"{self._network}-disk-{len(self._disks)}"
        create_small_disk(volume, size_bytes, str(self.run.lock.path))
        self._disks.append(volume)
        mount = Mount(volume, inside.GAMES)
        return SmallDisk(mount, self._idle(self._container(f"disk-{len(self._disks)}", mount)).container)

    # --- the end ---

    def running_sources(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.is_running and "serve" in peer.arguments]

    def abandon(self) -> None:
        """Ends our relays, and our attached commands, so that none starts a container behind the cleanup's back."""
        for relay in self._relays:
            relay.close()
        for peer in self.peers:
            peer.detach()

    def remove_containers(self) -> None:
        """Removes what was made in Docker for this scenario."""
        remove_containers(self._containers)
        self._containers.clear()
        remove_network(self._network)
        for disk in self._disks:
            remove_volume(disk)
