"""Signed catalogs and their manifests: which of them count, and how they travel."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..docker import docker
from ..events import Predicate, named
from ..expectations import expect, expect_equal
from ..image import PROGRAM
from ..peer import GAMES, STATE, Machine, Mount, Peer
from ..stage import Stage

GAME = "signed-game"
PARTY = "/party"
KEY = f"{PARTY}/key.pub"
PINNED = ("--catalog", f"{PARTY}/catalog.toml", "--catalog-key", KEY)
FOLLOWS = ("--catalog-key", KEY, "--catalog-from-peers")
FOLLOWERS = 8
# As long as the path in the place of which it is put.
OUTSIDE = b"../../map.bin"
MANIFEST_UNUSABLE = 2
CATALOG_BYTES_MAX = 8 * 1024 * 1024


class Organiser:
    """A machine with a key, the games, and the folder of the catalog, which other machines see too."""

    def __init__(self, stage: Stage, name: str = "organiser") -> None:
        tree = stage.payload(name)
        tree.noise("data/maps.bin", 300_000)
        self.root = stage.packed_game(stage.games_dir(name), GAME, tree)
        self.folder = stage.games_dir(f"{name}-party")
        self._machine = stage.machine(name, self.root.parent)
        self._words = [self._machine.container, PROGRAM, "--state-dir", STATE, "catalog"]
        self.build()

    def run(self, *words: str) -> None:
        docker("exec", *self._words, *words)

    def copy_out(self, inside: str, name: str) -> None:
        docker("cp", f"{self._machine.container}:{inside}", str(self.folder / name))

    def build(self) -> None:
        """Builds and signs the next version, and puts it in the folder."""
        self.run("build", "--games-dir", GAMES, "--out", f"{STATE}/built")
        self.sign_again()

    def sign_again(self) -> None:
        self.run("key", "--out", f"{STATE}/key")
        self.run("sign", f"{STATE}/built/catalog.toml")
        self.copy_out(f"{STATE}/key.pub", "key.pub")
        for name in ("manifests", "catalog.toml.minisig", "catalog.toml"):
            self.copy_out(f"{STATE}/built/{name}", name)

    def edit(self, change: Callable[[str], str]) -> None:
        """Changes the catalog that was built, by hand."""
        text = docker("exec", self._machine.container, "cat", f"{STATE}/built/catalog.toml")
        edited = self.folder / "edited.toml"
        edited.write_text(change(text))
        docker("cp", str(edited), f"{self._machine.container}:{STATE}/built/catalog.toml")
        edited.unlink()

    def forget_signature(self) -> None:
        docker("exec", self._machine.container, "rm", f"{STATE}/built/catalog.toml.minisig")

    @property
    def mount(self) -> Mount:
        return Mount(self.folder, PARTY)

    def files(self) -> tuple[bytes, bytes]:
        return (self.folder / "catalog.toml").read_bytes(), (self.folder / "catalog.toml.minisig").read_bytes()

    def replace(self, catalog: bytes, signature: bytes | None) -> None:
        """Puts these bytes in the place of the catalog and its signature, as a copy does."""
        for name, content in (("catalog.toml.minisig", signature), ("catalog.toml", catalog)):
            if content is None:
                (self.folder / name).unlink(missing_ok=True)
                continue
            (self.folder / f".{name}").write_bytes(content)
            (self.folder / f".{name}").rename(self.folder / name)


def _version(change: Callable[[int], int]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        return re.sub(r"(?m)^version = (\d+)$", lambda found: f"version = {change(int(found[1]))}", text, count=1)

    return changed


@scenario(
    "S63",
    "Bad catalogs",
    claim="A catalog with a changed byte, of an older version, signed twice, of an unknown signer, in the old format, "
    "with two signatures, cut, or of 9 MiB is refused with its line, and the one before stays in force, after a "
    "restart too. With a manifest that is not what its name says, or that leads out of the game, nothing is installed.",
    conditions="A serving machine that pins the key of its organiser. Each bad catalog takes the place of its file; "
    "then the machine is started again with it. In the end the good one is there again, and a receiver has a damaged "
    "manifest, then one that the organiser signed with a hostile path.",
    time_limit_s=300,
)
def bad_catalogs(stage: Stage) -> None:
    organiser = Organiser(stage)
    good, signature = organiser.files()
    stranger = Organiser(stage, "stranger")
    organiser.edit(_version(lambda version: version + 5))
    organiser.sign_again()
    newest = organiser.files()
    organiser.edit(lambda text: f"{text}# another one\n")
    # Our own program refuses to sign a version twice while the first signature is there.
    organiser.forget_signature()
    organiser.sign_again()
    twice = organiser.files()
    legacy = re.sub(rb"\nRU", b"\nRW", newest[1], count=1)
    organiser.replace(*newest)
    served = stage.games_dir("served")
    shutil.copytree(organiser.root, served / GAME)
    bad: list[tuple[str, bytes, bytes | None, str]] = [
        ("changed", newest[0].replace(b"version", b"Version", 1), newest[1], "was changed after it was signed"),
        ("older", good, signature, "this machine has seen version"),
        ("signed twice", *twice, "two different catalogs are signed as version"),
        ("unknown signer", *stranger.files(), "which must have signed it"),
        ("old format", newest[0], legacy, "old format of minisign"),
        ("two signatures", newest[0], newest[1] * 2, "not one signature of four lines"),
        ("unsigned", newest[0], None, "is not signed"),
        ("cut", newest[0][:-9], newest[1], "was changed after it was signed"),
        ("huge", b"#" * (CATALOG_BYTES_MAX + 2**20), newest[1], "larger than"),
    ]
    first = stage.start_source("den", served, catalog=None, options=PINNED, mounts=[organiser.mount])
    _expect_offered(stage, first)
    for name, catalog, of_catalog, line in bad:
        mark = first.events.mark()
        organiser.replace(catalog, of_catalog)
        first.wait_for_event(_refused(line), stage.deadline, f"the line about a catalog that is {name}", start=mark)
        _expect_offered(stage, first)
    first.kill()
    for _name, catalog, of_catalog, line in bad:
        organiser.replace(catalog, of_catalog)
        again = stage.start_source("den", served, catalog=None, options=PINNED, mounts=[organiser.mount])
        _expect_offered(stage, again)
        expect(line in again.stderr(), f"the line is missing after a restart: {line}: {again.stderr()!r}")
        again.kill()
    organiser.replace(*newest)
    last = stage.start_source("den", served, catalog=None, options=PINNED, mounts=[organiser.mount])
    _expect_offered(stage, last)
    expect("refused" not in last.stderr(), f"a good catalog is refused: {last.stderr()!r}")
    _bad_manifests(stage, organiser, last)


def _bad_manifests(stage: Stage, organiser: Organiser, source: Peer) -> None:
    """A manifest that is not what its name says, and one that the signer has made with a path out of the game."""
    [good] = (organiser.folder / "manifests").glob("*.lsm")
    content = good.read_bytes()
    received = stage.games_dir("receiver")
    machine = stage.machine("receiver", received, mounts=[organiser.mount])
    good.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    _expect_not_installed(stage, machine, received, source, good.stem)
    good.write_bytes(content)
    hostile = content.replace(b"data/maps.bin", OUTSIDE)
    expect(hostile != content, "the manifest does not hold the path that is to be changed")
    name = hashlib.sha256(hostile).hexdigest()
    organiser.edit(lambda text: _version(lambda version: version + 5)(text).replace(good.stem, name))
    organiser.forget_signature()
    organiser.sign_again()
    good.with_stem(name).write_bytes(hostile)
    _expect_not_installed(stage, machine, received, source, OUTSIDE.decode())


def _expect_not_installed(stage: Stage, machine: Machine, received: Path, source: Peer, named_there: str) -> None:
    before = checks.user_tree(received)
    words = ["install", "--stream", GAME, "--games-dir", GAMES, "--no-discovery", *PINNED, "--peer", source.address]
    refused = stage.command("receiver", machine, *words, exit_status=MANIFEST_UNUSABLE)
    expect_equal(checks.attempts(refused), [], "attempts with a bad manifest")
    expect(named_there in refused.stderr(), f"{named_there} is not named: {refused.stderr()!r}")
    checks.games_dir_as_before(before, received)


def _refused(line: str) -> Predicate:
    return lambda event: named("catalog-refused")(event) and line in event["message"]


def _expect_offered(stage: Stage, source: Peer) -> None:
    expect_equal(stage.status_of(source)["games"], [GAME], "games that the catalog in force lets it offer")


@scenario(
    "S67",
    "minisign",
    claim="The public program minisign accepts our key and signature, and a machine that pins a key of the program "
    "takes a catalog that the program signed.",
    conditions="The program of this machine (Debian's 0.11 or later) verifies what ours signed, restores the public "
    "key from our secret one, and signs with a key of its own without a pass phrase. A changed catalog is refused by "
    "both.",
    time_limit_s=90,
)
def minisign(stage: Stage) -> None:
    organiser = Organiser(stage)
    organiser.copy_out(f"{STATE}/catalog.key", "catalog.key")
    folder = organiser.folder
    expect(_minisign(folder, "-V", "-H", "-m", "catalog.toml", "-p", "key.pub"), "the program refuses our signature")
    expect(_minisign(folder, "-R", "-s", "catalog.key", "-p", "again.pub"), "the program refuses our secret key")
    expect_equal((folder / "again.pub").read_text(), (folder / "key.pub").read_text(), "the restored public key")
    expect(_minisign(folder, "-G", "-W", "-p", "their.pub", "-s", "their.key"), "the program makes no key")
    expect(_minisign(folder, "-S", "-s", "their.key", "-m", "catalog.toml"), "the program does not sign")
    options = ("--catalog", f"{PARTY}/catalog.toml", "--catalog-key", f"{PARTY}/their.pub")
    served = stage.games_dir("served")
    shutil.copytree(organiser.root, served / GAME)
    source = stage.start_source("den", served, catalog=None, options=options, mounts=[organiser.mount])
    _expect_offered(stage, source)
    mark = source.events.mark()
    with (folder / "catalog.toml").open("a") as catalog:
        catalog.write("#\n")
    source.wait_for_event(named("catalog-refused"), stage.deadline, "the changed catalog to be refused", start=mark)
    expect(not _minisign(folder, "-V", "-m", "catalog.toml", "-p", "their.pub"), "the program accepts a changed file")


def _minisign(folder: Path, *words: str) -> bool:
    done = subprocess.run(["minisign", *words], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


@scenario(
    "S68",
    "Manifest at one end",
    claim="A receiver whose source has no manifest fetches the one that its catalog names from another peer, and what "
    "it installs is verified; a receiver without a manifest installs from a source that has one, unverified. A signed "
    "catalog spreads from one machine to eight that pin its key, within seconds, and none takes the older one "
    "afterwards.",
    conditions="A source without a catalog, a keeper with the catalog and its manifest and no game, and a receiver "
    "with the catalog alone. Then eight machines that know only the keeper; it gets a newer catalog while all of them "
    "run, and each is started again with the older file in the end.",
    time_limit_s=300,
)
def manifest_at_one_end(stage: Stage) -> None:
    organiser = Organiser(stage)
    plain = stage.start_source("plain", organiser.root.parent, catalog=None)
    empty = stage.games_dir("keeper")
    keeper = stage.start_source("keeper", empty, catalog=None, options=PINNED, mounts=[organiser.mount])
    alone = stage.games_dir("alone-party")
    for name in ("catalog.toml", "catalog.toml.minisig", "key.pub"):
        shutil.copy2(organiser.folder / name, alone / name)
    games_dir = stage.games_dir("receiver")
    words = ["install", "--stream", GAME, "--games-dir", GAMES, "--no-discovery", *PINNED]
    for source in (plain, keeper):
        words += ["--peer", source.address]
    receiver = stage.start(
        "receiver", ["--json", "--state-dir", STATE, *words], games_dir, mounts=[Mount(alone, PARTY)]
    )
    stage.finish(receiver, 0, "the install")
    arrived = receiver.events.all(named("manifest-arrived", game=GAME))
    expect_equal([event["peer"] for event in arrived], ["keeper"], "peers that handed on the manifest")
    reference = archives.extract(organiser.root, stage.dir / "reference")
    checks.trees_equal(stage, reference, games_dir / GAME / checks.LOCAL, "local tree")
    expect_equal(_trust(receiver), ["verified"], "trust of a receiver with the manifest")

    shutil.copytree(organiser.root, stage.games_dir("full") / GAME)
    full = stage.start_source("full", stage.games_dir("full"), catalog=None, options=PINNED, mounts=[organiser.mount])
    without = stage.games_dir("without")
    receiver = stage.install(GAME, without, [full, plain], name="without", catalog=stage.catalog(GAME), exit_status=0)
    checks.trees_equal(stage, reference, without / GAME / checks.LOCAL, "local tree without a manifest")
    expect_equal(_trust(receiver), ["unverified"], "trust of a receiver without a manifest")

    key = stage.games_dir("followers-party")
    shutil.copy2(organiser.folder / "key.pub", key / "key.pub")
    options = [*FOLLOWS, "--peer", keeper.address]
    followers = []
    for number in range(1, FOLLOWERS + 1):
        own = stage.games_dir(f"follower-{number}")
        name = f"follower-{number}"
        followers.append(stage.start_source(name, own, catalog=None, options=options, mounts=[Mount(key, PARTY)]))
    first = [_taken(stage, follower, old=None) for follower in followers]
    expect_equal(len(set(first)), 1, "versions that the followers have")
    older = organiser.files()
    organiser.edit(_version(lambda version: version + 1))
    organiser.sign_again()
    newer = [_taken(stage, follower, old=first[0]) for follower in followers]
    expect_equal(newer, [first[0] + 1] * FOLLOWERS, "versions after the newer catalog")
    (key / "catalog.toml").write_bytes(older[0])
    (key / "catalog.toml.minisig").write_bytes(older[1])
    for number, follower in enumerate(followers, start=1):
        follower.kill()
        name = f"follower-{number}"
        again = stage.start_source(
            name, stage.games_dir(name), catalog=None, options=PINNED, mounts=[Mount(key, PARTY)]
        )
        kept = (stage.dir / "state" / name / "catalog.toml").read_text()
        expect(f"version = {newer[0]}\n" in kept, f"{name} does not keep the newer catalog")
        expect(not again.events.all(named("catalog-updated")), f"{name} has taken the older catalog")
        again.kill()


def _trust(receiver: Peer) -> list[str]:
    """What the install says of what it installed."""
    return [event["trust"] for event in receiver.events.all(named("stream-install-finished"))]


def _taken(stage: Stage, follower: Peer, old: int | None) -> int:
    is_taken = named("catalog-updated", old=old)
    taken = follower.wait_for_event(is_taken, stage.deadline, "a catalog from a peer")
    expect(taken["from"] is not None, "the catalog did not come from a peer")
    return int(taken["version"])
