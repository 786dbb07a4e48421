"""Which machine, which programs: what a reader needs to repeat the figures or to doubt them."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scenarios.tools import PROJECT_DIR, RAR, UNRAR

from .disk import BENCH_DIR
from .launch import floor_bytes

MIB = 1024 * 1024


@dataclass(frozen=True)
class Tool:
    """A program of others, and the Debian package that has it."""

    name: str
    package: str


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("nginx", "nginx"),
        Tool("curl", "curl"),
        Tool("bsdtar", "libarchive-tools"),
        Tool("7z", "7zip 7zip-rar (the codec for RAR is in the section non-free)"),
    )
}


def found_tool(name: str) -> str | None:
    """Where a program is. A 7-Zip that cannot read RAR counts as missing."""
    where = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if where is not None and name == "7z" and not reads_rar(said_by([where, "i"])):
        return None
    return where


def reads_rar(information: str) -> bool:
    """Whether `7z i` names a decoder for RAR 5. The format alone is always there, and lists only."""
    return re.search(r"^\s*\d*\s*\S*D\S*\s+40305\s+Rar5", information, re.MULTILINE) is not None


def facts() -> dict[str, str]:
    """The machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "file system": file_system(Path("/proc/mounts").read_text(), BENCH_DIR),
        "lanspread": commit(),
        "unrar": version([UNRAR], r"UNRAR ([\d.]+)"),
        "rar": version([RAR], r"RAR ([\d.]+)"),
        "nginx": version([found_tool("nginx"), "-v"], r"nginx/([\d.]+)"),
        "curl": version([found_tool("curl"), "--version"], r"curl ([\d.]+)"),
        "bsdtar": version([found_tool("bsdtar"), "--version"], r"libarchive ([\d.]+)"),
        "7-Zip": version([found_tool("7z"), "i"], r"7-Zip \S*\s*([\d.]+)"),
        "smallest peak that can be told": f"{floor_bytes() / MIB:.1f} MiB",
    }


def processor(information: str) -> str:
    names = re.findall(r"^model name\s*:\s*(.+)$", information, re.MULTILINE)
    return names[0].strip() if names else platform.processor() or "unknown"


def file_system(mounts: str, folder: Path) -> str:
    """The type of the file system that a folder is on: that of the mount which is nearest above it."""
    nearest, kind = Path(), "unknown"
    for line in mounts.splitlines():
        _, place, found, *_ = line.split(" ")
        where = Path(place.replace("\\040", " "))
        # A later mount at the same place hides an earlier one.
        if folder.is_relative_to(where) and len(where.parts) >= len(nearest.parts):
            nearest, kind = where, found
    return kind


def commit() -> str:
    name = said_by(["git", "-C", str(PROJECT_DIR), "describe", "--always", "--dirty", "--abbrev=12"]).strip()
    return name or "unknown commit"


def version(command: Iterable[str | Path | None], pattern: str) -> str:
    words = list(command)
    if words[0] is None:
        return "missing"
    found = re.search(pattern, said_by([str(word) for word in words]))
    return found[1] if found else "unknown version"


def said_by(command: list[str]) -> str:
    """What a program prints about itself, whatever its exit status."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    except OSError:
        return ""
    return done.stdout + done.stderr
