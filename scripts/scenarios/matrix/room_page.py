"""The page of a room in a real browser: three machines, one of which fails, and what an organiser sees and does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from .. import checks
from ..contract import scenario
from ..docker import docker
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import GAMES, STATE, Mount, Peer
from ..stage import Stage
from ..tools import PROJECT_DIR
from ..webdriver import Browser

PORT = 4180
GAME = "page-game"
OTHER_GAME = "alpha-arena"
GAME_BYTES = 24 * 1024 * 1024
# So that the game takes some seconds, in which the page shows how far it is.
LIMIT = "3MiB/s"
# A name that would be an element if it were ever taken for markup.
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
# Too small for the game.
DISK_BYTES = 8 * 1024 * 1024

PICTURES = PROJECT_DIR / "target" / "page"
_DETAIL = "return document.querySelector('#detail').innerText"


def _asked(url: str, token: str, **headers: str) -> int:
    """Asks for a streamed install, as a page would, and gives the status of the answer."""
    body = json.dumps({"kind": "stream-install", "game": GAME, "peers": ["peer1l5gs6vqa9urhmc2pfw8enazpky8nndga"]})
    given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"{url}api/v1/operations", body.encode(), given, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@scenario(
    "S96",
    "A room in a browser",
    claim="The page of a machine shows the room: a game that only another machine has is installed by a click, and a "
    "second one by the keyboard alone; the cell goes from streaming with a percentage to installed, not shareable. A "
    "machine without room for the game shows the reason and what to do; a name that is markup stays text. A request "
    "from another site starts nothing.",
    conditions="A source that sends 3 MiB a second, a machine whose page is open in Chromium, and one with a disk of "
    "8 MiB and a hostile name, on which the install is asked for by a command. The page asks for its token.",
    time_limit_s=150,
    with_this_machine=True,
)
def room_in_a_browser(stage: Stage) -> None:
    games_dir = stage.games_from("den", "fixture-alpha/alpha-arena")
    tree = stage.payload("page")
    tree.noise("data/content.bin", GAME_BYTES)
    stage.packed_game(games_dir, GAME, tree)
    den = stage.start_source("den", games_dir, catalog=None, options=["--limit-up", LIMIT])
    seat, url, token = _seat_with_page(stage, den)
    poor = _poor_seat(stage, den, seat)

    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"}):
        expect_equal(_asked(url, token, **headers), 403, f"answer to a request with {headers}")
    expect_equal(_asked(url, "wrong", Origin=url.rstrip("/")), 401, "answer to a request with a wrong token")
    form = {"Origin": url.rstrip("/"), "Content-Type": "text/plain"}
    expect_equal(_asked(url, token, **form), 415, "answer to a request of another type")

    with Browser() as browser:
        browser.open_with_token(url, token)
        _installs_by_click(browser, seat)
        _shows_the_poor_seat(stage, browser, poor)
        _installs_by_keyboard(browser, seat)
        pictures = _pictures(browser)
        expect_equal(browser.complaints(), [], "complaints of the browser")
    begun = [event for event in seat.events.all(named("operation-begin")) if event["game"] in (GAME, OTHER_GAME)]
    expect_equal([event["game"] for event in begun], [GAME, OTHER_GAME], "operations of the machine of the page")
    stage.figures.append(f"pictures {', '.join(f'{size // 1000} kB' for size in pictures)}")


def _seat_with_page(
    stage: Stage, den: Peer, options: Sequence[str] = (), mounts: Sequence[Mount] = ()
) -> tuple[Peer, str, str]:
    """A machine that serves the page, where the page is, and its token."""
    web = ["--web", f"0.0.0.0:{PORT}", "--peer", den.address, *options]
    seat = stage.start_source("seat-1", stage.games_dir("seat-1"), catalog=None, options=web, mounts=mounts)
    ready = seat.wait_for_event("page-ready", stage.deadline)
    expect_equal(ready["token_file"], f"{STATE}/web-token", "where the token is")
    token = docker("exec", seat.machine.container, "cat", ready["token_file"]).strip()
    return seat, f"http://{seat.ip_address()}:{PORT}/", token


def _poor_seat(stage: Stage, den: Peer, seat: Peer) -> Peer:
    """A machine with a small disk and a hostile name, whose install fails."""
    disk = stage.small_disk(DISK_BYTES)
    arguments = stage.serve_arguments("poor", with_catalog=False)
    arguments[arguments.index("--name") + 1] = HOSTILE_NAME
    arguments += ["--peer", den.address, "--peer", seat.address]
    poor = stage.start("poor", arguments, Mount(disk.mount.source, GAMES))
    poor.wait_for_event("peer-ready", stage.deadline)
    install = ["install", "--stream", GAME, "--games-dir", GAMES, "--no-discovery", "--peer", den.address]
    stage.command("poor-install", poor.machine, *install, exit_status=7)
    return poor


def _open_cell(browser: Browser, peer: str, game: str) -> None:
    browser.until_script(f"return games.has('{game}') && peers.has('{peer}')", f"the page knows {game}", 20)
    browser.run(f"location.hash = '#room/seat/{peer}/game/{game}'")


def _installs_by_click(browser: Browser, seat: Peer) -> None:
    _open_cell(browser, seat.identity, GAME)
    browser.click(".actions button", "Low-disk install")
    browser.until(lambda: _matches(browser, r"streaming [1-9]\d? %"), "the cell shows how far it is", 30)
    browser.until(lambda: _matches(browser, "installed, not shareable"), "the game is installed", 60)
    expect("the archive was not kept" in browser.run(_DETAIL).replace("\n", " "), "the page does not say why")


def _matches(browser: Browser, pattern: str) -> Any:
    return browser.run("return new RegExp(arguments[0]).test(document.querySelector('#detail').innerText)", pattern)


def _shows_the_poor_seat(stage: Stage, browser: Browser, poor: Peer) -> None:
    browser.run("location.hash = '#room'")
    browser.until(lambda: HOSTILE_NAME[:10] in browser.text("body"), "the hostile name is shown as text", 20)
    expect_equal(browser.run("return document.querySelectorAll('img').length"), 0, "elements that a name has made")
    _open_cell(browser, poor.identity, GAME)
    browser.until(lambda: _matches(browser, "bytes free but .* needed"), "the reason of the failure", 20)
    browser.run("location.hash = '#room'")


def _installs_by_keyboard(browser: Browser, seat: Peer) -> None:
    _open_cell(browser, seat.identity, OTHER_GAME)
    browser.until_script("return document.querySelector('.actions button') !== null", "the actions are shown", 20)
    for _ in range(60):
        browser.press("Tab")
        if browser.run("return document.activeElement.textContent") == "Low-disk install":
            break
    expect_equal(browser.run("return document.activeElement.textContent"), "Low-disk install", "what has the focus")
    browser.press("Enter")
    browser.until(lambda: _matches(browser, "installed, not shareable"), "the second game is installed", 60)


def _pictures(browser: Browser) -> list[int]:
    browser.run("location.hash = '#room'")
    sizes = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        sizes.append(browser.picture(PICTURES / f"scenario-{scheme}.png"))
    return sizes


# ---- S98 -------------------------------------------------------------------------------------------------------------

# Of its own disk, a filler leaves too little for the game; without it there is room.
FULL_DISK_BYTES = 64 * 1024 * 1024
FILLER_MIB = 52
FULL, DAMAGED, GONE = "seat-2", "seat-3", "seat-4"
# What stands in the lines of the overview, as a person reads them.
_LINES = "return [...document.querySelectorAll('#needs li')].map(line => line.innerText)"


@scenario(
    "S98",
    "An organiser who has only the page",
    claim="Three machines of a room are broken, each in its way. The overview alone names each of them, with its "
    "reason and with what to do. A dry run of the terminal asks the machine with the full disk, which says that it is "
    "too small, and once there is space that it is not. What the page says is done, on two of the three by a click; "
    "then every machine is ready and nothing needs the organiser. What was repaired is as it was installed.",
    conditions="A source, the machine of the organiser with `serve --web --room FILE`, and three machines that accept "
    "its commands: the disk of one is too full for the wanted game, on one `verify` finds a changed file, and one is "
    "killed. Chromium shows the overview. Then space is made on the first, its install and the repair of the second "
    "are clicked, and the third is started again.",
    time_limit_s=240,
    with_this_machine=True,
)
def organiser_with_only_the_page(stage: Stage) -> None:
    games_dir = stage.games_dir("den")
    tree = stage.payload("page")
    tree.noise("data/content.bin", GAME_BYTES)
    stage.packed_game(games_dir, GAME, tree)
    den = stage.start_source("den", games_dir, catalog=None)
    room_file = stage.dir / "room.toml"
    room_file.write_text(f'[games]\n{GAME} = "any"\n')
    options, mounts = ["--room", "/room.toml"], [Mount(room_file, "/room.toml", read_only=True)]
    organiser, url, token = _seat_with_page(stage, den, options, mounts)
    _installs(stage, den, organiser)
    disk = stage.small_disk(FULL_DISK_BYTES)
    filler = f"{GAMES}/filler"
    docker("exec", disk.holder, "dd", "if=/dev/zero", f"of={filler}", "bs=1M", f"count={FILLER_MIB}")
    full = _commanded_seat(stage, FULL, disk.mount, den, organiser)
    _installs(stage, den, full, exit_status=7)
    damaged, gone = (
        _commanded_seat(stage, name, Mount(stage.games_dir(name), GAMES), den, organiser) for name in (DAMAGED, GONE)
    )
    for seat in (damaged, gone):
        _installs(stage, den, seat)
    file = stage.games_dir(DAMAGED) / GAME / checks.LOCAL / "data/content.bin"
    whole = file.read_bytes()
    with file.open("r+b") as opened:
        opened.seek(GAME_BYTES // 2)
        opened.write(bytes(64))
    stage.command("verifies", damaged.machine, "verify", GAME, "--games-dir", GAMES, exit_status=6)
    gone.kill()

    with Browser() as browser:
        browser.open_with_token(url, token)
        _names_what_is_broken(browser)
        _looks_beforehand(stage, organiser, fits=False)
        docker("exec", disk.holder, "rm", filler)
        _looks_beforehand(stage, organiser, fits=True)
        started_again = _commanded_seat(stage, GONE, Mount(stage.games_dir(GONE), GAMES), den, organiser)
        expect_equal(started_again.identity, gone.identity, "who is started again")
        for seat, button in ((full, "Low-disk install"), (damaged, "Repair")):
            _open_cell(browser, seat.identity, GAME)
            browser.click(".actions button", button, 30)
            browser.until(lambda: _matches(browser, "installed, not shareable"), f"{seat.name} is right again", 60)
        browser.run("location.hash = '#overview'")
        browser.until(lambda: "4 of 4" in browser.text(".lead").replace("\n", " "), "every seat is ready", 30)
        browser.until_script("return !document.querySelector('#needs li')", "nothing needs the organiser", 30)
    expect(file.read_bytes() == whole, "what was repaired differs from what was installed")


def _commanded_seat(stage: Stage, name: str, games: Mount, den: Peer, organiser: Peer) -> Peer:
    """A machine that does what the organiser asks."""
    arguments = [*stage.serve_arguments(name, with_catalog=False), "--peer", den.address]
    seat = stage.start(name, [*arguments, "--peer", organiser.address, "--accept-from", organiser.identity], games)
    seat.wait_for_event("peer-ready", stage.deadline)
    return seat


def _installs(stage: Stage, den: Peer, seat: Peer, exit_status: int = 0) -> None:
    install = ["install", "--stream", GAME, "--games-dir", GAMES, "--no-discovery", "--peer", den.address]
    stage.command(f"{seat.name}-install", seat.machine, *install, exit_status=exit_status)


def _looks_beforehand(stage: Stage, organiser: Peer, *, fits: bool) -> None:
    """The machine with the full disk says what an install would do there."""
    words = ["room", "install", GAME, "--on", FULL, "--dry-run", "--games-dir", GAMES]
    name = f"looks-{'after' if fits else 'before'}"
    looked = stage.command(name, organiser.machine, *words, exit_status=0 if fits else 5)
    plans = [(plan["name"], plan["changed"], plan["fits"]) for plan in looked.events.all(named("seat-planned"))]
    expect_equal(plans, [(FULL, True, fits)], "what the machine says that it would do")


def _names_what_is_broken(browser: Browser) -> None:
    browser.run("location.hash = '#overview'")
    browser.until(lambda: len(browser.run(_LINES)) >= 3, "three lines of what needs the organiser", 40)
    lines = browser.run(_LINES)
    for name, reason, remedy in (
        (FULL, "needed", "free some space"),
        (DAMAGED, "differ", "press Repair"),
        (GONE, "no word", "look whether it is switched on"),
    ):
        found = [line for line in lines if name in line]
        expect_equal(len(found), 1, f"lines about {name} among {lines}")
        expect(reason in found[0] and remedy in found[0], f"{name}: reason and remedy are not in {found[0]!r}")
    expect("1 of 4" in browser.text(".lead").replace("\n", " "), f"who is ready: {browser.text('.lead')!r}")
    browser.picture(PICTURES / "organiser.png")
