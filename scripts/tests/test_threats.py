"""docs/threats.md has every row of the catalogue, and every test that it names exists."""

import re
import unittest
from pathlib import Path

from scenarios.matrix import MATRIX

PROJECT_DIR = Path(__file__).resolve().parents[2]
PAGE = (PROJECT_DIR / "docs" / "threats.md").read_text(encoding="utf-8")

# How many rows each part of the catalogue has.
ROWS = {"W": 28, "P": 40, "D": 14, "L": 25, "N": 20, "R": 25, "A": 6}

_ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+) \| (.+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`([\w/]+\.rs)::(\w+)`")
_FUZZ_TARGET = re.compile(r"fuzz `(\w+)`")
_SCENARIO = re.compile(r"\b[SDO]\d+\b")


def rows() -> dict[str, tuple[str, str]]:
    """What the program does, and what notices it, by the id of the row."""
    found = {}
    for id, _, does, noticed in _ROW.findall(PAGE):
        if id in found:
            raise AssertionError(f"{id} stands twice")
        found[id] = (does, noticed)
    return found


def missing_tests(text: str) -> list[str]:
    """Tests, fuzz targets and scenarios that a text names and that do not exist."""
    missing = []
    for path, name in _TEST.findall(text):
        files = [file for file in PROJECT_DIR.glob("crates/*/**/*.rs") if str(file).endswith(f"/{path}")]
        if not any(re.search(rf"\bfn {name}\(", file.read_text(encoding="utf-8")) for file in files):
            missing.append(f"{path}::{name}")
    for name in _FUZZ_TARGET.findall(text):
        if not list(PROJECT_DIR.glob(f"crates/*/fuzz/fuzz_targets/{name}.rs")):
            missing.append(f"fuzz {name}")
    return missing + [id for id in _SCENARIO.findall(text) if id not in MATRIX]


class ThreatsTest(unittest.TestCase):
    def test_every_row_is_there_once(self) -> None:
        wanted = [f"{letter}{number}" for letter, count in ROWS.items() for number in range(1, count + 1)]
        self.assertEqual(list(rows()), wanted)

    def test_every_row_names_a_test_or_says_why_not(self) -> None:
        for id, (does, noticed) in rows().items():
            names_one = any(pattern.search(noticed) for pattern in (_TEST, _FUZZ_TARGET, _SCENARIO))
            says_why = re.search(r"\*(open|later)\*", does)
            self.assertTrue(names_one or says_why, f"{id} names no test and no reason")

    def test_every_test_that_is_named_exists(self) -> None:
        for id, (_, noticed) in rows().items():
            self.assertEqual(missing_tests(noticed), [], id)

    def test_a_test_that_does_not_exist_is_noticed(self) -> None:
        text = "`frame.rs::nobody_wrote_this`, fuzz `nothing`, S999"
        self.assertEqual(missing_tests(text), ["frame.rs::nobody_wrote_this", "fuzz nothing", "S999"])
