"""Everything that is timed on a work. Each contender writes into a fresh folder, and what it left there is checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenarios.tools import TARGET_DIR, UNRAR, ToolFailed

from .disk import BENCH_DIR, fresh
from .launch import Command, Program, Usage, run, run_pipe, run_together
from .making import GAME, Made, count
from .servers import PEER, Nginx, Source
from .works import RECEIVERS

DECODER = TARGET_DIR / "release" / "examples" / "rar"


@dataclass(frozen=True)
class Timed:
    """One run of a contender."""

    seconds: float
    sync_seconds: float | None
    usages: tuple[Usage, ...]


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    run: Callable[[Made, dict[str, str]], Timed]
    # Programs of others, by their names in `machine.TOOLS`.
    needs: tuple[str, ...] = ()
    # Cores without which it measures nothing new.
    cores_min: int = 1


# ---- Ours ------------------------------------------------------------------------------------------------------------


def streamed(
    made: Made, *, options: Sequence[str | Path] = (), receivers: int = 1, cores: tuple[int, ...] = ()
) -> Timed:
    """`install --stream` from one source, by one or several receivers at once."""
    targets = [fresh(f"stream-{number}") for number in range(receivers)]
    with Source(Path(made.games), options, cores=cores, streams=max(RECEIVERS)) as source:
        command: Command = [PEER, "--quiet", "install", "--stream", GAME, "--peer", source.address, "--no-discovery"]
        programs = [
            Program("receiver", [*command, "--games-dir", target, "--state-dir", state(number)], cores=cores)
            for number, target in enumerate(targets)
        ]
        usages = run_together(programs)
    for target in targets:
        check_tree(target / GAME / "local", made)
    return with_others(timed(usages), [source.usage])


def installed(made: Made) -> Timed:
    """`install` from an archive that is in the games directory already, as after a download."""
    target = fresh("install")
    root = target / GAME
    root.mkdir()
    # A second name of the archive instead of a copy: it is only read.
    os.link(made.archive, root / f"{GAME}.eti")
    shutil.copy(Path(made.games) / GAME / "version.ini", root)
    command: Command = [PEER, "--quiet", "install", GAME, "--games-dir", target, "--no-discovery"]
    usage = run(Program("peer", [*command, "--state-dir", state(0)]))
    check_tree(root / "local", made)
    return timed([usage])


def downloaded(made: Made) -> Timed:
    target = fresh("download")
    with Source(Path(made.games)) as source:
        command: Command = [PEER, "--quiet", "download", GAME, "--peer", source.address, "--no-discovery"]
        usage = run(Program("receiver", [*command, "--games-dir", target, "--state-dir", state(0)]))
    check_archive(target / GAME / f"{GAME}.eti", made)
    return with_others(timed([usage]), [source.usage])


def decoded(made: Made, threads: int) -> Timed:
    """The decoder alone: every checksum is checked, nothing is written."""
    program = Program("decoder", [DECODER, "test", made.archive], env={"THREADS": str(threads)})
    return timed([run(program)])


# ---- Others ----------------------------------------------------------------------------------------------------------


def unrar_command(archive: Path, target: Path) -> Command:
    return [UNRAR, "x", "-cfg-", "-idq", "-o+", archive, f"{target}/"]


def unpacked_by_unrar(made: Made) -> Timed:
    target = fresh("unrar")
    done = synced([run(Program("unrar", unrar_command(made.archive, target)))], target)
    check_tree(target, made)
    return done


def tested_by_unrar(made: Made, switches: Sequence[str] = ()) -> Timed:
    return timed([run(Program("unrar", [UNRAR, "t", "-cfg-", "-idq", *switches, made.archive]))])


def unpacked_by_7z(made: Made, tools: dict[str, str]) -> Timed:
    target = fresh("7z")
    command: Command = [tools["7z"], "x", "-bso0", "-bsp0", "-y", f"-o{target}", made.archive]
    done = synced([run(Program("7z", command))], target)
    check_tree(target, made)
    return done


def tested_by_7z(made: Made, tools: dict[str, str]) -> Timed:
    return timed([run(Program("7z", [tools["7z"], "t", "-bso0", "-bsp0", made.archive]))])


def curl_command(tools: dict[str, str], server: Nginx) -> Command:
    return [tools["curl"], "--silent", "--show-error", "--fail", f"{server.address}/{GAME}/{GAME}.eti"]


def fetched_by_curl(made: Made, tools: dict[str, str]) -> Timed:
    target = fresh("curl")
    archive = target / f"{GAME}.eti"
    with Nginx(tools["nginx"], Path(made.games)) as server:
        done = synced([run(Program("curl", [*curl_command(tools, server), "--output", archive]))], target)
    check_archive(archive, made)
    return with_others(done, [server.usage])


def piped_to_bsdtar(made: Made, tools: dict[str, str]) -> Timed:
    target = fresh("bsdtar")
    with Nginx(tools["nginx"], Path(made.games)) as server:
        curl = Program("curl", curl_command(tools, server))
        usages = run_pipe(curl, Program("bsdtar", [tools["bsdtar"], "-x", "-f", "-", "-C", target]))
        done = synced(usages, target)
    check_tree(target, made)
    return with_others(done, [server.usage])


def fetched_then_unpacked(made: Made, tools: dict[str, str]) -> Timed:
    """What a player does by hand: the archive, then its content."""
    target = fresh("curl-unrar")
    archive, tree = target / f"{GAME}.eti", target / "tree"
    tree.mkdir()
    with Nginx(tools["nginx"], Path(made.games)) as server:
        curl = run(Program("curl", [*curl_command(tools, server), "--output", archive]))
        unrar = run(Program("unrar", unrar_command(archive, tree)))
        done = synced([curl, unrar], target)
    check_tree(tree, made)
    # Without the start of the second launcher, which a shell would not need.
    seconds = curl.wall_seconds + unrar.wall_seconds
    return with_others(Timed(seconds, done.sync_seconds, done.usages), [server.usage])


def copied(made: Made) -> Timed:
    """The disk's share: what `cp` takes for the same bytes and files."""
    target = fresh("copy")
    if made.tree is None:
        done = synced([run(Program("cp", ["cp", made.archive, target]))], target)
        check_archive(target / made.archive.name, made)
    else:
        done = synced([run(Program("cp", ["cp", "-r", made.tree, target]))], target)
        check_tree(target, made)
    return done


# ---- The list --------------------------------------------------------------------------------------------------------


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def first_cores(number: int) -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0))[:number])


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("stream", "`install --stream`", lambda made, _: streamed(made)),
        Contender(
            "stream-unrar", "`install --stream`, source with `--unrar`", lambda made, _: streamed_with_unrar(made)
        ),
        Contender("install", "`install` from a local archive", lambda made, _: installed(made)),
        Contender("download", "`download`", lambda made, _: downloaded(made)),
        Contender("unrar", "`unrar x`", lambda made, _: unpacked_by_unrar(made)),
        Contender("7z", "`7z x`", unpacked_by_7z, needs=("7z",)),
        Contender("curl-bsdtar", "`curl | bsdtar`", piped_to_bsdtar, needs=("nginx", "curl", "bsdtar")),
        Contender("curl-unrar", "`curl`, then `unrar x`", fetched_then_unpacked, needs=("nginx", "curl")),
        Contender("curl", "`nginx` + `curl`", fetched_by_curl, needs=("nginx", "curl")),
        Contender("copy", "`cp`", lambda made, _: copied(made)),
        Contender("decode-1", "our decoder, one thread", lambda made, _: decoded(made, 1)),
        Contender("decode-2", "our decoder, two threads", lambda made, _: decoded(made, 2)),
        Contender("unrar-t-1", "`unrar t -mt1`", lambda made, _: tested_by_unrar(made, ["-mt1"])),
        Contender("unrar-t", "`unrar t`", lambda made, _: tested_by_unrar(made)),
        Contender("7z-t", "`7z t`", tested_by_7z, needs=("7z",)),
        *(
            Contender(
                f"receivers-{number}",
                counted(number, "receiver") + " at once",
                lambda made, _, number=number: streamed(made, receivers=number),  # type: ignore[misc]
            )
            for number in RECEIVERS
        ),
        *(
            Contender(
                f"cores-{number}",
                f"`install --stream` on {counted(number, 'core')}",
                lambda made, _, number=number: streamed(made, cores=first_cores(number)),  # type: ignore[misc]
                cores_min=number,
            )
            for number in (1, 2, 4, 8)
        ),
    )
}


# ---- What they share -------------------------------------------------------------------------------------------------


def streamed_with_unrar(made: Made) -> Timed:
    return streamed(made, options=["--unrar", UNRAR])


def state(number: int) -> Path:
    return BENCH_DIR / "state" / f"receiver-{number}"


def timed(usages: Sequence[Usage]) -> Timed:
    """From the start of the first to the end of the last."""
    seconds = max(usage.ended for usage in usages) - min(usage.started for usage in usages)
    return Timed(seconds, None, tuple(usages))


def synced(usages: Sequence[Usage], target: Path) -> Timed:
    """As `timed`, and then how long the disk needs to take what was written: at once, before the result is checked."""
    done = timed(usages)
    sync = run(Program("sync", ["sync", "-f", target]))
    return Timed(done.seconds, sync.wall_seconds, (*done.usages, sync))


def with_others(done: Timed, others: Sequence[Usage | None]) -> Timed:
    """With the processes that served, which are not timed."""
    return Timed(done.seconds, done.sync_seconds, (*done.usages, *(usage for usage in others if usage is not None)))


def check_tree(folder: Path, made: Made) -> None:
    """A contender that left something out was not faster."""
    files, size = count(folder)
    if (files, size) != (made.files, made.unpacked_bytes):
        raise ToolFailed(
            f"{folder.name} holds {files} files of {size} bytes: "
            f"expected {made.files} files of {made.unpacked_bytes} bytes"
        )


def check_archive(archive: Path, made: Made) -> None:
    size = archive.stat().st_size
    if size != made.packed_bytes:
        raise ToolFailed(f"{archive.name} has {size} bytes: expected {made.packed_bytes}")
