"""Who is believed: identities, and liars who are in the majority."""

from __future__ import annotations

from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..expectations import expect, expect_equal
from ..peer import GAMES, STATE, Mount, Peer
from ..stage import VERSION, Stage

GAME = "disputed-game"
LIARS = 5
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
    "S62",
    "Lying majority",
    claim="With the manifest of the catalog one honest source is used against five that agree on other files, and the "
    "five are named. Without it the majority is believed.",
    conditions="Six sources of one game and version. Five have archives of another size, which are equal among "
    "themselves. The installed marker says which source served. The manifest is beside the first receiver's "
    "catalog; the second receiver has the same catalog without it.",
    time_limit_s=120,
)
def lying_majority(stage: Stage) -> None:
    root = _copy_of_game(stage, "honest", length=20_000)
    catalog, manifests = _built_catalog(stage, root.parent)
    honest = stage.start_source("honest", root.parent, catalog=None)
    liars: list[Peer] = []
    for number in range(LIARS):
        name = f"a-liar-{number}"
        liars.append(stage.start_source(name, _copy_of_game(stage, name, length=20_001).parent, catalog=None))
    sources = [honest, *liars]

    received = stage.games_dir("receiver")
    receiver = stage.install(
        GAME, received, sources, catalog=catalog, mounts=[manifests], options=["--verbose"], exit_status=0
    )
    expect_equal(checks.attempts(receiver), ["honest"], "sources tried with a manifest")
    reference = archives.extract(root, stage.dir / "reference")
    checks.streamed_install_is_whole(stage, receiver, received, GAME, honest, reference)
    for liar in liars:
        expect(f"{liar.name} is not a source of {GAME}" in receiver.stderr(), f"{liar.name} is not named")

    believing = stage.games_dir("believing")
    receiver = stage.install(GAME, believing, sources, name="believing", catalog=catalog, exit_status=0)
    expect_equal(checks.attempts(receiver), [liars[0].name], "sources tried without a manifest")
