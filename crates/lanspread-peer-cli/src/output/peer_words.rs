//! Answers and events about peers in words. Nothing here does I/O.

use std::net::SocketAddr;

use lanspread_peer::{Answer, PeerEvent, PeerTrust, PenalisedPeer};

use super::quantities::{count as counted, duration};

/// One answer about a peer, or nothing for others.
pub(super) fn report(report: &Answer) -> Option<String> {
    Some(match report {
        Answer::Peer { .. } => peer(report),
        Answer::SavedPeer { peer, saved: false, .. } => format!("{peer} is no longer saved"),
        Answer::SavedPeer { peer, saved: true, id, name } => match (id, name) {
            (Some(id), Some(name)) => format!("{peer}  {name}  {id}"),
            (Some(id), None) => format!("{peer}  {id}"),
            (None, _) => format!("{peer}"),
        },
        Answer::DecidedPeer { peer, name, trust, reason } => {
            let name = name.as_ref().map(|name| format!("  {name}")).unwrap_or_default();
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{peer}{name}  {}{reason}", trust_words(*trust))
        }
        Answer::Penalty { peer, addr, offence, left_ms, message, cleared } => {
            let peer = peer.as_ref().map(ToString::to_string);
            let offender = peer.or_else(|| addr.as_ref().map(ToString::to_string)).unwrap_or_default();
            if *cleared {
                format!("{offender} is believed again")
            } else {
                format!("{offender}  for {}: {offence}: {message}", duration(*left_ms))
            }
        }
        _ => return None,
    })
}

/// That a source is penalised; nothing for other events.
pub(super) fn penalised(event: &PeerEvent) -> Option<String> {
    let PeerEvent::PeerPenalised(PenalisedPeer { name, peer, offence, length_ms, .. }) = event else {
        return None;
    };
    let (short, length) = (peer.short(), duration(*length_ms));
    Some(format!("{name} ({short}) is not believed for {length}: {offence}"))
}

/// An address to listen on. The one that stands for all addresses of the machine is none that a peer can be asked at.
pub(super) fn listening(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("port {} of every network interface", address.port())
    } else {
        address.to_string()
    }
}

fn peer(report: &Answer) -> String {
    let Answer::Peer { peer, name, addr, games, trust, name_warning, offence, penalty_left_ms } = report
    else {
        return String::new();
    };
    let games = counted(*games, "game");
    let mut text = format!("{}  {name}  {addr}  {games}  {}", peer.short(), trust_words(*trust));
    if let (Some(offence), Some(left_ms)) = (offence, penalty_left_ms) {
        text += &format!("  not believed for {}: {offence}", duration(*left_ms));
    }
    match name_warning.as_deref() {
        Some("same-name") => text += "  warning: another peer has this name",
        Some("other-key") => text += "  warning: the peer that you know by this name has another id",
        _ => {}
    }
    format!("{text}  {peer}")
}

fn trust_words(trust: PeerTrust) -> &'static str {
    match trust {
        PeerTrust::Trusted => "trusted",
        PeerTrust::Saved => "saved",
        PeerTrust::Denied => "denied",
        PeerTrust::Unknown => "not known",
    }
}

#[cfg(test)]
mod tests {
    use lanspread_peer::Offence;

    use super::*;

    #[test]
    fn a_peer_shows_the_beginning_of_its_id_and_what_is_odd_about_it() {
        let id = lanspread_peer::PeerId::from([1; 16]);
        let shown = |warning: Option<&'static str>, penalty_left_ms| {
            report(&Answer::Peer {
                peer: id,
                name: "den".parse().unwrap(),
                addr: ([10, 0, 0, 5], 4107).into(),
                games: 1,
                trust: PeerTrust::Unknown,
                name_warning: warning.map(Into::into),
                offence: Some(Offence::Lied),
                penalty_left_ms,
            })
            .unwrap()
        };
        let plain = shown(None, None);
        assert_eq!(plain, format!("{}  den  10.0.0.5:4107  1 game  not known  {id}", id.short()));
        assert!(shown(None, Some(90_000)).contains("not believed for 1 min 30 s: it sent other bytes"));
        assert!(shown(Some("same-name"), None).contains("another peer has this name"));
        assert!(shown(Some("other-key"), None).contains("has another id"));
    }
}
