"""A thin layer over the docker command line: argument lists in, text out, one exception."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
from collections.abc import Iterable, Sequence

# Docker answers within a second; this bounds a daemon that hangs. Builds get their own limit.
COMMAND_TIMEOUT_S = 60
BUILD_TIMEOUT_S = 600

# Every container, network and image of the harness carries RUN_LABEL, and nothing without it is ever removed. Its
# value is the lock file of the run that made the thing: a run whose lock is free is dead (see cleanup.py).
RUN_LABEL = "lanspread.scenarios.run-lock"


class DockerError(RuntimeError):
    def __init__(self, arguments: Sequence[str], status: int, stderr: str, stdout: str = "") -> None:
        super().__init__(f"docker {' '.join(arguments)}: exit {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr
        self.stdout = stdout


def docker(*arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """Runs one docker command and returns its standard output."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            # Ctrl-C is the harness's to handle; a cleanup command must not be hit by it.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise DockerError(arguments, 127, "there is no docker command on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise DockerError(arguments, 124, f"no answer within {timeout_s:g} s") from error
    if done.returncode != 0:
        raise DockerError(arguments, done.returncode, done.stderr, done.stdout)
    return done.stdout


def engine_problem() -> str | None:
    """Why no container can be run here, or nothing."""
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except DockerError as error:
        return f"the Docker engine does not answer: {error.stderr.strip()}"
    return None


def image_exists(tag: str) -> bool:
    try:
        docker("image", "inspect", "--format", "{{.Id}}", tag)
    except DockerError:
        return False
    return True


def labelled(kind: str, label: str) -> list[tuple[str, str]]:
    """Id and label value of every container, network, volume or image that carries the label."""
    listing = ["ls", "--quiet", "--filter", f"label={label}"]
    if kind == "container":
        listing.append("--all")
    if kind == "network":
        listing.append("--no-trunc")
    ids = dict.fromkeys(docker(kind, *listing).split())
    found = []
    for id in ids:
        try:
            described = json.loads(docker(kind, "inspect", id))[0]
        except DockerError:
            continue  # it went away between the two commands
        labels = described.get("Labels") or described.get("Config", {}).get("Labels") or {}
        found.append((id, labels.get(label, "")))
    return found


def remove_containers(ids: Iterable[str]) -> None:
    for id in ids:
        # `--volumes`: only anonymous ones, which were made with the container.
        docker("container", "rm", "--force", "--volumes", id)


def create_small_disk(name: str, size_bytes: int, lock: str) -> None:
    """A volume in memory that is really full at its size. Its content lives as long as a container has it mounted."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size_bytes},mode=1777"}
    arguments = [argument for key, value in options.items() for argument in ("--opt", f"{key}={value}")]
    docker("volume", "create", "--driver", "local", *arguments, "--label", f"{RUN_LABEL}={lock}", name)


def remove_volume(name: str) -> None:
    docker("volume", "rm", name)


def create_network(name: str, lock: str, *, with_this_machine: bool) -> None:
    """A bridge. This machine gets an address on it only if asked to: with one it takes part in the network, and a peer
    that serves on this machine would find the peers there and be found."""
    arguments = ["--driver", "bridge", "--label", f"{RUN_LABEL}={lock}"]
    if not with_this_machine:
        arguments += ["--opt", "com.docker.network.bridge.inhibit_ipv4=true"]
    docker("network", "create", *arguments, name)
    gateway = network_gateway(name)
    # An engine that does not know the option ignores it.
    if not with_this_machine and is_address_of_this_machine(gateway):
        docker("network", "rm", name)
        problem = f"this machine has the address {gateway} on a network that was asked for without one"
        raise DockerError(["network", "create", *arguments, name], 0, problem)


def is_address_of_this_machine(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True


def network_gateway(name: str) -> str:
    """The address that this machine has on the network, if it has one."""
    return docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", name).strip()


def remove_network(name: str) -> None:
    docker("network", "rm", name)
