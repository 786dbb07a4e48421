//! Decides who gets a place. Pure.
//!
//! A place beyond a guest's share is lent: the guest has it until a guest within its share asks and no place is free.
//! So many seats behind one address can use every place while no other guest wants one.

use std::cmp::Reverse;
use std::time::Duration;

use crate::guests::guest::Guest;

/// How many places there are, and how many a guest may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Places in all.
    pub(crate) places: usize,
    /// Places that a guest cannot be asked to give back.
    pub(crate) share: usize,
    /// Places that are not lent while other guests are about.
    pub(crate) kept: usize,
    /// The most that one address can hold.
    pub(crate) most: usize,
    /// A place that has been idle for this long gives way although its holder is within its share.
    pub(crate) idle_max: Duration,
}

/// What it would cost to take a place back. The smallest is taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loss(pub(crate) u64);

impl Loss {
    /// The place cannot be taken back.
    pub(crate) const NEVER: Self = Self(u64::MAX);
    /// The smallest of the small losses, and of the large ones.
    const SMALL: u64 = 1 << 61;
    const LARGE: u64 = 1 << 62;

    /// The place is idle since this moment, in milliseconds: nothing is lost.
    pub(crate) fn idle_since(moment_ms: u64) -> Self {
        Self(moment_ms.min(Self::SMALL - 1))
    }

    /// A loss that hurts less than each large one.
    pub(crate) fn small(amount: u64) -> Self {
        Self(Self::SMALL + amount.min(Self::LARGE - Self::SMALL - 1))
    }

    /// A loss that hurts more than each small one.
    pub(crate) fn large(amount: u64) -> Self {
        Self(Self::LARGE.saturating_add(amount).min(Self::NEVER.0 - 1))
    }

    /// Since when the place is idle, in milliseconds.
    fn idle_since_ms(self) -> Option<u64> {
        (self.0 < Self::SMALL).then_some(self.0)
    }

    /// Whether the place is idle for at least this long.
    pub(crate) fn is_idle_for(self, at_least: Duration, now_ms: u64) -> bool {
        let idle_ms = self.idle_since_ms().map(|since| now_ms.saturating_sub(since));
        idle_ms.is_some_and(|idle| u128::from(idle) >= at_least.as_millis())
    }
}

/// A place that is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) guest: Guest,
    pub(crate) loss: Loss,
}

/// What a guest that asks for a place gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A free place.
    Free,
    /// The place of this holder.
    TakeBack(usize),
    /// None.
    Full,
}

/// Decides about one request. `alone` says that no other guest has asked lately.
pub(crate) fn decide(asks: &Guest, held: &[Held], shares: Shares, alone: bool, now_ms: u64) -> Verdict {
    let count = |same: &dyn Fn(&Guest) -> bool| held.iter().filter(|place| same(&place.guest)).count();
    let is_idle = |place: &Held| place.loss.is_idle_for(shares.idle_max, now_ms);
    let idle_longest = |may_have: &dyn Fn(&Guest) -> bool| {
        let idle = held.iter().enumerate().filter(|(_, place)| is_idle(place) && may_have(&place.guest));
        idle.min_by_key(|(_, place)| place.loss).map_or(Verdict::Full, |(index, _)| Verdict::TakeBack(index))
    };
    if count(&|guest| guest.address == asks.address) >= shares.most {
        return idle_longest(&|holder| holder.address == asks.address);
    }
    let within_share = count(&|guest| guest.network == asks.network) < shares.share;
    let free = shares.places.saturating_sub(held.len());
    if free > 0 {
        let may_have = within_share || alone || free > shares.kept;
        return if may_have { Verdict::Free } else { Verdict::Full };
    }
    let is_lent = |holder: &Guest| {
        if holder.network == asks.network {
            // Neighbours in one IPv6 network are told apart by their addresses.
            return holder.address != asks.address
                && count(&|guest| guest.address == asks.address) < shares.share
                && count(&|guest| guest.address == holder.address) > shares.share;
        }
        let by_identity = || {
            holder.identity.is_some()
                && holder.identity != asks.identity
                && count(&|guest| guest.identity == holder.identity) > shares.share
        };
        within_share && (count(&|guest| guest.network == holder.network) > shares.share || by_identity())
    };
    let lent = held.iter().enumerate().filter(|(_, place)| place.loss < Loss::NEVER && is_lent(&place.guest));
    // Of those that hold the most, so that a guest with a stolen identity does not lose its own place first.
    let crowd = |place: &Held| count(&|guest| guest.network == place.guest.network);
    match lent.min_by_key(|(_, place)| (Reverse(crowd(place)), place.loss)) {
        Some((index, _)) => Verdict::TakeBack(index),
        // Beyond its share, a guest gets an idle place only from its own address: many seats may be behind it.
        None => idle_longest(&|holder| within_share || holder.network == asks.network),
    }
}

#[cfg(test)]
mod tests;
