"""The comparison must see every kind of difference: a scenario is only as good as this."""

import os
import tempfile
import unittest
from pathlib import Path

from scenarios.trees import OTHER, differences, file_count, manifest, total_size


class TreesTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.left = self.make_tree(Path(folder.name) / "left")
        self.right = self.make_tree(Path(folder.name) / "right")

    @staticmethod
    def make_tree(root: Path) -> Path:
        (root / "sub" / "empty").mkdir(parents=True)
        for name, content in (("one.bin", b"1" * 100), ("sub/two.txt", b"two"), ("sub/nothing", b"")):
            (root / name).write_bytes(content)
            os.utime(root / name, (1_700_000_000, 1_700_000_000))
        return root

    def lines(self) -> list[str]:
        return differences(manifest(self.left), manifest(self.right))

    def test_equal_trees_have_no_differences(self) -> None:
        self.assertEqual(self.lines(), [])
        nodes = manifest(self.left)
        self.assertEqual((file_count(nodes), total_size(nodes)), (3, 103))

    def test_each_single_change_is_one_line(self) -> None:
        def missing_file(root: Path) -> None:
            (root / "sub" / "nothing").unlink()

        def missing_empty_directory(root: Path) -> None:
            (root / "sub" / "empty").rmdir()

        def extra_file(root: Path) -> None:
            (root / "extra").touch()

        def extra_directory(root: Path) -> None:
            (root / "sub" / "more").mkdir()

        def same_size_other_bytes(root: Path) -> None:
            (root / "one.bin").write_bytes(b"1" * 99 + b"2")
            os.utime(root / "one.bin", (1_700_000_000, 1_700_000_000))

        def executable_bit(root: Path) -> None:
            (root / "one.bin").chmod(0o755)

        def other_time(root: Path) -> None:
            os.utime(root / "one.bin", (1_700_000_001, 1_700_000_001))

        def file_became_link(root: Path) -> None:
            (root / "sub" / "two.txt").unlink()
            # To a file with the same content: following it would hide it.
            (root / "sub" / "two.txt").symlink_to(self.left / "sub" / "two.txt")

        def file_became_directory(root: Path) -> None:
            (root / "sub" / "nothing").unlink()
            (root / "sub" / "nothing").mkdir()

        changes = {
            missing_file: "missing: sub/nothing",
            missing_empty_directory: "missing: sub/empty",
            extra_file: "extra: extra",
            extra_directory: "extra: sub/more",
            same_size_other_bytes: "sha256",
            executable_bit: "executable False -> True",
            other_time: "modified_s",
            file_became_link: f"kind file -> {OTHER}",
            file_became_directory: "kind file -> directory",
        }
        for change, expected in changes.items():
            with self.subTest(change.__name__), tempfile.TemporaryDirectory() as folder:
                self.right = self.make_tree(Path(folder) / "right")
                change(self.right)
                lines = self.lines()
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(expected, lines[0])

    def test_links_to_directories_are_not_entered(self) -> None:
        (self.right / "loop").symlink_to(self.right)
        self.assertEqual(self.lines(), [f"extra: loop ({OTHER})"])


if __name__ == "__main__":
    unittest.main()
