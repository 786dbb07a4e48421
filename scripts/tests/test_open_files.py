"""A piece of an archive is found in whatever file a process writes."""

import os
import tempfile
import unittest

from scenarios.open_files import OpenFiles

CHUNK = 256 * 1024


class OpenFilesTest(unittest.TestCase):
    def look_at(self, *contents: bytes) -> OpenFiles:
        """Looks after each content that is added to a file without a name."""
        files = OpenFiles(CHUNK)
        with tempfile.TemporaryFile() as file:
            for content in contents:
                file.write(content)
                file.flush()
                files.look(os.getpid())
        return files

    def test_digits_are_content(self) -> None:
        files = self.look_at(b"0123456789abcdef" * (CHUNK // 8))
        self.assertEqual((files.pieces, files.packed), (8, {}))

    def test_other_bytes_are_packed_wherever_they_begin(self) -> None:
        files = self.look_at(b"a" * CHUNK, b"f" * 1000, bytes(range(1, 256)) * (CHUNK // 255))
        [(name, offset)] = files.packed.items()
        self.assertIn("(deleted)", name)
        self.assertEqual(offset, CHUNK + 64 * 1024)

    def test_each_piece_is_looked_at_once_and_a_hole_when_it_is_filled(self) -> None:
        files = self.look_at(b"b" * CHUNK, bytes(CHUNK))
        self.assertEqual(files.pieces, 4)

    def test_what_is_small_is_not_looked_at(self) -> None:
        self.assertEqual(self.look_at(b"{" * (CHUNK - 1)).pieces, 0)

    def test_a_process_that_has_ended_has_nothing_open(self) -> None:
        files = OpenFiles(0)
        files.look(2**22 + 1)
        self.assertEqual(files.pieces, 0)


if __name__ == "__main__":
    unittest.main()
