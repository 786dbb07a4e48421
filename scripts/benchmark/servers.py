"""The two that serve: a source of ours, and nginx. Each runs as long as its block."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

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


class Source:
    """A serving peer, fresh: it has listed no archive yet. `usage` is known after the block."""

    def __init__(
        self, games: Path, options: Sequence[str | Path] = (), *, cores: tuple[int, ...] = (), streams: int = 8
    ) -> None:
        state = BENCH_DIR / "state" / "source"
        command: Command = [PEER, "serve", "--json", "--games-dir", games, "--listen", "127.0.0.1:0"]
        limits: Command = ["--no-discovery", "--state-dir", state, "--max-streams", str(streams)]
        self._program = Program("source", [*command, *limits, *options], cores=cores)
        self.usage: Usage | None = None

    def __enter__(self) -> Source:
        # Its events go to a pipe, of which the first line is its address. The others are few.
        self._launched = Launched(self._program, stdout=subprocess.PIPE)
        try:
            self._launched.go()
            self.address = str(json.loads(self._launched.first_line(START_SECONDS))["addr"])
        except BaseException:
            self._launched.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        with self._launched:
            if kind is None:
                self.usage = self._launched.stop()


class Nginx:
    """nginx for one folder: sendfile, one worker, no log. `usage` is known after the block."""

    def __init__(self, nginx: str, root: Path) -> None:
        self._folder = BENCH_DIR / "nginx"
        self._folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        conf = self._folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(folder=self._folder, port=self._port, root=root))
        self._program = Program("nginx", [nginx, "-p", self._folder, "-c", conf])
        self.usage: Usage | None = None

    def __enter__(self) -> Nginx:
        self._launched = Launched(self._program)
        try:
            self._launched.go()
            self._wait_until_it_answers()
        except BaseException:
            self._launched.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        with self._launched:
            if kind is None:
                self.usage = self._launched.stop()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        raise ToolFailed(f"nginx does not answer; see {self._folder / 'error.log'}")
