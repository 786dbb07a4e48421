"""The largest rooms, in one process: what the simulation of the library's own tests says of them."""

from __future__ import annotations

import re
import subprocess

from scenarios.tools import PROJECT_DIR, ToolFailed

from .samples import Simulated

# A debug build takes minutes for them, and building for a release takes some as well.
COMMAND = (
    *("cargo", "test", "--release", "--locked", "--quiet", "-p", "lanspread-peer", "--lib", "large_rooms"),
    *("--", "--ignored", "--nocapture"),
)
_SAID = re.compile(r"(\d+) receivers: ([\d.]+) times one")


def simulated() -> tuple[Simulated, ...]:
    done = subprocess.run(COMMAND, cwd=PROJECT_DIR, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = said(done.stdout)
    # A bar of the test that is not met fails it, and its figure counts all the same.
    if not found:
        raise ToolFailed(f"{' '.join(COMMAND)}: exit {done.returncode}\n{done.stderr[-2000:]}".strip())
    return found


def said(text: str) -> tuple[Simulated, ...]:
    """The ratios in what the test prints."""
    return tuple(Simulated(int(receivers), float(ratio)) for receivers, ratio in _SAID.findall(text))
