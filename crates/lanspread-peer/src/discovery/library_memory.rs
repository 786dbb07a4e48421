//! How much memory the libraries of other peers may take: of all of them together, and of the peers at one address.
//! A library counts from its first part on, and until it is dropped.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_types::content::GameOffer;
use lanspread_types::limits;

/// The memory for libraries.
#[derive(Debug, Clone, Default)]
pub(crate) struct LibraryMemory(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// What one library takes. Dropping it gives the memory back.
#[derive(Debug)]
pub(crate) struct LibraryShare {
    memory: LibraryMemory,
    address: IpAddr,
    bytes: usize,
}

impl LibraryMemory {
    /// The share of a library that a peer at this address begins to report.
    pub(crate) fn share(&self, address: IpAddr) -> LibraryShare {
        LibraryShare { memory: self.clone(), address, bytes: 0 }
    }

    /// What all libraries together take now.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.taken().bytes
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LibraryShare {
    /// Takes the memory of some more games. Returns whether there is room for them.
    pub(crate) fn take(&mut self, games: &[GameOffer]) -> bool {
        let bytes = games.iter().map(bytes_of).sum::<usize>();
        let mut taken = self.memory.taken();
        let here = taken.by_address.get(&self.address).copied().unwrap_or_default();
        if taken.bytes + bytes > limits::LIBRARIES_BYTES_MAX
            || here + bytes > limits::LIBRARIES_PER_ADDRESS_BYTES_MAX
        {
            return false;
        }
        taken.bytes += bytes;
        taken.by_address.insert(self.address, here + bytes);
        self.bytes += bytes;
        true
    }
}

impl Drop for LibraryShare {
    fn drop(&mut self) {
        let mut taken = self.memory.taken();
        taken.bytes -= self.bytes;
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= self.bytes;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// What an offer takes: itself, its two texts, and what the allocator adds to each of them.
fn bytes_of(offer: &GameOffer) -> usize {
    const ALLOCATOR_BYTES: usize = 16;
    size_of::<GameOffer>() + offer.game.as_str().len() + offer.version.as_str().len() + 2 * ALLOCATOR_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::offers;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Takes as much as one library may have.
    fn fill(share: &mut LibraryShare) {
        let games = offers(256);
        while share.take(&games) {}
    }

    #[test]
    fn libraries_are_bounded_in_bytes_together_and_for_each_address() {
        let memory = LibraryMemory::default();
        let mut shares: Vec<LibraryShare> = Vec::new();
        for last in 0..10 {
            for _ in 0..3 {
                let mut share = memory.share(address(last));
                fill(&mut share);
                shares.push(share);
            }
            assert!(memory.taken().by_address[&address(last)] <= limits::LIBRARIES_PER_ADDRESS_BYTES_MAX);
            if last == 0 {
                assert!(memory.share(address(1)).take(&offers(400)), "one address leaves room for others");
            }
            if memory.taken().bytes + 256 * bytes_of(&offers(256)[255]) > limits::LIBRARIES_BYTES_MAX {
                break;
            }
        }
        assert!(memory.taken().bytes <= limits::LIBRARIES_BYTES_MAX);
        assert!(!memory.share(address(200)).take(&offers(1000)), "all of it is taken");
        shares.clear();
        assert_eq!(memory.taken().bytes, 0, "what is dropped is given back");
        assert!(memory.taken().by_address.is_empty());
        assert!(memory.share(address(200)).take(&offers(1000)));
    }
}
