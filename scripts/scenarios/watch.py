"""What happens to the names in one folder, in order, as the kernel reports it.

Bind mounts share inodes with this machine, so what a container does in them is seen here. Looking again and again would
miss what is between two looks; this misses nothing.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .expectations import Deadline

# From <sys/inotify.h>.
_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO, _CLOSE_WRITE, _OVERFLOW = 0x100, 0x200, 0x40, 0x80, 0x8, 0x4000
_KINDS = {
    _CREATE: "appears",
    _MOVED_TO: "appears",
    _DELETE: "goes",
    _MOVED_FROM: "goes",
    _CLOSE_WRITE: "is written",
}
_RECORD = struct.Struct("iIII")
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Change:
    name: str
    kind: str
    """`appears` (made or renamed here), `goes` (removed or renamed away), `is written`."""


class FolderWatch:
    """Everything that happened since the watch began; the kernel keeps it until it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        mask = sum(_KINDS)
        if self._descriptor < 0 or library.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot watch: {os.strerror(number)}", str(folder))
        self._changes: list[Change] = []

    def __enter__(self) -> FolderWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def changes(self) -> list[Change]:
        while True:
            try:
                taken = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                return list(self._changes)
            while taken:
                _, mask, _, length = _RECORD.unpack_from(taken)
                if mask & _OVERFLOW:
                    raise OSError(f"more happened in {self.folder} than the kernel keeps")
                name = os.fsdecode(taken[_RECORD.size : _RECORD.size + length].rstrip(b"\0"))
                self._changes += [Change(name, kind) for bit, kind in _KINDS.items() if mask & bit]
                taken = taken[_RECORD.size + length :]

    def wait_for(self, change: Change, deadline: Deadline) -> None:
        """Returns when it has happened."""
        while change not in self.changes():
            remaining = deadline.check(f"{change.name} in {self.folder}, which {change.kind}")
            select.select([self._descriptor], [], [], remaining)
