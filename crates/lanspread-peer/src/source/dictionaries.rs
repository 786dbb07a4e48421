//! Memory for the dictionaries of all running streams together.
//!
//! A decoder touches its dictionary as far as the archive's content reaches, up to the size that the archive claims. A
//! stream is admitted with this size, not one of many with a number, so the bound holds whatever the archives are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_proto::message::{Refusal, RefusalCode};
use lanspread_types::limits::{DICTIONARIES_BYTES_MAX, DICTIONARIES_BYTES_MIN};

use crate::guests::guest::Guest;

/// The memory, and who has how much of it. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Dictionaries {
    bytes_max: u64,
    held: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
}

/// The memory of one stream, until it is dropped.
#[derive(Debug)]
pub(super) struct DictionaryMemory {
    held: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
    network: IpAddr,
    bytes: u64,
}

impl Dictionaries {
    /// As much as a machine with so much memory should use.
    pub(super) fn new(machine_bytes: u64) -> Self {
        Self { bytes_max: bytes_max(machine_bytes), held: Arc::default() }
    }

    /// Memory for a stream to a guest.
    ///
    /// # Errors
    /// A refusal as busy, if the streams that run leave too little.
    pub(super) fn take(&self, guest: &Guest, bytes: u64) -> Result<DictionaryMemory, Refusal> {
        let mut held = lock(&self.held);
        let of_all = held.values().sum();
        let of_guest = held.get(&guest.network).copied().unwrap_or_default();
        if !fits(bytes, of_guest, of_all, self.bytes_max) {
            let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
            let message = format!(
                "its streams use {} of {} MiB for dictionaries, and this one needs {} MiB",
                mib(of_all),
                mib(self.bytes_max),
                mib(bytes)
            );
            return Err(Refusal::new(RefusalCode::Busy, &message));
        }
        held.insert(guest.network, of_guest.saturating_add(bytes));
        Ok(DictionaryMemory { held: Arc::clone(&self.held), network: guest.network, bytes })
    }
}

impl Drop for DictionaryMemory {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(bytes) = held.get_mut(&self.network) {
            *bytes = bytes.saturating_sub(self.bytes);
            if *bytes == 0 {
                held.remove(&self.network);
            }
        }
    }
}

fn lock(held: &Mutex<BTreeMap<IpAddr, u64>>) -> MutexGuard<'_, BTreeMap<IpAddr, u64>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A half of the machine's memory, within bounds. Pure.
fn bytes_max(machine_bytes: u64) -> u64 {
    (machine_bytes / 2).clamp(DICTIONARIES_BYTES_MIN, DICTIONARIES_BYTES_MAX)
}

/// Whether a stream may have this much. A guest with a stream has half of all at most; a stream that runs alone may
/// have more than there is, or an archive with such a dictionary could never be streamed. Pure.
fn fits(bytes: u64, of_guest: u64, of_all: u64, bytes_max: u64) -> bool {
    let within = |held: u64, max: u64| held == 0 || held.saturating_add(bytes) <= max;
    within(of_all, bytes_max) && within(of_guest, bytes_max / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn guest(last: u8) -> Guest {
        Guest::at(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn the_machine_decides_within_bounds() {
        for (machine, expected) in [(0, 256), (1024, 512), (4096, 2048), (1 << 30, 2048)] {
            assert_eq!(bytes_max(machine * MIB), expected * MIB, "{machine} MiB");
        }
    }

    #[test]
    fn a_guest_has_half_at_most_and_one_stream_always_runs() {
        for (bytes, of_guest, of_all, expected) in [
            (10, 0, 0, true),
            (1000, 0, 0, true),
            (u64::MAX, 0, 1, false),
            (50, 0, 50, true),
            (51, 0, 50, false),
            (25, 25, 25, true),
            (26, 25, 25, false),
            (0, 50, 100, true),
            (1, 0, 1000, false),
        ] {
            assert_eq!(fits(bytes, of_guest, of_all, 100), expected, "{bytes}, {of_guest}, {of_all}");
        }
    }

    #[test]
    fn memory_is_counted_as_long_as_it_is_held() {
        let dictionaries = Dictionaries::new(1024 * MIB);
        let first = dictionaries.take(&guest(1), 200 * MIB).unwrap();
        let refused = dictionaries.take(&guest(1), 100 * MIB).unwrap_err();
        assert_eq!(refused.code, RefusalCode::Busy);
        assert!(refused.message.contains("200 of 512 MiB"), "{}", refused.message);
        let other = dictionaries.take(&guest(2), 300 * MIB).unwrap();
        assert!(dictionaries.take(&guest(3), 50 * MIB).is_err());
        drop(first);
        drop(dictionaries.take(&guest(3), 50 * MIB).unwrap());
        drop(other);
        assert!(lock(&dictionaries.held).is_empty(), "nothing is kept of guests without a stream");
    }
}
