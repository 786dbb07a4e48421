"""A lie is told once, in the right place, and changes nothing else."""

import io
import unittest

from scenarios.relay import (
    CONTROL,
    DATA,
    Frame,
    Lie,
    Silence,
    _read_frames,
    add_a_byte,
    begin_the_file_again,
    drop_a_byte,
    flip_a_byte,
    say_nothing_more,
)

STREAM = [
    Frame(CONTROL, b"begin one"),
    Frame(DATA, b"0123456789"),
    Frame(CONTROL, b"end one"),
    Frame(CONTROL, b"begin two"),
    Frame(DATA, b"abcdefghij"),
    Frame(DATA, b"klmnopqrst"),
    Frame(CONTROL, b"end two"),
]


class LieTest(unittest.TestCase):
    def heard(self, tell: object, at: int = 12) -> list[Frame]:
        return list(Lie(at, tell).frames(iter(STREAM)))

    def test_each_lie_changes_the_frame_in_which_it_is_told(self) -> None:
        self.assertEqual(self.heard(flip_a_byte), [*STREAM[:4], Frame(DATA, b"abcdegghij"), *STREAM[5:]])
        self.assertEqual(self.heard(drop_a_byte), [*STREAM[:4], Frame(DATA, b"abcdefghi"), *STREAM[5:]])
        self.assertEqual(self.heard(add_a_byte), [*STREAM[:4], Frame(DATA, b"abcdefghij!"), *STREAM[5:]])
        self.assertEqual(self.heard(begin_the_file_again), [*STREAM[:5], STREAM[3], *STREAM[5:]])

    def test_silence_ends_what_is_heard(self) -> None:
        heard = []
        with self.assertRaises(Silence):
            for frame in Lie(12, say_nothing_more).frames(iter(STREAM)):
                heard.append(frame)
        self.assertEqual(heard, STREAM[:4])

    def test_a_lie_is_told_once(self) -> None:
        lie = Lie(12, drop_a_byte)
        list(lie.frames(iter(STREAM)))
        self.assertTrue(lie.told.is_set())
        self.assertEqual(list(lie.frames(iter(STREAM))), STREAM)

    def test_too_little_content_is_left_alone(self) -> None:
        lie = Lie(1_000, drop_a_byte)
        self.assertEqual(list(lie.frames(iter(STREAM))), STREAM)
        self.assertFalse(lie.told.is_set())


class FrameTest(unittest.TestCase):
    def test_frames_survive_the_wire(self) -> None:
        wire = b"".join(frame.encode() for frame in STREAM)
        self.assertEqual(list(_read_frames(io.BytesIO(wire))), STREAM)

    def test_a_cut_frame_is_no_frame(self) -> None:
        wire = STREAM[0].encode() + STREAM[1].encode()[:-1]
        self.assertEqual(list(_read_frames(io.BytesIO(wire))), STREAM[:1])


if __name__ == "__main__":
    unittest.main()
