"""What a scenario says of a process reaches the command line of Docker."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest import mock

from scenarios import stage
from scenarios.peer import Machine
from scenarios.stage import Run, Stage


class StageTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.enterContext(mock.patch.object(stage, "create_network"))
        self.peer = self.enterContext(mock.patch.object(stage, "Peer"))
        run = SimpleNamespace(id="run", lock=SimpleNamespace(path=self.dir / "lock"), image="image", dir=self.dir)
        self.stage = Stage(cast(Run, run), self.dir, scenario_id="S1", time_limit_s=30)

    def docker_arguments(self) -> list[str]:
        _, _, arguments, _, _ = self.peer.call_args.args
        return cast(list[str], arguments)

    def test_a_limit_is_a_variable_of_the_container(self) -> None:
        self.stage.start_install("game", self.dir, [], idle_limit_s=8, options=["--unrar", "x"])
        arguments = self.docker_arguments()
        self.assertEqual(arguments[arguments.index("--env") + 1], "LANSPREAD_TEST_IDLE_TIMEOUT_MS=8000")
        self.assertLess(arguments.index("--env"), arguments.index("image"))
        self.assertEqual(arguments[-2:], ["--unrar", "x"])

    def test_a_limit_is_a_variable_of_a_command_on_a_machine(self) -> None:
        self.stage.start_operation(["download", "game"], Machine("box"), idle_limit_s=3)
        self.assertEqual(self.docker_arguments()[:4], ["exec", "--env", "LANSPREAD_TEST_IDLE_TIMEOUT_MS=3000", "box"])

    def test_without_a_limit_the_product_has_its_own(self) -> None:
        self.stage.start_install("game", self.dir, [])
        self.assertNotIn("--env", self.docker_arguments())

    def test_finishing_expects_the_exit_status(self) -> None:
        self.stage.install("game", self.dir, [], exit_status=4)
        self.peer.return_value.wait_for_exit.assert_called_once_with(self.stage.deadline, "the install of game")
        self.peer.return_value.expect_exit.assert_called_once_with(4)

    def test_a_gateway_is_only_for_scenarios_with_this_machine(self) -> None:
        with self.assertRaises(ValueError):
            self.stage.gateway()


if __name__ == "__main__":
    unittest.main()
