"""Synthetic payloads: content that is ours, the same on every run, and of the kinds that games have.

Each kind exists because an archiver treats it differently: prose compresses well, noise not at all, tables and
samples invite the delta filter, machine code the x86 filter.
"""

from __future__ import annotations

import math
import os
import random
import struct
from pathlib import Path

# Archives record modification times; a fixed start makes them the same on every run. 2025-01-01T00:00:00Z.
FIRST_MODIFICATION_TIME = 1_735_689_600

# Of a marked file.
MARK_INTERVAL_BYTES = 64 * 1024
MARK_BYTES = 64

_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu".split()


class PayloadTree:
    """A directory that is filled in order and remembers that order, which becomes the order in the archive."""

    def __init__(self, root: Path, seed: str) -> None:
        self.root = root
        self.seed = seed
        self.names: list[str] = []
        root.mkdir(parents=True, exist_ok=True)

    def random(self, name: str) -> random.Random:
        """The generator of one file: independent of every other file, so that adding one changes no other."""
        return random.Random(f"lanspread fixture/{self.seed}/{name}")

    def file(self, name: str, content: bytes, *, executable: bool = False) -> None:
        path = self._new(name)
        path.write_bytes(content)
        path.chmod(0o755 if executable else 0o644)

    def directory(self, name: str) -> None:
        path = self._new(name)
        path.mkdir(exist_ok=True)

    def symbolic_link(self, name: str, target: str) -> None:
        self._new(name).symlink_to(target)

    def hard_link(self, name: str, earlier: str) -> None:
        os.link(self.root / earlier, self._new(name))

    def prose(self, name: str, size: int) -> None:
        self.file(name, prose(self.random(name), size, heading=f"{self.seed}: {name}"))

    def noise(self, name: str, size: int) -> None:
        self.file(name, self.random(name).randbytes(size))

    def settle(self) -> None:
        """Fixes the times and modes that the archiver records; call once, after the last entry."""
        for index, name in enumerate(self.names):
            seconds = FIRST_MODIFICATION_TIME + 60 * index
            os.utime(self.root / name, (seconds, seconds), follow_symlinks=False)
        for directory, _, _ in os.walk(self.root, topdown=False):
            path = Path(directory)
            path.chmod(0o755)
            os.utime(path, (FIRST_MODIFICATION_TIME, FIRST_MODIFICATION_TIME))

    def _new(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.names.append(name)
        return path


def marked_file(path: Path, size: int, label: str) -> Path:
    """A file in which every place names itself and whose file this is, and which costs little to make: a mark in every
    64 KiB and one at the end, nothing between them. So a byte in another place, or of another source, shows.

    A file that is there is written over in place.
    """
    with path.open("r+b" if path.exists() else "xb") as file:
        file.truncate(size)
        for offset in [*range(0, size, MARK_INTERVAL_BYTES), max(0, size - MARK_BYTES)]:
            file.seek(offset)
            mark = f"{label} at {offset} of {path.name} ".encode().ljust(MARK_BYTES, b".")
            file.write(mark[: min(MARK_BYTES, size - offset)])
    return path


def prose(generator: random.Random, size: int, heading: str) -> bytes:
    """Words of invented syllables in lines, beginning with a heading that says which file this is."""
    words = ["".join(generator.choices(_SYLLABLES, k=generator.randint(1, 4))) for _ in range(400)]
    lines = [heading]
    length = len(heading) + 1
    while length < size:
        line = " ".join(generator.choices(words, k=12))
        lines.append(line)
        length += len(line) + 1
    return ("\n".join(lines) + "\n").encode()[:size]


def table(generator: random.Random, rows: int) -> bytes:
    """Records of slowly changing numbers, like a level's vertex or unit table."""
    packed = bytearray()
    x, y, z = 1000, 2000, 3000
    for row in range(rows):
        x += generator.randint(-3, 4)
        y += generator.randint(-2, 2)
        z += generator.randint(0, 5)
        packed += struct.pack("<IiiiHH", row, x, y, z, row % 7, generator.randint(0, 3))
    return bytes(packed)


def samples(generator: random.Random, seconds: float) -> bytes:
    """A 16-bit stereo WAV file of two drifting tones."""
    rate = 22_050
    frames = bytearray()
    for index in range(int(rate * seconds)):
        left = 9000 * math.sin(index / 17.0) + generator.randint(-40, 40)
        right = 7000 * math.sin(index / 23.0 + 1) + generator.randint(-40, 40)
        frames += struct.pack("<hh", int(left), int(right))
    header = b"RIFF" + struct.pack("<I", 36 + len(frames)) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 2, rate, rate * 4, 4, 16)
    return header + b"data" + struct.pack("<I", len(frames)) + bytes(frames)


def machine_code(generator: random.Random, size: int) -> bytes:
    """Bytes in the rhythm of 32-bit x86 code: calls to a few absolute places, as relative distances."""
    targets = [generator.randrange(0, size) for _ in range(40)]
    code = bytearray(b"MZ" + bytes(62))
    while len(code) < size:
        code += generator.choice([b"\x55\x8b\xec", b"\x83\xec\x10", b"\x8b\x45\x08", b"\x33\xc0", b"\x5d\xc3"])
        code += b"\xe8" + struct.pack("<i", generator.choice(targets) - (len(code) + 5))
    return bytes(code[:size])
