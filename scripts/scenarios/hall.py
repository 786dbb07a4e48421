"""A hall: very many seats in one container, each with a network of its own, on one bridge.

A container for each seat takes a second of the machine to make; a network namespace takes some milliseconds. What a
seat sends and receives is counted by the hall's end of its cable.

The kernel has one table of neighbours for all namespaces of a machine, with room for 1024 (`gc_thresh3`), and sixty
seats that all talk to each other have 3660. Beyond that it drops packets, of other containers too. Entries that are
permanent do not count, so each seat is given those of all others.

The first seat has no cable: its network is that of the hall, where this machine reaches it too. So a browser here can
show its page, and what passes to this machine is counted apart from what the seats say to each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .docker import docker
from .expectations import Deadline, expect
from .image import PROGRAM
from .peer import GAMES, Machine
from .stage import Stage

# Namespaces of the network, and what is in them.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN")

# In memory: what a daemon makes durable at its start would wait for the disk of this machine, sixty times.
_ROOM = "/dev/shm/hall"
_NETWORK = "10.77"
_LIMIT_S = 60

# One seat: it waits until all cables are laid, and becomes its daemon.
_SEAT = f"""set -eu
name=$1
shift
flock --shared "{_ROOM}/laying" true
exec {PROGRAM} --json --state-dir "{_ROOM}/$name/state" serve --games-dir "{_ROOM}/$name/games" --name "$name" \\
    --listen 0.0.0.0:4107 "$@"
"""

# All of them. A cable is laid to a process, so each must have left the network of the hall before. One process after
# the other changes networks: the kernel has one lock for that, which sixty processes would hand around for minutes.
_HALL = f"""set -eu
mkdir -p {_ROOM}
exec 9>{_ROOM}/laying
flock 9
read -r first address mac options </state/seats
ip link add hall address "$mac" type bridge
ip link set hall up
ip address add "$address/16" dev hall
sed 's/dev eth0/dev hall/' /state/neighbours | ip -batch -
while read -r name address mac options; do
    apart="unshare --net"
    if [ "$name" = "$first" ]; then apart=""; fi
    mkdir -p "{_ROOM}/$name/games" "{_ROOM}/$name/state"
    if [ -d "{GAMES}/$name" ]; then cp -R "{GAMES}/$name/." "{_ROOM}/$name/games"; fi
    $apart sh /state/seat.sh "$name" $options \\
        >"{_ROOM}/$name/said.jsonl" 2>"{_ROOM}/$name/stderr.log" </dev/null 9>&- &
    echo $! >"{_ROOM}/$name/pid"
done </state/seats
tail -n +2 /state/seats >{_ROOM}/cabled
here=$(readlink /proc/self/ns/net)
while read -r name address mac options; do
    pid=$(cat "{_ROOM}/$name/pid")
    while [ "$(readlink "/proc/$pid/ns/net")" = "$here" ]; do sleep 0.01; done
    echo "link add $name type veth peer name eth0 address $mac netns $pid"
    echo "link set $name master hall up"
done <{_ROOM}/cabled >{_ROOM}/cables
ip -batch {_ROOM}/cables
while read -r name address mac options; do
    {{
        echo "link set lo up"
        echo "link set eth0 up"
        echo "address add $address/16 dev eth0"
        cat /state/neighbours
    }} | nsenter --net="/proc/$(cat "{_ROOM}/$name/pid")/ns/net" ip -batch -
done <{_ROOM}/cabled
flock --unlock 9
"""

_COUNTERS = """cd /sys/class/net
for name in *; do
    [ -d "$name/brport" ] || continue
    echo "$name $(cat "$name/statistics/rx_bytes" "$name/statistics/tx_bytes" \\
        "$name/statistics/rx_packets" "$name/statistics/tx_packets" | tr '\\n' ' ')"
done
"""


@dataclass(frozen=True)
class Cable:
    """What a seat has sent and received in all, with the headers of its packets."""

    sent_bytes: int
    received_bytes: int
    sent_packets: int
    received_packets: int

    def since(self, before: Cable) -> Cable:
        return Cable(
            self.sent_bytes - before.sent_bytes,
            self.received_bytes - before.received_bytes,
            self.sent_packets - before.sent_packets,
            self.received_packets - before.received_packets,
        )


class Hall:
    """Its seats begin at once. Each is named those before it, which is enough for both to know each other: the answers
    of sixty multicast DNS daemons on two cores are more than their sockets hold."""

    def __init__(self, stage: Stage, seats: Mapping[str, Sequence[str]]) -> None:
        """Starts a daemon for each name with these options. A folder of the hall's games directory that is named as a
        seat is copied there as its games directory."""
        self.stage = stage
        self.machine: Machine = stage.machine("hall", stage.games_dir("hall"), capabilities=CAPABILITIES)
        state_dir: Path = stage.dir / "state" / "hall"
        lines: list[str] = []
        addresses: list[str] = []
        neighbours: list[str] = []
        for number, (name, options) in enumerate(seats.items(), start=1):
            high, low = divmod(number, 256)
            address, mac = f"{_NETWORK}.{high}.{low}", f"02:00:00:00:{high:02x}:{low:02x}"
            named = [f"--peer {earlier}:4107" for earlier in addresses]
            lines.append(f"{name} {address} {mac} --no-discovery {' '.join([*named, *options])}")
            addresses.append(address)
            neighbours.append(f"neighbour add {address} lladdr {mac} dev eth0 nud permanent")
        (state_dir / "seats").write_text("\n".join(lines) + "\n")
        (state_dir / "neighbours").write_text("\n".join(neighbours) + "\n")
        (state_dir / "seat.sh").write_text(_SEAT)
        (state_dir / "hall.sh").write_text(_HALL)
        self.seats = list(seats)
        self.shell("exec sh /state/hall.sh")

    def shell(self, script: str, *arguments: str) -> str:
        """What a script prints that runs in the hall as its root."""
        words = ["exec", "--user", "0", "--env", f"XDG_STATE_HOME={_ROOM}/state", self.machine.container]
        return docker(*words, "sh", "-c", script, "sh", *arguments, timeout_s=_LIMIT_S)

    def ask(self, seat: str, *words: str) -> str:
        """What a command of a seat prints; its daemon answers."""
        folders = ["--state-dir", f"{_ROOM}/{seat}/state", "--games-dir", f"{_ROOM}/{seat}/games"]
        return self.shell('exec "$@"', PROGRAM, *words, *folders)

    def wait_until_ready(self, deadline: Deadline) -> None:
        """Every seat serves, and answers commands."""
        while True:
            said = self.shell(f"grep --files-with-matches peer-ready {_ROOM}/*/said.jsonl || true").split()
            missing = sorted(set(self.seats) - {Path(file).parent.name for file in said})
            if not missing:
                return
            first = missing[0]
            expect(self.is_alive(first), f"{first} has ended: {self.stderr(first)!r}")
            deadline.check(f"{len(missing)} seats that do not serve yet, such as {first}")

    def room(self, seat: str) -> dict[str, Any]:
        """The room as a seat sees it."""
        lines = self.ask(seat, "room", "--json").splitlines()
        return next(event for event in map(json.loads, lines) if event["event"] == "room")

    def on_terminal(self, seat: str, columns: int, *words: str) -> list[str]:
        """The lines that a command of a seat shows on a terminal of so many columns."""
        folders = f"--state-dir {_ROOM}/{seat}/state --games-dir {_ROOM}/{seat}/games"
        command = f"stty cols {columns} rows 24; {PROGRAM} {' '.join(words)} {folders}"
        return (
            self.shell('exec script --quiet --return --command "$1" /dev/null', command).replace("\r", "").splitlines()
        )

    def cables(self) -> dict[str, Cable]:
        """The counters of each seat with a cable. What the hall has received from a cable, the seat has sent."""
        rows = [line.split() for line in self.shell(_COUNTERS).splitlines()]
        return {name: Cable(*map(int, counted)) for name, *counted in rows}

    def page(self, port: int, deadline: Deadline) -> tuple[str, str]:
        """Where this machine finds the page of the first seat, and the token of it."""
        first = self.seats[0]
        while not any(event["event"] == "page-ready" for event in self.said(first)):
            deadline.check("the page of the hall")
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = docker("inspect", "--format", template, self.machine.container).strip()
        return f"http://{address}:{port}/", self.shell(f"cat {_ROOM}/{first}/state/web-token").strip()

    def sent_to_this_machine(self) -> int:
        """Bytes, with the headers of their packets."""
        return int(self.shell("cat /sys/class/net/eth0/statistics/tx_bytes"))

    def process_status(self, seat: str) -> dict[str, int]:
        """The numbers in `/proc/PID/status` of a seat's daemon; memory in KiB."""
        lines = self.shell(f'cat "/proc/$(cat {_ROOM}/$1/pid)/status" || true', seat).splitlines()
        fields = (line.partition(":") for line in lines)
        return {
            key: int(value.split()[0]) for key, _, value in fields if value.split()[:1] and value.split()[0].isdigit()
        }

    def kill(self, seat: str) -> None:
        """SIGKILL to a seat's daemon."""
        self.shell(f'kill -s KILL "$(cat {_ROOM}/$1/pid)"', seat)

    def is_alive(self, seat: str) -> bool:
        return "VmRSS" in self.process_status(seat)

    def said(self, seat: str) -> list[dict[str, Any]]:
        """The events of a seat."""
        return [json.loads(line) for line in self.shell(f"cat {_ROOM}/$1/said.jsonl", seat).splitlines()]

    def stderr(self, seat: str) -> str:
        return self.shell(f"cat {_ROOM}/$1/stderr.log", seat)
