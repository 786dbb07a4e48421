"""nginx on a machine of its own: an HTTP server that has games, and is no peer.

It is the program of this machine, so the machine has all that others have, such as a link that can be slowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .docker import DockerError, docker
from .expectations import Deadline
from .peer import GAMES, PORT, STATE, Machine, Mount
from .stage import Stage
from .taken_along import taken_along

_PROGRAM_DIR = "/opt/nginx"
_ACCESS_LOG = "access.log"
_START_LIMIT_S = 20

_CONFIGURATION = f"""
daemon off;
master_process off;
error_log {STATE}/error.log;
pid {STATE}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    log_format sent '$status $bytes_sent $request_uri';
    access_log {STATE}/{_ACCESS_LOG} sent;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {STATE}/body;
    proxy_temp_path {STATE}/proxy;
    fastcgi_temp_path {STATE}/fastcgi;
    uwsgi_temp_path {STATE}/uwsgi;
    scgi_temp_path {STATE}/scgi;
    server {{ listen {PORT}; root {GAMES}; }}
}}
"""


@dataclass(frozen=True)
class Answer:
    """What the server says of one request."""

    status: int
    sent: int
    """Bytes, with those of the head."""
    path: str


@dataclass(frozen=True)
class Nginx:
    name: str
    machine: Machine
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.name}:{PORT}"

    def answers(self) -> list[Answer]:
        """One for each request that it has answered."""
        fields = (line.split(" ", 2) for line in self.log.read_text().splitlines())
        return [Answer(int(status), int(sent), path) for status, sent, path in fields]


def start_nginx(stage: Stage, name: str, games_dir: Path, rate: int = 0) -> Nginx:
    """Serves the games in a folder, and returns when it answers. With a rate its link is slowed to so many bytes a
    second."""
    state_dir = stage.dir / "state" / name
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / "nginx.conf").write_text(_CONFIGURATION)
    machine = stage.machine(
        name,
        Mount(games_dir, GAMES, read_only=True),
        mounts=[Mount(taken_along(stage.run, "nginx", "nginx-light"), _PROGRAM_DIR, read_only=True)],
        capabilities=["NET_ADMIN"],
    )
    if rate:
        machine.limit_sending(rate)
    command = [f"{_PROGRAM_DIR}/nginx", "-p", STATE, "-c", f"{STATE}/nginx.conf", "-e", f"{STATE}/error.log"]
    environment = ["--env", f"LD_LIBRARY_PATH={_PROGRAM_DIR}"]
    docker("exec", "--detach", *environment, machine.container, *command)
    _wait_until_it_answers(machine, stage.deadline.sooner(_START_LIMIT_S), state_dir / "error.log")
    return Nginx(name, machine, state_dir / _ACCESS_LOG)


def _wait_until_it_answers(machine: Machine, deadline: Deadline, error_log: Path) -> None:
    while True:
        # Each try takes a tenth of a second, which is all the pacing that this loop needs.
        try:
            docker("exec", machine.container, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{PORT}")
            return
        except DockerError:
            said = error_log.read_text().strip() if error_log.exists() else ""
            deadline.check(f"nginx, which says {said!r}")
