"""A script that runs everything twice: what a second time changes nothing, and what is refused on purpose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .. import checks
from ..contract import scenario
from ..docker import docker
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..games import SENTINEL
from ..metrics import metrics_of, received, sent
from ..peer import PORT, STATE, Machine, Peer
from ..stage import VERSION, Stage

NEW_VERSION = "20260101"
GAME_BYTES = 700_000

# What the script brings to its state, and how each game is before it runs.
STREAMED, ARCHIVED, FETCHED = "streamed", "archived", "fetched"
OF_FILE, ARCHIVED_OF_FILE, GONE_OF_FILE, GONE = "of-file", "archived-of-file", "gone-of-file", "gone"
NEWER, OUTDATED = "newer", "outdated"
MENDED, BROKEN = "mended", "broken"
GAMES_OF_ALL = (
    STREAMED, ARCHIVED, FETCHED, OF_FILE, ARCHIVED_OF_FILE, GONE_OF_FILE, GONE, NEWER, OUTDATED, MENDED, BROKEN
)  # fmt: skip

ROOM = f'''absent = ["{GONE_OF_FILE}"]

[games]
{OF_FILE} = "{VERSION}"
{ARCHIVED_OF_FILE} = {{ version = "{VERSION}", as = "archives" }}
'''

# Each command with the name of the file for what it says. It ends the script if it fails.
SCRIPT = f"""
run streamed ensure {STREAMED} --streamed
run archived ensure {ARCHIVED} --archives
run file ensure --file room.toml
run newer ensure {NEWER}
run mended ensure {MENDED}
run all-bytes ensure --verify {STREAMED}@any {ARCHIVED}@any
run gone absent {GONE}
run repaired repair --all
run verified verify --all
run updated update --all
run saved peers add den:{PORT}
"""

# What says that something was done cannot be said twice: each of these is refused, and changes nothing.
REFUSED = {
    f"install {STREAMED}": "already-installed",
    f"install --stream {STREAMED}": "already-installed",
    f"download {FETCHED}": "already-downloaded",
    f"uninstall {GONE}": "not-installed",
    f"remove {GONE}": "not-downloaded",
    f"update {GONE}": "not-installed",
    f"cancel {STREAMED}": "no-operation",
    f"peers remove den:{PORT}": "not-saved",
}

_SCRIPT_LIMIT_S = 60
_HEAD = """set -eu
cd /state
mkdir -p said
run() {
    name=$1
    shift
    lanspread-peer-cli --json "$@" > "said/$name.jsonl"
}
"""


class _Seat:
    """The machine on which the script runs. Its daemon does the work."""

    def __init__(self, stage: Stage, source: Peer) -> None:
        self.games_dir = stage.games_dir("seat")
        self.peer = stage.start_source("seat", self.games_dir, catalog=None, options=["--peer", source.address])
        self.state_dir = stage.dir / "state" / "seat"
        (self.state_dir / "room.toml").write_text(ROOM, encoding="utf-8")
        self._variables = {"LANSPREAD_PEER": source.address, "LANSPREAD_NO_DISCOVERY": "true"}

    @property
    def machine(self) -> Machine:
        return self.peer.machine

    def run(self, script: str) -> dict[str, list[Event]]:
        """What each command of a script has said."""
        (self.state_dir / "script.sh").write_text(_HEAD + script, encoding="utf-8")
        given = [word for name, value in self._variables.items() for word in ("--env", f"{name}={value}")]
        docker("exec", *given, self.machine.container, "sh", f"{STATE}/script.sh", timeout_s=_SCRIPT_LIMIT_S)
        said = sorted((self.state_dir / "said").iterdir())
        return {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in said}

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Every file and folder of the games, and the records of what was installed and downloaded, with what a change
        of them would change: which it is, and its times. Not what the daemon keeps for itself while operations run, and
        the packing lists that it makes of what it offers."""
        records = [f"{checks.OUR_STATE}/receipts/", f"{checks.OUR_STATE}/downloads/"]
        found = {path.relative_to(self.games_dir).as_posix(): path.lstat() for path in self.games_dir.rglob("*")}
        return {
            name: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            for name, status in found.items()
            if not name.startswith(checks.OUR_STATE) or name.startswith(tuple(records))
        }


def _make_games(stage: Stage, games_dir: Path, names: Sequence[str], version: str) -> None:
    for name in names:
        tree = stage.payload(f"{name}-{version}")
        tree.prose("readme.txt", 3_000)
        tree.noise("data/content.bin", GAME_BYTES)
        tree.noise("data/more.bin", GAME_BYTES // 4)
        # An archive that is there would get the new files beside the old ones.
        (games_dir / name / f"{name}.eti").unlink(missing_ok=True)
        root = stage.packed_game(games_dir, name, tree, switches=["-m0"])
        (root / SENTINEL).write_text(f"{version}\n")


def _prepare(stage: Stage, seat: _Seat) -> None:
    games = (GONE_OF_FILE, GONE, NEWER, OUTDATED, MENDED, BROKEN)
    seat.run(f"run prepared ensure --streamed {' '.join(games)}\nrun fetched download {FETCHED}\n")
    for path in (seat.state_dir / "said").iterdir():
        path.unlink()


def _damage(seat: _Seat) -> None:
    """One game as a look at names and sizes shows it, and one as only its bytes show it."""
    (seat.games_dir / MENDED / checks.LOCAL / "data" / "more.bin").unlink()
    broken = seat.games_dir / BROKEN / checks.LOCAL / "data" / "more.bin"
    with broken.open("r+b") as file:
        file.seek(1000)
        file.write(b"other bytes")


def _changed(said: dict[str, list[Event]]) -> dict[str, dict[str, object]]:
    """What each command says of each game: whether it was changed."""
    changed: dict[str, dict[str, object]] = {}
    for name, events in said.items():
        of_command = changed.setdefault(name, {})
        for event in events:
            match event["event"]:
                case "ensured" | "repair-finished":
                    of_command[event["game"]] = event["changed"]
                case "already-current":
                    of_command[event["game"]] = False
                case "stream-install-finished" if name == "updated":
                    of_command[event["game"]] = True
                case "verify-finished":
                    of_command[event["game"]] = event["differences"] > 0
    return changed


@scenario(
    "S90",
    "Everything twice",
    claim="A script of ensure (streamed, with archives, of a room file, to a newer version, of what is damaged, with "
    "all bytes read), absent, repair, verify, update and peers add ends with 0 each time. The second time no game is "
    "changed: no byte of a game is sent, and no file is touched. What cannot be done twice (install, download, "
    "uninstall, remove, update of what is not here, cancel, peers remove) is refused with exit 5 and its code, and "
    "touches nothing either.",
    conditions="One source, and one machine whose daemon does the work. Before the script, two games have an older "
    "version than the source, a file of one game is missing, and one has other bytes of the same length. Every file "
    "and folder of the games is compared by its number and times, and the bytes by the metrics of both machines.",
    time_limit_s=120,
)
def everything_twice(stage: Stage) -> None:
    served = stage.games_dir("den")
    _make_games(stage, served, GAMES_OF_ALL, VERSION)
    old = stage.start_source("den", served, catalog=None)
    seat = _Seat(stage, old)
    _prepare(stage, seat)
    old.kill()
    _make_games(stage, served, (NEWER, OUTDATED), NEW_VERSION)
    den = stage.start_source("den", served, catalog=None)
    _damage(seat)

    first = seat.run(SCRIPT)
    here = sorted(path.name for path in seat.games_dir.iterdir() if path.name[0] != ".")
    everywhere: dict[str, object] = dict.fromkeys(here, False)
    expected: dict[str, dict[str, object]] = {
        "streamed": {STREAMED: True},
        "archived": {ARCHIVED: True},
        "file": {OF_FILE: True, ARCHIVED_OF_FILE: True, GONE_OF_FILE: True},
        "newer": {NEWER: True},
        "mended": {MENDED: True},
        "all-bytes": {STREAMED: False, ARCHIVED: False},
        "gone": {GONE: True},
        "repaired": {**everywhere, BROKEN: True},
        "verified": everywhere,
        "updated": {**everywhere, OUTDATED: True},
        "saved": {},
    }
    expect_equal(_changed(first), expected, "what the script changed at first")
    expect(set(GAMES_OF_ALL) - set(everywhere) == {GONE, GONE_OF_FILE}, f"games that are here: {list(everywhere)}")

    before = _state(seat, den)
    expect(before[0] and before[1], "no byte was sent the first time: nothing was tested")
    second = seat.run(SCRIPT)
    unchanged = {name: dict.fromkeys(games, False) for name, games in expected.items()}
    expect_equal(_changed(second), unchanged, "what the script changed the second time")
    _nothing_moved(seat, den, before, "the script, run again")

    for words, code in REFUSED.items():
        once = f"lanspread-peer-cli peers remove den:{PORT}\n" if words.startswith("peers") else ""
        script = f"{once}status=0\nrun refused {words} || status=$?\n[ $status -eq 5 ]\n"
        errors = [event["code"] for event in seat.run(script)["refused"] if named("error")(event)]
        expect_equal(errors, [code], f"codes of `{words}`")
    _nothing_moved(seat, den, before, "what is refused")


def _state(seat: _Seat, den: Peer) -> tuple[dict[str, int], dict[str, int], int, dict[str, tuple[int, int, int]]]:
    """What the source has sent and the seat has received, transfers that were begun, and the files of the seat."""
    begun = len(den.events.all(named("transfer-begin")))
    return sent(metrics_of(den.machine)), received(metrics_of(seat.machine)), begun, seat.files()


def _nothing_moved(
    seat: _Seat,
    den: Peer,
    before: tuple[dict[str, int], dict[str, int], int, dict[str, tuple[int, int, int]]],
    what: str,
) -> None:
    after = _state(seat, den)
    for index, name in enumerate(("bytes that the source has sent", "bytes that came", "transfers")):
        expect_equal(after[index], before[index], f"{name}, after {what}")
    touched = [path for path in before[3].keys() | after[3].keys() if before[3].get(path) != after[3].get(path)]
    expect(not touched, f"{what} touched {', '.join(sorted(touched)[:8])}")
