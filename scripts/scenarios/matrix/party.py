"""What machines that are not of a party can do with its members, and learn of them."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import archives, checks
from ..contract import scenario
from ..doubles import PROGRAMS
from ..events import Event, named
from ..expectations import expect, expect_equal
from ..listings import listed, offers, wait_until_found
from ..peer import GAMES, PORT, Machine, Peer
from ..stage import PARTY_LINE, Stage
from ..tools import FIXTURES_DIR

# What each member has, and the other one installs.
MEMBERS = {"a-member": "alpha-arena", "b-member": "alpha-racer"}
NO_LINE = "no-line"
OTHER_LINE = "other-line"
OUTSIDERS = (NO_LINE, OTHER_LINE)
LINE_OF_OTHERS = "party1v4nxw6rfdf4kcmtwdac8zunnws394u3z"

MULTICAST_PORT = 5353

_IPV4, _TCP, _UDP = 0x0800, 6, 17
# Of bech32m, in which ids and lines are written.
_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECK_CHARACTERS = 6


@dataclass(frozen=True)
class _Packet:
    """What one packet carries."""

    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes

    @classmethod
    def of(cls, event: Event) -> _Packet | None:
        """The packet of a frame, if it is one of UDP or TCP over IPv4."""
        frame = bytes.fromhex(event["frame"])
        if len(frame) < 34 or struct.unpack(">H", frame[12:14])[0] != _IPV4:
            return None
        packet = frame[14 : 14 + struct.unpack(">H", frame[16:18])[0]]
        protocol, inner = packet[9], packet[4 * (packet[0] & 15) :]
        if protocol not in (_TCP, _UDP):
            return None
        source, target = (socket.inet_ntoa(packet[start : start + 4]) for start in (12, 16))
        from_port, to_port = struct.unpack(">HH", inner[:4])
        header = 4 * (inner[12] >> 4) if protocol == _TCP else 8
        return cls(protocol, (source, from_port), (target, to_port), inner[header:])


@dataclass(frozen=True)
class _Outsider:
    name: str
    games_dir: Path
    machine: Machine
    daemon: Peer
    eavesdropper: Peer

    def heard(self) -> Iterator[_Packet]:
        for event in self.eavesdropper.events.all(named("heard")):
            packet = _Packet.of(event)
            if packet:
                yield packet


@scenario(
    "S60",
    "Outsider",
    claim="A machine without the line of a party and one with another line neither list nor install from two members, "
    "which install from each other. Nothing that the two hear or are sent holds a game, a name, an id or the line of "
    "the party.",
    conditions="Two members and two outsiders on one network, all of them with discovery; the outsiders know the "
    "addresses of the members as well. Every packet at the outsiders is kept: what was announced by multicast, and "
    "their own connections. What an open peer announces about itself is in them.",
    time_limit_s=120,
)
def outsider(stage: Stage) -> None:
    stage.join_party(*MEMBERS)
    stage.join_party(OTHER_LINE, line=LINE_OF_OTHERS)
    outsiders = [_outsider(stage, name) for name in OUTSIDERS]
    members = [
        stage.start_source(name, stage.games_from(name, f"fixture-alpha/{game}"), discovery=True)
        for name, game in MEMBERS.items()
    ]
    wait_until_found(stage, members)
    for each in outsiders:
        for member in members:
            _wait_until_heard(stage, each, member)
        _expect_refused(stage, each, members)
    for member, other in ((members[0], members[1]), (members[1], members[0])):
        _install_from(stage, member, other)

    for each in outsiders:
        stage.deadline.check("the packets at an outsider")
        each.machine.signal(signal.SIGTERM, each.daemon.arguments)
        stage.finish(each.daemon, 0, f"the end of {each.name}")
        expect(each.eavesdropper.is_running, f"nothing was heard at {each.name} in the end")
        met = each.daemon.events.all(named("peer-found"))
        expect(not met, f"{each.name} has found a peer: {met[:1]}")
        _expect_nothing_learnt(each, members)
    for process in stage.peers:
        printed = process.stdout_file.read_text() + process.stderr()
        expect(PARTY_LINE not in printed, f"{process.name} has printed the line")
    for member in members:
        found = {event["name"] for event in member.events.all(named("peer-found"))}
        expect_equal(found, set(MEMBERS) - {member.name}, f"peers that {member.name} has found")
        receivers = [event["peer"] for event in member.events.all(named("transfer-begin"))]
        expect_equal(receivers, [name for name in MEMBERS if name != member.name], f"receivers of {member.name}")


def _outsider(stage: Stage, name: str) -> _Outsider:
    """A daemon that finds peers, on a machine at which every packet is kept from the beginning."""
    games_dir = stage.games_dir(name)
    machine = stage.machine(name, games_dir, mounts=[PROGRAMS])
    eavesdropper = stage.eavesdrop(f"at-{name}", machine)
    daemon = stage.start(name, stage.serve_arguments(name, discovery=True), machine)
    daemon.wait_for_event("peer-ready", stage.deadline)
    return _Outsider(name, games_dir, machine, daemon, eavesdropper)


def _wait_until_heard(stage: Stage, each: _Outsider, member: Peer) -> None:
    """The announcement of the member has reached it."""
    address = member.ip_address()

    def announced(event: Event) -> bool:
        packet = _Packet.of(event) if named("heard")(event) else None
        return packet is not None and packet.source == (address, MULTICAST_PORT) and b"_lanspread" in packet.payload

    each.eavesdropper.wait_for_event(announced, stage.deadline, f"an announcement of {member.name}")


def _expect_refused(stage: Stage, each: _Outsider, members: list[Peer]) -> None:
    before = checks.user_tree(each.games_dir)
    expect_equal(offers(listed(stage, each.machine)), {}, f"games that {each.name} lists")
    for member in members:
        # By address: its name would be asked of a name server, and so be in the packets.
        named_peer = ["--peer", f"{member.ip_address()}:{PORT}", "--no-discovery"]
        asked = stage.command(f"{each.name}-asks", each.machine, "status", *named_peer[:2], exit_status=3)
        expect("party" in asked.stderr(), f"the reason is not named: {asked.stderr().strip()!r}")
        words = ["list", "--games-dir", GAMES, *named_peer]
        asked = stage.command(f"{each.name}-lists", each.machine, "--no-daemon", *words, exit_status=3)
        expect_equal(offers(asked.events.window()), {}, f"games that {each.name} lists from {member.name}")
        words = ["install", "--stream", MEMBERS[member.name], "--games-dir", GAMES, *named_peer]
        refused = stage.command(f"{each.name}-installs", each.machine, *words, exit_status=3)
        expect_equal(checks.attempts(refused), [], f"attempts of {each.name}")
    checks.games_dir_as_before(before, each.games_dir)


def _install_from(stage: Stage, member: Peer, other: Peer) -> None:
    game = MEMBERS[other.name]
    installs = stage.command(
        f"{member.name}-installs", member.machine, "install", "--stream", game, "--games-dir", GAMES
    )
    reference = archives.extract(FIXTURES_DIR / "fixture-alpha" / game, stage.dir / "reference" / game)
    checks.streamed_install_is_whole(stage, installs, stage.games_dir(member.name), game, other, reference)


def _expect_nothing_learnt(each: _Outsider, members: list[Peer]) -> None:
    said: dict[tuple[str, int, str, int], bytearray] = {}
    sent_by: dict[str, set[int]] = {member.ip_address(): set() for member in members}
    for packet in each.heard():
        # A word may be cut by the end of a packet.
        said.setdefault((*packet.source, *packet.target), bytearray()).extend(packet.payload)
        if packet.payload and packet.source[0] in sent_by:
            sent_by[packet.source[0]].add(packet.protocol)
    for member in members:
        heard = sent_by[member.ip_address()]
        expect_equal(heard, {_TCP, _UDP}, f"protocols in which {each.name} has heard {member.name}")
    everything = [bytes(stream) for stream in said.values()]
    if each.name == NO_LINE:
        # The control: what is said in clear text is found.
        for own in (each.name, each.daemon.identity):
            expect(any(own.encode() in stream for stream in everything), f"{own} is not in what {each.name} announces")
    for what, secrets in _secrets(members).items():
        for secret in secrets:
            expect(not any(secret in stream for stream in everything), f"{each.name} has heard {what}")


def _secrets(members: list[Peer]) -> dict[str, list[bytes]]:
    """What no outsider may learn, as text, as bytes and in hexadecimal digits."""
    secrets = {f"the game {game}": [game.encode()] for game in MEMBERS.values()}
    secrets |= {f"the name {member.name}": [member.name.encode()] for member in members}
    for what, word in [("the line of the party", PARTY_LINE), *((f"the id of {m.name}", m.identity) for m in members)]:
        content = _bytes_of(word)
        secrets[what] = [word.encode(), word.partition("1")[2][:8].encode(), content, content.hex().encode()]
    return secrets


def _bytes_of(word: str) -> bytes:
    """The 16 bytes of an id or a line."""
    digits = word.partition("1")[2][:-_CHECK_CHARACTERS]
    bits = "".join(f"{_CHARACTERS.index(digit):05b}" for digit in digits)
    return int(bits[:128], 2).to_bytes(16, "big")
