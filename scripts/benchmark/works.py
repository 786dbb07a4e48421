"""The works: which game each is, how it is packed, and who is timed on it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

KIB, MIB, GIB = 1024, 1024**2, 1024**3
DICTIONARY_BYTES = 32 * MIB

SOLID_M3 = ("-s", "-m3", "-md32m")
NONSOLID_M3 = ("-s-", "-m3", "-md32m")
STORED = ("-s-", "-m0")

DECODERS = ("decode-1", "unrar-t-1", "decode-2", "unrar-t", "7z-t")
EVERYONE = (
    *("stream", "unrar", "7z", "curl-bsdtar", "curl-unrar", "install", "download", "curl", "copy"),
    *DECODERS,
)
FILES = ("stream", "unrar", "7z", "curl-bsdtar", "install", "copy")
RECEIVERS = (1, 2, 4, 8)


@dataclass(frozen=True)
class PlannedFile:
    """One file of a tree."""

    name: str
    kind: str
    length: int


@dataclass(frozen=True)
class Tree:
    """What a game is made of. Works that differ only in how it is packed share its tree."""

    recipe: str
    size: int
    # Small files, beside those that the recipe makes of the rest.
    files: int = 0

    @property
    def key(self) -> str:
        size = f"{self.size / MIB:.0f}-mib"
        return f"{self.recipe}-{size}-{self.files}-files" if self.files else f"{self.recipe}-{size}"

    def scaled(self, factor: float) -> Tree:
        files = max(1, round(self.files * factor)) if self.files else 0
        smallest = 0 if self.recipe == "small" else MIB
        return replace(self, size=max(smallest, round(self.size * factor)), files=files)


@dataclass(frozen=True)
class Work:
    """A game in an archive, and who is timed on it."""

    name: str
    # What it is, for people.
    title: str
    tree: Tree
    switches: tuple[str, ...]
    contenders: tuple[str, ...]
    # `cp -r` needs the unpacked tree; without it, `cp` copies the archive.
    keeps_tree: bool = True
    # Archives that are only stored need none.
    dictionary_bytes: int = DICTIONARY_BYTES
    scale: float = 1.0

    @property
    def key(self) -> str:
        return f"{self.name}-{self.tree.key}"

    @property
    def is_stored(self) -> bool:
        return "-m0" in self.switches

    def scaled(self, factor: float) -> Work:
        return replace(self, tree=self.tree.scaled(factor), scale=factor)

    def making_bytes(self, *, has_tree: bool) -> int:
        """The disk that making it takes at the most: the tree and the archive, which may be as large as the tree."""
        return self.tree.size * (1 if has_tree else 2)

    def running_bytes(self) -> int:
        """The disk that one contender takes at the most: what it unpacks, and the archive if it fetches that first."""
        copies = max((self.copies(name) for name in self.contenders), default=1)
        return self.tree.size * copies

    @staticmethod
    def copies(contender: str) -> int:
        if contender.startswith("receivers-"):
            return int(contender.removeprefix("receivers-"))
        return 2 if contender == "curl-unrar" else 1


MIX = Tree("mix", GIB)


def small(files: int) -> Tree:
    """Files of 4 KiB on average."""
    return Tree("small", files * 4 * KIB, files)


WORKS = (
    Work("solid-m3", "mix, solid, -m3", MIX, SOLID_M3, EVERYONE),
    Work("nonsolid-m3", "mix, not solid, -m3", MIX, NONSOLID_M3, EVERYONE),
    Work("solid-m5", "mix, solid, -m5", MIX, ("-s", "-m5", "-md32m"), EVERYONE),
    Work("nonsolid-m5", "mix, not solid, -m5", MIX, ("-s-", "-m5", "-md32m"), EVERYONE),
    Work(
        "solid-500",
        "500 MiB of texts, tables and noise, solid, -m3",
        Tree("plain", 500 * MIB),
        SOLID_M3,
        ("stream", "stream-unrar", "unrar", "install", "copy", *DECODERS),
    ),
    Work(
        "stored",
        "5 GiB, stored, large files",
        Tree("large", 5 * GIB),
        STORED,
        ("stream", "unrar", "install", "copy"),
        keeps_tree=False,
        dictionary_bytes=0,
    ),
    Work(
        "stored-100000",
        "5 GiB, stored, 100,000 of the files small",
        Tree("large", 5 * GIB, 100_000),
        STORED,
        ("stream", "unrar", "install", "copy"),
        dictionary_bytes=0,
    ),
    Work("small-20000", "20,000 small files, solid, -m3", small(20_000), SOLID_M3, FILES),
    Work("small-100000", "100,000 small files, solid, -m3", small(100_000), SOLID_M3, FILES),
    Work(
        "download",
        "2 GiB of media, downloaded",
        Tree("large", 2 * GIB),
        STORED,
        ("download", "curl", "copy"),
        keeps_tree=False,
        dictionary_bytes=0,
    ),
    # Only for the cost that grows; the larger steps of bytes and files are works above.
    Work(
        "growth",
        "128 MiB mix, solid, -m3",
        Tree("mix", 128 * MIB),
        SOLID_M3,
        ("stream", "unrar", *(f"receivers-{count}" for count in RECEIVERS), "cores-1", "cores-2", "cores-4", "cores-8"),
    ),
    Work("small-1000", "1,000 small files, solid, -m3", small(1000), SOLID_M3, ("stream", "unrar", "copy")),
)

QUICK_WORKS = ("solid-m3", "nonsolid-m3", "small-20000", "download")
QUICK_CONTENDERS = ("stream", "unrar", "install", "decode-1", "unrar-t-1", "decode-2", "unrar-t", "download", "curl")
QUICK_SCALE, QUICK_RUNS = 0.25, 3


# ---- The files of a tree ---------------------------------------------------------------------------------------------

# Of the game-like mix: share of the bytes, smallest and largest file.
MIX_KINDS = {
    "text": (0.20, 2 * KIB, MIB),
    "programs": (0.25, 16 * KIB, 48 * MIB),
    "audio": (0.15, 256 * KIB, 16 * MIB),
    "images": (0.15, 64 * KIB, 12 * MIB),
    "meshes": (0.10, 32 * KIB, 8 * MIB),
    "media": (0.15, MIB, 64 * MIB),
}
# Of the plain game: many small files, most bytes in few large ones, and each kind in all sizes.
PLAIN_SIZES = ((0.05, KIB, 64 * KIB), (0.45, 64 * KIB, 4 * MIB), (0.50, 4 * MIB, 64 * MIB))
PLAIN_KINDS = {"text": 0.25, "table": 0.35, "noise": 0.40}
LARGE_FILE_BYTES = (64 * MIB, 512 * MIB)
SMALL_FILE_BYTES = (256, 16 * KIB)
FILES_PER_FOLDER = 100


def plan(tree: Tree) -> list[PlannedFile]:
    """Every file of a tree, in the order in which they are written. The same on every machine and on every run."""
    generator = random.Random(f"lanspread bench {tree.key}")
    files = list(_small(generator, tree.files))
    rest = tree.size - sum(file.length for file in files)
    match tree.recipe:
        case "mix":
            files += _mix(generator, rest)
        case "plain":
            files += _plain(generator, rest)
        case "large":
            sizes = _sizes(generator, rest, *LARGE_FILE_BYTES)
            files += [PlannedFile(f"data/{number:03}.pak", "media", size) for number, size in enumerate(sizes)]
        case "small":
            pass
        case unknown:
            raise ValueError(f"no recipe {unknown}")
    return files


def _sizes(generator: random.Random, total: int, smallest: int, largest: int) -> Iterator[int]:
    """Spread evenly over the magnitudes, until the bytes are used up."""
    while total > 0:
        size = min(total, int(smallest * (largest / smallest) ** generator.random()))
        # A rest that is too small for a file of this kind belongs to the last one.
        if total - size < smallest:
            size = total
        yield size
        total -= size


def _mix(generator: random.Random, size: int) -> Iterator[PlannedFile]:
    for kind, (share, smallest, largest) in MIX_KINDS.items():
        for number, length in enumerate(_sizes(generator, int(size * share), smallest, largest)):
            yield PlannedFile(f"{kind}/{number // FILES_PER_FOLDER:02}/{number:05}", kind, length)


def _plain(generator: random.Random, size: int) -> Iterator[PlannedFile]:
    files = []
    for share, smallest, largest in PLAIN_SIZES:
        for length in _sizes(generator, int(size * share), smallest, largest):
            files.append((generator.choices(list(PLAIN_KINDS), list(PLAIN_KINDS.values()))[0], length))
    generator.shuffle(files)
    for number, (kind, length) in enumerate(files):
        yield PlannedFile(f"{kind}/{number // FILES_PER_FOLDER:02}/{number:05}.bin", kind, length)


def _small(generator: random.Random, count: int) -> Iterator[PlannedFile]:
    smallest, largest = SMALL_FILE_BYTES
    for number in range(count):
        length = int(smallest * (largest / smallest) ** generator.random())
        folder = number // FILES_PER_FOLDER
        yield PlannedFile(f"small/{folder // 100:02}/{folder % 100:02}/{number:06}.dat", "small", length)
