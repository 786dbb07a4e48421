"""A script that may run again: the shell example of `docs/automation.md`, as it is printed there."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import checks
from ..contract import scenario
from ..docker import docker
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import GAMES, STATE, Machine
from ..stage import Stage
from ..tools import PROJECT_DIR
from ..trees import manifest

PAGE = PROJECT_DIR / "docs" / "automation.md"
SEATS = 3
INSTALLED = ["alpha-arena", "alpha-racer"]
ROOM = '[games]\nalpha-arena = "20250101"\nalpha-racer = "current"\n'
_SCRIPT_LIMIT_S = 60


def shell_example() -> str:
    """The first shell script of the page."""
    found = re.search(r"^```sh\n(#!.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{PAGE} has no shell script"
    return found[1]


def _run(machine: Machine, variables: dict[str, str]) -> str:
    given = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    arguments = ["exec", "--workdir", STATE, *given, machine.container, "sh", "ensure.sh", GAMES]
    return docker(*arguments, timeout_s=_SCRIPT_LIMIT_S).strip()


def _trees(games_dir: Path) -> list[object]:
    return [manifest(games_dir / game / "local") for game in INSTALLED]


@scenario(
    "S95",
    "A room by a script, twice",
    claim="The shell script of docs/automation.md brings three machines to the state of a room.toml and says that "
    "they have changed. Run again, it says that they have not: no byte is sent, and nothing on their disks is written.",
    conditions="One source with two games, three machines without a daemon that run the script at once, then again, "
    "and then once more while the source is gone.",
    time_limit_s=120,
)
def room_by_a_script(stage: Stage) -> None:
    den = stage.start_source("den", stage.games_from("den", "fixture-alpha"), catalog=None)
    variables = {"LANSPREAD_PEER": den.address, "LANSPREAD_NO_DISCOVERY": "true", "LANSPREAD_STATE_DIR": STATE}
    machines = []
    for number in range(SEATS):
        name = f"seat-{number}"
        state_dir = stage.dir / "state" / name
        state_dir.mkdir(parents=True, exist_ok=True)
        (state_dir / "ensure.sh").write_text(shell_example(), encoding="utf-8")
        (state_dir / "room.toml").write_text(ROOM, encoding="utf-8")
        machines.append((stage.games_dir(name), stage.machine(name, stage.games_dir(name))))

    def run_everywhere() -> list[str]:
        with ThreadPoolExecutor(SEATS) as pool:
            return list(pool.map(lambda each: _run(each[1], variables), machines))

    expect_equal(run_everywhere(), ["changed"] * SEATS, "what the script said at first")
    before = [_trees(games_dir) for games_dir, _ in machines]
    for games_dir, _ in machines:
        for game in INSTALLED:
            expect((games_dir / game / "local").is_dir(), f"{game} is not installed in {games_dir}")
            checks.only_local_tree(games_dir, game)
    begun = len(den.events.all(named("transfer-begin")))
    expect_equal(run_everywhere(), ["unchanged"] * SEATS, "what the script said the second time")
    expect_equal(len(den.events.all(named("transfer-begin"))), begun, "transfers that the source has begun")
    den.kill()
    expect_equal(run_everywhere(), ["unchanged"] * SEATS, "what the script said without the source")
    expect_equal([_trees(games_dir) for games_dir, _ in machines], before, "the installed trees")
