"""Checks what a program prints against `docs/event-schema.json`.

It knows the keywords that the page uses and refuses any other one, so that nothing in the page is silently not checked.
The page is JSON Schema 2020-12; `crates/lanspread-testing` checks it in the same way for the unit tests.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "event-schema.json"

Schema = dict[str, Any]

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
# Keywords for readers only; `format` is checked by the unit tests of the program.
FOR_READERS = {"$schema", "$id", "$defs", "title", "description", "format"}


@functools.cache
def kinds() -> Schema:
    """The definition of each kind of object, under its `event`."""
    return dict(json.loads(PAGE.read_text())["$defs"])


def problem(printed: object) -> str | None:
    """What is wrong with a printed object; a field that the page does not describe is wrong too."""
    if not isinstance(printed, dict):
        return "it is no object"
    kind = kinds().get(str(printed.get("event")))
    if kind is None:
        return f"docs/event-schema.json has no `{printed.get('event')}`"
    absent = [field for field in ("event", "time", "v") if field not in printed]
    if absent:
        return f"it has no `{absent[0]}`"
    return _problem(kind, printed, "")


def _problem(schema: Schema, value: Any, path: str) -> str | None:
    unknown = set(schema) - FOR_READERS - {"$ref", "type", "const", "properties", "required", "items"}
    if unknown:
        raise ValueError(f"the schema has keywords that are not checked: {sorted(unknown)}")
    if "$ref" in schema:
        schema = kinds()[schema["$ref"].removeprefix("#/$defs/")]
    if "const" in schema and value != schema["const"]:
        return f"{path}: expected {schema['const']!r}, got {value!r}"
    if not _is_of_type(schema, value):
        return f"{path}: expected {schema['type']}, got {value!r}"
    if isinstance(value, list):
        found = (_problem(schema.get("items", {}), item, f"{path}[]") for item in value)
        return next(filter(None, found), None)
    if not isinstance(value, dict) or "properties" not in schema:
        return None
    for name in schema.get("required", []):
        if name not in value:
            return f"{path}: it has no `{name}`"
    for name, inner in value.items():
        if name not in schema["properties"]:
            return f"{path}/{name} is not described"
        if wrong := _problem(schema["properties"][name], inner, f"{path}/{name}"):
            return wrong
    return None


def _is_of_type(schema: Schema, value: Any) -> bool:
    if "type" not in schema:
        return True
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    # To Python, true is a number.
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, TYPES[name]) for name in names)
