"""One attached process with everything that it printed: its events, and both outputs in files."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from .events import Event, EventLog, Predicate, named
from .expectations import Deadline, expect_equal

# The rest of what a killed process printed is in its pipes. A process that it started may hold these open for longer.
_REST_LIMIT_S = 1.0


class Process:
    """Its standard output becomes events; standard output and standard error are kept in files."""

    def __init__(self, name: str, command: Sequence[str], logs: Path) -> None:
        """Starts the command. `logs` is the path of its log files without their endings."""
        self.name = name
        self.events = EventLog(self.name)
        self.stdout_file = logs.with_name(f"{logs.name}.stdout.jsonl")
        self.stderr_file = logs.with_name(f"{logs.name}.stderr.log")
        self.status: int | None = None
        """The exit status, once `wait_for_exit` has returned."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout and self._process.stderr  # both are pipes
        self._readers = [
            self._start_reader(self._process.stdout, self.stdout_file, is_events=True),
            self._start_reader(self._process.stderr, self.stderr_file, is_events=False),
        ]

    def _start_reader(self, stream: IO[str], file: Path, *, is_events: bool) -> threading.Thread:
        name = f"{self.name} {file.name}"
        reader = threading.Thread(target=self._read, args=(stream, file, is_events), name=name, daemon=True)
        reader.start()
        return reader

    def _read(self, stream: IO[str], file: Path, is_events: bool) -> None:
        with stream, file.open("w", encoding="utf-8") as kept:
            for line in stream:
                kept.write(line)
                kept.flush()
                if is_events:
                    self.events.add_line(line.rstrip("\n"))
        if is_events:
            self.events.close()

    def wait_for_event(self, event: str | Predicate, deadline: Deadline, what: str = "", start: int = 0) -> Event:
        if isinstance(event, str):
            return self.events.wait_for(named(event), deadline, what or f"`{event}`", start)
        return self.events.wait_for(event, deadline, what or "an event", start)

    def wait_for_exit(self, deadline: Deadline, what: str = "its end") -> int:
        """The exit status, after everything that it printed has been read."""
        try:
            status = self._process.wait(deadline.check(f"{what} ({self.name})"))
        except subprocess.TimeoutExpired:
            deadline.check(f"{what} ({self.name})")
            raise
        for reader in self._readers:
            reader.join()
        self.status = status
        return status

    def expect_exit(self, status: int) -> None:
        """It has ended with this exit status."""
        last_words = self.stderr().strip().splitlines()[-3:]
        expect_equal(
            self.status, status, f"exit status of {self.name} (it said: {' / '.join(last_words) or 'nothing'})"
        )

    def signal(self, number: int) -> None:
        """Signals the process itself: of a container that is the attached `docker`, not what runs inside."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGKILL; it has ended when this returns."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(_REST_LIMIT_S)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def stderr(self) -> str:
        return self.stderr_file.read_text(encoding="utf-8") if self.stderr_file.exists() else ""
