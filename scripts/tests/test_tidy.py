"""Uses are followed to the file that defines the name, and each check finds what it is for."""

import contextlib
import io
import tempfile
import textwrap
import unittest
from pathlib import Path

import tidy
from tidiness.graph import circles, read_arrows, read_crates, shortest_circle
from tidiness.prose import banned_words
from tidiness.rooms import Layout, TableError, disallowed, draw_table, picture, read_table
from tidiness.rust import RustError, read_module, scan, without_tests
from tidiness.sizes import LINES_MAX, shared_names, too_long


class TreeTest(unittest.TestCase):
    """Writes crates into a folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def crate(self, name: str, files: dict[str, str]) -> None:
        self.write({f"crates/{name}/Cargo.toml": f'[package]\nname = "{name}"\n'})
        self.write({f"crates/{name}/src/{file}": text for file, text in files.items()})

    def layout(self) -> Layout:
        crates = read_crates(self.root / "crates")
        return Layout(tuple(crates), tuple(read_arrows(crates)))

    def arrows(self) -> set[str]:
        """`a.rs → b.rs`, without the folders of the crate; another crate's file has its name in front."""
        found = set()
        for arrow in self.layout().arrows:
            source, target = (file.relative_to(self.root / "crates").parts for file in (arrow.source, arrow.target))
            ends = "/".join(target[2:]) if source[0] == target[0] else "/".join((target[0], *target[2:]))
            found.add(f"{'/'.join(source[2:])} → {ends}")
        return found


class ScanTest(unittest.TestCase):
    def kinds(self, text: str) -> list[tuple[str, str]]:
        return [(token.kind, token.text) for token in scan(text)]

    def test_strings_and_comments_hide_what_is_in_them(self) -> None:
        text = """let a = "// \\" crate::x"; /* crate::y /* nested */ */ r#"crate::"z"#; '"' // end"""
        words = [text for kind, text in self.kinds(text) if kind == "word"]
        self.assertEqual(words, ["let", "a"])

    def test_a_lifetime_is_no_character(self) -> None:
        self.assertEqual(
            self.kinds("&'a str, 'b', '\\''"),
            [
                ("mark", "&"),
                ("lifetime", "'a"),
                ("word", "str"),
                ("mark", ","),
                ("char", "'b'"),
                ("mark", ","),
                ("char", "'\\''"),
            ],
        )

    def test_lines_are_counted_through_long_tokens(self) -> None:
        lines = {token.text: token.line for token in scan('/* 1\n2 */ a "\n\n" b\n\nc')}
        self.assertEqual((lines["a"], lines["b"], lines["c"]), (2, 4, 6))

    def test_an_open_comment_is_an_error(self) -> None:
        with self.assertRaises(RustError):
            list(scan("/* /* */"))


class WithoutTestsTest(unittest.TestCase):
    def left(self, text: str) -> str:
        tokens, _ = without_tests(list(scan(text)))
        return " ".join(token.text for token in tokens)

    def test_each_kind_of_thing_ends_where_it_ends(self) -> None:
        cases = {
            "#[cfg(test)] mod tests { fn a() {} } fn b() {}": "fn b ( ) { }",
            "#[cfg(test)] mod tests; fn b() {}": "fn b ( ) { }",
            "#[cfg(test)] use a::{b, c}; fn b() {}": "fn b ( ) { }",
            "#[cfg(test)] #[allow(x)] pub(crate) fn a<A, B>(a: A, b: B) -> C<A, B> { a } fn b() {}": "fn b ( ) { }",
            "enum E { #[cfg(test)] A(u8), B }": "enum E { B }",
            "enum E { A, #[cfg(test)] B }": "enum E { A , }",
            "struct S { #[cfg(test)] pub a: u8, b: u8 }": "struct S { b : u8 }",
            "match x { #[cfg(test)] E::A => { 1 } E::B => 2 }": "match x { E : : B => 2 }".replace(": :", "::"),
            "#[cfg(test)] const A: [u8; 2] = { [1, 2] }; const B: u8 = 1;": "const B : u8 = 1 ;",
            "#[cfg(all(test, unix))] fn a() {} fn b() {}": "fn b ( ) { }",
            "#[cfg(unix)] fn b() {}": "# [ cfg ( unix ) ] fn b ( ) { }",
            "#![cfg(test)] fn a() {}": "",
        }
        for text, expected in cases.items():
            with self.subTest(text):
                self.assertEqual(self.left(text), expected)

    def test_it_says_which_lines_it_left_out(self) -> None:
        _, lines = without_tests(list(scan("fn a() {}\n#[cfg(test)]\nmod tests {\n}\nfn b() {}\n")))
        self.assertEqual(lines, {2, 3, 4})


class UseTreeTest(unittest.TestCase):
    def test_every_leaf_is_found(self) -> None:
        module = read_module("m", Path("m.rs"), "pub use a::{self, b as c, d::{e, f::*}, g as _}; use ::h;", None)
        found = [("::".join(use.path), use.name, use.is_glob, use.is_public) for use in module.uses]
        self.assertEqual(
            found,
            [
                ("a", "a", False, True),
                ("a::b", "c", False, True),
                ("a::d::e", "e", False, True),
                ("a::d::f", "", True, True),
                ("a::g", "", False, True),
                ("::h", "h", False, False),
            ],
        )

    def test_what_a_type_captures_is_no_use(self) -> None:
        module = read_module("m", Path("m.rs"), "fn f<'a>() -> impl Iterator + use<'a> { g::h() }", None)
        self.assertEqual((module.uses, [path for path, _ in module.paths]), ([], [("g", "h")]))


class ArrowsTest(TreeTest):
    def test_a_declaration_is_no_arrow_and_a_use_is_one(self) -> None:
        self.crate("one", {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "pub struct B;"})
        self.assertEqual(self.arrows(), {"a.rs → b.rs"})

    def test_a_re_export_is_followed_to_the_definition(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod room; mod user; pub use room::Deep;",
                "room/mod.rs": "mod inner; pub use inner::{Deep, Other as Renamed};",
                "room/inner.rs": "pub struct Deep; pub enum Other { A }",
                "user.rs": "use crate::Deep; fn f() { crate::room::Renamed::A; }",
            },
        )
        self.assertEqual(self.arrows(), {"user.rs → room/inner.rs"})

    def test_a_front_door_that_uses_what_it_passes_on_has_an_arrow(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod room;",
                "room/mod.rs": "mod inner; pub use inner::Deep; pub struct Here(Deep);",
                "room/inner.rs": "use super::Here; pub struct Deep;",
            },
        )
        self.assertEqual(self.arrows(), {"room/mod.rs → room/inner.rs", "room/inner.rs → room/mod.rs"})

    def test_paths_in_code_count_from_wherever_they_begin(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod a; mod b; mod c; mod d; mod limits;",
                "a.rs": "fn f() { crate::b::g(); }",
                "b/mod.rs": "pub mod x; fn g() { self::x::h::<u8>() }",
                "b/x.rs": "use super::super::c; fn h() { c::k(); super::g(); }",
                "c.rs": "use crate::limits; fn k() { macro_call!(limits::MAX); }",
                "d.rs": 'use crate::limits; /// [`crate::a`]\nfn unused() { "crate::a::f" }',
                "limits.rs": "pub const MAX: u8 = 1;",
            },
        )
        self.assertEqual(
            self.arrows(),
            {"a.rs → b/mod.rs", "b/mod.rs → b/x.rs", "b/x.rs → c.rs", "b/x.rs → b/mod.rs", "c.rs → limits.rs"},
        )

    def test_a_function_may_have_the_name_of_a_module(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod list; mod page;",
                "list.rs": "pub fn list() {}",
                "page.rs": "use crate::list; fn list() { list::list() }",
            },
        )
        self.assertEqual(self.arrows(), {"page.rs → list.rs"})

    def test_globs_and_inline_modules_are_followed(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod a; mod b; mod c;",
                "a.rs": "pub mod inner { pub struct In; pub use crate::c::*; }",
                "b.rs": "use crate::a::inner::{C, In};",
                "c.rs": "pub struct C;",
            },
        )
        self.assertEqual(self.arrows(), {"b.rs → a.rs", "b.rs → c.rs", "a.rs → c.rs"})

    def test_another_crate_is_followed_too_and_a_stranger_is_not(self) -> None:
        self.crate("low-one", {"lib.rs": "mod deep; pub use deep::Deep;", "deep.rs": "pub struct Deep;"})
        self.crate("top", {"main.rs": "mod a;", "a.rs": "use low_one::Deep; use serde::Deep as D; use std::io;"})
        self.assertEqual(self.arrows(), {"a.rs → low-one/deep.rs"})

    def test_tests_are_left_out(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod a; mod b; #[cfg(test)] mod helper;",
                "a.rs": "#[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b::B; pub struct A;",
                "b.rs": "pub struct B; mod tests;",
                "b/tests.rs": "use crate::a::A;",
                "helper.rs": "use crate::b::B;",
            },
        )
        self.assertEqual(self.arrows(), set())

    def test_globs_in_a_circle_end(self) -> None:
        files = {"lib.rs": "mod a; mod b; mod c;", "a.rs": "pub use crate::b::*;", "b.rs": "pub use crate::a::*;"}
        self.crate("one", {**files, "c.rs": "fn f() { crate::a::nothing() }"})
        self.assertEqual(self.arrows(), {"a.rs → b.rs", "b.rs → a.rs", "c.rs → a.rs"})

    def test_a_path_attribute_names_the_file(self) -> None:
        self.crate("one", {"lib.rs": '#[path = "deep/x.rs"] mod b; mod a;', "a.rs": "use crate::b::B;"})
        self.write({"crates/one/src/deep/x.rs": "pub struct B;"})
        self.assertEqual(self.arrows(), {"a.rs → deep/x.rs"})

    def test_a_use_in_a_macro_may_have_holes(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod a; mod b;",
                "a.rs": "macro_rules! m { ($x:ident) => { use $crate::b::B; use other::$x; $crate::b::$x } }",
                "b.rs": "pub struct B;",
            },
        )
        self.assertEqual(self.arrows(), {"a.rs → b.rs"})

    def test_a_re_export_in_a_circle_ends(self) -> None:
        self.crate("one", {"lib.rs": "mod a; mod b;", "a.rs": "pub use crate::b::X;", "b.rs": "pub use crate::a::X;"})
        self.assertEqual(self.arrows(), set())

    def test_a_missing_file_is_an_error(self) -> None:
        self.crate("one", {"lib.rs": "mod gone;"})
        with self.assertRaisesRegex(RustError, "`mod gone;` has 0 files"):
            self.layout()


class CirclesTest(unittest.TestCase):
    def test_groups_and_their_shortest_way(self) -> None:
        uses = {"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": {"a", "e"}, "e": {"f"}, "g": {"g"}}
        self.assertEqual(circles(uses), [["a", "b", "c", "d"], ["g"]])
        self.assertEqual(shortest_circle(uses, ["a", "b", "c", "d"]), ["b", "c"])

    def test_what_only_meets_is_no_circle(self) -> None:
        self.assertEqual(circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}), [])


class RoomsTest(TreeTest):
    GOOD = """
        [top]
        crates = ["low"]
        everywhere = ["ground"]
        [top.rooms]
        door = ["engine"]
        engine = []
        ground = []
        [low]
    """

    def setUp(self) -> None:
        super().setUp()
        self.crate("low", {"lib.rs": "pub struct Low;"})
        self.crate(
            "top",
            {
                "lib.rs": "mod door; mod engine; mod ground; pub use door::Door;",
                "door/mod.rs": "use crate::engine::Engine; use crate::ground::G; pub struct Door;",
                "engine.rs": "use crate::ground::G; use low::Low; pub struct Engine;",
                "ground.rs": "pub struct G;",
            },
        )

    def problems(self, table: str) -> list[str]:
        layout = self.layout()
        files = {crate.name: crate.files() for crate in layout.crates}
        return disallowed(layout, read_table(textwrap.dedent(table)), files, self.root)

    def test_a_table_that_fits_has_no_problem(self) -> None:
        self.assertEqual(self.problems(self.GOOD), [])

    def test_each_difference_is_one_problem(self) -> None:
        cases = {
            ('door = ["engine"]', "door = []"): "top: door may not use engine: crates/top/src/door/mod.rs:1 uses "
            "crate::engine::Engine",
            (
                "engine = []\n",
                'engine = ["sea"]\n',
            ): "[top.rooms] engine may use sea, which is not below it in the table",
            ("ground = []\n", "ground = []\n        sea = []\n"): "[top.rooms] sea: there is no such room",
            ('["low"]', "[]"): "crate top may not use low: crates/top/src/engine.rs:1 uses low::Low",
            ("[low]", ""): "crate low is not in the table",
            ("[low]", "[low]\n        [sea]"): "[sea]: there is no such crate",
            ('["engine"]', '["engine", "ground"]'): "[top.rooms] door names ground, which `everywhere` allows",
        }
        for (old, new), expected in cases.items():
            with self.subTest(expected):
                self.assertIn(expected, self.problems(self.GOOD.replace(old, new)))

    def test_an_arrow_that_is_not_there_may_not_be_allowed(self) -> None:
        table = self.GOOD.replace('everywhere = ["ground"]', "").replace("engine = []", 'engine = ["ground"]')
        table = table.replace('["engine"]', '["engine", "ground"]')
        self.assertEqual(self.problems(table), [])
        self.write({"crates/top/src/engine.rs": "use low::Low; pub struct Engine;"})
        self.assertEqual(self.problems(table), ["[top.rooms] engine may use ground, but does not: remove it"])

    def test_a_new_room_must_be_in_the_table(self) -> None:
        self.write({"crates/top/src/lib.rs": "mod door; mod engine; mod ground; mod attic;"})
        self.write({"crates/top/src/attic.rs": ""})
        self.assertEqual(self.problems(self.GOOD), ["top: room attic is not in the table"])

    def test_arrows_go_down(self) -> None:
        self.write({"crates/top/src/ground.rs": "use crate::door::Door; pub struct G;"})
        self.assertEqual(
            self.problems(self.GOOD),
            ["top: ground may not use door: crates/top/src/ground.rs:1 uses crate::door::Door"],
        )
        named = self.GOOD.replace("ground = []", 'ground = ["door"]')
        self.assertEqual(self.problems(named), ["[top.rooms] ground may use door, which is not below it in the table"])

    def test_what_is_used_everywhere_is_used_from_above_only(self) -> None:
        self.write({"crates/top/src/ground.rs": "use crate::engine::Engine; pub struct G;"})
        self.write({"crates/top/src/engine.rs": "use low::Low; pub struct Engine;"})
        table = self.GOOD.replace('["ground"]', '["engine", "ground"]').replace('door = ["engine"]', "door = []")
        self.assertEqual(
            self.problems(table),
            ["top: ground may not use engine: crates/top/src/ground.rs:1 uses crate::engine::Engine"],
        )

    def test_nothing_uses_the_root_of_its_crate(self) -> None:
        self.write({"crates/top/src/lib.rs": "mod door; mod engine; mod ground; pub struct Here;"})
        self.write({"crates/top/src/ground.rs": "use crate::Here; pub struct G;"})
        self.assertEqual(
            self.problems(self.GOOD),
            ["crates/top/src/ground.rs:1 uses crate::Here, which lib.rs defines: a room should have it"],
        )

    def test_an_unknown_key_is_an_error(self) -> None:
        with self.assertRaises(TableError):
            read_table('[top]\nroom = "x"\n')

    def test_the_picture_goes_from_top_to_bottom(self) -> None:
        self.assertEqual(
            picture(read_table(textwrap.dedent(self.GOOD))),
            "top → low\n  door    → engine\n  engine\n  ground  (used everywhere)\n\nlow\n",
        )

    def test_a_drawn_table_fits_what_it_was_drawn_from(self) -> None:
        layout = self.layout()
        self.assertEqual(self.problems(draw_table(layout, {crate.name: crate.files() for crate in layout.crates})), [])


class SizesTest(TreeTest):
    def test_the_lines_of_tests_are_not_counted(self) -> None:
        code = "fn a() {}\n" * LINES_MAX
        tests = "#[cfg(test)]\nmod tests {\n" + "fn a() {}\n" * 50 + "}\n"
        self.write({"fits.rs": code + tests, "long.rs": code + "fn b() {}\n", "x/tests.rs": code * 2})
        files = [self.root / name for name in ("fits.rs", "long.rs", "x/tests.rs")]
        self.assertEqual(
            list(too_long(files, self.root)),
            [f"long.rs has {LINES_MAX + 1} lines without its tests: expected at most {LINES_MAX}"],
        )

    def test_public_types_of_one_name_are_found(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod a; mod b; struct Step; pub struct Other; pub fn same() {}",
                "a.rs": "pub struct Step; pub fn same() {} pub(super) enum Private {} impl X { pub fn step() {} }",
                "b.rs": "pub(crate) enum Step { Other } pub struct Private;",
            },
        )
        self.assertEqual(
            list(shared_names(read_crates(self.root / "crates"), self.root)),
            ["2 public types are named Step: crates/one/src/a.rs:1, crates/one/src/b.rs:1"],
        )


class ProseTest(TreeTest):
    def found(self, name: str, text: str) -> list[int]:
        self.write({name: text})
        return [int(problem.split(":")[1]) for problem in banned_words([self.root / name], self.root)]

    def test_pages_are_read_without_their_code(self) -> None:
        self.assertEqual(self.found("a.md", "Nobody.\n`nobody` is a user\n```\nnobody\n```\nanew,\nrenewed\n"), [1, 6])

    def test_comments_and_strings_of_rust_are_read_and_its_names_are_not(self) -> None:
        text = '//! whoever\nfn somebody() {}\nlet a = "b\nanew";\n/// `nobody`\n'
        self.assertEqual(self.found("a.rs", text), [1, 4])

    def test_comments_and_strings_of_python_are_read(self) -> None:
        text = '"""One\n\nWhoever."""\nnobody = 1  # anew\n'
        self.assertEqual(self.found("a.py", text), [3, 4])

    def test_a_string_of_one_word_is_a_name(self) -> None:
        self.assertEqual(self.found("a.py", 'user = "nobody"\ntext = "is nobody"\n'), [2])
        self.assertEqual(self.found("a.rs", 'let user = "nobody";\nlet text = "is nobody";\n'), [2])

    def test_comments_of_the_shell_are_read(self) -> None:
        self.assertEqual(self.found("a.sh", "echo $nobody\ntrue # somebody\n# Anew\n"), [2, 3])


class CommandTest(TreeTest):
    def run_main(self, *arguments: str) -> tuple[int, str]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = tidy.main(["--root", str(self.root), *arguments])
        return status, output.getvalue()

    def test_a_circle_is_shown_with_its_lines(self) -> None:
        self.crate(
            "one",
            {
                "lib.rs": "mod a; mod b;",
                "a.rs": "\nuse crate::b::B; pub struct A;",
                "b.rs": "pub struct B(crate::a::A);",
            },
        )
        status, output = self.run_main("--only", "circles")
        self.assertEqual(status, 1)
        self.assertIn("circles: 2 files use each other in a circle", output)
        self.assertIn("crates/one/src/a.rs:2 → crates/one/src/b.rs  (crate::b::B)", output)
        self.assertIn("circles: one: 2 rooms use each other in a circle: a, b", output)

    def test_a_tidy_tree_passes_every_check(self) -> None:
        self.crate("one", {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "pub struct B;"})
        self.write({"scripts/architecture.toml": '[one.rooms]\na = ["b"]\nb = []\n'})
        status, output = self.run_main()
        self.assertEqual((status, output), (0, "tidy: circles, arrows, lengths, names, words: nothing to mend\n"))

    def test_a_missing_table_and_an_unknown_check_are_errors(self) -> None:
        self.crate("one", {"lib.rs": ""})
        self.assertEqual(self.run_main("--only", "arrows")[0], 1)
        with self.assertRaises(SystemExit):
            self.run_main("--only", "arrow")


if __name__ == "__main__":
    unittest.main()
