//! Packed streams in words: where the bytes come from, and to whom they go.

use lanspread_peer::{
    PackedFinished, PackedPlaced, PeerEvent, RelayBegin, RelayEnd, RelayLingers, UpstreamBegin, UpstreamEnd,
    UpstreamKind, UpstreamShare,
};

use super::quantities::{bytes, count as counted, duration, percent};

/// One line about an event; nothing for one that people need no line about.
pub(super) fn event(event: &PeerEvent) -> Option<String> {
    Some(match event {
        PeerEvent::PackedPlaced(PackedPlaced { game, peer, position, relays, .. }) => match relays.first() {
            Some(before) => {
                format!("{game}: number {} in the chain of {peer}, behind {before}", position + 1)
            }
            None => format!("{game}: first in the chain of {peer}"),
        },
        PeerEvent::UpstreamBegin(UpstreamBegin { game, upstream, kind, .. }) => {
            format!("{game}: from {upstream}{}", kind_words(*kind))
        }
        PeerEvent::UpstreamEnd(UpstreamEnd { code, .. }) if code.as_ref() == "complete" => return None,
        PeerEvent::UpstreamEnd(UpstreamEnd { game, upstream, message, .. }) => {
            format!("{game}: {upstream} is left: {message}")
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

/// Where the bytes of an install came from. None of them were stored packed.
fn whence(finished: &PackedFinished) -> String {
    let PackedFinished { game, shares, changes, bytes_twice } = finished;
    let all: u64 = shares.iter().map(|share| share.bytes).sum();
    let share = |share: &UpstreamShare| format!("{} {} %", share.upstream, rounded_percent(share.bytes, all));
    let shares: Vec<String> = shares.iter().map(share).collect();
    format!(
        "{game}: from {}; {} of upstream; 0 bytes stored, {} fetched twice",
        shares.join(", "),
        counted(*changes, "change"),
        bytes(*bytes_twice)
    )
}

/// A share in percent; one that is there is not said to be 0.
fn rounded_percent(share: u64, all: u64) -> String {
    let all = u128::from(all.max(1));
    let percent = (u128::from(share) * 100 + all / 2) / all;
    if percent == 0 { "under 1".to_owned() } else { percent.to_string() }
}

fn kind_words(kind: UpstreamKind) -> &'static str {
    match kind {
        UpstreamKind::Relay => ", which installs it too",
        UpstreamKind::Source => "",
        UpstreamKind::Http => " (HTTP)",
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
        let finished = |shares: Vec<UpstreamShare>, changes, bytes_twice| {
            let game = "g".parse().unwrap();
            event(&PeerEvent::PackedFinished(PackedFinished { game, shares, changes, bytes_twice })).unwrap()
        };
        assert_eq!(
            finished(vec![share("den", 24), share("seat-6", 976)], 1, 1 << 20),
            "g: from den 2 %, seat-6 98 %; 1 change of upstream; 0 bytes stored, 1.00 MiB fetched twice"
        );
        assert_eq!(
            finished(vec![share("den", 1), share("seat-6", 999)], 2, 0),
            "g: from den under 1 %, seat-6 100 %; 2 changes of upstream; 0 bytes stored, 0 B fetched twice"
        );
        let (game, follower) = ("g".parse().unwrap(), "seat-8".parse().unwrap());
        let lingers = RelayLingers { game, follower, chunk: 83, chunks: 100, most_ms: 30_000 };
        assert_eq!(
            event(&PeerEvent::RelayLingers(lingers)).unwrap(),
            "g: still feeding seat-8, which has 83 %; for 30 s at most"
        );
    }
}
