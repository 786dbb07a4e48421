"""A machine whose processor has other work, so that a receiver there decodes slowly.

A quota (`docker update --cpus`) makes no slow decoder. It stops all threads of a machine at once, also those that take
from the network, and then nothing is decoded because nothing comes. Beside other work each thread has a share of its
own, which is enough for all but the one that decodes.
"""

from __future__ import annotations

import os
from typing import Self

from .docker import docker
from .peer import Machine

# Against one that is not nice, a thread with this niceness has an eightieth of a processor.
_NICENESS = "19"

# A loop is busy until there is a file of this name.
_END = "/tmp/other-work-ends"
_LOOP = f"while [ ! -e {_END} ]; do :; done"


class BusyMachine:
    """A machine with other work on its only processor, for as long as the block."""

    def __init__(self, machine: Machine, pid: int, loops: int) -> None:
        """`pid` is the receiver's there, and `loops` how many others it shares the processor with."""
        self._container = machine.container
        self._pid = pid
        self._loops = loops

    def __enter__(self) -> Self:
        self._use({min(os.sched_getaffinity(0))})
        # Threads that it begins later are as nice. They stay so, which does not matter without other work.
        script = 'for each in /proc/$0/task/*; do renice -n "$1" -p ${each##*/} >/dev/null; done'
        docker("exec", self._container, "bash", "-c", script, str(self._pid), _NICENESS)
        for _ in range(self._loops):
            docker("exec", "--detach", self._container, "sh", "-c", _LOOP)
        return self

    def __exit__(self, *_: object) -> None:
        docker("exec", self._container, "touch", _END)
        self._use(os.sched_getaffinity(0))

    def _use(self, processors: set[int]) -> None:
        docker("update", "--cpuset-cpus", ",".join(map(str, sorted(processors))), self._container)
