"""Programs that are started through launcher.py, alone, side by side or as a pipe, and what each of them used."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from scenarios.tools import ToolFailed

LAUNCHER = Path(__file__).with_name("launcher.py")
KIB = 1024
# A launcher is ready in some 20 ms; a machine that needs longer than this cannot be measured on.
READY_SECONDS = 30
# Of what a program printed before it failed.
LAST_WORDS_BYTES = 2000


Command = list[str | Path]


@dataclass(frozen=True)
class Usage:
    """What one process used. Times are seconds, the start and the end are those of a clock that all processes share."""

    role: str
    started: float
    ended: float
    user_seconds: float
    system_seconds: float
    peak_bytes: int

    @property
    def wall_seconds(self) -> float:
        return self.ended - self.started

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds


@dataclass(frozen=True)
class Program:
    """What to start, and what it is called in the report."""

    role: str
    command: Sequence[str | Path]
    env: dict[str, str] = field(default_factory=dict)
    # The cores it may use; all of them if there is none.
    cores: tuple[int, ...] = ()

    def words(self) -> list[str]:
        return [str(part) for part in self.command]


class Launched:
    """A program with its launcher, from the start of the launcher to the report. Leaving the block ends both."""

    def __init__(
        self, program: Program, *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | int | None = None
    ) -> None:
        self.program = program
        self._output: IO[bytes] = tempfile.TemporaryFile()
        self._control, far_end = socket.socketpair()
        cores = ",".join(map(str, program.cores)) or "-"
        command = [sys.executable, "-I", "-S", str(LAUNCHER), str(far_end.fileno()), cores, *program.words()]
        with far_end:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=self._output if stdout is None else stdout,
                stderr=self._output,
                env={**os.environ, "LC_ALL": "C.UTF-8", **program.env},
                pass_fds=[far_end.fileno()],
                # Ctrl-C is for the benchmark, which then ends its programs.
                start_new_session=True,
            )
        self._control.settimeout(READY_SECONDS)
        self._expect(b"r")

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_of_exception: object) -> None:
        self._control.close()
        self._process.wait()
        self._output.close()
        if self._process.stdout:
            self._process.stdout.close()

    def go(self) -> None:
        self._control.sendall(b"g")

    def first_line(self, seconds: float) -> bytes:
        """The first line of a program whose output is a pipe."""
        assert self._process.stdout  # a pipe
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            raise ToolFailed(f"{self.program.role} printed nothing for {seconds} s")
        return self._process.stdout.readline()

    @property
    def output(self) -> IO[bytes]:
        assert self._process.stdout  # a pipe
        return self._process.stdout

    def stop(self) -> Usage:
        """Ends a program that runs until it is told to."""
        self._control.sendall(b"t")
        return self.result()

    def result(self) -> Usage:
        """Waits for the end. Raises `ToolFailed` if the exit status is not 0."""
        self._control.settimeout(None)
        text = bytearray()
        while not text.endswith(b"\n"):
            piece = self._control.recv(4096)
            if not piece:
                raise ToolFailed(f"the launcher of {self.program.role} ended without a report: {self._last_words()}")
            text += piece
        usage, status = parse_report(self.program.role, text.decode())
        if status != 0:
            raise ToolFailed(f"{self.program.role}: {' '.join(self.program.words())}: {status}: {self._last_words()}")
        return usage

    def _expect(self, wanted: bytes) -> None:
        try:
            if self._control.recv(1) == wanted:
                return
        except TimeoutError:
            pass
        self.__exit__()
        raise ToolFailed(f"the launcher of {self.program.role} did not start")

    def _last_words(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - LAST_WORDS_BYTES))
        return self._output.read().decode(errors="replace").strip() or "no message"


def parse_report(role: str, line: str) -> tuple[Usage, int]:
    """The line of a launcher: usage, and the exit status (negative: the signal that ended the program)."""
    started, ended, user, system, peak_kib, status = line.split()
    usage = Usage(role, float(started), float(ended), float(user), float(system), int(peak_kib) * KIB)
    return usage, os.waitstatus_to_exitcode(int(status))


def run(program: Program) -> Usage:
    return run_together([program])[0]


def run_together(programs: Sequence[Program]) -> list[Usage]:
    """Starts all of them at once and waits for all of them; one that fails ends the others."""
    with ExitStack() as stack:
        launched = [stack.enter_context(Launched(program)) for program in programs]
        for one in launched:
            one.go()
        return [one.result() for one in launched]


def run_pipe(first: Program, second: Program) -> list[Usage]:
    """`first | second`."""
    with Launched(first, stdout=subprocess.PIPE) as writer:
        with Launched(second, stdin=writer.output) as reader:
            # Only the reader may hold the reading end: the writer must notice if the reader ends.
            writer.output.close()
            writer.go()
            reader.go()
            used = reader.result()
            return [writer.result(), used]


def floor_bytes() -> int:
    """The smallest peak that can be told apart: that of a program that does nothing."""
    return run(Program("floor", ["true"])).peak_bytes
