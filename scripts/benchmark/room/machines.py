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
from scenarios.expectations import CheckFailed, expect_equal
from scenarios.image import PROGRAM
from scenarios.nginx import Nginx
from scenarios.peer import Machine, Mount, Peer
from scenarios.stage import Stage

from .samples import Used

KIB = 1024
CATALOG = "/catalog"
GATE = "/gate"

# As the kernel names their processes: by 15 characters.
PROGRAM_NAME, NGINX_NAME = PROGRAM[:15], "nginx"
# What waits in the queue of a slowed link at most, as in the scenarios: so many seconds, and one burst.
QUEUE_SECONDS, BURST_BYTES = 0.2, 128 * KIB

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

    def start_measured(self, name: str, machine: Machine, arguments: Sequence[str], gate: str) -> Peer:
        """Begins a command there once this gate is open."""
        words = ["--json", "--state-dir", inside.STATE, *arguments]
        # The image names a port for daemons, which contradicts `--no-relay`.
        program = ["env", "--unset=LANSPREAD_LISTEN", PROGRAM]
        shell = ["bash", "-c", _MEASURED, "room", f"{GATE}/{gate}", *program, *words]
        return self._begin(name, machine.container, ["exec", machine.container, *shell], words)


def allow_processors(machine: Machine, cpus: float) -> None:
    """As much of the machine as every other member may use, and at most so many processors."""
    limits = ["--cpu-shares", "1024", *(["--cpus", f"{cpus:g}"] if cpus else [])]
    docker("update", *limits, machine.container)


def share_link(machine: Machine, receivers: Sequence[Machine], uplinks: int, rate: int) -> None:
    """Slows what a machine sends to each of these to one rate, and what it sends in all to so many times that rate.
    Without this, a source with a fast link would send to its first receiver faster than that one's link could."""
    limit = int(QUEUE_SECONDS * rate) + BURST_BYTES
    in_all = f"rate {8 * uplinks * rate}bit burst {BURST_BYTES}"
    lines = [
        "tc qdisc replace dev eth0 root handle 1: htb",
        f"tc class add dev eth0 parent 1: classid 1:1 htb {in_all}",
    ]
    for number, receiver in enumerate(receivers, start=2):
        flow = f"1:{number:x}"
        least = f"rate {8 * uplinks * rate // len(receivers)}bit burst {BURST_BYTES}"
        most = f"ceil {8 * rate}bit cburst {BURST_BYTES}"
        to = f"{address(receiver)}/32"
        lines += [
            f"tc class add dev eth0 parent 1:1 classid {flow} htb {least} {most}",
            f"tc qdisc add dev eth0 parent {flow} bfifo limit {limit}",
            f"tc filter add dev eth0 parent 1: protocol ip u32 match ip dst {to} flowid {flow}",
        ]
    docker("exec", "--user", "0", machine.container, "sh", "-ec", "\n".join(lines))


def address(machine: Machine) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "--format", template, machine.container).strip()


@dataclass(frozen=True)
class Sender:
    """What receivers are pointed at: a source, or an HTTP server."""

    name: str
    machine: Machine
    peer: Peer | None
    # How a receiver is told of it.
    options: tuple[str, ...]

    @classmethod
    def source(cls, peer: Peer) -> Sender:
        return cls(peer.name, peer.machine, peer, ("--peer", peer.address))

    @classmethod
    def server(cls, nginx: Nginx) -> Sender:
        return cls(nginx.name, nginx.machine, None, ("--from", nginx.url))

    @property
    def is_running(self) -> bool:
        return self.peer is None or self.peer.is_running

    def sent_bytes(self) -> int:
        return int(docker("exec", self.machine.container, "cat", "/sys/class/net/eth0/statistics/tx_bytes"))

    def used(self) -> Used:
        """So far, of one that still runs."""
        pid = pid_of_program(self.machine, PROGRAM_NAME if self.peer else NGINX_NAME)
        status = docker("exec", self.machine.container, "cat", f"/proc/{pid}/status")
        return Used(self.name, "source", cpu_seconds(self.machine, pid), peak_of(status))


# Prints the number of each process of a name.
_PIDS = r"""
for each in /proc/[0-9]*; do
    if read -r name <"$each/comm" && [[ $name = "$0" ]]; then echo "${each#/proc/}"; fi
done 2>/dev/null; true
"""


def pid_of_program(machine: Machine, name: str = PROGRAM_NAME) -> int:
    """The process of this name on a machine, by its number there."""
    pids = docker("exec", machine.container, "bash", "-c", _PIDS, name).split()
    expect_equal(len(pids), 1, f"processes {name} in {machine.container}")
    return int(pids[0])


def signal_program(machine: Machine, number: int) -> None:
    pid = str(pid_of_program(machine))
    docker("exec", "--user", "0", machine.container, "bash", "-c", 'kill -s "$0" "$1"', str(int(number)), pid)


def cpu_seconds(machine: Machine, pid: int) -> float:
    """What a process on a machine has used of its processor."""
    stat, ticks = (
        docker("exec", machine.container, *command)
        for command in (["cat", f"/proc/{pid}/stat"], ["getconf", "CLK_TCK"])
    )
    return cpu_of(stat, int(ticks))


def cpu_of(stat: str, ticks: int) -> float:
    """Seconds of /proc/PID/stat: fields 14 and 15, and the name may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def peak_of(status: str) -> int:
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if not found:
        raise CheckFailed("a process has no VmHWM")
    return int(found[1]) * KIB


def used_by_receiver(receiver: Peer, role: str, disk_peak_bytes: int) -> Used:
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
        role,
        spent.cpu_seconds,
        spent.peak_bytes,
        installed_seconds=datetime.fromisoformat(finished[-1]["time"]).timestamp() - spent.begun,
        ended_seconds=spent.ended - spent.begun,
        from_relays_bytes=brought["relay"],
        from_sources_bytes=brought["source"] + brought["http"],
        upstreams=len(ends),
        disk_peak_bytes=disk_peak_bytes,
    )
