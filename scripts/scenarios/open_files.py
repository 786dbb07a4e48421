"""What is in the files that a process has open: also in one that is gone when the process has ended.

The content of the games of rooms is written as hexadecimal digits, and what an archiver makes of that is not. So a
piece of a file says whether it was packed, wherever in the archive it is from.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

_DIGITS = frozenset(b"0123456789abcdef")

# Of so many packed bytes not all are digits.
_PIECE_BYTES = 64
PIECE_INTERVAL_BYTES = 64 * 1024


def is_packed(piece: bytes) -> bool:
    return not _DIGITS.issuperset(piece)


@dataclass
class OpenFiles:
    """Looks at what files have grown by since the last look. A file without a name counts too."""

    least_bytes: int
    """Files below this size are not looked at: the program's own state is small."""
    pieces: int = 0
    """How many were looked at in all."""
    packed: dict[str, int] = field(default_factory=dict)
    """The files in which something packed was found, with where it was."""
    _next: dict[tuple[int, int], int] = field(default_factory=dict)
    """By device and inode, where the next look begins."""

    def look(self, pid: int) -> None:
        """At the files of a process, if it is still there."""
        try:
            descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            return
        for descriptor in descriptors:
            try:
                self._look_at(descriptor)
            except OSError:
                continue  # it was closed

    def _look_at(self, descriptor: Path) -> None:
        status = descriptor.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size < self.least_bytes:
            return
        key = (status.st_dev, status.st_ino)
        with descriptor.open("rb") as file:
            offset = self._next.get(key, 0)
            while offset + _PIECE_BYTES <= status.st_size:
                piece = os.pread(file.fileno(), _PIECE_BYTES, offset)
                # A file may have been made longer before it was written.
                if not any(piece):
                    break
                self.pieces += 1
                if is_packed(piece):
                    self.packed.setdefault(os.readlink(descriptor), offset)
                offset += PIECE_INTERVAL_BYTES
            self._next[key] = offset
