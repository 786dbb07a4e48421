"""Words that plain English does without, in what people read: pages, comments, help and messages."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from .rust import Token, scan

# What is banned, and what to write instead: name the actor. Keep the list short: an entry must never be right anywhere
# in this project.
BANNED = {
    "anew": "again, or a new one",
    "whoever": "the peer that, a client that",
    "whomever": "the peer that, a client that",
    "somebody": "a peer, a user, another process",
    "nobody": "no peer, no user, no process",
    "what stands there": "what is there",
    "what stands at": "what is at",
    "what stands below": "what is below",
}

_FINDERS = {word: re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE) for word in BANNED}
_FENCE = re.compile(r"^\s*(```|~~~)")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
# Newer versions of Python have tokens of their own for what is between the braces of an f-string.
_PYTHON_STRINGS = (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
_HASH_COMMENT = re.compile(r"(?:^|\s)#(.*)")


def prose(file: Path, text: str) -> Iterator[tuple[int, str]]:
    """The lines of a file that are for people, with their numbers; `code` in them is left out."""
    if file.suffix == ".md":
        lines = _markdown(text)
    elif file.suffix == ".rs":
        lines = _lines((token.line, token.text) for token in scan(text) if _is_prose(token))
    elif file.suffix == ".py":
        lines = _python(text)
    else:
        lines = (
            (number, found[1])
            for number, line in enumerate(text.splitlines(), 1)
            if (found := _HASH_COMMENT.search(line))
        )
    for number, line in lines:
        yield number, _INLINE_CODE.sub("`", line)


def _is_prose(token: Token) -> bool:
    return token.kind == "comment" or (token.kind in ("string", "raw") and _is_phrase(token.text))


def _is_phrase(text: str) -> bool:
    """A string of one word is a name: of a user, an option, a file."""
    return len(text.split()) > 1


def _markdown(text: str) -> Iterator[tuple[int, str]]:
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            is_code = not is_code
        elif not is_code:
            yield number, line


def _python(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type in _PYTHON_STRINGS and _is_phrase(token.string)):
            yield from _lines([(token.start[0], token.string)])


def _lines(pieces: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for first, piece in pieces:
        yield from enumerate(piece.splitlines(), first)


def banned_words(files: Iterable[Path], root: Path) -> Iterator[str]:
    for file in files:
        for number, line in prose(file, file.read_text()):
            for word, instead in BANNED.items():
                if _FINDERS[word].search(line):
                    yield f"{file.relative_to(root)}:{number}: “{word}”: write “{instead}”"
