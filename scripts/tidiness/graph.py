"""Which file uses which: every use of every crate, followed through re-exports to the file that defines the name."""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from .rust import VALUES, Module, RustError, Use, read_module

Node = TypeVar("Node", Path, str)


@dataclass(frozen=True, order=True)
class Arrow:
    """One file uses what another defines."""

    source: Path
    target: Path
    # The line of the source, and the path as it is written there.
    line: int
    path: str


@dataclass
class Crate:
    name: str
    src: Path
    # The library first, where there is one; then main.rs and what is in bin/.
    roots: list[Module] = field(default_factory=list)

    @property
    def library(self) -> Module | None:
        return self.roots[0] if self.roots and self.roots[0].file.name == "lib.rs" else None

    def files(self) -> set[Path]:
        """Every file of the crate, without its tests."""
        return {module.file for module in modules([self])}


def read_crates(crates_dir: Path) -> list[Crate]:
    """Every crate of the folder, without its tests."""
    crates = []
    for manifest in sorted(crates_dir.glob("*/Cargo.toml")):
        src = manifest.parent / "src"
        crate = Crate(tomllib.loads(manifest.read_text())["package"]["name"], src)
        for file in (src / "lib.rs", src / "main.rs", *sorted(src.glob("bin/*.rs"))):
            if file.exists():
                crate.roots.append(_read_tree("crate", file, src, None))
        crates.append(crate)
    return crates


def is_test_file(file: Path) -> bool:
    return file.stem == "tests" or file.stem.endswith("_tests") or "tests" in file.parent.parts


def _read_tree(name: str, file: Path, folder: Path, parent: Module | None) -> Module:
    """A module and all below it; `folder` holds the files of its children."""
    try:
        module = read_module(name, file, file.read_text(), parent)
    except RustError as error:
        raise RustError(f"{file}: {error}") from error
    _read_declared(module, folder)
    return module


def _read_declared(module: Module, folder: Path) -> None:
    for child in module.children.values():
        _read_declared(child, folder / child.name)
    for name, path in module.declared.items():
        candidates = [module.file.parent / path] if path else [folder / f"{name}.rs", folder / name / "mod.rs"]
        files = [file for file in candidates if file.exists()]
        if len(files) != 1:
            expected = " or ".join(str(file) for file in candidates)
            raise RustError(f"{module.file}: `mod {name};` has {len(files)} files: expected one, {expected}")
        if not is_test_file(files[0]):
            module.children[name] = _read_tree(name, files[0], folder / name, module)


def modules(crates: Iterable[Crate]) -> Iterator[Module]:
    """All modules, inline ones too."""
    waiting = [root for crate in crates for root in crate.roots]
    while waiting:
        module = waiting.pop()
        yield module
        waiting += module.children.values()


@dataclass(frozen=True)
class _Place:
    """What a path leads to: a module, or an item in the file of one."""

    module: Module
    is_item: bool


# A path in a module: what was followed once is not followed again, so that circles of re-exports end.
_Step = tuple[int, tuple[str, ...]]


class Resolver:
    """Follows paths as the compiler does, as far as files go."""

    def __init__(self, crates: Iterable[Crate]) -> None:
        self._libraries = {crate.name.replace("-", "_"): crate.library for crate in crates}

    def file_of(self, module: Module, path: tuple[str, ...]) -> Path | None:
        """The file that defines what the path leads to; None for other people's crates, and for a path that ends at a
        module: what is used of it is in the paths that go on from there."""
        place = self._resolve(module, path, set())
        return place.module.file if place and place.is_item else None

    def module_of(self, module: Module, path: tuple[str, ...]) -> Module | None:
        place = self._resolve(module, path, set())
        return place.module if place and not place.is_item else None

    def _resolve(self, module: Module, path: tuple[str, ...], seen: set[_Step]) -> _Place | None:
        if (id(module), path) in seen:
            return None
        seen.add((id(module), path))
        first, rest = path[0], path[1:]
        here: _Place | None
        if first == "crate":
            here = _Place(_root(module), False)
        elif first == "self":
            here = _Place(module, False)
        elif first == "super":
            here = _Place(module.parent, False) if module.parent else None
            while here and rest[:1] == ("super",):
                here = _Place(here.module.parent, False) if here.module.parent else None
                rest = rest[1:]
        elif first == "":
            here, rest = self._library(rest[0]), rest[1:]
        else:
            here = self._member(module, first, bool(rest), seen) or self._library(first)
        for index, name in enumerate(rest):
            if here is None or here.is_item:
                break
            inside = here.module
            here = self._member(inside, name, index + 1 < len(rest), seen)
            if here is None:
                # Made by a macro, or another crate's under a name of this module.
                here = _Place(inside, True)
        return here

    def _library(self, name: str) -> _Place | None:
        library = self._libraries.get(name)
        return _Place(library, False) if library else None

    def _member(self, module: Module, name: str, goes_on: bool, seen: set[_Step]) -> _Place | None:
        """What a name means in a module. A function may have the name of a module: `list::list`."""
        is_defined = any(
            definition.name == name and not (goes_on and definition.kind in VALUES) for definition in module.definitions
        )
        child = module.children.get(name)
        if child and (goes_on or not is_defined):
            return _Place(child, False)
        if is_defined:
            return _Place(module, True)
        for use in module.uses:
            if use.name == name and use.path != (name,):
                return self._resolve(module, use.path, seen) or _Place(module, True)
        for use in module.uses:
            step = (id(module), (*use.path, "*", name))
            if use.is_glob and step not in seen:
                seen.add(step)
                place = self._resolve(module, use.path, seen)
                if place and not place.is_item and (found := self._member(place.module, name, goes_on, seen)):
                    return found
        return None


def _root(module: Module) -> Module:
    while module.parent:
        module = module.parent
    return module


def read_arrows(crates: Iterable[Crate]) -> list[Arrow]:
    """Every arrow between two files, once: the first of its lines."""
    crates = list(crates)
    resolver = Resolver(crates)
    arrows: dict[tuple[Path, Path], Arrow] = {}
    for module in modules(crates):
        for target, line, path in _targets(module, resolver):
            if target != module.file:
                arrow = Arrow(module.file, target, line, "::".join(path))
                arrows[module.file, target] = min(arrow, arrows.get((module.file, target), arrow))
    return sorted(arrows.values())


def _targets(module: Module, resolver: Resolver) -> Iterator[tuple[Path, int, tuple[str, ...]]]:
    for use in module.uses:
        target = resolver.file_of(module, use.path)
        if use.is_glob and (taken := resolver.module_of(module, use.path)):
            # Which of the names are used is not looked at: a glob counts as a use of the module's own file.
            target = taken.file
        if target and not _only_passes_on(module, use, target):
            yield target, use.line, (*use.path, "*") if use.is_glob else use.path
    for path, line in module.paths:
        if target := resolver.file_of(module, path):
            yield target, line, path


def _only_passes_on(module: Module, use: Use, target: Path) -> bool:
    """Whether this is a folder's front door: a re-export of what is below it, which its own code does not use."""
    return use.is_public and not module.words[use.name] and _is_below(target, module)


def _is_below(file: Path, module: Module) -> bool:
    return any(child.file == file or _is_below(file, child) for child in module.children.values())


def neighbours(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, set[Node]]:
    """What each node uses."""
    uses: dict[Node, set[Node]] = {}
    for source, target in pairs:
        uses.setdefault(source, set()).add(target)
    return uses


def circles(uses: Mapping[Node, set[Node]]) -> list[list[Node]]:
    """Groups of nodes that all reach each other, the largest first."""
    reached = {node: _reached(uses, node) for node in uses}
    groups = {
        frozenset(other for other in found if node in reached.get(other, ()))
        for node, found in reached.items()
        if node in found
    }
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))


def _reached(uses: Mapping[Node, set[Node]], start: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = [start]
    while waiting:
        for node in uses.get(waiting.pop(), ()):
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


def shortest_circle(uses: Mapping[Node, set[Node]], group: Iterable[Node]) -> list[Node]:
    """The shortest way from a node of the group back to itself; its first node is not repeated at the end."""
    return min((_way_back(uses, node) for node in group), key=len)


def _way_back(uses: Mapping[Node, set[Node]], start: Node) -> list[Node]:
    came_from: dict[Node, Node] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for following in sorted(uses.get(node, ())):
            if following == start:
                way = [node]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if following not in came_from:
                came_from[following] = node
                waiting.append(following)
    raise ValueError(f"{start} is in no circle")
