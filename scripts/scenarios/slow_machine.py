"""A machine that unpacks at a given pace: each write of the thread that writes the files waits.

What a quota or other work makes of a processor depends on the machine, on its scheduler and on what else runs there. It
also slows what takes from the network, and then nothing is unpacked because nothing comes. A write that waits is the
same on each machine, and holds up all that comes before it: the decoder, and in the end the window.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Self

from .docker import docker
from .peer import Machine, Mount
from .stage import Run
from .taken_along import taken_along

# What a machine must have been made with.
CAPABILITY = "SYS_PTRACE"

# One write of a large file.
_WRITE_BYTES = 256 * 1024

_PROGRAM_DIR = "/opt/strace"
_STRACE = f"{_PROGRAM_DIR}/strace"

# The thread of a process that has written most, files and sockets together.
_WRITER = (
    'for each in /proc/$0/task/*; do read -r _ count < <(grep wchar "$each/io"); echo "$count ${each##*/}"; done'
    " | sort -n | tail -n 1"
)


def tracing(run: Run) -> Mount:
    """What a machine must have mounted."""
    return Mount(_program(run), _PROGRAM_DIR, read_only=True)


def _program(run: Run) -> Path:
    return taken_along(run, "strace", "strace")


class SlowMachine:
    """A machine whose install unpacks so many bytes a second at most, for as long as the block. It must have begun to
    write files."""

    def __init__(self, machine: Machine, pid: int, bytes_per_second: float) -> None:
        """`pid` is the process of the install there."""
        self._machine = machine
        written = docker("exec", "--user", "0", machine.container, "bash", "-c", _WRITER, str(pid))
        delay_us = int(1_000_000 * _WRITE_BYTES / bytes_per_second)
        inject = f"inject=write:delay_enter={delay_us}"
        self._arguments = ["-qq", "-o", "/dev/null", "-p", written.split()[1], "-e", "trace=write", "-e", inject]

    def __enter__(self) -> Self:
        command = ["env", f"LD_LIBRARY_PATH={_PROGRAM_DIR}", _STRACE, *self._arguments]
        docker("exec", "--detach", "--user", "0", self._machine.container, *command)
        return self

    def __exit__(self, *_: object) -> None:
        # It lets go of the thread, which goes on at its own pace.
        self._machine.signal(signal.SIGTERM, self._arguments)
