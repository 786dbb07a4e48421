//! What a serving peer is doing, in words. Nothing here does I/O.

use lanspread_peer::{Answer, ReceivingAddress, RelayStatus, SlowestReceiver, WaitingReceiver, WaveStatus};

use super::packed_words::by_kind;
use super::peer_words::listening;
use super::quantities::{count as counted, limit, percent, rate};

/// One line about the peer, and one more for its limits, each wave, each relay and the receivers that wait.
pub(super) fn status(report: &Answer) -> String {
    let Answer::PeerStatus {
        name,
        addr,
        games,
        active_outbound_transfers,
        streams_max,
        connections,
        waiting,
        receivers,
        waves,
        relays,
        waiting_receivers,
        up_bytes_per_second: up,
        down_bytes_per_second: down,
        ..
    } = report
    else {
        return String::new();
    };
    let to = |receiver: &ReceivingAddress| format!("{} to {}", receiver.transfers, receiver.addr);
    let to: Vec<String> = receivers.iter().map(to).collect();
    let to = if to.is_empty() { String::new() } else { format!(" ({})", to.join(", ")) };
    let count = if *waiting == 0 { String::new() } else { format!(", {waiting} waiting") };
    let mut lines = vec![format!(
        "{name} at {}: {}, {active_outbound_transfers} of {}{to}{count}, {}",
        listening(*addr),
        counted(games.len() as u64, "game"),
        counted(*streams_max, "stream"),
        counted(*connections, "connection")
    )];
    if up.or(*down).is_some() {
        lines.push(format!("limits: up {}, down {}", limit(*up), limit(*down)));
    }
    lines.extend(waves.iter().map(wave));
    lines.extend(relays.iter().map(relay));
    lines.extend(waits(*waiting, waiting_receivers));
    lines.join("\n  ")
}

fn wave(wave: &WaveStatus) -> String {
    let WaveStatus { game, version, receivers, chunk, chunks } = wave;
    let receivers = counted(*receivers, "receiver");
    format!("{game} {version}: a chain of {receivers}, whose first is at chunk {chunk} of {chunks}")
}

fn relay(relay: &RelayStatus) -> String {
    let RelayStatus { game, version, position, places, slowest, brought, follower, chunk, chunks } = relay;
    let mut place = (u64::from(*position) + 1).to_string();
    if places > position {
        place += &format!(" of {places}");
    }
    let feeds = match follower {
        Some(follower) => format!("feeding {follower}, which has {} %", percent(*chunk, *chunks)),
        None => "feeding no receiver".to_owned(),
    };
    let slowest = slowest.as_ref().map(|SlowestReceiver { peer, bytes_per_second }| {
        format!("; slowest ahead {peer} ({} packed)", rate(*bytes_per_second))
    });
    let mut brought = by_kind(*brought).join(", ");
    if !brought.is_empty() {
        brought.insert_str(0, "; ");
    }
    let slowest = slowest.unwrap_or_default();
    format!("{game} {version}: number {place} in its chain, {feeds}{slowest}{brought}")
}

/// Those that wait, by name.
fn waits(waiting: u64, named: &[WaitingReceiver]) -> Option<String> {
    let receivers: Vec<String> =
        named.iter().map(|receiver| format!("{} ({})", receiver.peer, receiver.game)).collect();
    let more = waiting.saturating_sub(receivers.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!receivers.is_empty()).then(|| format!("waiting: {}{more}", receivers.join(", ")))
}

#[cfg(test)]
mod tests {
    use lanspread_peer::BytesByKind;

    use super::*;

    #[test]
    fn a_status_names_limits_waves_relays_and_those_that_wait_and_nothing_that_is_not() {
        let mut answer = Answer::PeerStatus {
            peer: lanspread_peer::PeerId::from([0; 16]),
            name: "den".parse().unwrap(),
            addr: ([10, 0, 0, 1], 4107).into(),
            games: vec!["g".parse().unwrap()],
            active_outbound_transfers: 1,
            streams_max: 8,
            connections: 3,
            waiting: 0,
            receivers: vec![ReceivingAddress { addr: [10, 0, 0, 9].into(), transfers: 1 }],
            waves: Vec::new(),
            relays: Vec::new(),
            waiting_receivers: Vec::new(),
            up_bytes_per_second: None,
            down_bytes_per_second: None,
        };
        let first = "den at 10.0.0.1:4107: 1 game, 1 of 8 streams (1 to 10.0.0.9)";
        assert_eq!(status(&answer), format!("{first}, 3 connections"));
        let (game, version) = (
            lanspread_peer::GameId::clone(&"g".parse().unwrap()),
            "7".parse::<lanspread_peer::GameVersion>(),
        );
        let version = version.unwrap();
        let Answer::PeerStatus { waiting, waves, relays, waiting_receivers, up_bytes_per_second, .. } =
            &mut answer
        else {
            panic!("{answer:?}")
        };
        *up_bytes_per_second = Some(125_000_000);
        *waiting = 3;
        waves.push(WaveStatus {
            game: game.clone(),
            version: version.clone(),
            receivers: 8,
            chunk: 137,
            chunks: 491,
        });
        let relay = RelayStatus {
            game: game.clone(),
            version,
            position: 6,
            places: 32,
            slowest: Some(SlowestReceiver { peer: "seat-3".parse().unwrap(), bytes_per_second: 61 << 20 }),
            brought: BytesByKind { relay_bytes: 97 << 20, source_bytes: 3 << 20, http_bytes: 0 },
            follower: Some("seat-8".parse().unwrap()),
            chunk: 100,
            chunks: 491,
        };
        let begins = RelayStatus {
            places: 0,
            slowest: None,
            brought: BytesByKind::default(),
            follower: None,
            ..relay.clone()
        };
        relays.extend([relay, begins]);
        waiting_receivers.push(WaitingReceiver { peer: "seat-9".parse().unwrap(), game });
        let expected = [
            &format!("{first}, 3 waiting, 3 connections"),
            "limits: up 119.20 MiB/s (1.00 Gbit/s), down no limit",
            "g 7: a chain of 8 receivers, whose first is at chunk 137 of 491",
            "g 7: number 7 of 32 in its chain, feeding seat-8, which has 20 %; slowest ahead seat-3 (61.00 MiB/s packed); 97.00 MiB from other receivers, 3.00 MiB from sources",
            "g 7: number 7 in its chain, feeding no receiver",
            "waiting: seat-9 (g) and 2 more",
        ];
        assert_eq!(status(&answer), expected.join("\n  "));
    }
}
