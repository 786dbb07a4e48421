"""What is on disk, in full: every path with its kind, size, SHA-256, executable bit and time, and how two differ."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

DIRECTORY = "directory"
FILE = "file"
OTHER = "other"  # a link, a socket, a device: nothing that belongs in an installed tree


@dataclass(frozen=True)
class Node:
    kind: str
    size: int = 0
    sha256: str = ""
    executable: bool = False
    modified_s: int = 0
    """Whole seconds: file systems and archives keep different fractions. Zero for directories, whose time changes
    with every file that is put into them."""


Manifest = dict[str, Node]


def manifest(root: Path) -> Manifest:
    """Every node below `root`, by its `/`-separated path. Links are never followed."""
    nodes: Manifest = {}
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                name = path.relative_to(root).as_posix()
                if entry.is_dir(follow_symlinks=False):
                    nodes[name] = Node(DIRECTORY)
                    pending.append(path)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    nodes[name] = Node(
                        FILE,
                        status.st_size,
                        sha256(path),
                        bool(status.st_mode & stat.S_IXUSR),
                        int(status.st_mtime),
                    )
                else:
                    nodes[name] = Node(OTHER)
    return dict(sorted(nodes.items()))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(expected: Manifest, actual: Manifest) -> list[str]:
    """One line for every path that is missing, extra or not the same."""
    lines = []
    for path in sorted(expected.keys() | actual.keys()):
        wanted, found = expected.get(path), actual.get(path)
        if wanted is None:
            lines.append(f"extra: {path} ({actual[path].kind})")
        elif found is None:
            lines.append(f"missing: {path} ({wanted.kind})")
        elif wanted != found:
            changes = [
                f"{field} {getattr(wanted, field)} -> {getattr(found, field)}"
                for field in ("kind", "size", "sha256", "executable", "modified_s")
                if getattr(wanted, field) != getattr(found, field)
            ]
            lines.append(f"differs: {path}: {', '.join(changes)}")
    return lines


def total_size(nodes: Manifest) -> int:
    return sum(node.size for node in nodes.values())


def file_count(nodes: Manifest) -> int:
    return sum(node.kind == FILE for node in nodes.values())


def write_manifest(nodes: Manifest, file: Path) -> None:
    """For people who look at a failure."""
    file.write_text(json.dumps({path: asdict(node) for path, node in nodes.items()}, indent=1, ensure_ascii=False))
