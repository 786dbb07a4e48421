//! Who holds the places of one kind.
//!
//! A place is given back when it is dropped. If it was taken back before, [`HeldPlace::taken`] is cancelled, and what uses
//! the place has to end; the place itself belongs to its new holder at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_types::limits::{ESTIMATE_AFTER, GUEST_MEMORY};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guests::guest::Guest;
use crate::guests::queue::Progress;
use crate::guests::shares::{Held, Loss, Shares, Verdict, decide};

/// The places of one kind. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    shares: Shares,
    table: Arc<Mutex<Table>>,
    /// Notified when a place may have become free.
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct Table {
    /// From when idle times are counted.
    begun: Instant,
    next: u64,
    held: BTreeMap<u64, Holder>,
    /// The last two networks that asked, and when: enough to know whether another than the asking one is about.
    asked: [Option<(IpAddr, Instant)>; 2],
}

#[derive(Debug)]
struct Holder {
    guest: Guest,
    loss: Loss,
    taken: CancellationToken,
    begun: Instant,
    /// Bytes that were sent, of so many if that is known.
    sent: u64,
    expected: Option<u64>,
}

/// One place, held until it is dropped or taken back.
#[derive(Debug)]
pub(crate) struct HeldPlace {
    table: Arc<Mutex<Table>>,
    freed: Arc<Notify>,
    number: u64,
    /// Who has it.
    pub(crate) guest: Guest,
    /// Cancelled when the place has been taken back.
    pub(crate) taken: CancellationToken,
}

impl Places {
    pub(crate) fn new(shares: Shares) -> Self {
        let table = Table { begun: Instant::now(), next: 0, held: BTreeMap::new(), asked: [None; 2] };
        Self { shares, table: Arc::new(Mutex::new(table)), freed: Arc::default() }
    }

    /// A place for a guest, if there is one for it now. It is idle at first.
    pub(crate) fn take(&self, guest: Guest) -> Option<HeldPlace> {
        let mut table = lock(&self.table);
        let (alone, now_ms) = (table.is_alone(guest.network, Instant::now()), table.now_ms());
        let held: Vec<Held> =
            table.held.values().map(|holder| Held { guest: holder.guest, loss: holder.loss }).collect();
        match decide(&guest, &held, self.shares, alone, now_ms) {
            Verdict::Free => {}
            Verdict::TakeBack(index) => table.take_back(index),
            Verdict::Full => return None,
        }
        let (number, taken) = (table.next, CancellationToken::new());
        table.next += 1;
        let loss = Loss::idle_since(now_ms);
        let (begun, taken_back) = (Instant::now(), taken.clone());
        let holder = Holder { guest, loss, taken: taken_back, begun, sent: 0, expected: None };
        table.held.insert(number, holder);
        Some(HeldPlace {
            table: Arc::clone(&self.table),
            freed: Arc::clone(&self.freed),
            number,
            guest,
            taken,
        })
    }

    /// Takes back the place that is idle longest, if it has been for long.
    pub(crate) fn end_idle(&self) -> bool {
        let mut table = lock(&self.table);
        let (idle_max, now_ms) = (self.shares.idle_max, table.now_ms());
        let idle =
            table.held.values().enumerate().filter(|(_, holder)| holder.loss.is_idle_for(idle_max, now_ms));
        let Some((index, _)) = idle.min_by_key(|(_, holder)| holder.loss) else { return false };
        table.take_back(index);
        true
    }

    /// Places in all.
    pub(crate) fn total(&self) -> usize {
        self.shares.places
    }

    /// Notified when a place may have become free.
    pub(crate) fn freed(&self) -> &Notify {
        &self.freed
    }

    /// How far the holders are.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        lock(&self.table).held.values().map(Holder::progress).collect()
    }

    /// Places that are held.
    pub(crate) fn held(&self) -> usize {
        lock(&self.table).held.len()
    }

    /// Places that a network holds.
    pub(crate) fn held_by(&self, guest: &Guest) -> usize {
        lock(&self.table).held.values().filter(|holder| holder.guest.network == guest.network).count()
    }

    /// Who holds how many places, by address.
    pub(crate) fn by_address(&self) -> BTreeMap<IpAddr, usize> {
        let mut by_address = BTreeMap::new();
        for holder in lock(&self.table).held.values() {
            *by_address.entry(holder.guest.address).or_default() += 1;
        }
        by_address
    }
}

impl Table {
    /// Whether no other network has asked lately. Remembers that this one has.
    fn is_alone(&mut self, network: IpAddr, now: Instant) -> bool {
        let [last, before] = self.asked;
        let is_other = |asked: &Option<(IpAddr, Instant)>| {
            asked.is_some_and(|(other, at)| other != network && now.duration_since(at) < GUEST_MEMORY)
        };
        let alone = !is_other(&last) && !is_other(&before);
        let kept = if last.is_some_and(|(other, _)| other != network) { last } else { before };
        self.asked = [Some((network, now)), kept];
        alone
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take_back(&mut self, index: usize) {
        let number = self.held.keys().nth(index).copied();
        if let Some(holder) = number.and_then(|number| self.held.remove(&number)) {
            holder.taken.cancel();
        }
    }
}

impl Holder {
    fn progress(&self) -> Progress {
        let taken = self.begun.elapsed();
        let known = self.expected.filter(|_| self.sent > 0 && taken >= ESTIMATE_AFTER);
        let left = known.map(|expected| {
            let rest = u128::from(expected.saturating_sub(self.sent));
            let millis = taken.as_millis() * rest / u128::from(self.sent);
            Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
        });
        Progress { taken, left }
    }
}

impl HeldPlace {
    /// Notes how many bytes were sent.
    pub(crate) fn sent(&self, bytes: u64) {
        if let Some(holder) = lock(&self.table).held.get_mut(&self.number) {
            holder.sent = bytes;
        }
    }

    /// How many bytes will be sent in all, to be noted by a thread of the transfer.
    pub(crate) fn expected(&self) -> ExpectedBytes {
        ExpectedBytes { table: Arc::clone(&self.table), number: self.number }
    }

    /// Sets what it would cost to take the place back.
    pub(crate) fn set_loss(&self, loss: Loss) {
        if let Some(holder) = lock(&self.table).held.get_mut(&self.number) {
            holder.loss = loss;
        }
    }

    /// Nothing is lost from now on if the place is taken back.
    pub(crate) fn idles(&self) {
        let mut table = lock(&self.table);
        let loss = Loss::idle_since(table.now_ms());
        if let Some(holder) = table.held.get_mut(&self.number) {
            holder.loss = loss;
        }
    }
}

/// Says how many bytes the holder of a place will send.
#[derive(Debug)]
pub(crate) struct ExpectedBytes {
    table: Arc<Mutex<Table>>,
    number: u64,
}

impl ExpectedBytes {
    pub(crate) fn are(&self, bytes: u64) {
        if let Some(holder) = lock(&self.table).held.get_mut(&self.number) {
            holder.expected = Some(bytes);
        }
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        lock(&self.table).held.remove(&self.number);
        self.freed.notify_waiters();
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    fn guest(last: u8) -> Guest {
        Guest::at(IpAddr::from([10, 0, 0, last]))
    }

    const IDLE_MAX: Duration = Duration::from_secs(10);

    fn places(places: usize, share: usize, kept: usize) -> Places {
        Places::new(Shares { places, share, kept, most: places, idle_max: IDLE_MAX })
    }

    fn take(places: &Places, last: u8) -> Option<HeldPlace> {
        places.take(guest(last))
    }

    #[test]
    fn a_place_is_given_back_once_and_only_by_its_holder() {
        let places = places(2, 1, 0);
        let lent = [take(&places, 1).unwrap(), take(&places, 1).unwrap()];
        let own = take(&places, 2).unwrap();
        assert_eq!((places.held(), places.held_by(&guest(1))), (2, 1));
        let (taken, kept): (Vec<_>, Vec<_>) = lent.into_iter().partition(|place| place.taken.is_cancelled());
        assert_eq!((taken.len(), kept.len()), (1, 1));
        drop(taken);
        assert_eq!(places.held(), 2, "the new holder has it");
        drop(own);
        assert_eq!(places.by_address(), [(guest(1).address, 1)].into());
        drop(kept);
        assert_eq!(places.held(), 0);
    }

    #[test]
    fn the_place_that_costs_the_least_is_taken_back() {
        let places = places(3, 1, 0);
        let held: Vec<_> = (0..3).map(|_| take(&places, 1).unwrap()).collect();
        held[0].set_loss(Loss::large(0));
        held[1].set_loss(Loss::small(7));
        held[2].set_loss(Loss::small(8));
        let _own = take(&places, 2).unwrap();
        let taken: Vec<bool> = held.iter().map(|place| place.taken.is_cancelled()).collect();
        assert_eq!(taken, [false, true, false]);
    }

    /// While others are about, the last places are not lent; they are lent again when the others have not been seen for
    /// a while.
    #[tokio::test(start_paused = true)]
    async fn the_last_places_are_kept_while_others_are_about() {
        let places = places(4, 1, 2);
        drop(take(&places, 2).unwrap());
        let held: Vec<_> = (0..2).map(|_| take(&places, 1).unwrap()).collect();
        assert!(take(&places, 1).is_none(), "two places are kept");
        assert!(take(&places, 1).is_none(), "asking again does not make it forget the other guest");
        let other = take(&places, 3).unwrap();
        drop(other);
        tokio::time::advance(GUEST_MEMORY).await;
        let rest: Vec<_> = (0..2).map(|_| take(&places, 1).unwrap()).collect();
        assert_eq!(places.held(), held.len() + rest.len());
    }

    /// The place that is idle longest gives way, to a new holder or to none; none does that was used lately.
    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_idle_for_long_gives_way() {
        let places = places(3, 1, 0);
        let held: Vec<_> = (0..3).map(|_| take(&places, 1).unwrap()).collect();
        held[0].set_loss(Loss::small(0));
        tokio::time::advance(IDLE_MAX / 2).await;
        held[1].idles();
        tokio::time::advance(IDLE_MAX / 2).await;
        assert!(take(&places, 1).is_some() && held[2].taken.is_cancelled(), "also for the same guest");
        assert!(!places.end_idle() && places.held() == 2);
        tokio::time::advance(IDLE_MAX / 2).await;
        assert!(places.end_idle() && held[1].taken.is_cancelled());
        assert!(!places.end_idle() && !held[0].taken.is_cancelled());
    }
}
