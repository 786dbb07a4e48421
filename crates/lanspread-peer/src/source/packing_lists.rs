//! What a source knows about the packing lists of its games.

mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lanspread_store::state::file_stamps::{FileStamps, now_seconds};
use lanspread_store::state::packing_lists::MadeOf;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::GameOffer;
use lanspread_types::ids::GameId;
use lanspread_types::limits::FILE_TIMES_SETTLED_SECONDS;
use tokio::sync::Notify;

pub(super) use self::queue::Queue;

/// The packing lists of a source.
#[derive(Debug, Default)]
pub(crate) struct PackingLists {
    lists: Mutex<Lists>,
    /// The thread has something to do.
    pub(super) woken: Notify,
    /// Whether lists are made: the peer serves.
    pub(super) is_followed: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) queue: Queue,
    pub(super) known: BTreeMap<GameId, Known>,
    /// Games that were offered and are not any more: their lists may be superfluous.
    pub(super) withdrawn: BTreeSet<GameId>,
    /// Games whose files were just changed, as they were seen then.
    pub(super) young: BTreeMap<GameId, FileStamps>,
    /// Whether it was reported that the disk takes no lists.
    pub(super) complained: bool,
}

/// What is known about the list of a game.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) made_of: MadeOf,
    /// None if the game has no list: its archives are refused, or it cannot be read.
    pub(super) list: Option<KeptList>,
}

#[derive(Debug)]
pub(super) struct KeptList {
    pub(super) digest: ContentDigest,
    /// Its bytes, if the disk did not take it.
    pub(super) in_memory: Option<Arc<[u8]>>,
}

/// The bytes of a packing list.
pub(super) enum ListBytes {
    OnDisk(File),
    InMemory(Arc<[u8]>),
}

/// What a source says about the list of a game.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ListOffer {
    pub(super) manifest: Option<ContentDigest>,
    /// In how many milliseconds it may be ready, if it is being made.
    pub(super) in_ms: Option<u32>,
}

impl PackingLists {
    pub(super) fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the library offers now. A new offer is looked at again.
    pub(super) fn offered(&self, before: &BTreeMap<GameId, GameOffer>, now: &BTreeMap<GameId, GameOffer>) {
        let mut lists = self.lock();
        for (game, offer) in now.iter().filter(|(game, offer)| before.get(*game) != Some(*offer)) {
            lists.withdrawn.remove(game);
            if !offer.entries {
                lists.queue.add(game, offer.bytes, Instant::now());
            }
        }
        for game in before.keys().filter(|game| !now.contains_key(*game)) {
            lists.queue.remove(game);
            lists.withdrawn.insert(game.clone());
        }
    }

    /// When there is something to do, if there is.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let lists = self.lock();
        if lists.withdrawn.is_empty() { lists.queue.next_due() } else { Some(Instant::now()) }
    }
}

impl Lists {
    /// The list that was made of these files, as far as a catalog names no other manifest of them.
    pub(super) fn known(
        &self,
        game: &GameId,
        files: &FileStamps,
        named: Option<ContentDigest>,
    ) -> Option<&Known> {
        let known = self.known.get(game)?;
        let by = known.made_of.manifest;
        (known.made_of.files == *files && (by.is_none() || by == named)).then_some(known)
    }

    /// When the files of a game can be read: if they were just changed, one more change would not show yet. A time in the
    /// future never settles; such files are waited for once, and their next change has another time.
    pub(super) fn readable_from(&self, game: &GameId, files: &FileStamps) -> Instant {
        let has_waited = self.young.get(game) == Some(files);
        let wait =
            if has_waited || files.is_settled(now_seconds()) { 0 } else { FILE_TIMES_SETTLED_SECONDS + 1 };
        Instant::now() + Duration::from_secs(wait.unsigned_abs())
    }

    pub(super) fn bytes_in_memory(&self) -> u64 {
        let kept = self.known.values().filter_map(|known| known.list.as_ref()?.in_memory.as_ref());
        kept.map(|bytes| bytes.len() as u64).sum()
    }
}
