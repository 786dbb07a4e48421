"""Files that are too long, and public types that share a name. Tests are not counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .graph import Crate, is_test_file, modules
from .rust import TYPES, scan, without_tests

# About five screens: what one can still keep in mind.
LINES_MAX = 500


def counted_lines(file: Path) -> int:
    """The lines of a file that are not for tests only."""
    text = file.read_text()
    lines = len(text.splitlines())
    if file.suffix != ".rs":
        return lines
    _, for_tests = without_tests(list(scan(text)))
    return lines - len(for_tests)


def too_long(files: Iterable[Path], root: Path) -> Iterator[str]:
    for file in files:
        is_test = is_test_file(file.relative_to(root)) or file.name.startswith("test_")
        if not is_test and (lines := counted_lines(file)) > LINES_MAX:
            yield f"{file.relative_to(root)} has {lines} lines without its tests: expected at most {LINES_MAX}"


def shared_names(crates: Iterable[Crate], root: Path) -> Iterator[str]:
    """Types of one name that are visible beyond the folder of each."""
    places: dict[str, list[str]] = {}
    for module in modules(crates):
        for definition in module.definitions:
            if definition.kind in TYPES and definition.visibility in ("pub", "pub(crate)"):
                place = f"{module.file.relative_to(root)}:{definition.line}"
                places.setdefault(definition.name, []).append(place)
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"{len(found)} public types are named {name}: {', '.join(sorted(found))}"
