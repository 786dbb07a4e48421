"""What the benchmarks share: timed processes, fresh folders, aims."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scenarios.tools import TARGET_DIR, ToolFailed

BENCH_DIR = TARGET_DIR / "bench"
PEER = TARGET_DIR / "release" / "lanspread-peer-cli"
RECEIVER_STATE_DIR = BENCH_DIR / "state" / "receiver"
GAME = "bench-game"
VERSION = "1"
KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One timed process."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def timed(command: list[str | Path], *, env: dict[str, str] | None = None) -> Sample:
    """Runs a command to its end; its own output is kept for the case that it fails."""
    with (BENCH_DIR / "output.txt").open("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise ToolFailed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{output.read().strip()}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB)


def high_water_mark(pid: int | str) -> int:
    """VmHWM of a running process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    raise ToolFailed(f"/proc/{pid}/status has no VmHWM")


def emptied(name: str) -> Path:
    """A fresh folder on the disk that is measured, with nothing left to be written."""
    folder = BENCH_DIR / "out" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return folder


class Source:
    """A serving peer that runs as long as the block; afterwards, what it used."""

    def __init__(self, games: Path, options: list[str | Path]):
        state = BENCH_DIR / "state" / "source"
        command = [PEER, "serve", "--json", "--games-dir", games, "--listen", "127.0.0.1:0", "--name", "bench-source"]
        self.command = [str(part) for part in [*command, "--no-discovery", "--state-dir", state, *options]]

    def __enter__(self) -> Source:
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout  # a pipe
        self.address = json.loads(self.process.stdout.readline())["addr"]
        return self

    def __exit__(self, *_of_exception: object) -> None:
        self.peak_bytes = high_water_mark(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout  # a pipe
        self.process.stdout.read()
        _, wait_status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(wait_status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.peak_of_children_bytes = usage.ru_maxrss * KIB
        if self.process.returncode != 0:
            raise ToolFailed(f"the source ended with exit status {self.process.returncode}")


def warm(*folders: Path) -> None:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    while file.read(MIB):
                        pass


def sync(folder: Path) -> Sample:
    return timed(["sync", "-f", folder])


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of several values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterator[float] | list[float]) -> Spread:
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def seconds(self) -> str:
        return f"{self.median:7.2f} s  ({self.low:.2f} … {self.high:.2f})"


@dataclass(frozen=True)
class Aim:
    """A number of the issue and what was measured."""

    what: str
    got: float
    limit: float
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.got <= self.limit

    def line(self) -> str:
        verdict = "met" if self.is_met else "NOT MET"
        return f"  {self.what:<42} {self.got:7.2f}{self.unit}  aim ≤ {self.limit:g}{self.unit}  {verdict}"
