"""Each fault is what its name says, and what it sends is counted."""

import http.client
import tempfile
import unittest
from pathlib import Path

from scenarios.bad_servers import FAULTS, BadServers

FILE = bytes(range(256)) * 4096
BEGIN, END = 1000, 300_000
ASKED = END - BEGIN


class BadServersTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        (root / "game").mkdir()
        (root / "game" / "game.eti").write_bytes(FILE)
        self.servers = BadServers("127.0.0.1", root)

    def ask(self, fault: str, take: int | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        host, _, port = self.servers.url(fault).split("/")[2].partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        self.addCleanup(connection.close)
        connection.request("GET", f"/{fault}/game/game.eti", headers={"Range": f"bytes={BEGIN}-{END - 1}"})
        response = connection.getresponse()
        try:
            body = response.read(take)
        except http.client.IncompleteRead as error:
            body = error.partial
        response.close()
        connection.close()
        return response, body

    def test_statuses_and_bodies(self) -> None:
        right = FILE[BEGIN:END]
        bodies = {
            "whole-file": (200, FILE),
            "other-range": (206, right),
            "other-length": (206, right + b"x"),
            "cut": (206, right[: ASKED // 2]),
            "server-error": (500, b""),
            "too-many": (429, b""),
            "redirects": (302, b""),
            "other-file": (206, right),
            "wrong-bytes": (206, bytes([right[0] ^ 1]) + right[1:]),
        }
        with self.servers:
            for fault, expected in bodies.items():
                with self.subTest(fault):
                    response, body = self.ask(fault)
                    self.assertEqual((response.status, body), expected)
        for fault, (_, body) in bodies.items():
            [answered] = self.servers.answered(fault)
            self.assertEqual((answered.asked, answered.sent), (ASKED, len(body)), fault)
        self.assertEqual({*bodies, "endless"}, set(FAULTS))

    def test_something_endless_ends_with_the_connection_and_is_counted(self) -> None:
        with self.servers:
            _, body = self.ask("endless", take=ASKED + 1000)
        self.assertEqual(body, FILE[BEGIN:END] + bytes(1000))
        [answered] = self.servers.answered("endless")
        self.assertGreaterEqual(answered.sent, ASKED + 1000)

    def test_the_file_is_another_one_each_time(self) -> None:
        with self.servers:
            tags = {self.ask("other-file")[0].getheader("ETag") for _ in range(3)}
        self.assertEqual(len(tags), 3)

    def test_what_is_not_a_part_is_refused(self) -> None:
        with self.servers:
            self.assertEqual(self.ask("no-such-fault")[0].status, 400)


if __name__ == "__main__":
    unittest.main()
