"""The table of allowed arrows between rooms: its check and its picture.

A room is a folder directly below the `src` of a crate, or a file there. The files that Cargo begins with (lib.rs,
main.rs, bin/) are no rooms: they may use everything, and nothing in their crate may use them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .graph import Arrow, Crate, circles, neighbours


class TableError(ValueError):
    """The table is not one."""


@dataclass(frozen=True)
class Plan:
    """What the table says of one crate."""

    crates: tuple[str, ...]
    # Rooms that every room above them may use without naming them.
    everywhere: tuple[str, ...]
    # From top to bottom, with what each may use.
    rooms: Mapping[str, tuple[str, ...]]

    def allows(self, source: str, target: str) -> bool:
        order = list(self.rooms)
        if source not in order or target not in order or order.index(target) <= order.index(source):
            return False
        return target in self.rooms[source] or target in self.everywhere


def read_table(text: str) -> dict[str, Plan]:
    plans = {}
    for crate, rows in tomllib.loads(text).items():
        unknown = set(rows) - {"crates", "everywhere", "rooms"}
        if unknown:
            raise TableError(f"[{crate}] has {', '.join(sorted(unknown))}: expected crates, everywhere and rooms")
        rooms = {room: tuple(may_use) for room, may_use in rows.get("rooms", {}).items()}
        plans[crate] = Plan(tuple(rows.get("crates", ())), tuple(rows.get("everywhere", ())), rooms)
    return plans


def room_of(crate: Crate, file: Path) -> str | None:
    """None for the files that Cargo begins with."""
    if any(root.file == file for root in crate.roots):
        return None
    first = file.relative_to(crate.src).parts[0]
    return first.removesuffix(".rs")


@dataclass(frozen=True)
class Layout:
    """The crates as they are: which file is in which room, and all arrows."""

    crates: tuple[Crate, ...]
    arrows: tuple[Arrow, ...]

    def crate_of(self, file: Path) -> Crate:
        return next(crate for crate in self.crates if file.is_relative_to(crate.src))

    def rooms(self, crate: Crate, files: Iterable[Path]) -> list[str]:
        return sorted({room for file in files if (room := room_of(crate, file))})

    def room_arrows(self, crate: Crate) -> dict[tuple[str, str], list[Arrow]]:
        """The arrows between two rooms of a crate."""
        found: dict[tuple[str, str], list[Arrow]] = {}
        for arrow in self.arrows:
            if arrow.source.is_relative_to(crate.src) and arrow.target.is_relative_to(crate.src):
                source, target = room_of(crate, arrow.source), room_of(crate, arrow.target)
                if source and target and source != target:
                    found.setdefault((source, target), []).append(arrow)
        return found

    def crate_arrows(self) -> dict[tuple[str, str], list[Arrow]]:
        """The arrows between two crates. A crate that hands on a name of another crate is the one that is used: who
        embeds it depends on nothing else."""
        names = {crate.name.replace("-", "_"): crate.name for crate in self.crates}
        found: dict[tuple[str, str], list[Arrow]] = {}
        for arrow in self.arrows:
            source = self.crate_of(arrow.source).name
            target = names.get(arrow.path.split("::")[0], source)
            if source != target:
                found.setdefault((source, target), []).append(arrow)
        return found


def room_circles(layout: Layout) -> Iterator[str]:
    for crate in layout.crates:
        arrows = layout.room_arrows(crate)
        for circle in circles(neighbours(arrows)):
            yield f"{crate.name}: {len(circle)} rooms use each other in a circle: {', '.join(circle)}"


def disallowed(layout: Layout, plans: Mapping[str, Plan], files: Mapping[str, Iterable[Path]], root: Path) -> list[str]:
    """Where the crates and the table differ; `files` are those of each crate."""
    names = [crate.name for crate in layout.crates]
    problems = [f"[{name}]: there is no such crate" for name in plans if name not in names]
    order = list(plans)
    for crate in layout.crates:
        plan = plans.get(crate.name)
        if plan is None:
            problems.append(f"crate {crate.name} is not in the table")
            continue
        for used in plan.crates:
            if used not in order or order.index(used) <= order.index(crate.name):
                problems.append(f"[{crate.name}] may use {used}, which is not below it in the table")
        problems += _room_problems(layout, crate, plan, layout.rooms(crate, files[crate.name]), root)
    for (source, target), arrows in layout.crate_arrows().items():
        if source in plans and target not in plans[source].crates:
            problems.append(f"crate {source} may not use {target}: {_example(arrows, root)}")
    used_crates = set(layout.crate_arrows())
    problems += [
        f"[{name}] may use crate {used}, but does not: remove it from `crates`"
        for name, plan in plans.items()
        for used in plan.crates
        if name in names and (name, used) not in used_crates
    ]
    return problems


def _room_problems(layout: Layout, crate: Crate, plan: Plan, rooms: list[str], root: Path) -> Iterator[str]:
    order = list(plan.rooms)
    for room in rooms:
        if room not in plan.rooms:
            yield f"{crate.name}: room {room} is not in the table"
    for room, may_use in plan.rooms.items():
        if room not in rooms:
            yield f"[{crate.name}.rooms] {room}: there is no such room"
        for target in may_use:
            if target not in order or order.index(target) <= order.index(room):
                yield f"[{crate.name}.rooms] {room} may use {target}, which is not below it in the table"
            elif target in plan.everywhere:
                yield f"[{crate.name}.rooms] {room} names {target}, which `everywhere` allows"
    for target in plan.everywhere:
        if target not in order:
            yield f"[{crate.name}] everywhere: there is no room {target} in the table"
    arrows = layout.room_arrows(crate)
    for (source, target), between in sorted(arrows.items()):
        is_named = target in plan.rooms.get(source, ())
        if source in order and target in order and not is_named and not plan.allows(source, target):
            yield f"{crate.name}: {source} may not use {target}: {_example(between, root)}"
    for room, may_use in plan.rooms.items():
        for target in may_use:
            if room in rooms and target in rooms and (room, target) not in arrows:
                yield f"[{crate.name}.rooms] {room} may use {target}, but does not: remove it"
    for arrow in layout.arrows:
        if arrow.source.is_relative_to(crate.src) and any(arrow.target == root.file for root in crate.roots):
            yield f"{_place(arrow, root)} uses {arrow.path}, which {arrow.target.name} defines: a room should have it"


def _place(arrow: Arrow, root: Path) -> str:
    return f"{arrow.source.relative_to(root)}:{arrow.line}"


def _example(arrows: list[Arrow], root: Path) -> str:
    more = f" and {len(arrows) - 1} more" if len(arrows) > 1 else ""
    return f"{_place(arrows[0], root)} uses {arrows[0].path}{more}"


def picture(plans: Mapping[str, Plan]) -> str:
    """The table as a page: crates and rooms from top to bottom, with what each may use."""
    width = 2 + max((len(room) for plan in plans.values() for room in plan.rooms), default=0)
    lines = []
    for name, plan in plans.items():
        lines.append(f"{name} → {', '.join(plan.crates)}" if plan.crates else name)
        for room, may_use in plan.rooms.items():
            is_ground = room in plan.everywhere
            arrow = f"→ {', '.join(may_use)}" if may_use else ""
            lines.append(f"  {room:{width}}{'(used everywhere) ' if is_ground else ''}{arrow}".rstrip())
        lines.append("")
    return "\n".join(lines)


def draw_table(layout: Layout, files: Mapping[str, Iterable[Path]]) -> str:
    """A table of the crates as they are, to begin with. Rooms in a circle follow each other and do not pass."""
    used_crates = layout.crate_arrows()
    lines = []
    for name in _from_the_top([crate.name for crate in layout.crates], neighbours(used_crates)):
        crate = next(crate for crate in layout.crates if crate.name == name)
        crates = sorted(target for source, target in used_crates if source == name)
        lines += [f"[{name}]", f"crates = {_list(crates)}", "", f"[{name}.rooms]"]
        uses = neighbours(layout.room_arrows(crate))
        order = _from_the_top(layout.rooms(crate, files[name]), uses)
        lines += [f"{room} = {_list(sorted(uses.get(room, ()), key=order.index))}" for room in order]
        lines.append("")
    return "\n".join(lines)


def _list(names: Iterable[str]) -> str:
    return f"[{', '.join(f'{name!r}'.replace(chr(39), chr(34)) for name in names)}]"


def _from_the_top(nodes: list[str], uses: Mapping[str, set[str]]) -> list[str]:
    """Users before what they use; what is in a circle comes in the order of its names."""
    depths: dict[str, int] = {}
    together = {node: circle for circle in circles(uses) for node in circle}

    def depth(node: str) -> int:
        if node not in depths:
            group = together.get(node, [node])
            below = {target for member in group for target in uses.get(member, ())} - set(group)
            depths.update(dict.fromkeys(group, 1 + max((depth(target) for target in below), default=0)))
        return depths[node]

    return sorted(nodes, key=lambda node: (-depth(node), node))
