#!/usr/bin/env python3
"""Checks that the house is tidy: no Rust file is in a circle of uses, rooms use only what scripts/architecture.toml
allows, no file is too long, no two public types share a name, and the prose has none of the banned words.

    scripts/tidy.py             every check; status 1 if there is something to mend
    scripts/tidy.py --picture   prints the architecture from top to bottom, and checks nothing
    scripts/tidy.py --draw      prints a table of the crates as they are, to begin scripts/architecture.toml with
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tidiness.graph import circles, neighbours, read_arrows, read_crates, shortest_circle
from tidiness.prose import banned_words
from tidiness.rooms import Layout, TableError, disallowed, draw_table, picture, read_table, room_circles
from tidiness.rust import RustError
from tidiness.sizes import shared_names, too_long

PROJECT_DIR = Path(__file__).resolve().parents[1]
TABLE = Path("scripts/architecture.toml")

# Where there is prose, and how its files end. What is made by a program is made from prose that is checked.
PROSE = {
    ".": (".md", ".toml"),
    "docs": (".md",),
    "crates": (".rs", ".toml", ".md"),
    "scripts": (".py", ".sh", ".toml", ".md"),
    "docker": (".sh", ".md"),
    "packaging": (".toml", ".service", ".md"),
    "fixtures": (".py", ".md"),
}
# These quote the words: the page about style, and this check with its test.
QUOTES = ("docs/text-style.md", "scripts/tidiness/prose.py", "scripts/tests/test_tidy.py")


class Tree:
    """The project below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def layout(self) -> Layout:
        crates = read_crates(self.root / "crates")
        return Layout(tuple(crates), tuple(read_arrows(crates)))

    def rust_files(self, layout: Layout) -> dict[str, list[Path]]:
        return {crate.name: sorted(crate.files()) for crate in layout.crates}

    def code_files(self) -> list[Path]:
        return sorted([*self.root.glob("crates/*/src/**/*.rs"), *self.root.glob("scripts/**/*.py")])

    def prose_files(self) -> Iterator[Path]:
        for folder, endings in PROSE.items():
            files = (self.root / folder).glob("*" if folder == "." else "**/*")
            for file in sorted(files):
                name = str(file.relative_to(self.root))
                if file.is_file() and file.suffix in endings and name not in QUOTES and "/target/" not in f"/{name}":
                    yield file


def file_circles(layout: Layout, root: Path) -> Iterator[str]:
    uses = neighbours((arrow.source, arrow.target) for arrow in layout.arrows)
    arrows = {(arrow.source, arrow.target): arrow for arrow in layout.arrows}
    for circle in circles(uses):
        way = shortest_circle(uses, circle)
        lines = [f"{len(circle)} files use each other in a circle, the shortest one by"]
        for source, target in zip(way, [*way[1:], way[0]], strict=True):
            arrow = arrows[source, target]
            lines.append(f"    {source.relative_to(root)}:{arrow.line} → {target.relative_to(root)}  ({arrow.path})")
        lines.append(f"  all: {' '.join(str(file.relative_to(root)) for file in circle)}")
        yield "\n".join(lines)


def checks(tree: Tree) -> dict[str, Callable[[], Iterable[str]]]:
    layout = tree.layout()
    table = tree.root / TABLE
    return {
        "circles": lambda: [*file_circles(layout, tree.root), *room_circles(layout)],
        "arrows": lambda: disallowed(layout, read_table(table.read_text()), tree.rust_files(layout), tree.root),
        "lengths": lambda: too_long(tree.code_files(), tree.root),
        "names": lambda: shared_names(layout.crates, tree.root),
        "words": lambda: banned_words(tree.prose_files(), tree.root),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT_DIR, help="the project to check (default: this one)")
    parser.add_argument("--only", metavar="CHECK", help="circles, arrows, lengths, names or words; several with commas")
    parser.add_argument("--picture", action="store_true", help="print the architecture and check nothing")
    parser.add_argument("--draw", action="store_true", help="print a table of the crates as they are")
    asked = parser.parse_args(arguments)
    tree = Tree(asked.root.resolve())
    try:
        if asked.picture:
            print(picture(read_table((tree.root / TABLE).read_text())), end="")
            return 0
        if asked.draw:
            layout = tree.layout()
            print(draw_table(layout, tree.rust_files(layout)), end="")
            return 0
        wanted = checks(tree)
        names = asked.only.split(",") if asked.only else list(wanted)
        unknown = [name for name in names if name not in wanted]
        if unknown:
            parser.error(f"--only: unknown check {', '.join(unknown)}: expected {', '.join(wanted)}")
        problems = [(name, problem) for name in names for problem in wanted[name]()]
    except (RustError, TableError, OSError) as error:
        print(f"tidy: {error}", file=sys.stderr)
        return 1
    for name, problem in problems:
        print(f"{name}: {problem}")
    print(f"tidy: {len(problems)} to mend" if problems else f"tidy: {', '.join(names)}: nothing to mend")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
