"""One `lanspread-peer-cli` process in a container of its own, with everything that it said."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

from .docker import RUN_LABEL, DockerError, docker
from .events import named
from .expectations import Deadline, expect_equal
from .process import Process

# Every serving peer has a network name of its own, so all can listen on one port.
PORT = 7300

# Where things are inside every container.
GAMES = "/games"
STATE = "/state"
CATALOG = "/catalog.toml"
TOOLS = "/opt/tools"
DOUBLES = "/opt/doubles"

# What the engine itself puts into every container.
_ENGINE_FILES = (
    "/.dockerenv",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/dev/console",
    "/proc",
    "/sys",
)

# The signals that end the program.
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)

# What `docker run` itself exits with when the container could not be started.
_DOCKER_FAILED = 125


class Reachable(Protocol):
    """Something that a receiver can be pointed at: a peer, or a stand-in for one."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str: ...


@dataclass(frozen=True)
class Mount:
    source: Path | str
    """A folder or file of this machine, or the name of a volume."""
    target: str
    read_only: bool = False

    def argument(self) -> str:
        kind = "bind" if isinstance(self.source, Path) else "volume"
        option = f"type={kind},source={self.source},target={self.target}"
        return f"{option},readonly" if self.read_only else option


@dataclass(frozen=True)
class ContainerSettings:
    image: str
    container: str
    alias: str
    """Its name on the network."""
    network: str
    run_lock: str
    user: str
    mounts: tuple[Mount, ...] = ()
    capabilities: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: str = ""

    def run_arguments(self, arguments: Sequence[str], *, detached: bool = False) -> list[str]:
        """Arguments for `docker` that start the container with these arguments for its program."""
        command = ["run", "--name", self.container, "--network", self.network]
        command += ["--network-alias", self.alias, "--hostname", self.alias]
        command += ["--label", f"{RUN_LABEL}={self.run_lock}", "--user", self.user]
        # The image's own check would be a process beside the peer, and scenarios count those.
        command += ["--no-healthcheck"]
        # A signal goes where the scenario sends it, not where the terminal does.
        command += ["--detach"] if detached else ["--sig-proxy=false"]
        for mount in self.mounts:
            command += ["--mount", mount.argument()]
        for capability in self.capabilities:
            command += ["--cap-add", capability]
        command += environment_arguments(self.environment)
        if self.entrypoint:
            command += ["--entrypoint", self.entrypoint]
        return [*command, self.image, *arguments]


def environment_arguments(environment: Mapping[str, str]) -> list[str]:
    """The options of `docker run` and `docker exec` that set these variables."""
    return [argument for name, value in environment.items() for argument in ("--env", f"{name}={value}")]


@dataclass(frozen=True)
class Machine:
    """A running container in which several commands can be run one after the other, or beside each other."""

    container: str

    def pid_of(self, arguments: Sequence[str]) -> int:
        """The process in it that runs the program with these arguments, by its number there."""
        script = (
            "for each in /proc/[0-9]*; do tr '\\0' ' ' <$each/cmdline && echo \"|${each#/proc/}\"; done 2>/dev/null"
        )
        table = docker("exec", "--user", "0", self.container, "sh", "-c", script).splitlines()
        processes = [line.rpartition("|") for line in table]
        found = [int(pid) for command, _, pid in processes if command.endswith(f" {' '.join(arguments)} ")]
        expect_equal(len(found), 1, f"processes that run {' '.join(arguments)}")
        return found[0]

    def signal(self, number: int, arguments: Sequence[str]) -> None:
        """Signals the process in it that runs the program with these arguments."""
        pid = str(self.pid_of(arguments))
        docker("exec", "--user", "0", self.container, "sh", "-c", 'kill -s "$0" "$1"', str(int(number)), pid)

    def limit_sending(self, bytes_per_second: int) -> None:
        """Slows what the container sends, from now on; it must have been made with the capability for it."""
        rate = f"{bytes_per_second * 8}bit"
        queue = ["root", "tbf", "rate", rate, "burst", "128kb", "latency", "200ms"]
        docker("exec", "--user", "0", self.container, "tc", "qdisc", "replace", "dev", "eth0", *queue)

    def drop_packets(self, chain: str, *match: str) -> None:
        """Drops the packets of the container that match, from now on: `INPUT` those to it, `OUTPUT` those from it. It
        must have been made with the capability for it."""
        rule = ["iptables", "--append", chain, "--protocol", "tcp", *match, "--jump", "DROP"]
        docker("exec", "--user", "0", self.container, *rule)

    def changed_outside_mounts(self) -> list[str]:
        """Paths that processes in it made or changed outside the mounted folders."""
        mounts = docker("inspect", "--format", "{{range .Mounts}}{{.Destination}} {{end}}", self.container).split()
        ignored = {*mounts, *_ENGINE_FILES}
        for path in list(ignored):
            ignored.update(str(parent) for parent in PurePosixPath(path).parents)
        return [line for line in docker("diff", self.container).splitlines() if line.split(" ", 1)[1] not in ignored]


class Peer(Process):
    """A process of the program in a container, or of a double."""

    def __init__(
        self, name: str, container: str, docker_arguments: Sequence[str], arguments: Sequence[str], logs: Path
    ) -> None:
        """Starts it with `docker_arguments`, which end in `arguments`."""
        super().__init__(name, ["docker", *docker_arguments], logs)
        self.container = container
        self.arguments = list(arguments)
        self.end_is_wanted = False
        """Whether the scenario ended it, or waited for its end."""

    def wait_for_exit(self, deadline: Deadline, what: str = "its end") -> int:
        status = super().wait_for_exit(deadline, what)
        if status == _DOCKER_FAILED:
            raise DockerError(["run", self.container], status, self.stderr())
        self.end_is_wanted = True
        return status

    def of_a_double(self) -> Self:
        """The same process, of which is known that it is not of the program."""
        self.events.is_of_a_double = True
        return self

    def detach(self) -> None:
        """Ends the command that is attached to the container; the container is left to the cleanup."""
        self.terminate()

    @property
    def address(self) -> str:
        return f"{self.name}:{PORT}"

    @property
    def identity(self) -> str:
        """Of a peer that serves."""
        ready: str = self.events.all(named("peer-ready"))[-1]["peer"]
        return ready

    def ip_address(self) -> str:
        """The IP address of its container on the private network."""
        return self.network_address()[0]

    def network_address(self) -> tuple[str, int]:
        """Where this machine reaches it; its name is known only inside the private network."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", template, self.container).strip(), PORT

    # --- faults ---

    def signal(self, number: int) -> None:
        """Signals the program in the container."""
        self.end_is_wanted |= number in _ENDING_SIGNALS
        docker("kill", "--signal", signal.Signals(number).name, self.container)

    def kill(self) -> None:
        """SIGKILL, and nothing of the process is left when this returns."""
        self.signal(signal.SIGKILL)
        docker("wait", self.container)

    def pause(self) -> None:
        docker("pause", self.container)

    def unpause(self) -> None:
        docker("unpause", self.container)

    def limit_sending(self, bytes_per_second: int) -> None:
        """Slows what the container sends, from now on; it must have been started with the capability for it."""
        self.machine.limit_sending(bytes_per_second)

    def drop_packets(self, chain: str, *match: str) -> None:
        """Drops the packets of the container that match, from now on: `INPUT` those to it, `OUTPUT` those from it. It
        must have been started with the capability for it."""
        self.machine.drop_packets(chain, *match)

    def dropped_packets(self) -> int:
        """How many packets the rules of `drop_packets` have dropped."""
        listing = docker("exec", "--user", "0", self.container, "iptables", "--list", "--verbose", "--exact")
        rules = [line.split() for line in listing.splitlines() if " DROP " in line]
        return sum(int(rule[0]) for rule in rules)

    # --- looking inside ---

    def processes(self) -> list[str]:
        """The command line of every process in the container, zombies included."""
        table = docker("top", self.container, "-eo", "pid,stat,args").splitlines()[1:]
        return [" ".join(line.split()[1:]) for line in table]

    def open_archives(self) -> list[str]:
        """Every descriptor on an archive that any process in the container holds."""
        search = ["find", "/proc", "-mindepth", "3", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*"]
        search += ["-lname", "*.eti*", "-printf", "%p -> %l\\n"]
        try:
            found = docker("exec", "--user", "0", self.container, *search)
        except DockerError as error:
            # `find` complains about processes that end while it looks, itself included; what it found still counts.
            if error.status != 1:
                raise
            found = error.stdout
        return found.splitlines()

    @property
    def machine(self) -> Machine:
        """Its container, to run something beside it."""
        return Machine(self.container)
