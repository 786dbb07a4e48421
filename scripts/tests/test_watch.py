"""The watch reports what happened, in order: scenarios conclude from it what came last."""

import os
import tempfile
import threading
import unittest
from pathlib import Path

from scenarios.expectations import Deadline, TimeLimitPassed
from scenarios.watch import Change, FolderWatch


class FolderWatchTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "watched"
        self.folder.mkdir()
        self.outside = self.folder.parent / "outside"
        self.outside.write_text("moved in")

    def test_changes_come_in_their_order(self) -> None:
        with FolderWatch(self.folder) as watch:
            self.assertEqual(watch.changes(), [])
            (self.folder / "made").write_text("content")
            os.rename(self.outside, self.folder / "moved")
            os.rename(self.folder / "made", self.outside)
            (self.folder / "moved").unlink()
            expected = [
                Change("made", "appears"),
                Change("made", "is written"),
                Change("moved", "appears"),
                Change("made", "goes"),
                Change("moved", "goes"),
            ]
            self.assertEqual(watch.changes(), expected)
            self.assertEqual(watch.changes(), expected, "nothing is consumed")

    def test_what_happened_before_is_not_told(self) -> None:
        (self.folder / "early").touch()
        with FolderWatch(self.folder) as watch:
            (self.folder / "late").mkdir()
            self.assertEqual(watch.changes(), [Change("late", "appears")])

    def test_waiting_ends_with_the_change_or_with_the_deadline(self) -> None:
        with FolderWatch(self.folder) as watch:
            threading.Thread(target=(self.folder / "awaited").mkdir).start()
            watch.wait_for(Change("awaited", "appears"), Deadline(10))
            with self.assertRaises(TimeLimitPassed):
                watch.wait_for(Change("never", "appears"), Deadline(0.05))

    def test_a_folder_that_is_not_there_cannot_be_watched(self) -> None:
        with self.assertRaises(OSError):
            FolderWatch(self.folder / "missing")


if __name__ == "__main__":
    unittest.main()
