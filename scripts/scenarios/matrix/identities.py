"""Who is believed: identities, and liars who are in the majority."""

from __future__ import annotations

import shutil
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import GAMES, STATE, Mount, Peer
from ..stage import VERSION, Stage

GAME = "disputed-game"
LIARS = 5
IDENTITY = "identity.pem"
# Beside the catalog, which every container has at the root of its file system.
MANIFESTS = "/manifests"


def _copy_of_game(stage: Stage, name: str, *, length: int) -> Path:
    """One source's copy. Copies of equal length have equal file lists."""
    tree = stage.payload(name)
    tree.noise("data.bin", length)
    tree.file("served-by.txt", f"{name:-<64}\n".encode())
    game_root = stage.packed_game(stage.games_dir(name), GAME, tree, switches=["-m0"])
    (game_root / "version.ini").write_text(f"{VERSION}\n")
    return game_root


def _built_catalog(stage: Stage, games_dir: Path) -> tuple[Path, Mount]:
    """The catalog of an organiser who has these games, and the folder of its manifests."""
    organiser = stage.machine("organiser", games_dir)
    stage.command("builder", organiser, "catalog", "build", "--games-dir", GAMES, "--out", f"{STATE}/catalog")
    built = stage.dir / "state" / "organiser" / "catalog"
    return built / "catalog.toml", Mount(built / "manifests", MANIFESTS, read_only=True)


@scenario(
    "S61",
    "Wrong key",
    claim="A saved address that answers with another key is refused with exit 3, both ids are named, and nothing is "
    "written; saved again, it is used. Of two machines with one copied key both are named. An install then comes "
    "from a third one and, with the manifest of the catalog, from either of the two.",
    conditions="A saved source loses its key and makes another. Then its state directory is copied to a second "
    "machine, which serves the same game; a third source has a key of its own. Both copies are saved addresses.",
    time_limit_s=120,
)
def wrong_key(stage: Stage) -> None:
    root = _copy_of_game(stage, "b-twin", length=20_000)
    catalog, manifests = _built_catalog(stage, root.parent)
    reference = archives.extract(root, stage.dir / "reference")
    source = stage.start_source("b-twin", root.parent, catalog=None)
    old = source.identity
    received = stage.games_dir("receiver")
    machine = stage.machine("receiver", received, catalog=catalog)
    stage.command("adds", machine, "peers", "add", source.address)
    source.kill()
    (stage.dir / "state" / "b-twin" / IDENTITY).unlink()
    source = stage.start_source("b-twin", root.parent, catalog=None)
    new = source.identity
    expect(new != old, "the source has its old key")

    before = checks.user_tree(received)
    refused = stage.install(GAME, machine, [], name="refused", exit_status=3)
    expect_equal(checks.attempts(refused), [], "attempts at an address with another key")
    for identity in (old, new):
        expect(identity in refused.stderr(), f"{identity} is not named: {refused.stderr().strip()!r}")
    expect("peers add" in refused.stderr(), f"no way out is named: {refused.stderr().strip()!r}")
    checks.games_dir_as_before(before, received)
    stage.command("adds-again", machine, "peers", "add", source.address)
    installed = stage.install(GAME, machine, [], name="trusting", exit_status=0)
    checks.streamed_install_is_whole(stage, installed, received, GAME, source, reference)

    shutil.copytree(stage.dir / "state" / "b-twin", stage.dir / "state" / "c-twin", ignore=_not_of_a_run)
    for name in ("c-twin", "a-third"):
        shutil.copytree(root, stage.games_dir(name) / GAME)
    twins = [source, stage.start_source("c-twin", stage.games_dir("c-twin"), catalog=None)]
    expect_equal(twins[1].identity, new, "identity of the copy")
    third = stage.start_source("a-third", stage.games_dir("a-third"), catalog=None)
    alone = stage.games_dir("alone")
    installed = stage.install(GAME, alone, [third, *twins], name="alone", catalog=catalog, exit_status=0)
    expect_equal(checks.attempts(installed), ["a-third"], "sources tried")
    checks.streamed_install_is_whole(stage, installed, alone, GAME, third, reference)
    _expect_both_named(installed)

    both = stage.games_dir("both")
    installed = stage.install(GAME, both, twins, name="both", catalog=catalog, mounts=[manifests], exit_status=0)
    [begun] = installed.events.all(named("stream-install-begin"))
    expect_equal(sorted(begun["sources"]), ["b-twin", "c-twin"], "sources with the manifest")
    used = twins[checks.attempts(installed) == ["c-twin"]]
    checks.streamed_install_is_whole(stage, installed, both, GAME, used, reference)
    _expect_both_named(installed)


def _not_of_a_run(_folder: str, names: list[str]) -> list[str]:
    """What a copy of a state directory leaves out: what is only of a running daemon."""
    return [name for name in names if name.startswith("daemon") or name.endswith(".sock")]


def _expect_both_named(receiver: Peer) -> None:
    """One line says of which two machines one may be the copy."""
    said = [line for line in receiver.stderr().splitlines() if "has the same identity" in line]
    expect_equal(len(said), 1, f"lines about the copy in {receiver.stderr().strip()!r}")
    expect("b-twin" in said[0] and "c-twin" in said[0], f"both are not named: {said[0]!r}")


@scenario(
    "S62",
    "Lying majority",
    claim="With the manifest of the catalog one honest source is used against five that agree on other files, and the "
    "five are named. Without it the majority is believed, and what is installed is called unverified.",
    conditions="Six sources of one game and version. Five have archives of another size, which are equal among "
    "themselves. The manifest is beside the first receiver's "
    "catalog; the second receiver has the same catalog without it.",
    time_limit_s=120,
    decodes_at_source=True,
)
def lying_majority(stage: Stage) -> None:
    root = _copy_of_game(stage, "honest", length=20_000)
    catalog, manifests = _built_catalog(stage, root.parent)
    honest = stage.start_source("honest", root.parent, catalog=None)
    liars: list[Peer] = []
    for number in range(LIARS):
        name = f"a-liar-{number}"
        lie = stage.games_dir(name) / GAME
        if number == 0:
            lie = _copy_of_game(stage, name, length=20_001)
        else:
            shutil.copytree(stage.games_dir("a-liar-0") / GAME, lie)
        liars.append(stage.start_source(name, lie.parent, catalog=None))
    sources = [honest, *liars]

    received = stage.games_dir("receiver")
    receiver = stage.install(
        GAME, received, sources, catalog=catalog, mounts=[manifests], options=["--verbose"], exit_status=0
    )
    expect_equal(checks.attempts(receiver), ["honest"], "sources tried with a manifest")
    expect_equal(_trust(receiver), ["verified"], "trust with a manifest")
    reference = archives.extract(root, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, honest, reference)
    for liar in liars:
        expect(f"{liar.name} is not a source of {GAME}" in receiver.stderr(), f"{liar.name} is not named")

    believing = stage.games_dir("believing")
    receiver = stage.install(GAME, believing, sources, name="believing", catalog=catalog, exit_status=0)
    expect_equal(checks.attempts(receiver), [liars[0].name], "sources tried without a manifest")
    expect_equal(_trust(receiver), ["unverified"], "trust without a manifest")


def _trust(receiver: Peer) -> list[str]:
    """What the install says of what it installed."""
    return [event["trust"] for event in receiver.events.all(named("stream-install-finished"))]
