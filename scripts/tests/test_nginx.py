"""What an nginx on a machine of its own takes along, and what is read of its log."""

import tempfile
import unittest
from pathlib import Path

from scenarios.nginx import Answer, Nginx
from scenarios.peer import Machine
from scenarios.taken_along import named_libraries


class NginxTest(unittest.TestCase):
    def test_all_libraries_but_those_of_the_c_library_come_along(self) -> None:
        said = """
	linux-vdso.so.1 (0x00007f4bc805d000)
	libpcre2-8.so.0 => /lib/x86_64-linux-gnu/libpcre2-8.so.0 (0x00007f4bc7e22000)
	libcrypto.so.3 => /lib/x86_64-linux-gnu/libcrypto.so.3 (0x00007f4bc7800000)
	libmissing.so.1 => not found
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f4bc761e000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f4bc805f000)
"""
        folder = "/lib/x86_64-linux-gnu"
        self.assertEqual(named_libraries(said), [f"{folder}/libpcre2-8.so.0", f"{folder}/libcrypto.so.3"])

    def test_each_line_of_the_log_is_an_answer(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "access.log"
            log.write_text("206 262500 /room-game/room-game.eti\n404 310 /a b\n")
            answers = Nginx("nginx", Machine("box"), log).answers()
        self.assertEqual(answers, [Answer(206, 262500, "/room-game/room-game.eti"), Answer(404, 310, "/a b")])


if __name__ == "__main__":
    unittest.main()
