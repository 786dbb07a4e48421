#!/usr/bin/env python3
"""Builds the Debian package and uses it once as an operator would, in a container: install, serve as the service and an
instance of its template do, beside each other, ask, upgrade, remove, purge. Takes some ten seconds beside the build."""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenarios.cleanup import RunLock, remove_dead_runs, remove_run
from scenarios.docker import RUN_LABEL, DockerError, docker, engine_problem
from scenarios.expectations import CheckFailed, expect, expect_equal
from scenarios.image import PROGRAM, prepare_image
from scenarios.tools import FIXTURES_DIR, PROJECT_DIR, TARGET_DIR, ToolFailed

PACKAGE = "lanspread-peer"
SHORT_NAME = "lanspread"
USER = "lanspread"
UNIT = "/usr/lib/systemd/system/lanspread-peer.service"
TEMPLATE = "/usr/lib/systemd/system/lanspread-peer@.service"
CONFIG = "/etc/lanspread/lanspread.toml"
GAMES = "/srv/games"
STATE = "/var/lib/lanspread"

# The games that the operator puts there.
FIXTURE = "fixture-alpha"

# Far more than any step takes: only a hang gets there.
STEP_TIME_LIMIT_S = 60

# Slim images leave documentation out of what is installed; here it is part of what is looked at.
DPKG = ("dpkg", "--path-include=/usr/share/*")

SHIPPED = (
    f"/usr/bin/{PROGRAM}",
    f"/usr/bin/{SHORT_NAME}",
    f"/usr/share/bash-completion/completions/{SHORT_NAME}",
    f"/usr/share/fish/vendor_completions.d/{SHORT_NAME}.fish",
    f"/usr/share/man/man1/{SHORT_NAME}.1.gz",
    UNIT,
    TEMPLATE,
    CONFIG,
    f"/usr/share/bash-completion/completions/{PROGRAM}",
    f"/usr/share/zsh/vendor-completions/_{PROGRAM}",
    f"/usr/share/fish/vendor_completions.d/{PROGRAM}.fish",
    f"/usr/share/man/man1/{PROGRAM}.1.gz",
    f"/usr/share/man/man1/{PROGRAM}-serve.1.gz",
    f"/usr/share/doc/{PACKAGE}/copyright",
    f"/usr/share/doc/{PACKAGE}/LICENSE-MIT",
    f"/usr/share/doc/{PACKAGE}/LICENSE-APACHE",
    f"/usr/share/doc/{PACKAGE}/README.md",
    f"/usr/share/doc/{PACKAGE}/changelog.gz",
    f"/usr/share/doc/{PACKAGE}/changelog.Debian.gz",
    f"/usr/share/doc/{PACKAGE}/docs/commands.md",
    f"/usr/share/doc/{PACKAGE}/docs/event-schema.json",
)


# What of the template is not as in the unit.
OF_AN_INSTANCE = ("Description", "ExecStart", "StateDirectory", "RuntimeDirectory", "ReadWritePaths")
# What a unit may expose at most, in tenths, as `systemd-analyze security` judges it.
EXPOSURE_MAX = 20

# Findings of lintian that the package does not follow, each with the reason.
LINT_NOT_FOLLOWED = (
    # That is about packages of the Debian archive.
    "initial-upload-closes-no-bugs",
)

# Presses the tab key in bash after "PROGRAM COMMAND --" and prints what the installed script offers.
PRESS_TAB = f"""
source /usr/share/bash-completion/completions/{PROGRAM} || exit
COMP_WORDS=({PROGRAM} "$1" --) COMP_CWORD=2
[[ $(complete -p {PROGRAM}) =~ \\ -F\\ ([^\\ ]+) ]] || exit
compopt() {{ :; }}
"${{BASH_REMATCH[1]}}" {PROGRAM} -- "$1"
echo "${{COMPREPLY[*]}}"
"""

# As on a machine: nothing of what the image says to its own program.
ENVIRONMENT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")


@dataclass
class Service:
    """A peer as the service manager starts it."""

    # In the command of the unit, with the name of the instance in it.
    unit: str
    state: str
    games: str
    port: int


class Container:
    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str, user: str = "0") -> str:
        return docker("exec", "--user", user, self.name, *ENVIRONMENT, *command, timeout_s=STEP_TIME_LIMIT_S)

    def holds(self, path: str) -> bool:
        return self.run("sh", "-c", f"test -e {shlex.quote(path)} && echo yes || echo no").strip() == "yes"

    def digests(self, folder: str) -> str:
        return self.run("sh", "-c", f"find {folder} -type f -exec sha256sum {{}} + | sort")


@contextmanager
def container(image: str, *mounts: tuple[Path, str]) -> Iterator[Container]:
    """A container that does nothing by itself; removed at the end, and by the next run should this one be killed."""
    name = f"lanspread-package-{secrets.token_hex(4)}"
    lock = RunLock(TARGET_DIR / f"{name}.lock")
    try:
        arguments = ["--name", name, "--label", f"{RUN_LABEL}={lock.path}", "--user", "0", "--entrypoint", "sleep"]
        for source, target in mounts:
            arguments += ["--mount", f"type=bind,source={source},target={target}"]
        docker("run", "--detach", *arguments, image, "infinity")
        yield Container(name)
    finally:
        remove_run(str(lock.path))
        lock.release()


def build() -> Path:
    script = PROJECT_DIR / "scripts" / "build_package.sh"
    done = subprocess.run([str(script)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise ToolFailed(f"{script.name}: exit {done.returncode}")
    return Path(done.stdout.splitlines()[-1])


def settings_of(unit: str) -> list[str]:
    """The settings of a unit that are the same in its template."""
    lines = [line for line in unit.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if line.split("=")[0] not in OF_AN_INSTANCE]


def check_unit(name: str, unit: str) -> None:
    """Lets systemd read a unit, on a machine that has it; the program that it starts need not be installed there."""
    if not shutil.which("systemd-analyze"):
        print(f"no systemd-analyze here: {name} is not verified")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(unit.replace(f"/usr/bin/{PROGRAM}", "/bin/true"))
        for arguments in (["--man=no", "verify"], ["--offline=true", f"--threshold={EXPOSURE_MAX}", "security"]):
            command = ["systemd-analyze", *arguments, str(file)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            said = [line for line in done.stderr.splitlines() if file.name in line]
            expect_equal((done.returncode, said), (0, []), f"what {' '.join(command)} says")


def check_contents(box: Container) -> None:
    installed = set(box.run("dpkg", "-L", PACKAGE).splitlines())
    for path in SHIPPED:
        expect(path in installed, f"{path} is not in the package")
        expect(int(box.run("stat", "--format", "%s", path)) > 0, f"{path} is empty")
    expect(CONFIG in box.run("dpkg-query", "--show", "--showformat", "${Conffiles}", PACKAGE), f"{CONFIG} no conffile")
    version = tomllib.loads((PROJECT_DIR / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    expect_equal(box.run(PROGRAM, "-V").strip(), f"{PROGRAM} {version}", "-V")
    expect_equal(box.run(SHORT_NAME, "--version"), box.run(PROGRAM, "--version"), f"--version of {SHORT_NAME}")
    copyright_file = (PROJECT_DIR / "packaging" / "copyright").read_text()
    expect_equal(box.run("cat", f"/usr/share/doc/{PACKAGE}/copyright"), copyright_file, "copyright file")
    check_completion(box)
    for section in ("SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"):
        page = box.run("zcat", f"/usr/share/man/man1/{PROGRAM}-install.1.gz")
        expect(f'\n.SH "{section}"\n' in page, f"the manual page of install has no section {section}")
    expect_equal(box.run("stat", "--format", "%U %a", GAMES, STATE).split(), [USER, "2775", USER, "700"], "folders")


def check_completion(box: Container) -> None:
    """The installed script completes every command that the installed program lists."""
    help_lines = box.run(PROGRAM, "--help").splitlines()
    listed = help_lines[help_lines.index("Commands:") + 1 :]
    listed = listed[: listed.index("")]
    commands = [line.split()[0] for line in listed if line.startswith("  ") and not line.startswith("   ")]
    expect("install" in commands and len(commands) > 10, f"commands in --help: {commands}")
    for command in commands:
        if command != "help":
            offered = box.run("bash", "-c", PRESS_TAB, "bash", command).split()
            expect("--state-dir" in offered, f"the tab key after `{PROGRAM} {command} --` offers {offered}")


def check_lint(package: Path) -> None:
    """Lets lintian read the package, on a machine that has it."""
    if not shutil.which("lintian"):
        print("no lintian here: the package is not linted")
        return
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", ",".join(LINT_NOT_FOLLOWED)]
    done = subprocess.run([*command, str(package)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect_equal((done.returncode, done.stdout.splitlines()), (0, []), "what lintian says")


def command_of(unit: str) -> str:
    commands = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
    expect_equal(len(commands), 1, "ExecStart lines")
    return commands[0]


def messages(manager: socket.socket) -> list[str]:
    """The next message to the service manager."""
    try:
        return manager.recv(4096).decode().splitlines()
    except TimeoutError as error:
        raise CheckFailed(f"the service said nothing to its manager for {STEP_TIME_LIMIT_S} s") from error


@contextmanager
def started(box: Container, service: Service, manager: socket.socket, manager_dir: Path) -> Iterator[None]:
    """What the unit starts, as its user, and stops; this script is the service manager."""
    environment = [*ENVIRONMENT, "NOTIFY_SOCKET=/manager/notify", f"STATE_DIRECTORY={service.state}"]
    pid_file = manager_dir / f"pid-{service.port}"
    # The shell fills in the same variable as systemd would.
    shell = ["sh", "-c", f"echo $$ > /manager/{pid_file.name}; exec {command_of(service.unit)}"]
    command = ["docker", "exec", "--user", USER, box.name, *environment, *shell]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        ready = ["READY=1", f"STATUS=Serving {service.games} on 0.0.0.0:{service.port}"]
        expect_equal(messages(manager), ready, "messages to the service manager at the start")
        yield
        box.run("sh", "-c", f"kill -TERM {pid_file.read_text().strip()}")
        expect_equal(messages(manager)[0], "STOPPING=1", "message to the service manager at the end")
        expect_equal(process.wait(STEP_TIME_LIMIT_S), 0, "exit status of the service after SIGTERM")
    finally:
        process.kill()
        process.wait()


def check_offer(box: Container, service: Service, games: list[str]) -> None:
    """Asks as another user, who reads the same configuration and may not command the daemon."""
    asking = [PROGRAM, "--json", "--state-dir", "/tmp/nobody", "list", "--no-daemon", "--no-discovery"]
    asking += ["--peer", f"127.0.0.1:{service.port}"]
    listed = [json.loads(line) for line in box.run(*asking, user="nobody").splitlines()]
    offered = sorted(game["game"] for game in listed if game["event"] == "offered-game")
    expect_equal(offered, games, f"games that are offered at {service.port}")


def check_services(box: Container, manager: socket.socket, manager_dir: Path) -> None:
    """The service, and beside it an instance with games, settings, a state directory and a port of its own."""
    unit, template = box.run("cat", UNIT), box.run("cat", TEMPLATE)
    check_unit(Path(UNIT).name, unit)
    check_unit(Path(TEMPLATE).name.replace("@", "@lan1"), template)
    expect_equal(settings_of(template), settings_of(unit), "what the template and the unit have in common")
    games = sorted(path.name for path in (FIXTURES_DIR / FIXTURE).iterdir())
    service = Service(unit, STATE, GAMES, 4107)
    box.run("sh", "-c", f"cp -R /fixture/. {GAMES} && chown -R {USER}: {GAMES}")
    instance = Service(template.replace("%i", "lan1"), f"{STATE}/peers/lan1", "/srv/lanspread/lan1", 4108)
    # As an operator makes the folder of the games, and systemd that of the state.
    for folder, mode in ((instance.games, "2775"), (instance.state, "700")):
        box.run("install", "-d", "-o", USER, "-g", USER, "-m", mode, folder)
    box.run("cp", "-R", f"/fixture/{games[0]}", instance.games)
    box.run("chown", "-R", f"{USER}:", instance.games)
    settings = f'games-dir = "{instance.games}"\nlisten = "0.0.0.0:{instance.port}"\n'
    box.run("sh", "-c", f"printf %s {shlex.quote(settings)} > /etc/lanspread/lan1.toml")
    with started(box, service, manager, manager_dir), started(box, instance, manager, manager_dir):
        check_offer(box, service, games)
        check_offer(box, instance, games[:1])
    box.run("rm", "/etc/lanspread/lan1.toml")


def check_package(box: Container, manager: socket.socket, manager_dir: Path) -> None:
    # The image's own program would be found first.
    box.run("rm", f"/usr/local/bin/{PROGRAM}")
    box.run(*DPKG, "--install", "/package.deb")
    check_contents(box)
    check_services(box, manager, manager_dir)

    # What the operator has put there survives an upgrade; the games survive everything.
    games = box.digests(GAMES)
    expect(games.count("\n") > 1, "there are games to lose")
    box.run("sh", "-c", f"echo '# ours' >> {CONFIG}")
    box.run(*DPKG, "--install", "/package.deb")
    expect("# ours" in box.run("cat", CONFIG), "the upgrade replaced the configuration")
    box.run("dpkg", "--remove", PACKAGE)
    expect(not box.holds(f"/usr/bin/{PROGRAM}") and box.holds(CONFIG), "removal takes the program, not its settings")
    box.run("dpkg", "--purge", PACKAGE)
    expect(not box.holds(CONFIG) and not box.holds(STATE), "a purge takes settings and state")
    expect_equal(box.digests(GAMES), games, "the games after the purge")


def main() -> int:
    begun = time.monotonic()
    problem = engine_problem()
    if problem:
        raise ToolFailed(problem)
    package = build()
    built = time.monotonic()
    check_lint(package)
    remove_dead_runs()
    # A path of a socket may have no more than 107 bytes, so it is not made below the project.
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager_dir = Path(folder) / "manager"
        manager_dir.mkdir()
        manager_dir.chmod(0o777)
        image = prepare_image(Path(folder), rebuild=False)
        manager.bind(str(manager_dir / "notify"))
        (manager_dir / "notify").chmod(0o666)
        manager.settimeout(STEP_TIME_LIMIT_S)
        mounts = (package, "/package.deb"), (FIXTURES_DIR / FIXTURE, "/fixture"), (manager_dir, "/manager")
        with container(image, *mounts) as box:
            check_package(box, manager, manager_dir)
    print(f"{package.name}: passed; built in {built - begun:.0f} s, used in {time.monotonic() - built:.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CheckFailed, DockerError, ToolFailed) as error:
        sys.exit(f"check_package.py: {error}")
