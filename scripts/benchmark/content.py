"""What the files of a game are made of: the same bytes on every run, of the kinds that archivers treat differently.

Plain loops make a few MB a second. Where a GiB is needed, samples, pixels and coordinates are sums of a table that was
made once and of noise: two long integers are added, whose digits are the samples. No sum overflows its digit.
"""

from __future__ import annotations

import array
import math
import random
import struct
from collections.abc import Callable, Iterator
from functools import cache

from scenarios.payload import machine_code, prose

KIB, MIB = 1024, 1024 * 1024
BLOCK_BYTES = MIB
PIXEL_BYTES, BMP_HEADER_BYTES = 3, 54


def text(generator: random.Random, length: int) -> Iterator[bytes]:
    for start, size in blocks(length):
        yield prose(generator, size, heading=f"# part {start // BLOCK_BYTES} of {length}")


def noise(generator: random.Random, length: int) -> Iterator[bytes]:
    """Media that is compressed already."""
    for _, size in blocks(length):
        yield generator.randbytes(size)


def audio(generator: random.Random, length: int) -> Iterator[bytes]:
    """16-bit stereo samples: two voices and a little noise. The delta filter is for these."""
    first, second = (waves()[generator.randrange(len(waves()))] for _ in range(2))
    for start, size in blocks(length):
        voices = added(cut(first, start, size), cut(second, 3 * start, size))
        hiss = masked(generator.randbytes(size), b"\x3f\x00")
        # From unsigned around the middle to signed around zero.
        yield flipped(added(voices, hiss), b"\x00\x80")


def image(generator: random.Random, length: int) -> Iterator[bytes]:
    """A 24-bit BMP of gradients. Two thirds have the grain of photographs, the others the flat areas of drawings."""
    pixels = max(1, (length - BMP_HEADER_BYTES) // PIXEL_BYTES)
    width = max(4, 4 * (math.isqrt(pixels) // 4))
    row_bytes, has_grain = width * PIXEL_BYTES, generator.random() < 2 / 3
    height = max(1, (length - BMP_HEADER_BYTES) // row_bytes)
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", length, 0, 54, 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    yield header
    slant, row_start = generator.randrange(1, 4), generator.randrange(gradient_pixels())
    left = length - len(header)
    for _ in range(height):
        row = cut(gradient(), row_start * PIXEL_BYTES, row_bytes)
        yield added(row, masked(generator.randbytes(row_bytes), b"\x07")) if has_grain else row
        row_start += slant if has_grain else 0
        left -= row_bytes
    yield bytes(left)


def mesh(generator: random.Random, length: int) -> Iterator[bytes]:
    """Vertices of eight 32-bit floats, whose low bits are noise, then the indices of triangles."""
    indices = length // 4 & ~3
    for start, size in blocks(length - indices):
        jitter = masked(generator.randbytes(size), b"\xff\x0f\x00\x00")
        yield added(cut(vertices(), start + generator.randrange(1024) * 32, size), jitter)
    first = generator.randrange(1 << 16)
    for start, size in blocks(indices):
        corner = (first + start // 12) % (1 << 20)
        triangles = (array.array("I", (corner + k, corner + k + 1, corner + k + 97)) for k in range(size // 12 + 1))
        yield b"".join(map(bytes, triangles))[:size]


def program(generator: random.Random, length: int) -> Iterator[bytes]:
    """In place of real programs, where there are not enough: pieces of made machine code in an order of their own."""
    for _, size in blocks(length):
        pieces, left = [], size
        while left > 0:
            start, piece = generator.randrange(len(code())), generator.randint(64, 4096)
            pieces.append(cut(code(), start, min(left, piece)))
            left -= len(pieces[-1])
        yield b"".join(pieces)


KINDS: dict[str, Callable[[random.Random, int], Iterator[bytes]]] = {
    "text": text,
    "programs": program,
    "audio": audio,
    "images": image,
    "meshes": mesh,
    "media": noise,
}
ENDINGS = {"text": "txt", "programs": "dll", "audio": "pcm", "images": "bmp", "meshes": "mesh", "media": "ogg"}


# ---- Tables that are made once ---------------------------------------------------------------------------------------


@cache
def waves() -> tuple[bytes, ...]:
    """Voices of 16-bit stereo samples around 16384, of lengths that have no common factor."""

    def voice(frames: int, pitch: float) -> bytes:
        samples = array.array("H")
        for frame in range(frames):
            loudness = 0.55 + 0.4 * math.sin(2 * math.pi * frame / frames)
            left = math.sin(frame / pitch) + 0.3 * math.sin(frame / pitch * 2.01)
            right = math.sin(frame / pitch + 0.4) + 0.3 * math.sin(frame / pitch * 3.02)
            samples.extend(16384 + int(12000 * loudness * value) for value in (left, right))
        return samples.tobytes()

    return tuple(voice(frames, pitch) for frames, pitch in ((96_001, 17.3), (83_003, 31.1), (121_007, 9.7)))


def gradient_pixels() -> int:
    return 4093


@cache
def gradient() -> bytes:
    """Pixels whose channels change at different speeds; below 240, so that grain fits."""
    levels = (
        (int(120 + 100 * math.sin(x / 97)), int(120 + 100 * math.sin(x / 131 + 1)), int(120 + 90 * math.sin(x / 61)))
        for x in range(gradient_pixels())
    )
    return bytes(channel for pixel in levels for channel in pixel)


@cache
def vertices() -> bytes:
    """Position, normal and texture coordinates on a bumpy sphere, with room in the low twelve bits."""
    floats = array.array("f")
    for number in range(32_749):
        turn, height = number * 0.02, math.sin(number * 0.00031)
        flat = math.sqrt(1 - height * height)
        normal = (flat * math.cos(turn), height, flat * math.sin(turn))
        size = 20 + math.sin(number * 0.05)
        floats.extend((*(size * value for value in normal), *normal, turn % 1.0, abs(height)))
    return masked(floats.tobytes(), b"\x00\xf0\xff\xff")


@cache
def code() -> bytes:
    return machine_code(random.Random("lanspread bench code"), 2 * MIB)


# ---- Bytes as long integers ------------------------------------------------------------------------------------------


def blocks(length: int) -> Iterator[tuple[int, int]]:
    """Start and size of the pieces in which a file is made: this process stays small."""
    for start in range(0, length, BLOCK_BYTES):
        yield start, min(BLOCK_BYTES, length - start)


def cut(table: bytes, start: int, size: int) -> bytes:
    """`size` bytes of a table that repeats for ever."""
    start %= len(table)
    piece = table[start : start + size]
    if len(piece) == size:
        return piece
    rounds = (size - len(piece)) // len(table) + 1
    return (piece + table * rounds)[:size]


def added(first: bytes, second: bytes) -> bytes:
    """The sum, digit by digit, of equally long bytes in which no digit overflows, except one that is cut at the end."""
    total = int.from_bytes(first, "little") + int.from_bytes(second, "little")
    return total.to_bytes(len(first) + 1, "little")[: len(first)]


def masked(content: bytes, pattern: bytes) -> bytes:
    mask = int.from_bytes(cut(pattern, 0, len(content)), "little")
    return (int.from_bytes(content, "little") & mask).to_bytes(len(content), "little")


def flipped(content: bytes, pattern: bytes) -> bytes:
    mask = int.from_bytes(cut(pattern, 0, len(content)), "little")
    return (int.from_bytes(content, "little") ^ mask).to_bytes(len(content), "little")
