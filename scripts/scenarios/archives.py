"""Archives, with the real programs: made by `rar`, read by `unrar`, broken by us."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import rar_format
from .tools import RAR, UNRAR, ToolFailed, run_tool

# One thread and no user settings: the bytes must not depend on the machine. Names in list files are UTF-8. No
# recursion: the list names every entry, in the order that it should have.
PACK_SWITCHES = ("-cfg-", "-idq", "-y", "-mt1", "-r-", "-scfl", "-tsm")

# No questions, no password prompt, no progress; existing files are never met, the target is fresh.
_UNRAR_SWITCHES = ("-idq", "-y", "-p-", "-cfg-")

_DICTIONARY = re.compile(r"-md=(\d+)([KMG])")
_KIB = {"K": 1, "M": 1024, "G": 1024**2}
_VOLUME = re.compile(r"\.part0*(\d+)\.eti$", re.IGNORECASE)


@dataclass(frozen=True)
class ListedEntry:
    name: str
    kind: str
    """As `unrar` calls it: File, Directory, File reference, Hard link, Unix symbolic link."""
    size: int
    has_blake2: bool


@dataclass(frozen=True)
class Listing:
    """What `unrar lt` says about an archive."""

    details: str
    entries: tuple[ListedEntry, ...]

    @property
    def is_solid(self) -> bool:
        return "solid" in re.split(r"[ ,]+", self.details)


def pack_rar(archive: Path, root: Path, names: Sequence[str], switches: Iterable[str] = ()) -> None:
    """Packs `names`, relative to `root` and in this order, into `archive`, which must end in `.rar`; volumes get
    their numbers between the name and that."""
    with tempfile.NamedTemporaryFile("w", suffix=".lst", encoding="utf-8") as list_file:
        # Without the `./` a name that starts with a dash or an at sign would be a switch or another list.
        list_file.writelines(f"./{name}\n" for name in names)
        list_file.flush()
        run_tool(RAR, "a", *PACK_SWITCHES, *switches, archive, f"@{list_file.name}", cwd=root)


def pack(archive: Path, root: Path, names: Sequence[str], switches: Iterable[str] = ()) -> None:
    """Packs into one archive of any name."""
    temporary = archive.with_name(f"{archive.name}.rar")
    pack_rar(temporary, root, names, switches)
    os.replace(temporary, archive)


def dictionary_kib(archive: Path) -> int:
    """The largest dictionary that an entry needs."""
    text = run_tool(UNRAR, "lt", *_UNRAR_SWITCHES[2:], archive)
    return max((int(size) * _KIB[unit] for size, unit in _DICTIONARY.findall(text)), default=0)


def listing(archive: Path) -> Listing:
    text = run_tool(UNRAR, "lt", *_UNRAR_SWITCHES[2:], archive)
    details = ""
    entries = []
    fields: dict[str, str] = {}

    def finish() -> None:
        if "Name" in fields and "Type" in fields:
            entries.append(ListedEntry(fields["Name"], fields["Type"], int(fields.get("Size", 0)), "BLAKE2" in fields))
        fields.clear()

    for line in text.splitlines():
        key, separator, value = line.partition(": ")
        if not line.strip():
            finish()
        elif separator and key.strip() == "Details":
            details = value.strip()
        elif separator:
            fields[key.strip()] = value
    finish()
    return Listing(details, tuple(entries))


def root_archives(game_root: Path) -> list[Path]:
    """The archives of a game in byte-wise sorted order; of a multi-volume set only the first volume."""
    found = []
    for path in game_root.iterdir():
        volume = _VOLUME.search(path.name)
        if path.suffix == ".eti" and (volume is None or int(volume[1]) == 1):
            found.append(path)
    return sorted(found, key=lambda path: os.fsencode(path.name))


def extract(game_root: Path, target: Path) -> Path:
    """The reference tree: everything in the game's root archives, extracted by the real `unrar`."""
    target.mkdir(parents=True)
    for archive in root_archives(game_root):
        # The trailing slash makes it a directory to `unrar`, not a file mask.
        run_tool(UNRAR, "x", *_UNRAR_SWITCHES, archive, f"{target}/")
    return target


def is_intact(archive: Path) -> bool:
    """Whether the real `unrar` finds nothing wrong."""
    try:
        run_tool(UNRAR, "t", *_UNRAR_SWITCHES, archive)
    except ToolFailed:
        return False
    return True


def flip_packed_byte(archive: Path, entry: str) -> int:
    """Inverts one byte in the middle of an entry's packed data, and returns its offset."""
    content = bytearray(archive.read_bytes())
    block = rar_format.find_block(bytes(content), entry)
    if block.data_start == block.data_end:
        raise ValueError(f"{entry} has no packed data")
    offset = (block.data_start + block.data_end) // 2
    content[offset] ^= 0xFF
    archive.write_bytes(content)
    return offset


def truncate_in(archive: Path, entry: str) -> int:
    """Cuts the archive in the middle of an entry's packed data, and returns the new size."""
    block = rar_format.find_block(archive.read_bytes(), entry)
    size = (block.data_start + block.data_end) // 2
    os.truncate(archive, size)
    return size
