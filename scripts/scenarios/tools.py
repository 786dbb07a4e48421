"""Where this checkout keeps things, and the real `rar` and `unrar`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[2]
TARGET_DIR = Path(os.environ.get("CARGO_TARGET_DIR") or PROJECT_DIR / "target").resolve()
FIXTURES_DIR = PROJECT_DIR / "fixtures"
CATALOG = FIXTURES_DIR / "catalog.toml"
TOOLS_DIR = TARGET_DIR / "tools"
RAR = TOOLS_DIR / "bin" / "rar"
UNRAR = TOOLS_DIR / "bin" / "unrar"


class ToolFailed(RuntimeError):
    pass


def fetch_tools() -> None:
    """Makes sure that the real `rar` and `unrar` are there; quick when they are."""
    done = subprocess.run(
        [str(PROJECT_DIR / "scripts" / "fetch_tools.sh")], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ToolFailed(done.stderr.strip())


def run_tool(program: Path, *arguments: str | Path, cwd: Path | None = None, accept: tuple[int, ...] = (0,)) -> str:
    """Runs `rar` or `unrar` and returns what it printed."""
    # Names go through the C library's multibyte conversion: without a UTF-8 locale they are mangled. RAR 4 keeps local
    # times without saying of which zone; the containers have none, so theirs is UTC.
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode not in accept:
        raise ToolFailed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}".strip())
    return done.stdout
