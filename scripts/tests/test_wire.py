"""The harness speaks the library's protocol: the bytes here are those that the library's own tests hold fixed."""

import unittest

from scenarios.wire import CONTROL, Reader, Request, about_game, chunk_request, frame, hello, number, text


class WireTest(unittest.TestCase):
    def test_requests_have_the_bytes_of_the_library(self) -> None:
        self.assertEqual(about_game(Request.STREAM_INSTALL, "g", "1"), bytes([4, 1]) + b"g" + bytes([1]) + b"1")
        self.assertEqual(about_game(Request.DOWNLOAD, "g", "1"), bytes([5, 1]) + b"g" + bytes([1]) + b"1")
        self.assertEqual(about_game(Request.DETAILS, "..", "1"), bytes([1, 2]) + b"..")
        self.assertEqual(chunk_request(1, 300, 2), bytes([1, 251, 44, 1, 2]))

    def test_a_hello_has_the_bytes_of_the_library(self) -> None:
        self.assertEqual(hello(), b"\x03raw" + bytes([0, 1, 0]))
        self.assertEqual(frame(CONTROL, hello()), bytes([0, 0, 0, 7, 0]) + hello())

    def test_numbers_come_back_as_they_went(self) -> None:
        for value in (0, 250, 251, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1):
            self.assertEqual(Reader(number(value)).number(), value)

    def test_a_short_frame_is_an_error(self) -> None:
        self.assertEqual(Reader(text("abc")).text(), "abc")
        with self.assertRaises(ValueError):
            Reader(text("abc")[:-1]).text()


if __name__ == "__main__":
    unittest.main()
