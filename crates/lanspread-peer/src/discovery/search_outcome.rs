//! What a search for peers did, so that finding none can be explained.

use std::net::SocketAddr;

use lanspread_proto::message::PROTOCOL_VERSION;
use lanspread_types::ids::GameId;
use serde::Serialize;

/// What a search for peers did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SearchOutcome {
    /// Peers that were asked: named, saved, already known, or heard of.
    pub asked: usize,
    /// Those of them that answered at all.
    pub answered: usize,
    /// The code of the failure, if each peer that answered failed with the same one.
    #[serde(skip)]
    pub all_failed_with: Option<&'static str>,
    /// What discovery did.
    pub discovery: DiscoverySearch,
    /// If no peer offers the game that was asked for: an offered one whose id is like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similar: Option<GameId>,
}

/// What discovery did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
#[non_exhaustive]
pub enum DiscoverySearch {
    /// It was off.
    #[default]
    Off,
    /// It could not run.
    Failed {
        /// Why.
        reason: String,
    },
    /// It ran.
    Done {
        /// How long, milliseconds.
        waited_ms: u64,
        /// Interfaces on which it listened.
        interfaces: Vec<String>,
        /// Peers heard of that speak this protocol version.
        heard: usize,
        /// Peers heard of that speak another version.
        other_versions: Vec<OtherVersion>,
        /// Peers heard of that are of another party, or of one while this machine is of none, or the other way round.
        strangers: usize,
        /// Whether this machine is of a party.
        is_member: bool,
    },
}

/// A peer of another protocol version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct OtherVersion {
    /// Its name, as far as it can be read.
    pub name: String,
    /// One of its addresses.
    pub address: Option<SocketAddr>,
    /// The version it speaks.
    pub protocol: u16,
}

impl SearchOutcome {
    /// Why no peer was found, in one line.
    pub(crate) fn explanation(&self) -> String {
        if self.asked > 0 && self.answered == 0 {
            return format!("none of {} peers answered", self.asked);
        }
        match &self.discovery {
            DiscoverySearch::Off => "no peer was named and discovery is off".to_owned(),
            DiscoverySearch::Failed { reason } => {
                format!("no peer was named and discovery could not run: {reason}")
            }
            DiscoverySearch::Done { other_versions, .. } if !other_versions.is_empty() => {
                format!("the only peers found speak another protocol version: {}", versions(other_versions))
            }
            DiscoverySearch::Done { waited_ms, interfaces, strangers, is_member, .. } => {
                let (whole, tenth) = (waited_ms / 1000, waited_ms % 1000 / 100);
                let on = interfaces.join(", ");
                format!(
                    "no peer was found within {whole}.{tenth} s on {on}{}",
                    of_strangers(*strangers, *is_member)
                )
            }
        }
    }

    /// What else happened during the search, to append to a list of answers.
    pub(crate) fn remark(&self) -> String {
        let searched = match &self.discovery {
            DiscoverySearch::Failed { reason } => format!("; discovery could not run: {reason}"),
            DiscoverySearch::Done { other_versions, .. } if !other_versions.is_empty() => {
                format!("; others speak another protocol version: {}", versions(other_versions))
            }
            DiscoverySearch::Done { strangers, is_member, .. } => of_strangers(*strangers, *is_member),
            DiscoverySearch::Off => String::new(),
        };
        let similar = self.similar.as_ref().map(|game| format!("; `{game}` is offered"));
        searched + &similar.unwrap_or_default()
    }

    /// Why every peer that answered is one that this machine must not or cannot talk to, if it is the same for all.
    pub(crate) fn kept_apart(&self) -> Option<&'static str> {
        self.all_failed_with.filter(|code| matches!(*code, "other-peer" | "other-party"))
    }

    /// The reason as a stable kebab-case word.
    pub(crate) fn cause(&self) -> &'static str {
        if let Some(code) = self.kept_apart() {
            return code;
        }
        if self.asked > 0 && self.answered == 0 {
            return "no-answer";
        }
        match &self.discovery {
            DiscoverySearch::Off | DiscoverySearch::Failed { .. } => "nobody-named",
            DiscoverySearch::Done { other_versions, .. } if !other_versions.is_empty() => "other-version",
            DiscoverySearch::Done { strangers: 1.., is_member: true, .. } => "other-party",
            DiscoverySearch::Done { strangers: 1.., is_member: false, .. } => "party",
            DiscoverySearch::Done { .. } => "nobody-heard",
        }
    }
}

/// How many peers were heard of and not asked because of the party.
fn of_strangers(strangers: usize, is_member: bool) -> String {
    match (strangers, is_member) {
        (0, _) => String::new(),
        (1, true) => "; 1 other peer is not of this party".to_owned(),
        (_, true) => format!("; {strangers} other peers are not of this party"),
        (1, false) => "; 1 other peer is of a party".to_owned(),
        (_, false) => format!("; {strangers} other peers are of a party"),
    }
}

fn versions(peers: &[OtherVersion]) -> String {
    const SHOWN: usize = 6;
    let shown = peers.iter().take(SHOWN).map(|peer| {
        let address = peer.address.map(|address| format!(" at {address}")).unwrap_or_default();
        format!("{}{address} (version {}, this program speaks {PROTOCOL_VERSION})", peer.name, peer.protocol)
    });
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if peers.len() > SHOWN {
        text += &format!("; and {} more", peers.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(heard: usize, other_versions: Vec<OtherVersion>) -> DiscoverySearch {
        let interfaces = vec!["eth0".to_owned(), "lo".to_owned()];
        DiscoverySearch::Done {
            waited_ms: 3040,
            interfaces,
            heard,
            other_versions,
            strangers: 0,
            is_member: false,
        }
    }

    #[test]
    fn peers_of_another_party_are_counted() {
        let outcome = |count, member| {
            let DiscoverySearch::Done { waited_ms, interfaces, heard, other_versions, .. } = done(0, vec![])
            else {
                unreachable!()
            };
            let (strangers, is_member) = (count, member);
            let discovery =
                DiscoverySearch::Done { waited_ms, interfaces, heard, other_versions, strangers, is_member };
            SearchOutcome { discovery, ..SearchOutcome::default() }
        };
        for (count, is_member, text, cause) in [
            (0, true, "", "nobody-heard"),
            (1, true, "; 1 other peer is not of this party", "other-party"),
            (3, true, "; 3 other peers are not of this party", "other-party"),
            (1, false, "; 1 other peer is of a party", "party"),
            (3, false, "; 3 other peers are of a party", "party"),
        ] {
            let outcome = outcome(count, is_member);
            assert_eq!(outcome.explanation(), format!("no peer was found within 3.0 s on eth0, lo{text}"));
            assert_eq!((outcome.remark(), outcome.cause()), (text.to_owned(), cause));
        }
    }

    #[test]
    fn peers_that_must_not_be_talked_to_are_a_cause_and_other_failures_are_not() {
        let failed = |code| {
            let discovery = done(0, vec![]);
            SearchOutcome { asked: 1, answered: 1, all_failed_with: Some(code), discovery, similar: None }
        };
        assert_eq!(failed("other-peer").cause(), "other-peer");
        assert_eq!(failed("other-party").cause(), "other-party");
        assert_eq!(failed("protocol-version").kept_apart(), None);
        assert_eq!(failed("protocol-version").cause(), "nobody-heard");
    }

    #[test]
    fn every_way_to_find_no_peer_has_its_own_explanation_and_cause() {
        let other = OtherVersion {
            name: "pc".to_owned(),
            address: Some(([10, 0, 0, 1], 4000).into()),
            protocol: 999,
        };
        let failed = DiscoverySearch::Failed { reason: "permission denied".to_owned() };
        for (searched, why, cause) in [
            (SearchOutcome::default(), "discovery is off", "nobody-named"),
            (
                SearchOutcome { discovery: failed, ..SearchOutcome::default() },
                "permission denied",
                "nobody-named",
            ),
            (
                SearchOutcome { discovery: done(0, vec![]), ..SearchOutcome::default() },
                "3.0 s on eth0, lo",
                "nobody-heard",
            ),
            (
                SearchOutcome { discovery: done(0, vec![other]), ..SearchOutcome::default() },
                &format!("pc at 10.0.0.1:4000 (version 999, this program speaks {PROTOCOL_VERSION})"),
                "other-version",
            ),
            (
                SearchOutcome { asked: 2, discovery: done(2, vec![]), ..SearchOutcome::default() },
                "none of 2 peers answered",
                "no-answer",
            ),
        ] {
            assert!(searched.explanation().contains(why), "{}", searched.explanation());
            assert_eq!(searched.cause(), cause);
        }
    }
}
