"""One receiver on this machine: a packed against a decoded stream, without containers and without limits."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from scenarios.tools import ToolFailed

from .. import disk, idle
from ..contenders import check_tree
from ..disk import fresh
from ..launch import Command, Program, Usage, run
from ..making import GAME, Made, make
from ..measure import warm
from ..servers import PEER, Source
from ..works import WORKS
from .figures import LOOP_DECODED, LOOP_PACKED
from .samples import RoomFailure, RoomSample, Used

# A solid game of bench.py.
WORK = "solid-m3"
OPTIONS: dict[str, tuple[str, ...]] = {LOOP_PACKED: (), LOOP_DECODED: ("--decode-at", "source")}


class Loopback:
    """Rounds in which both take turns; the one that begins is another one in each round."""

    def __init__(self, rounds: int, scale: float, say: Callable[[str], None]) -> None:
        self.samples: list[RoomSample] = []
        self.failures: list[RoomFailure] = []
        self._rounds, self._scale, self._say = rounds, scale, say

    def run(self) -> None:
        [work] = [work.scaled(self._scale) for work in WORKS if work.name == WORK]
        with disk.alone():
            try:
                made = make(work)
                catalog = built_catalog(made)
                for number in range(1, self._rounds + 1):
                    modes = list(OPTIONS) if number % 2 else list(OPTIONS)[::-1]
                    for mode in modes:
                        self._one(made, catalog, mode, number)
            finally:
                disk.remove_all()

    def _one(self, made: Made, catalog: Path, mode: str, number: int) -> None:
        warm(made)
        before, own = idle.now(), idle.own_seconds()
        try:
            used = installed(made, catalog, mode)
        except ToolFailed as failed:
            self.failures.append(RoomFailure(mode, 1, number, str(failed)))
            self._say(f"round {number}, {mode} FAILED: {failed}")
            return
        share = idle.foreign_share(before, idle.now(), idle.own_seconds() - own, os.cpu_count() or 1)
        disk.put_all_aside()
        self.samples.append(RoomSample(mode, 1, number, 0, used, share))
        self._say(f"round {number}, {mode}: {self.samples[-1].seconds:.2f} s, others used {share:.0%}")


def built_catalog(made: Made) -> Path:
    """With the manifest, which a packed stream needs."""
    # Not among the folders that are put aside after each install.
    out = disk.BENCH_DIR / "room-catalog"
    shutil.rmtree(out, ignore_errors=True)
    command: Command = [PEER, "--quiet", "catalog", "build", "--games-dir", made.games, "--out", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolFailed(f"catalog build: {done.stderr.strip()}")
    return out / "catalog.toml"


def installed(made: Made, catalog: Path, mode: str) -> tuple[Used, ...]:
    target = fresh(mode)
    state = disk.OUT_DIR.parent / "state" / "0"
    with Source(Path(made.games), ["--catalog", catalog]) as source:
        command: Command = [PEER, "--quiet", "install", "--stream", GAME, "--peer", source.address, "--no-discovery"]
        command += ["--catalog", catalog, "--games-dir", target, "--state-dir", state, *OPTIONS[mode]]
        usage = run(Program("receiver", command))
    check_tree(target / GAME / "local", made)
    assert source.usage is not None  # the block has ended
    return used(usage, "receiver"), used(source.usage, "source")


def used(usage: Usage, role: str) -> Used:
    return Used(role, role, usage.cpu_seconds, usage.peak_bytes, usage.wall_seconds, usage.wall_seconds)
