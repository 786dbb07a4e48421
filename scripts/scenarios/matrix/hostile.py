"""Archives that try to write where they must not."""

from __future__ import annotations

from .. import archives, checks
from ..contract import scenario
from ..events import named
from ..expectations import expect, expect_equal
from ..peer import TOOLS
from ..stage import Stage
from ..tools import FIXTURES_DIR

HOSTILE = FIXTURES_DIR / "fixture-hostile"

# What every hostile name would create if it were obeyed.
ESCAPED = "*escaped*"


@scenario(
    "S50",
    "Hostile archive",
    claim="An archive with `..`, an absolute name, a drive, a backslash, a link or a write through one, a device "
    "name, two names that are one, a reserved name, or a header that lies is refused. Nothing is written "
    "outside staging, and nothing is left.",
    conditions="Every game of fixture-hostile, from one source for each decoder. The receiver's whole file system is "
    "examined. A harmless game from the same source still installs afterwards.",
    time_limit_s=300,
)
def hostile_archives(stage: Stage) -> None:
    games = sorted(path.name for path in HOSTILE.iterdir())
    expect(len(games) >= 10, "fixture-hostile is not complete")
    harmless = "alpha-arena"
    reference = archives.extract(FIXTURES_DIR / "fixture-alpha" / harmless, stage.dir / "reference")
    for decoder, unrar in (("native", ""), ("unrar", f"{TOOLS}/bin/unrar")):
        served = stage.games_from(decoder, "fixture-hostile", f"fixture-alpha/{harmless}")
        served_before = checks.user_tree(served)
        source = stage.start_source(decoder, served, unrar=unrar)
        received = stage.games_dir(f"to-{decoder}")
        before = checks.user_tree(received)
        machine = stage.machine(f"to-{decoder}", received)
        for game in games:
            receiver = stage.install(game, machine, [source], name=f"to-{decoder}", exit_status=4)
            # Twice if the first attempt is a packed stream and only decoding shows what is wrong.
            expect_equal(set(checks.failed_attempts(receiver)), {source.name}, f"{game}: sources that failed")
            expect(not receiver.events.all(named("stream-install-finished")), f"{game} reported success")
            expect(receiver.stderr().strip(), f"{game}: nothing on standard error says why it was refused")
            checks.games_dir_as_before(before, received)
        escaped = [path for path in stage.dir.rglob(ESCAPED) if not path.is_relative_to(served)]
        expect(not escaped, f"files outside the game root: {escaped}")
        for who, where in (("receiver", machine), ("source", source.machine)):
            changed = where.changed_outside_mounts()
            expect(not changed, f"the {who} changed files outside its folders: {changed}")
        checks.games_dir_as_before(served_before, served)
        receiver = stage.install(harmless, machine, [source], name=f"to-{decoder}", exit_status=0)
        checks.streamed_install_is_whole(stage, receiver, received, harmless, source, reference)
