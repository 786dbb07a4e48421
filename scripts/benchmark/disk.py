"""Fresh folders on the disk that is measured, and what becomes of them.

ext4 does not give a freed inode away for up to five minutes, and to pass over it takes time: after 20,000 files were
deleted, creating one takes 20 times as long, for every program. So nothing is deleted between two samples. Files are
cut to no length, which frees their blocks, and their folders are put aside until the end of the run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scenarios.tools import TARGET_DIR, ToolFailed

BENCH_DIR = TARGET_DIR / "bench"
OUT_DIR = BENCH_DIR / "out"
ASIDE_DIR = OUT_DIR / "aside"

PROBE_FILES = 300
# A file is created in some 10 to 30 µs; in 200 and more while the kernel passes over freed inodes.
CREATION_SECONDS_MAX = 100e-6
CREATION_WAIT_SECONDS = 360.0
PROBE_PAUSE_SECONDS = 20.0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two benchmarks would measure each other, and share their folders. If one is killed, the kernel frees its lock."""
    BENCH_DIR.mkdir(parents=True, exist_ok=True)
    with (BENCH_DIR / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ToolFailed(f"another bench.py uses {BENCH_DIR}") from error
        yield


def fresh(name: str) -> Path:
    """An empty folder, with nothing left to be written."""
    OUT_DIR.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=OUT_DIR))
    # As `mkdir` makes it: programs that run as other users may look into it.
    folder.chmod(0o755)
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return folder


def put_aside(folder: Path) -> None:
    """Frees the blocks of everything in a folder, and keeps its inodes until `remove_all`."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            status = os.lstat(path)
            if status.st_nlink > 1 or os.path.islink(path):
                # Another name of the file stays, with its bytes; and nothing is reached through a link.
                os.unlink(path)
            elif status.st_size > 0:
                os.truncate(path, 0)
    ASIDE_DIR.mkdir(parents=True, exist_ok=True)
    folder.rename(Path(tempfile.mkdtemp(dir=ASIDE_DIR)) / folder.name)


def put_all_aside() -> None:
    """What the samples so far have left."""
    if OUT_DIR.exists():
        for folder in OUT_DIR.iterdir():
            if folder != ASIDE_DIR:
                put_aside(folder)


def remove_all() -> None:
    """At the end of a run."""
    shutil.rmtree(OUT_DIR, ignore_errors=True)


def creation_seconds() -> float:
    """How long creating one empty file takes now."""
    folder = fresh("probe")
    started = time.perf_counter()
    for number in range(PROBE_FILES):
        (folder / f"{number:04}").touch()
    return (time.perf_counter() - started) / PROBE_FILES


def wait_until_files_are_cheap(say: Callable[[str], None]) -> float:
    """Returns how long creating one file takes, once that is short or after six minutes."""
    deadline = time.monotonic() + CREATION_WAIT_SECONDS
    is_told = False
    while (found := creation_seconds()) > CREATION_SECONDS_MAX and time.monotonic() < deadline:
        if not is_told:
            say(f"waiting: creating a file takes {found * 1e6:.0f} µs, as after many were deleted on this disk")
            is_told = True
        time.sleep(PROBE_PAUSE_SECONDS)
    return found
