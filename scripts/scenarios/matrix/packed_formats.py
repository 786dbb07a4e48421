"""Packed streams of every kind of archive: what is decoded at the receiver is what the source would have decoded."""

from __future__ import annotations

import hashlib
import json
import signal
from pathlib import Path

from .. import archives, checks, rar_format
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..games import SENTINEL, installable_games
from ..peer import Machine, Peer
from ..rooms import CHUNK_BYTES, build_catalog, cpu_s, pid_here
from ..stage import Stage
from ..tools import CATALOG

# The smallest that can be allowed.
SOURCE_DICTIONARY_KIB = 128


@scenario(
    "S70",
    "Packed equals decoded",
    claim="Every fixture that can be installed is streamed packed and decoded at the receiver, and its tree is that of "
    "`unrar x`: with the manifest of a catalog, and with the packing list of the source. The source sends no more than "
    "its archives have, and decodes none that needs more than the smallest dictionary: it may not, and refuses to "
    "stream their entries.",
    conditions="RAR 4, volumes, references, BLAKE2, tables at the end, solid and stored archives, from one source for "
    f"each way, with `--max-dictionary {SOURCE_DICTIONARY_KIB}KiB`. Machines with a catalog that lists manifests, "
    "and machines with one that lists none.",
    time_limit_s=300,
)
def packed_equals_decoded(stage: Stage) -> None:
    games = installable_games()
    shelves: list[list[Path]] = [[] for _ in range(max(len(game_roots) for game_roots in games.values()))]
    for game_roots in games.values():
        for shelf, game_root in zip(shelves, game_roots, strict=False):
            shelf.append(game_root)
    for number, shelf in enumerate(shelves):
        names = [f"{game_root.parent.name}/{game_root.name}" for game_root in shelf]
        served = stage.games_from(f"source-{number}", *names)
        options = ["--max-dictionary", f"{SOURCE_DICTIONARY_KIB}KiB"]
        source = stage.start_source(f"source-{number}", served, options=options)
        for _ in shelf:
            made = {event["game"] for event in source.events.all(named("packing-list-made"))}
            missing = sorted({game_root.name for game_root in shelf} - made)
            if missing:
                source.wait_for_event(named("packing-list-made", game=missing[0]), stage.deadline)
        catalog, manifests = build_catalog(stage, served, f"catalog-{number}")
        machines = [
            stage.machine(f"listed-{number}", stage.games_dir(f"listed-{number}"), catalog=catalog, mounts=[manifests]),
            stage.machine(f"unlisted-{number}", stage.games_dir(f"unlisted-{number}"), catalog=CATALOG),
        ]
        worked = cpu_s(pid_here(source.machine, ["serve"]))
        for name, game_root in zip(names, shelf, strict=True):
            reference = archives.extract(game_root, stage.dir / "reference" / name)
            for way, machine in zip((f"listed-{number}", f"unlisted-{number}"), machines, strict=True):
                _install_packed(stage, way, machine, source, game_root, reference)
        worked = cpu_s(pid_here(source.machine, ["serve"])) - worked
        decoded = stage.machine(f"decoded-{number}", stage.games_dir(f"decoded-{number}"))
        refused = [game_root.name for game_root in shelf if _needs_more(game_root)]
        expect(refused, f"source-{number} may decode all of its games")
        for game in refused:
            _refuses_to_decode(stage, f"decoded-{number}", decoded, source, game)
        stage.figures.append(
            f"{len(shelf)} games twice: the source worked {worked:.2f} s, and may not decode {', '.join(refused)}"
        )


def _install_packed(stage: Stage, way: str, machine: Machine, source: Peer, game_root: Path, reference: Path) -> None:
    game, mark = game_root.name, source.events.mark()
    receiver = stage.install(game, machine, [source], name=way, exit_status=0)
    checks.streamed_install_is_whole(stage, receiver, stage.games_dir(way), game, source, reference)
    begun = receiver.events.all(named("upstream-begin", game=game))
    expect_equal([event["kind"] for event in begun], ["source"], f"upstreams of {game}, {way}")
    [finished] = receiver.events.all(named("stream-install-finished"))
    trust = "verified" if way.startswith("listed") else "unverified"
    expect_equal(finished["trust"], trust, f"trust of {game}, {way}")
    sent = sum(event["bytes"] for event in source.events.all(named("transfer-end", game=game), mark))
    packed = sum(path.stat().st_size for path in game_root.iterdir() if path.name != SENTINEL)
    expect(0 < sent <= packed, f"the source sent {sent} bytes of {game}; its archives have {packed}")


def _needs_more(game_root: Path) -> bool:
    return any(archives.dictionary_kib(path) > SOURCE_DICTIONARY_KIB for path in game_root.glob("*.eti"))


def _refuses_to_decode(stage: Stage, name: str, machine: Machine, source: Peer, game: str) -> None:
    """So it cannot have decoded this game when it was streamed packed."""
    receiver = stage.install(game, machine, [source], name=name, options=["--decode-at", "source"], exit_status=4)
    [failed] = receiver.events.all(named("stream-attempt-failed", game=game))
    expect_equal(failed["code"], "archive-refused", f"why {game} is not decoded by its source")


LISTED_GAME = "listed"
ENTRY = "data/maps.bin"


def _lies(root: Path) -> dict[str, tuple[bytes, bytes]]:
    """What in the packing list of this game is replaced by what: each is well formed, and has its checksum."""
    archive = (root / f"{LISTED_GAME}.eti").read_bytes()
    changed = {
        "other-name": rar_format.rename_entry(archive, ENTRY, "data/mbps.bin"),
        "outside-name": rar_format.rename_entry(archive, ENTRY, "../a/maps.bin"),
        "other-size": rar_format.claim_unpacked_size(archive, ENTRY, 2_900_000),
        "dictionary": rar_format.claim_dictionary(archive, ENTRY, 12),
    }
    block = rar_format.find_block(archive, ENTRY)
    header = slice(block.crc_start, block.header_end)
    lies = {lie: (archive[header], other[header]) for lie, other in changed.items()}
    first_chunk = hashlib.sha256(archive[:CHUNK_BYTES]).digest()
    return {**lies, "other-chunk": (first_chunk, bytes(32))}


@scenario(
    "S85",
    "Packing list that lies",
    claim="If a packing list says other names, sizes, dictionaries or chunks than its archives have, each well formed, "
    "the packed stream fails, and nothing of it is promoted. The game is then streamed as entries, and its tree is "
    "that of `unrar x`.",
    conditions="One source and receivers without a manifest. The list that the source keeps is changed while it is "
    "stopped, and so is its digest.",
    time_limit_s=120,
)
def packing_list_that_lies(stage: Stage) -> None:
    tree = stage.payload(LISTED_GAME)
    tree.prose("readme.txt", 20_000)
    tree.noise(ENTRY, 3_000_000)
    root = stage.packed_game(stage.games_dir("source"), LISTED_GAME, tree, switches=["-qo-"])
    catalog = stage.catalog(LISTED_GAME)
    kept = root.parent / checks.OUR_STATE / "packing"
    reference = archives.extract(root, stage.dir / "reference")
    source = stage.start_source("source", root.parent, catalog=catalog)
    source.wait_for_event("packing-list-made", stage.deadline)
    honest = (kept / f"{LISTED_GAME}.lsm").read_bytes()
    for lie, (true, false) in _lies(root).items():
        source.signal(signal.SIGTERM)
        stage.finish(source, 0, "the end of the source")
        expect_equal(honest.count(true), 1, f"places in the list that {lie} changes")
        told = honest.replace(true, false)
        (kept / f"{LISTED_GAME}.lsm").write_bytes(told)
        record = kept / f"{LISTED_GAME}.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "list": hashlib.sha256(told).hexdigest()}))
        source = stage.start_source("source", root.parent, catalog=catalog)
        received = stage.games_dir(lie)
        receiver = stage.install(LISTED_GAME, received, [source], name=lie, catalog=catalog, exit_status=0)
        expect_equal((kept / f"{LISTED_GAME}.lsm").read_bytes(), told, f"list that the source has after {lie}")
        expect(not source.events.all(named("packing-list-made")), f"the source made its list again after {lie}")
        failed = receiver.events.all(named("stream-attempt-failed"))
        expect_equal(len(failed), 1, f"failed attempts after {lie}")
        stage.figures.append(f"{lie}: {failed[0]['code']}: {failed[0]['message']}")
        checks.streamed_install_is_whole(stage, receiver, received, LISTED_GAME, source, reference)
