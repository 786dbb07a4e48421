//! Packed streams in words: where the bytes come from, and to whom they go.

use lanspread_peer::{
    PackedPlaced, PeerEvent, RelayBegin, RelayEnd, UpstreamBegin, UpstreamEnd, UpstreamKind,
};

use super::quantities::{bytes, count as counted};

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
        _ => return None,
    })
}

fn kind_words(kind: UpstreamKind) -> &'static str {
    match kind {
        UpstreamKind::Relay => ", which installs it too",
        UpstreamKind::Source => "",
        UpstreamKind::Http => " (HTTP)",
    }
}
