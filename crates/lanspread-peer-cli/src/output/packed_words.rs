//! Packed streams in words: where the bytes come from, and where they go.

use lanspread_peer::{
    BytesByKind, PackedFinished, PackedPlaced, PeerEvent, RelayBegin, RelayEnd, RelayLingers, UpstreamBegin,
    UpstreamEnd, UpstreamKind, UpstreamShare,
};

use super::quantities::{bytes, count as counted, duration, percent};

/// One line about an event; nothing for one that people need no line about.
pub(super) fn event(event: &PeerEvent) -> Option<String> {
    Some(match event {
        PeerEvent::PackedPlaced(PackedPlaced { game, peer, position, relays, .. }) => match relays.first() {
            Some(before) => {
                format!("{game}: number {} in the chain of {peer}, after {before}", position + 1)
            }
            None => format!("{game}: first in the chain of {peer}"),
        },
        PeerEvent::UpstreamBegin(UpstreamBegin { game, upstream, kind, .. }) => {
            format!("{game}: from {upstream}{}", kind_words(*kind))
        }
        PeerEvent::UpstreamEnd(UpstreamEnd { code, .. }) if code.as_ref() == "complete" => return None,
        PeerEvent::UpstreamEnd(UpstreamEnd { game, upstream, message, .. }) => {
            format!("{game}: no longer from {upstream}: {message}")
        }
        PeerEvent::RelayBegin(RelayBegin { game, follower, .. }) => format!("{game}: feeding {follower}"),
        PeerEvent::RelayEnd(RelayEnd { game, follower, bytes: count, outcome, .. }) => {
            let why = if outcome.as_ref() == "complete" { String::new() } else { format!(" ({outcome})") };
            format!("{game}: {follower} was fed {}{why}", bytes(*count))
        }
        PeerEvent::GapFilled(gap) => {
            format!("{}: a gap of {} was filled by a source", gap.game, counted(gap.chunks, "chunk"))
        }
        PeerEvent::PackedFinished(finished) => whence(finished),
        PeerEvent::RelayLingers(RelayLingers { game, follower, chunk, chunks, most_ms }) => {
            let (has, most) = (percent(*chunk, *chunks), duration(*most_ms));
            format!("{game}: still feeding {follower}, which has {has} %; for {most} at most")
        }
        _ => return None,
    })
}

/// Where the bytes of a packed stream came from.
fn whence(finished: &PackedFinished) -> String {
    let PackedFinished { game, shares, brought, changes, change_chunk, chunks, bytes_stored, bytes_twice } =
        finished;
    let all: u64 = shares.iter().map(|share| share.bytes).sum();
    let share = |share: &UpstreamShare| format!("{} {} %", share.upstream, rounded_percent(share.bytes, all));
    let shares: Vec<String> = shares.iter().map(share).collect();
    let kinds = by_kind(*brought);
    let kinds = if kinds.len() > 1 { format!(" ({})", kinds.join(", ")) } else { String::new() };
    let at = match change_chunk.map(|chunk| percent(chunk, *chunks)) {
        Some(at) if *changes > 1 => format!(", the last at {at} %"),
        Some(at) => format!(" at {at} %"),
        None => String::new(),
    };
    format!(
        "{game}: from {}{kinds}; {} of upstream{at}; {} stored, {} fetched twice",
        shares.join(", "),
        counted(*changes, "change"),
        if *bytes_stored == 0 { "0 bytes".to_owned() } else { bytes(*bytes_stored) },
        bytes(*bytes_twice)
    )
}

/// What came from receivers, sources and servers.
pub(super) fn by_kind(brought: BytesByKind) -> Vec<String> {
    let BytesByKind { relay_bytes, source_bytes, http_bytes } = brought;
    let kinds = [("other receivers", relay_bytes), ("sources", source_bytes), ("servers", http_bytes)];
    let brought = kinds.into_iter().filter(|(_, count)| *count > 0);
    brought.map(|(kind, count)| format!("{} from {kind}", bytes(count))).collect()
}

/// A share in percent; one that is there is not said to be 0.
fn rounded_percent(share: u64, all: u64) -> String {
    let all = u128::from(all.max(1));
    let percent = (u128::from(share) * 100 + all / 2) / all;
    if percent == 0 { "under 1".to_owned() } else { percent.to_string() }
}

fn kind_words(kind: UpstreamKind) -> &'static str {
    match kind {
        UpstreamKind::Relay => ", which fetches it too",
        UpstreamKind::Http => " (HTTP)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_say_where_the_bytes_came_from_and_whom_it_still_feeds() {
        let share = |upstream: &str, bytes| UpstreamShare {
            upstream: upstream.to_owned(),
            kind: UpstreamKind::Relay,
            bytes,
        };
        let finished = PackedFinished {
            game: "g".parse().unwrap(),
            shares: vec![share("den", 24 << 20), share("seat-6", 976 << 20)],
            brought: BytesByKind { relay_bytes: 976 << 20, source_bytes: 24 << 20, http_bytes: 0 },
            changes: 1,
            change_chunk: Some(410),
            chunks: 1000,
            bytes_stored: 0,
            bytes_twice: 1 << 20,
        };
        let line = |finished: &PackedFinished| event(&PeerEvent::PackedFinished(finished.clone())).unwrap();
        assert_eq!(
            line(&finished),
            "g: from den 2 %, seat-6 98 % (976.00 MiB from other receivers, 24.00 MiB from sources); \
             1 change of upstream at 41 %; 0 bytes stored, 1.00 MiB fetched twice"
        );
        let alone = PackedFinished {
            shares: vec![share("den", 1), share("seat-6", 999)],
            brought: BytesByKind { relay_bytes: 1000, ..BytesByKind::default() },
            changes: 2,
            bytes_stored: 1000 << 20,
            bytes_twice: 0,
            ..finished.clone()
        };
        assert_eq!(
            line(&alone),
            "g: from den under 1 %, seat-6 100 %; 2 changes of upstream, the last at 41 %; \
             1000.00 MiB stored, 0 B fetched twice"
        );
        let even = PackedFinished { changes: 0, change_chunk: None, ..alone };
        assert!(line(&even).contains("; 0 changes of upstream; "));
        let (game, follower) = ("g".parse().unwrap(), "seat-8".parse().unwrap());
        let lingers = RelayLingers { game, follower, chunk: 83, chunks: 100, most_ms: 30_000 };
        assert_eq!(
            event(&PeerEvent::RelayLingers(lingers)).unwrap(),
            "g: still feeding seat-8, which has 83 %; for 30 s at most"
        );
    }
}
