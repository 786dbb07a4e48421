"""The two that serve: a source of ours, and nginx. Each runs as long as its block."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from scenarios.tools import TARGET_DIR, ToolFailed

from .disk import BENCH_DIR
from .launch import Command, Launched, Program, Usage

PEER = TARGET_DIR / "release" / "lanspread-peer-cli"
START_SECONDS = 10

NGINX_CONF = """
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


class Server(ABC):
    """A program that runs as long as its block. `usage` is known after the block."""

    def __init__(self, program: Program, *, stdout: int | None = None) -> None:
        self._program = program
        self._stdout = stdout
        self.usage: Usage | None = None

    @abstractmethod
    def _wait_until_it_serves(self, launched: Launched) -> None:
        """Returns once it answers."""

    def __enter__(self) -> Self:
        self._launched = Launched(self._program, stdout=self._stdout)
        try:
            self._launched.go()
            self._wait_until_it_serves(self._launched)
        except BaseException:
            self._launched.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        with self._launched:
            if kind is None:
                self.usage = self._launched.stop()


class Source(Server):
    """A serving peer, fresh: it has listed no archive yet."""

    def __init__(
        self, games: Path, options: Sequence[str | Path] = (), *, cores: tuple[int, ...] = (), streams: int = 8
    ) -> None:
        state = BENCH_DIR / "state" / "source"
        command: Command = [PEER, "serve", "--json", "--games-dir", games, "--listen", "127.0.0.1:0"]
        limits: Command = ["--no-discovery", "--state-dir", state, "--max-streams", str(streams)]
        # Its events go to a pipe, of which the first line is its address. The others are few.
        super().__init__(Program("source", [*command, *limits, *options], cores=cores), stdout=subprocess.PIPE)

    def _wait_until_it_serves(self, launched: Launched) -> None:
        self.address = str(json.loads(launched.first_line(START_SECONDS))["addr"])


class Nginx(Server):
    """nginx for one folder: sendfile, one worker, no log."""

    def __init__(self, nginx: str, root: Path) -> None:
        self._folder = BENCH_DIR / "nginx"
        self._folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        conf = self._folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(folder=self._folder, port=self._port, root=root))
        super().__init__(Program("nginx", [nginx, "-p", self._folder, "-c", conf]))

    def _wait_until_it_serves(self, _launched: Launched) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        raise ToolFailed(f"nginx does not answer; see {self._folder / 'error.log'}")
