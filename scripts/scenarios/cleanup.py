"""Removes what a run made in Docker, its own at the end and that of runs that died.

Everything carries a label with the path of its run's lock file. A run holds its lock as long as it lives; the kernel
lets go of it however the run ends. So a lock that can be taken belongs to a dead run.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .docker import RUN_LABEL, DockerError, labelled, remove_containers, remove_network, remove_volume


class RunLock:
    """Held for the life of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not inherited by children: a `docker` process that outlives the run must not keep it alive.
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def is_dead(lock: str) -> bool:
    """Whether no run holds this lock file."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # another user's, and not ours to judge
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove_run(lock: str) -> None:
    """Removes the containers, networks and volumes of one run."""
    remove_containers(id for id, owner in labelled("container", RUN_LABEL) if owner == lock)
    for id, owner in labelled("network", RUN_LABEL):
        if owner == lock:
            remove_network(id)
    for id, owner in labelled("volume", RUN_LABEL):
        if owner == lock:
            remove_volume(id)


def remove_dead_runs() -> list[str]:
    """Removes what killed runs have left; returns their lock files."""
    owners = {owner for kind in ("container", "network", "volume") for _, owner in labelled(kind, RUN_LABEL)}
    dead = sorted(owner for owner in owners if is_dead(owner))
    removed = []
    for lock in dead:
        try:
            remove_run(lock)
        except DockerError:
            continue  # another run is clearing the same leftovers at this moment
        removed.append(lock)
    return removed
