"""Breaking archives on purpose: the damage must be where it was meant, and nowhere else."""

import shutil
import tempfile
import unittest
import zlib
from pathlib import Path

from scenarios import archives, rar_format
from scenarios.tools import FIXTURES_DIR

ARENA = FIXTURES_DIR / "fixture-alpha" / "alpha-arena" / "alpha-arena.eti"


class VintTest(unittest.TestCase):
    def test_numbers_survive(self) -> None:
        for value, length in ((0, 1), (127, 1), (128, 2), (300, 2), (300, 5), (2**32, 5)):
            encoded = rar_format.encode_vint(value, length)
            self.assertEqual(rar_format.read_vint(b"\xff" + encoded + b"\x00", 1), (value, 1 + length))

    def test_a_number_that_does_not_fit_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            rar_format.encode_vint(128, 1)

    def test_a_number_without_end_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            rar_format.read_vint(b"\x80" * 12, 0)


class HeaderTest(unittest.TestCase):
    def setUp(self) -> None:
        self.archive = ARENA.read_bytes()

    def header_checksum_fits(self, archive: bytes, block: rar_format.FileBlock) -> bool:
        stored = int.from_bytes(archive[block.crc_start : block.crc_start + 4], "little")
        return stored == zlib.crc32(archive[block.crc_start + 4 : block.header_end])

    def test_every_file_header_is_found(self) -> None:
        blocks = list(rar_format.file_blocks(self.archive))
        names = [block.name.value for block in blocks]
        self.assertEqual(names, [b"readme.txt", b"bin/arena.exe", b"maps/duel.map", b"textures/wall.bin"])
        self.assertEqual([block.unpacked_size.value for block in blocks], [3_000, 60_000, 40_000, 70_001])
        self.assertTrue(all(self.header_checksum_fits(self.archive, block) for block in blocks))

    def test_a_renamed_entry_has_a_fitting_checksum_and_nothing_else_changed(self) -> None:
        patched = rar_format.rename_entry(self.archive, "readme.txt", "../../d.tx")
        block = rar_format.find_block(patched, "../../d.tx")
        self.assertTrue(self.header_checksum_fits(patched, block))
        changed = [at for at, (old, new) in enumerate(zip(self.archive, patched, strict=True)) if old != new]
        self.assertTrue(all(block.crc_start <= at < block.header_end for at in changed))

    def test_a_name_of_another_length_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            rar_format.rename_entry(self.archive, "readme.txt", "short")

    def test_lies_about_size_and_dictionary_keep_the_header_whole(self) -> None:
        for patched in (
            rar_format.claim_unpacked_size(self.archive, "readme.txt", 3_001),
            rar_format.claim_dictionary(self.archive, "readme.txt", 15),
        ):
            self.assertEqual(len(patched), len(self.archive))
            self.assertNotEqual(patched, self.archive)
            self.assertTrue(self.header_checksum_fits(patched, rar_format.find_block(patched, "readme.txt")))

    def test_what_is_no_archive_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            list(rar_format.file_blocks(b"PK\x03\x04"))


class DamageTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.archive = Path(shutil.copy(ARENA, folder.name))
        self.block = rar_format.find_block(self.archive.read_bytes(), "maps/duel.map")

    def test_one_byte_of_the_named_entry_is_flipped(self) -> None:
        before = self.archive.read_bytes()
        offset = archives.flip_packed_byte(self.archive, "maps/duel.map")
        after = self.archive.read_bytes()
        changed = [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        self.assertEqual(changed, [offset])
        self.assertTrue(self.block.data_start <= offset < self.block.data_end)

    def test_an_archive_is_cut_inside_the_named_entry(self) -> None:
        size = archives.truncate_in(self.archive, "maps/duel.map")
        self.assertEqual(self.archive.stat().st_size, size)
        self.assertTrue(self.block.data_start < size < self.block.data_end)


class RootArchivesTest(unittest.TestCase):
    def test_order_is_byte_wise_and_later_volumes_are_left_out(self) -> None:
        names = ["b.eti", "a-2.eti", "a-10.eti", "Z.eti", "v.part1.eti", "v.part2.eti", "v.part10.eti", "version.ini"]
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                (Path(folder) / name).touch()
            found = [path.name for path in archives.root_archives(Path(folder))]
        self.assertEqual(found, ["Z.eti", "a-10.eti", "a-2.eti", "b.eti", "v.part1.eti"])


if __name__ == "__main__":
    unittest.main()
