"""A source and receivers in containers, each with a link of its own, on the harness of the scenarios.

A receiver is a command that is begun in a container that waits. A shell there begins it when the gate opens, which is
the same moment for all, and says what it used: `times` for its processor time, `VmHWM` for its peak, which is looked at
four times a second and may miss what the last moment added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scenarios import peer as inside
from scenarios.docker import docker
from scenarios.events import named
from scenarios.expectations import CheckFailed
from scenarios.image import PROGRAM
from scenarios.peer import Machine, Mount, Peer
from scenarios.stage import Stage

from .samples import Used

KIB = 1024
CATALOG = "/catalog"
GATE = "/gate"

# Arguments: the file that opens the gate, then the command. No program is started for waiting or looking.
_MEASURED = r"""
exec {idle}<> <(:) 3>&2
gate=$1; shift
until [[ -e $gate ]]; do read -rt 0.02 -u $idle; done
begun=$EPOCHREALTIME
"$@" & pid=$!
{
    while :; do
        while read -r key value _; do
            if [[ $key = VmHWM: ]]; then echo "room-peak $value"; fi
        done <"/proc/$pid/status" || exit
        read -rt 0.25 -u $idle
    done
} 1>&3 2>/dev/null &
looker=$!
wait $pid; status=$?
echo "room-span $begun $EPOCHREALTIME" >&2
times >&2
kill $looker 2>/dev/null
exit $status
"""

_SPAN = re.compile(r"^room-span ([\d.]+) ([\d.]+)$", re.MULTILINE)
_PEAK = re.compile(r"^room-peak (\d+)$", re.MULTILINE)
_TIMES = re.compile(r"^(\d+)m([\d.]+)s (\d+)m([\d.]+)s$", re.MULTILINE)


@dataclass(frozen=True)
class Span:
    """What the shell beside a receiver said, in seconds and bytes."""

    begun: float
    ended: float
    cpu_seconds: float
    peak_bytes: int


def span(said: str) -> Span:
    """From what the shell and the program wrote to standard error."""
    times, spans, peaks = _TIMES.findall(said), _SPAN.findall(said), _PEAK.findall(said)
    if not spans or len(times) < 2:
        raise CheckFailed(f"a receiver did not say what it used: {said[-300:]!r}")
    # The first line of `times` is the shell's own.
    user_minutes, user, system_minutes, system = map(float, times[-1])
    cpu = 60 * (user_minutes + system_minutes) + user + system
    begun, ended = map(float, spans[-1])
    return Span(begun, ended, cpu, max(map(int, peaks), default=0) * KIB)


class RoomStage(Stage):
    """A network with a source and receivers."""

    def member(self, name: str, games_dir: Path, catalog: Mount, gate: Mount) -> Machine:
        """A machine whose link can be slowed, and that waits for a command."""
        settings = self._settings(
            name, games_dir, Path(catalog.source) / "catalog.toml", [catalog, gate], ("NET_ADMIN",)
        )
        return self._idle(settings)

    def start_measured(self, name: str, machine: Machine, arguments: Sequence[str]) -> Peer:
        """Begins a command there once the gate is open."""
        words = ["--json", "--state-dir", inside.STATE, *arguments]
        # The image names a port for daemons, which contradicts `--no-relay`.
        program = ["env", "--unset=LANSPREAD_LISTEN", PROGRAM]
        shell = ["bash", "-c", _MEASURED, "room", f"{GATE}/open", *program, *words]
        return self._begin(name, machine.container, ["exec", machine.container, *shell], words)


def allow_processors(machine: Machine, cpus: float) -> None:
    """As much of the machine as every other member may use, and at most so many processors."""
    limits = ["--cpu-shares", "1024", *(["--cpus", f"{cpus:g}"] if cpus else [])]
    docker("update", *limits, machine.container)


def sent_bytes(machine: Machine) -> int:
    return int(docker("exec", machine.container, "cat", "/sys/class/net/eth0/statistics/tx_bytes"))


def used_by_source(source: Peer) -> Used:
    """Of a peer that still serves; it is process 1 of its container."""
    status, stat, ticks = (
        docker("exec", source.container, *command)
        for command in (["cat", "/proc/1/status"], ["cat", "/proc/1/stat"], ["getconf", "CLK_TCK"])
    )
    return Used(source.name, "source", cpu_of(stat, int(ticks)), peak_of(status))


def cpu_of(stat: str, ticks: int) -> float:
    """Seconds of /proc/PID/stat: fields 14 and 15, and the name may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def peak_of(status: str) -> int:
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if not found:
        raise CheckFailed("the source has no VmHWM")
    return int(found[1]) * KIB


def used_by_receiver(receiver: Peer) -> Used:
    """Of a receiver that has ended."""
    spent = span(receiver.stderr())
    finished = receiver.events.all(named("stream-install-finished"))
    if not finished:
        raise CheckFailed(f"{receiver.name} installed nothing")
    brought = {"relay": 0, "source": 0, "http": 0}
    ends = receiver.events.all(named("upstream-end"))
    for event in ends:
        brought[event["kind"]] += event["bytes"]
    return Used(
        receiver.name,
        "receiver",
        spent.cpu_seconds,
        spent.peak_bytes,
        installed_seconds=datetime.fromisoformat(finished[-1]["time"]).timestamp() - spent.begun,
        ended_seconds=spent.ended - spent.begun,
        from_relays_bytes=brought["relay"],
        from_sources_bytes=brought["source"] + brought["http"],
        upstreams=len(ends),
    )
