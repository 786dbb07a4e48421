//! Penalties: which peers are not believed for a while, because they lied or broke the protocol. Pure; the file is in
//! `penalties/stored.rs`.
//!
//! Invariants:
//!
//! - A penalty is never shorter than one for fewer offences, and never longer than the longest of its offence.
//! - It ends although the clock jumps: what was given in the future counts as given now.
//! - There are at most [`limits::PENALTIES_MAX`]; the oldest goes first.
//! - A lie counts for the identity. Where every peer is let in, an identity costs nothing, so it also counts for the
//!   address: for the /64 network of an IPv6 address, because one machine can use all of it, but for the whole of a
//!   link-local address, because all machines of a link share that network. Loopback addresses are left out: programs of
//!   one machine share them.
//! - A failed handshake counts for the address only: nothing proved who was there.

mod stored;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use serde::{Deserialize, Serialize};

pub use self::stored::Penalties;
use crate::report::offender::{Offence, Offender};

/// The shortest penalty for an offence, by how much each further one is longer, and the longest.
fn scale(offence: Offence) -> (Duration, u32, Duration) {
    match offence {
        Offence::Lied => (limits::LIE_PENALTY, 4, limits::LIE_PENALTY_MAX),
        Offence::BrokeProtocol => (limits::BROKEN_PROTOCOL_PENALTY, 2, limits::BROKEN_PROTOCOL_PENALTY_MAX),
        Offence::FailedHandshake => {
            (limits::FAILED_HANDSHAKE_PENALTY, 2, limits::FAILED_HANDSHAKE_PENALTY_MAX)
        }
    }
}

/// The penalty for one kind of offence of one offender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Penalty {
    /// Who is penalised.
    pub offender: Offender,
    /// What for.
    pub offence: Offence,
    /// When, in seconds since 1970.
    pub given_at_s: u64,
    /// How long it is, in seconds.
    pub length_s: u64,
    /// What happened, in one line.
    pub what: String,
}

impl Penalty {
    /// How long it still is; none if it is over.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        let passed = seconds(now).saturating_sub(self.given_at_s);
        self.length_s.checked_sub(passed).filter(|left| *left > 0).map(Duration::from_secs)
    }

    /// Its length as it counts for the next one: half for each day without an offence.
    fn weight(&self, now: SystemTime) -> u64 {
        let days = seconds(now).saturating_sub(self.given_at_s) / limits::PENALTY_QUIET_SPAN.as_secs();
        u32::try_from(days).ok().and_then(|days| self.length_s.checked_shr(days)).unwrap_or(0)
    }

    /// Whether the next one is as long as a first one.
    fn is_forgotten(&self, now: SystemTime) -> bool {
        self.left(now).is_none()
            && next_length(self.offence, Some(self.weight(now))) == first_length(self.offence)
    }
}

fn first_length(offence: Offence) -> u64 {
    next_length(offence, None)
}

/// The length of the penalty after one that counts as `weight` seconds.
fn next_length(offence: Offence, weight: Option<u64>) -> u64 {
    let (first, factor, longest) = scale(offence);
    let longer = weight.unwrap_or(0).saturating_mul(factor.into());
    longer.clamp(first.as_secs(), longest.as_secs())
}

#[expect(clippy::disallowed_methods, reason = "a time of day that is written down, not a duration")]
fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Which penalties are cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearedPenalties {
    /// All.
    All,
    /// Those of one offender.
    Of(Offender),
}

/// All penalties that still matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PenaltyList {
    penalties: Vec<Penalty>,
}

impl PenaltyList {
    /// Records an offence. Its penalty begins now. Returns how many seconds it takes.
    pub(crate) fn punish(
        &mut self,
        offender: Offender,
        offence: Offence,
        what: &str,
        now: SystemTime,
    ) -> u64 {
        self.forget(now);
        let is_same = |penalty: &Penalty| penalty.offender == offender && penalty.offence == offence;
        let before = self.penalties.iter().position(is_same).map(|index| self.penalties.remove(index));
        let length_s = next_length(offence, before.map(|penalty| penalty.weight(now)));
        let what = lanspread_types::text::printable(what, limits::PENALTY_TEXT_CHARS_MAX);
        self.penalties.push(Penalty { offender, offence, given_at_s: seconds(now), length_s, what });
        self.bound();
        length_s
    }

    /// The longest of the penalties of a peer and of its address; of those for a lie, if there are such.
    pub(crate) fn of(&self, peer: &PeerId, address: IpAddr, now: SystemTime) -> Option<&Penalty> {
        let (peer, address) = (Offender::Peer(*peer), Offender::Address(address.into()));
        let running = self.penalties.iter().filter(|penalty| penalty.left(now).is_some());
        running
            .filter(|penalty| penalty.offender == peer || penalty.offender == address)
            .max_by_key(|penalty| (penalty.offence == Offence::Lied, penalty.left(now)))
    }

    /// How long nothing is to be tried at an address.
    pub(crate) fn pause_at(&self, address: IpAddr, now: SystemTime) -> Option<Duration> {
        let address = Offender::Address(address.into());
        self.penalties
            .iter()
            .filter(|penalty| penalty.offender == address)
            .find_map(|penalty| penalty.left(now))
    }

    /// The penalties that are not over, the newest last.
    pub(crate) fn running(&self, now: SystemTime) -> Vec<Penalty> {
        self.penalties.iter().filter(|penalty| penalty.left(now).is_some()).cloned().collect()
    }

    /// Clears penalties. Returns those that were not over.
    pub(crate) fn clear(&mut self, which: ClearedPenalties, now: SystemTime) -> Vec<Penalty> {
        let is_meant = |penalty: &Penalty| match which {
            ClearedPenalties::All => true,
            ClearedPenalties::Of(offender) => penalty.offender == offender,
        };
        let (cleared, kept) = self.penalties.drain(..).partition(is_meant);
        self.penalties = kept;
        Self { penalties: cleared }.running(now)
    }

    /// Penalties of the future begin now: the clock was set back. Returns whether there were any.
    pub(crate) fn correct(&mut self, now: SystemTime) -> bool {
        let now_s = seconds(now);
        let mut is_corrected = false;
        for penalty in self.penalties.iter_mut().filter(|penalty| penalty.given_at_s > now_s) {
            (penalty.given_at_s, is_corrected) = (now_s, true);
        }
        is_corrected
    }

    /// Drops what no longer matters.
    fn forget(&mut self, now: SystemTime) {
        self.correct(now);
        self.penalties.retain(|penalty| !penalty.is_forgotten(now));
    }

    fn bound(&mut self) {
        let too_many = self.penalties.len().saturating_sub(limits::PENALTIES_MAX);
        self.penalties.drain(..too_many);
    }

    /// One JSON object a line, the oldest first.
    pub(crate) fn to_lines(&self) -> Result<String, serde_json::Error> {
        let lines = self.penalties.iter().map(serde_json::to_string);
        Ok(lines.collect::<Result<Vec<_>, _>>()?.into_iter().map(|line| line + "\n").collect())
    }

    /// Reads lines. Those that are no penalty, such as the last one of a file that was cut, are left out and counted.
    pub(crate) fn from_lines(text: &str) -> (Self, usize) {
        let mut list = Self::default();
        let mut unread = 0;
        for line in text.lines() {
            match serde_json::from_str::<Penalty>(line) {
                Ok(penalty) => {
                    let longest = scale(penalty.offence).2.as_secs();
                    let what =
                        lanspread_types::text::printable(&penalty.what, limits::PENALTY_TEXT_CHARS_MAX);
                    list.penalties.push(Penalty { length_s: penalty.length_s.min(longest), what, ..penalty });
                }
                Err(_) => unread += 1,
            }
        }
        list.penalties.sort_by_key(|penalty| penalty.given_at_s);
        list.bound();
        (list, unread)
    }
}

#[cfg(test)]
mod tests;
