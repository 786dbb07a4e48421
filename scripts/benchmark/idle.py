"""How much of the machine others use: before a round, and during one.

Counted are the processes that are not ours and the time that the host of a virtual machine took. Threads of the kernel
are left out: they write what we wrote.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PF_KTHREAD = 0x0020_0000

# Above this share of the machine, a figure is not that of the program.
FOREIGN_SHARE_MAX = 0.06
# Below this, the ticks of the clock decide more than others do.
FOREIGN_SECONDS_MIN = 0.05
WINDOW_SECONDS = 0.5
WAIT_SECONDS = 60.0
TOTAL_WAIT_SECONDS = 900.0


@dataclass(frozen=True)
class Ticks:
    """Counters of the machine at one moment, in seconds."""

    at: float
    # Of all processes; without interrupts, which also serve what we do.
    busy: float
    stolen: float
    kernel_threads: float


def now() -> Ticks:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    user, nice, system = (int(field) for field in fields[1:4])
    stolen = int(fields[8])
    scale = 1 / TICKS_PER_SECOND
    return Ticks(time.monotonic(), (user + nice + system) * scale, stolen * scale, kernel_threads() * scale)


def kernel_threads() -> int:
    """Ticks of all threads of the kernel."""
    total = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        total += kernel_ticks(text)
    return total


def kernel_ticks(stat: str) -> int:
    """User and system ticks of a line of /proc/PID/stat if it is a thread of the kernel, otherwise 0."""
    # The name may hold anything, also spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    flags, user, system = int(fields[6]), int(fields[11]), int(fields[12])
    return user + system if flags & PF_KTHREAD else 0


def foreign_share(before: Ticks, after: Ticks, own_seconds: float, cores: int) -> float:
    """The share of the machine that others used between two moments, if we used `own_seconds` of processor time."""
    elapsed = after.at - before.at
    if elapsed <= 0:
        return 0.0
    kernel = after.kernel_threads - before.kernel_threads
    foreign = after.busy - before.busy - kernel - own_seconds + after.stolen - before.stolen
    if foreign < FOREIGN_SECONDS_MIN:
        return 0.0
    return foreign / (elapsed * cores)


def own_seconds() -> float:
    """The processor time of this process and of everything that it started and that has ended."""
    return sum(os.times()[:4])


class Patience:
    """Waits for an idle machine: up to a minute for each sample, and a quarter of an hour in a whole run.

    On a machine that is never idle, a run would otherwise wait for hours to mark every figure anyway.
    """

    def __init__(self, say: Callable[[str], None], total_seconds: float = TOTAL_WAIT_SECONDS) -> None:
        self._say = say
        self._left = total_seconds

    @property
    def is_over(self) -> bool:
        return self._left <= 0

    def until_idle(self) -> bool:
        """Returns when others leave the machine alone; false if they do not while there is patience."""
        started = time.monotonic()
        limit = min(WAIT_SECONDS, self._left)
        is_told = False
        while (share := self._look()) > FOREIGN_SHARE_MAX:
            waited = time.monotonic() - started
            if waited >= limit:
                self._left -= waited
                return False
            if not is_told:
                self._say(f"waiting: others use {share:.0%} of this machine")
                is_told = True
        # Looking takes time on an idle machine, too, and costs no patience.
        if is_told:
            self._left -= time.monotonic() - started
        return True

    def _look(self) -> float:
        before, own = now(), own_seconds()
        time.sleep(WINDOW_SECONDS)
        return foreign_share(before, now(), own_seconds() - own, os.cpu_count() or 1)
