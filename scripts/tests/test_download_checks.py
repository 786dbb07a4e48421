"""The bytes say which source sent them, and bytes that no source sent do not pass."""

import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

from scenarios.download_checks import CHUNK_BYTES, chunk_owners, sentinel_came_last
from scenarios.expectations import CheckFailed
from scenarios.games import SENTINEL
from scenarios.payload import MARK_BYTES, marked_file
from scenarios.watch import Change


class ChunkOwnersTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.roots = {name: Path(folder.name) / name for name in ("one", "other")}
        for name, root in self.roots.items():
            root.mkdir()
            marked_file(root / "a.eti", CHUNK_BYTES + 1_000, name)
        self.received = Path(folder.name) / "received"
        self.received.mkdir()

    def receive(self, *from_each: str) -> None:
        chunks = [self.roots[name].joinpath("a.eti").read_bytes() for name in from_each]
        content = b"".join(chunk[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES] for n, chunk in enumerate(chunks))
        (self.received / "a.eti").write_bytes(content)

    def test_every_chunk_has_its_sender(self) -> None:
        self.receive("other", "one")
        self.assertEqual(chunk_owners(self.received, self.roots), {("a.eti", 0): "other", ("a.eti", 1): "one"})

    def test_a_chunk_of_two_senders_fails(self) -> None:
        self.receive("one", "one")
        with (self.received / "a.eti").open("r+b") as file, (self.roots["other"] / "a.eti").open("rb") as other:
            file.write(other.read(MARK_BYTES))
        with self.assertRaises(CheckFailed):
            chunk_owners(self.received, self.roots)

    def test_a_chunk_in_the_place_of_another_fails(self) -> None:
        self.receive("one", "one")
        content = bytearray((self.received / "a.eti").read_bytes())
        content[65_536:131_072] = content[:65_536]
        (self.received / "a.eti").write_bytes(content)
        with self.assertRaises(CheckFailed):
            chunk_owners(self.received, self.roots)

    def test_missing_extra_and_short_files_fail(self) -> None:
        breaks: tuple[Callable[[Path], object], ...] = (
            lambda file: file.unlink(),
            lambda file: file.write_bytes(b"short"),
            lambda file: file.with_name("extra").touch(),
        )
        for break_it in breaks:
            self.receive("one", "one")
            break_it(self.received / "a.eti")
            with self.assertRaises(CheckFailed):
                chunk_owners(self.received, self.roots)


class MarkedFileTest(unittest.TestCase):
    def test_writing_over_changes_the_marks_in_place(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for size in (0, 1, 63, 64, 65_535, 65_536, 200_000):
                path = marked_file(Path(folder) / f"{size}", size, "one")
                inode, content = path.stat().st_ino, path.read_bytes()
                self.assertEqual(len(content), size)
                marked_file(path, size, "two")
                self.assertEqual((path.stat().st_ino, path.stat().st_size), (inode, size))
                self.assertEqual(path.read_bytes() == content, size == 0)


class SentinelTest(unittest.TestCase):
    def test_the_sentinel_must_come_last_and_everything_once(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.eti", SENTINEL):
                (Path(folder) / name).touch()
            archive, sentinel = Change("a.eti", "appears"), Change(SENTINEL, "appears")
            unrelated = Change(".downloading", "goes")
            sentinel_came_last([archive, sentinel, unrelated], Path(folder))
            for wrong in (
                [sentinel, archive],
                [archive, sentinel, Change("a.eti", "is written")],
                [archive, archive, sentinel],
                [sentinel],
            ):
                with self.assertRaises(CheckFailed):
                    sentinel_came_last(wrong, Path(folder))


if __name__ == "__main__":
    unittest.main()
