"""How much the folders of receivers have on the disk, looked at several times a second."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

INTERVAL_SECONDS = 0.1
BLOCK_BYTES = 512


class FolderPeaks:
    """The most that the folders of each had at one moment, while its block runs."""

    def __init__(self, folders: Mapping[str, Sequence[Path]]) -> None:
        self.peaks = dict.fromkeys(folders, 0)
        self._folders = folders
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="folder-peaks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            for name, folders in self._folders.items():
                self.peaks[name] = max(self.peaks[name], sum(map(disk_bytes, folders)))


def disk_bytes(folder: Path) -> int:
    """What all files below a folder take of the disk."""
    return sum(BLOCK_BYTES * blocks for blocks in _blocks(folder))


def _blocks(folder: Path) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _blocks(Path(entry.path))
                else:
                    yield entry.stat(follow_symlinks=False).st_blocks
    except OSError:
        # Moved or removed meanwhile: the next look finds it where it is then.
        return
