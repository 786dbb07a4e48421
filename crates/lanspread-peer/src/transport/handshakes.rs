//! The handshakes that have not ended yet. Anyone may begin one, so they are bounded, and none waits for a place: a new
//! one ends an older one instead. A peer of this network needs a few milliseconds; what waits longer is not one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_types::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX};
use tokio_util::sync::CancellationToken;

use crate::guests::guest::Guest;

/// All handshakes of one listener that have not ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handshakes(Arc<Mutex<Unfinished>>);

#[derive(Debug, Default)]
struct Unfinished {
    begun: u64,
    /// By the order in which they began: where it comes from, and what ends it.
    all: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// A handshake that has not ended; it has when this is dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    handshakes: Handshakes,
    number: u64,
    gave_way: CancellationToken,
}

impl Handshakes {
    /// Begins a handshake with an address. Another one gives way to it if there are too many.
    pub(crate) fn begin(&self, from: SocketAddr) -> Handshake {
        let network = Guest::at(from.ip()).network;
        let gave_way = CancellationToken::new();
        let mut unfinished = self.lock();
        let giving_way = gives_way(&unfinished.all, network);
        if let Some((_, ending)) = giving_way.and_then(|number| unfinished.all.remove(&number)) {
            ending.cancel();
        }
        unfinished.begun += 1;
        let number = unfinished.begun;
        unfinished.all.insert(number, (network, gave_way.clone()));
        Handshake { handshakes: self.clone(), number, gave_way }
    }

    fn lock(&self) -> MutexGuard<'_, Unfinished> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Completes when it must give way to another one.
    pub(crate) async fn gave_way(&self) {
        self.gave_way.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.handshakes.lock().all.remove(&self.number);
    }
}

/// Which handshake ends if one more begins: the oldest one from the same network if that has as many as it may, else, if
/// there are as many as there may be, the oldest one from the network that has most. Pure.
fn gives_way<T>(all: &BTreeMap<u64, (IpAddr, T)>, newcomer: IpAddr) -> Option<u64> {
    let oldest_of =
        |network: IpAddr| all.iter().find(|(_, (from, _))| *from == network).map(|(number, _)| *number);
    let held_by = |network: IpAddr| all.values().filter(|(from, _)| *from == network).count();
    if held_by(newcomer) >= HANDSHAKES_PER_ADDRESS_MAX {
        return oldest_of(newcomer);
    }
    if all.len() < HANDSHAKES_MAX {
        return None;
    }
    // The first of those that have equally many is the one whose handshake is oldest.
    let mut most: Option<(usize, IpAddr)> = None;
    for (from, _) in all.values() {
        let held = held_by(*from);
        if most.is_none_or(|(most, _)| held > most) {
            most = Some((held, *from));
        }
    }
    most.and_then(|(_, network)| oldest_of(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> SocketAddr {
        (address.parse::<IpAddr>().unwrap(), 1).into()
    }

    fn is_over(handshake: &Handshake) -> bool {
        handshake.gave_way.is_cancelled()
    }

    /// A flood from one address ends its own handshakes, the oldest first; those of others are not touched, and nothing
    /// is left of it.
    #[test]
    fn a_flood_from_one_address_ends_its_own_handshakes() {
        let handshakes = Handshakes::default();
        let other = handshakes.begin(from("10.0.0.1"));
        let flood: Vec<Handshake> = (0..10_000).map(|_| handshakes.begin(from("10.0.0.2"))).collect();
        assert!(!is_over(&other));
        let waiting: Vec<usize> = (0..flood.len()).filter(|index| !is_over(&flood[*index])).collect();
        assert_eq!(waiting, (10_000 - HANDSHAKES_PER_ADDRESS_MAX..10_000).collect::<Vec<_>>());
        drop(flood);
        assert_eq!(handshakes.lock().all.len(), 1);
    }

    /// One machine can use every address of its IPv6 network.
    #[test]
    fn the_addresses_of_one_ipv6_network_count_together() {
        let handshakes = Handshakes::default();
        let flood: Vec<Handshake> =
            (1..=20).map(|last| handshakes.begin(from(&format!("2001:db8::{last}")))).collect();
        assert_eq!(flood.iter().filter(|one| !is_over(one)).count(), HANDSHAKES_PER_ADDRESS_MAX);
        let mapped = [from("::ffff:10.0.0.1"), from("10.0.0.1")];
        let one_guest: Vec<Handshake> = (0..20).map(|index| handshakes.begin(mapped[index % 2])).collect();
        assert_eq!(one_guest.iter().filter(|one| !is_over(one)).count(), HANDSHAKES_PER_ADDRESS_MAX);
    }

    /// Every place is held by a few addresses: a newcomer takes one of those that have most.
    #[test]
    fn a_newcomer_takes_the_place_of_one_that_has_more() {
        let handshakes = Handshakes::default();
        let single = handshakes.begin(from("10.0.0.100"));
        let many: Vec<Handshake> = (0..HANDSHAKES_MAX - 1)
            .map(|index| handshakes.begin(from(&format!("10.0.0.{}", index % 8))))
            .collect();
        assert_eq!(handshakes.lock().all.len(), HANDSHAKES_MAX);
        assert!(!many.iter().any(is_over));
        let newcomers: Vec<Handshake> = (0..4).map(|_| handshakes.begin(from("10.0.0.200"))).collect();
        assert_eq!(handshakes.lock().all.len(), HANDSHAKES_MAX);
        assert_eq!(many.iter().filter(|one| is_over(one)).count(), newcomers.len());
        assert!(is_over(&many[0]), "the oldest one of an address with most");
        assert!(!is_over(&single) && !newcomers.iter().any(is_over));
    }

    /// As many addresses as places: the oldest handshake gives way.
    #[test]
    fn among_equals_the_oldest_gives_way() {
        let handshakes = Handshakes::default();
        let all: Vec<Handshake> =
            (0..HANDSHAKES_MAX).map(|last| handshakes.begin(from(&format!("10.0.0.{last}")))).collect();
        let _newcomer = handshakes.begin(from("10.0.1.1"));
        assert_eq!((is_over(&all[0]), all.iter().filter(|one| is_over(one)).count()), (true, 1));
    }
}
