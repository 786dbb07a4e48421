"""Makes the trees and archives of the works, once, below target/bench."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from scenarios.payload import FIRST_MODIFICATION_TIME, prose, table
from scenarios.tools import RAR, ToolFailed, run_tool

from .content import ENDINGS, KINDS, cut, noise, text
from .disk import BENCH_DIR, put_aside
from .works import GIB, KIB, MIB, PlannedFile, Tree, Work, plan

GAME = "bench-game"
VERSION = "1"
# A disk that is nearly full is slow, and the machine needs some of it, too.
DISK_MARGIN_BYTES = GIB
# Other bytes for the same name get another number, so that a tree of an older bench.py is not taken for one of today.
CONTENT_NUMBER = 1

PROGRAM_BYTES_MIN, PROGRAM_BYTES_MAX = 16 * KIB, 48 * MIB


@dataclass(frozen=True)
class Made:
    """A work on the disk. What is in it is recorded, for a reader of the figures on another machine."""

    games: str
    tree: str | None
    files: int
    unpacked_bytes: int
    packed_bytes: int
    archive_sha256: str
    # Programs of this machine, which are other ones on another machine; the rest of that kind is generated.
    real_program_bytes: int

    @property
    def archive(self) -> Path:
        return Path(self.games) / GAME / f"{GAME}.eti"


def make(work: Work) -> Made:
    """The work, made if it is not there."""
    folder = BENCH_DIR / "works" / f"{work.key}-v{CONTENT_NUMBER}"
    record = folder / "made.json"
    tree = BENCH_DIR / "trees" / f"{work.tree.key}-v{CONTENT_NUMBER}"
    if record.exists() and (tree.exists() or not work.keeps_tree):
        return Made(**json.loads(record.read_text()))
    check_space(work.making_bytes(has_tree=tree.exists()), f"making {work.name}")
    real_program_bytes = make_tree(work.tree, tree)
    print(f"packing {work.name}: {work.title} ({' '.join(work.switches)}); this is done once", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "games" / GAME
    root.mkdir(parents=True)
    run_tool(RAR, "a", "-cfg-", "-idq", "-y", "-r", *work.switches, root / f"{GAME}.rar", ".", cwd=tree)
    archive = root / f"{GAME}.eti"
    (root / f"{GAME}.rar").rename(archive)
    (root / "version.ini").write_text(f"{VERSION}\n")
    files, unpacked_bytes = count(tree)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    made = Made(
        games=str(folder / "games"),
        tree=str(tree) if work.keeps_tree else None,
        files=files,
        unpacked_bytes=unpacked_bytes,
        packed_bytes=archive.stat().st_size,
        archive_sha256=digest,
        real_program_bytes=real_program_bytes,
    )
    # Last: a work without a record is not complete.
    record.write_text(json.dumps(asdict(made), indent=2) + "\n")
    if not work.keeps_tree:
        put_aside(tree)
    return made


def discard(work: Work, later: Sequence[Work]) -> None:
    """Frees the disk. A tree stays if a later work needs it."""
    folders = [BENCH_DIR / "works" / f"{work.key}-v{CONTENT_NUMBER}"]
    if all(work.tree != other.tree for other in later):
        folders.append(BENCH_DIR / "trees" / f"{work.tree.key}-v{CONTENT_NUMBER}")
    for folder in folders:
        if folder.exists():
            put_aside(folder)


def check_space(needed: int, what: str) -> None:
    BENCH_DIR.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(BENCH_DIR).free
    if free < needed + DISK_MARGIN_BYTES:
        raise ToolFailed(
            f"{what} needs {needed / GIB:.1f} GiB and {DISK_MARGIN_BYTES / GIB:.0f} GiB to spare: "
            f"{BENCH_DIR} has {free / GIB:.1f} GiB (--scale makes works smaller, --discard removes each after its turn)"
        )


def count(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes."""
    files = size = 0
    for where, _, names in os.walk(folder):
        files += len(names)
        size += sum(os.lstat(os.path.join(where, name)).st_size for name in names)
    return files, size


# ---- Trees -----------------------------------------------------------------------------------------------------------


def make_tree(tree: Tree, folder: Path) -> int:
    """Writes the files; the bytes of real programs among them."""
    note = folder.with_name(f"{folder.name}.real-program-bytes")
    if folder.exists() and note.exists():
        return int(note.read_text())
    print(f"making {tree.key} in {folder}; this is done once", flush=True)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with contextlib.closing(ProgramBytes()) as programs:
        for file in plan(tree):
            write_file(part / named(file), file, programs)
    real_bytes = programs.given
    for where, _, _ in os.walk(part, topdown=False):
        os.utime(where, (FIRST_MODIFICATION_TIME, FIRST_MODIFICATION_TIME))
    note.write_text(f"{real_bytes}\n")
    part.rename(folder)
    return real_bytes


def named(file: PlannedFile) -> str:
    is_mix = file.kind in ENDINGS and "." not in file.name
    return f"{file.name}.{ENDINGS[file.kind]}" if is_mix else file.name


def write_file(path: Path, file: PlannedFile, programs: ProgramBytes) -> None:
    """Block by block. Programs are those of the machine as long as it has some."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = random.Random(f"lanspread bench {file.name}")
    length = file.length
    with path.open("wb") as out:
        while file.kind == "programs" and length > 0 and (block := programs.read(min(MIB, length))):
            out.write(block)
            length -= len(block)
        for piece in content_of(file.kind, generator, length):
            out.write(piece)
    os.utime(path, (FIRST_MODIFICATION_TIME, FIRST_MODIFICATION_TIME))


class ProgramBytes:
    """The real programs of this machine, one after the other."""

    def __init__(self) -> None:
        self.given = 0
        self._programs = real_programs()
        self._file: BinaryIO | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none when there are no more programs."""
        while True:
            if self._file is not None and (block := self._file.read(size)):
                self.given += len(block)
                return block
            self.close()
            program = next(self._programs, None)
            if program is None:
                return b""
            self._file = program.open("rb")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def content_of(kind: str, generator: random.Random, length: int) -> Iterator[bytes]:
    if length == 0:
        return iter(())
    match kind:
        case "small":
            return iter([small_file(generator, length)])
        case "noise":
            return noise(generator, length)
        case "table":
            return plain_table(generator, length)
        case "text":
            return text(generator, length)
    return KINDS[kind](generator, length)


def plain_table(generator: random.Random, length: int) -> Iterator[bytes]:
    for start in range(0, length, MIB):
        size = min(MIB, length - start)
        yield table(generator, rows=size // 20 + 1)[:size]


def small_file(generator: random.Random, length: int) -> bytes:
    """Three fifths are pieces of texts and tables, which a solid archive finds again; the rest is this file's own."""
    common = length * 3 // 5
    start = generator.randrange(len(small_content()))
    return cut(small_content(), start, common) + generator.randbytes(length - common)


@cache
def small_content() -> bytes:
    generator = random.Random("lanspread bench small")
    return prose(generator, 4 * MIB, heading="small files") + table(generator, rows=2 * MIB // 20)


def real_programs() -> Iterator[Path]:
    """Programs and libraries of this machine in the order of their names, from two places in turn.

    They are what a game's own programs are like, and no generator makes such. Each machine has other ones, which is why
    their share is recorded, and why only ratios compare between machines.
    """
    places = [elf_files(place) for place in program_folders()]
    while places:
        for place in list(places):
            program = next(place, None)
            if program is None:
                places.remove(place)
            else:
                yield program


def program_folders() -> list[Path]:
    found = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True)
    toolchain = [Path(found.stdout.strip()) / "lib"] if found.returncode == 0 else []
    return [folder for folder in [*toolchain, Path("/usr/lib")] if folder.is_dir()]


def elf_files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if is_program(path):
                yield path


def is_program(path: Path) -> bool:
    """A program, a library or an archive of objects. A file that cannot be read is none."""
    try:
        if path.is_symlink() or not PROGRAM_BYTES_MIN <= path.stat().st_size <= PROGRAM_BYTES_MAX:
            return False
        with path.open("rb") as file:
            return file.read(8).startswith((b"\x7fELF", b"!<arch>\n"))
    except OSError:
        return False
