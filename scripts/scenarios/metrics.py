"""What a daemon counts and measures: `metrics`, as numbers."""

from __future__ import annotations

from .docker import docker
from .image import PROGRAM
from .peer import GAMES, STATE, Machine

# It is answered at once; this bounds one that hangs.
_LIMIT_S = 20

Metrics = dict[str, int]
"""Each sample by its name, with its labels as they are printed."""


def read(text: str) -> Metrics:
    """The samples of a text in the format of Prometheus."""
    samples = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: int(value) for name, _, value in samples}


def metrics_of(machine: Machine, *, games: str = GAMES, state: str = STATE) -> Metrics:
    """What the daemon of a games directory counts now."""
    words = ["metrics", "--state-dir", state, "--games-dir", games]
    return read(docker("exec", machine.container, PROGRAM, *words, timeout_s=_LIMIT_S))


def by_label(metrics: Metrics, name: str, label: str) -> dict[str, int]:
    """The samples of one name by one label, without those that are 0."""
    found: dict[str, int] = {}
    for sample, value in metrics.items():
        family, _, labels = sample.rstrip("}").partition("{")
        if family == name and value:
            given = dict(each.split("=", 1) for each in labels.split(","))
            found[given[label].strip('"')] = found.get(given[label].strip('"'), 0) + value
    return found


def sent(metrics: Metrics) -> dict[str, int]:
    """Bytes of games that were sent, by kind, without kinds of which nothing was sent."""
    return by_label(metrics, "lanspread_sent_bytes_total", "kind")


def received(metrics: Metrics) -> dict[str, int]:
    """Bytes of games that were received, in the same way."""
    return by_label(metrics, "lanspread_received_bytes_total", "kind")
