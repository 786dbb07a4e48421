"""One Rust file: its tokens, its modules, what they define and what they use. Code for tests is left out.

This reads just enough of the language for `use` trees, paths and definitions. It does not expand macros: a name that a
macro defines counts as defined by the file of its module.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes))
    | (?P<string>[bc]?"(?:\\.|[^"\\])*")
    | (?P<char>b?'(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^'\\])')
    | (?P<lifetime>'\w+)
    | (?P<word>(?:r\#)?[A-Za-z_]\w*)
    | (?P<number>\d\w*)
    | (?P<mark>::|=>|->|\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_OPENING = {"{": "}", "(": ")", "[": "]"}
_CLOSING = frozenset(_OPENING.values())
_ENDS_AT_SEMICOLON = frozenset(("use", "const", "static", "type", "let"))
TYPES = frozenset(("struct", "enum", "union", "trait", "type"))
# Nothing follows the name of these in a path.
VALUES = frozenset(("fn", "const", "static", "macro_rules"))
_ITEMS = frozenset((*TYPES, *_ENDS_AT_SEMICOLON, "fn", "impl", "mod", "extern", "unsafe", "async", "macro_rules"))
_BEFORE_AN_ITEM = frozenset(("unsafe", "async", "default"))


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    line: int


class RustError(ValueError):
    """The text is not Rust that this script can follow."""


@dataclass(frozen=True)
class Use:
    """One leaf of a `use` tree."""

    path: tuple[str, ...]
    # What the leaf is called here; empty for a glob and for `as _`.
    name: str
    is_glob: bool
    is_public: bool
    line: int


@dataclass(frozen=True)
class Definition:
    name: str
    kind: str
    visibility: str
    line: int


@dataclass
class Module:
    """One module; an inline one has the file of its parent."""

    name: str
    file: Path
    parent: Module | None
    children: dict[str, Module] = field(default_factory=dict)
    # `mod x;`: modules whose text is in a file of its own, with what a `#[path]` before it says.
    declared: dict[str, str] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    # Paths of two segments and more in the code, with their lines.
    paths: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    # How often each word occurs outside `use`.
    words: Counter[str] = field(default_factory=Counter)


def scan(text: str) -> Iterator[Token]:
    """Every token, comments and strings included."""
    position, line = 0, 1
    while match := _TOKEN.search(text, position):
        line += text.count("\n", position, match.start())
        kind, end = match.lastgroup or "", match.end()
        if kind == "hashes":
            kind = "raw"
        if kind == "block":
            kind, end = "comment", _end_of_block_comment(text, match.end())
        token = text[match.start() : end]
        yield Token(kind, token.removeprefix("r#") if kind == "word" else token, line)
        line += token.count("\n")
        position = end


def _end_of_block_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _BLOCK_EDGE.search(text, position)
        if edge is None:
            raise RustError("a block comment has no end")
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def without_tests(tokens: Sequence[Token]) -> tuple[list[Token], set[int]]:
    """The tokens without what `#[cfg(test)]` marks, and the lines that were left out."""
    kept: list[Token] = []
    lines: set[int] = set()
    position = 0
    while position < len(tokens):
        end = _end_of_attribute(tokens, position)
        if end is None:
            kept.append(tokens[position])
            position += 1
        elif not _is_for_tests(tokens[position:end]):
            kept += tokens[position:end]
            position = end
        elif tokens[position + 1].text == "!":
            # `#![cfg(test)]`: the whole file.
            return [], set(range(1, tokens[-1].line + 1))
        else:
            end = _end_of_marked(tokens, end)
            lines.update(range(tokens[position].line, tokens[end - 1].line + 1))
            position = end
    return kept, lines


def _end_of_attribute(tokens: Sequence[Token], position: int) -> int | None:
    """Where the attribute that begins here ends; None if none begins here."""
    if tokens[position].text != "#":
        return None
    position += 1
    if position < len(tokens) and tokens[position].text == "!":
        position += 1
    if position < len(tokens) and tokens[position].text == "[":
        return _end_of_group(tokens, position)
    return None


def _is_for_tests(attribute: Sequence[Token]) -> bool:
    words = [token.text for token in attribute if token.kind != "comment" and token.text not in "#![]"]
    return words == ["cfg", "(", "test", ")"] or words[:5] == ["cfg", "(", "all", "(", "test"]


def _end_of_group(tokens: Sequence[Token], position: int) -> int:
    """The position after the bracket that closes the one at `position`."""
    depth = 0
    for index in range(position, len(tokens)):
        text = tokens[index].text
        if text in _OPENING:
            depth += 1
        elif text in _CLOSING:
            depth -= 1
            if depth == 0:
                return index + 1
    raise RustError(f"line {tokens[position].line}: `{tokens[position].text}` is never closed")


def _end_of_marked(tokens: Sequence[Token], position: int) -> int:
    """Where the item, field, variant, arm or statement ends that an attribute before `position` marks."""
    while position < len(tokens) and (end := _end_of_attribute(tokens, position)):
        position = end
    first = _skip_visibility(tokens, position)
    word = tokens[first].text if first < len(tokens) else ""
    if word == "const" and first + 1 < len(tokens) and tokens[first + 1].text in ("fn", "unsafe", "async"):
        word = "fn"
    while position < len(tokens):
        text = tokens[position].text
        if text in _CLOSING:
            # The last field, variant or arm: the bracket belongs to what it is in.
            return position
        if text in _OPENING:
            position = _end_of_group(tokens, position)
            if text == "{" and word not in _ENDS_AT_SEMICOLON:
                return position + (position < len(tokens) and tokens[position].text == ",")
            continue
        position += 1
        if text == ";" or (text == "," and word not in _ITEMS):
            return position
    return position


def _skip_visibility(tokens: Sequence[Token], position: int) -> int:
    if position < len(tokens) and tokens[position].text == "pub":
        position += 1
        if position < len(tokens) and tokens[position].text == "(":
            position = _end_of_group(tokens, position)
    return position


def read_module(name: str, file: Path, text: str, parent: Module | None) -> Module:
    """The module that a file holds, with its inline modules; files of `mod x;` are the caller's to read."""
    tokens, _ = without_tests([token for token in scan(text) if token.kind != "comment"])
    module = Module(name, file, parent)
    _read_items(module, tokens)
    return module


def _read_items(module: Module, tokens: Sequence[Token]) -> None:
    position = 0
    path_attribute = ""
    while position < len(tokens):
        if end := _end_of_attribute(tokens, position):
            _read_code(module, tokens[position:end])
            words = [token.text for token in tokens[position:end]]
            if words[2:4] == ["path", "="]:
                path_attribute = words[4].strip('"')
            position = end
            continue
        start = position
        position = _skip_visibility(tokens, position)
        visibility = "".join(token.text for token in tokens[start:position])
        position = _skip_modifiers(tokens, position)
        word, name = (tokens[index].text if index < len(tokens) else "" for index in (position, position + 1))
        end = _end_of_item(tokens, position)
        body = tokens[position:end]
        if word == "use":
            module.uses += _read_use(body, is_public=bool(visibility))
        elif word == "mod" and body[-1].text == ";":
            module.declared[name] = path_attribute
        elif word == "mod":
            child = Module(name, module.file, module)
            _read_items(child, body[3:-1])
            module.children[name] = child
        else:
            if word in TYPES or word in VALUES - {"macro_rules"}:
                name = tokens[position + 2].text if name == "mut" else name
                module.definitions.append(Definition(name, word, visibility, tokens[position].line))
            elif word == "macro_rules":
                module.definitions.append(
                    Definition(tokens[position + 2].text, word, visibility, tokens[position].line)
                )
            _read_code(module, body)
        path_attribute = ""
        position = max(end, position + 1)


def _skip_modifiers(tokens: Sequence[Token], position: int) -> int:
    """Goes to the word that says what an item is: `fn` in `pub const unsafe extern "C" fn`."""
    while position + 1 < len(tokens):
        text, following = tokens[position].text, tokens[position + 1]
        is_modifier = text in _BEFORE_AN_ITEM or (text == "const" and following.text in ("fn", "unsafe", "async"))
        if is_modifier or (text == "extern" and following.text == "fn"):
            position += 1
        elif text == "extern" and following.kind == "string" and tokens[position + 2].text == "fn":
            position += 2
        else:
            break
    return position


def _end_of_item(tokens: Sequence[Token], position: int) -> int:
    only_semicolon = tokens[position].text in _ENDS_AT_SEMICOLON if position < len(tokens) else False
    while position < len(tokens):
        text = tokens[position].text
        if text in _OPENING:
            position = _end_of_group(tokens, position)
            if text == "{" and not only_semicolon:
                return position
            continue
        position += 1
        if text == ";":
            return position
    return position


def _read_code(module: Module, tokens: Sequence[Token]) -> None:
    """Takes the paths and the words of code, and the `use` of blocks."""
    position = 0
    while position < len(tokens):
        token = tokens[position]
        following = tokens[position + 1].text if position + 1 < len(tokens) else ""
        # `impl Trait + use<'a>` says what a type captures.
        if token.text == "use" and token.kind == "word" and following != "<":
            end = _end_of_item(tokens, position)
            # In a macro a `use` may have parts that only its caller knows: what follows is read as code.
            with contextlib.suppress(RustError, IndexError):
                module.uses += _read_use(tokens[position:end], is_public=False)
                position = end
                continue
            position += 1
        elif token.kind == "word" or token.text == "::":
            position = _read_path(module, tokens, position)
        else:
            position += 1


def _read_path(module: Module, tokens: Sequence[Token], position: int) -> int:
    line = tokens[position].line
    # A path that begins with `::` begins with the name of a crate.
    segments = [""] if tokens[position].text == "::" else [tokens[position].text]
    position += tokens[position].text != "::"
    while position + 1 < len(tokens) and tokens[position].text == "::" and tokens[position + 1].kind == "word":
        segments.append(tokens[position + 1].text)
        position += 2
    if position < len(tokens) and tokens[position].text == "::":
        # `Vec::<T>`: the generic arguments are read as code of their own.
        position += 1
    module.words.update(segments)
    if len(segments) > 1:
        module.paths.append((tuple(segments), line))
    return position


def _read_use(tokens: Sequence[Token], *, is_public: bool) -> list[Use]:
    """The leaves of `use a::{b, c as d, self, e::*};`."""
    leaves: list[Use] = []

    def tree(position: int, prefix: tuple[str, ...]) -> int:
        if tokens[position].text == "::":
            prefix, position = ("",), position + 1
        while True:
            token = tokens[position]
            if token.text == "{":
                position += 1
                while tokens[position].text != "}":
                    position = tree(position, prefix)
                    position += tokens[position].text == ","
                return position + 1
            if token.text == "*":
                leaves.append(Use(prefix, "", True, is_public, token.line))
                return position + 1
            if token.kind != "word":
                raise RustError(f"line {token.line}: `use` with an unexpected `{token.text}`")
            # `a::{self}` is `a`; a `self` that begins a path is this module.
            prefix = prefix if token.text == "self" and prefix else (*prefix, token.text)
            position += 1
            if tokens[position].text == "::":
                position += 1
                continue
            name = prefix[-1]
            if tokens[position].text == "as":
                name = "" if tokens[position + 1].text == "_" else tokens[position + 1].text
                position += 2
            leaves.append(Use(prefix, name, False, is_public, token.line))
            return position

    tree(1, ())
    return leaves
