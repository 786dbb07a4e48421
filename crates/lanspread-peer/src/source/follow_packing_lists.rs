//! The packing list of each game that a peer serves: made once, in the background, one game at a time, and kept below
//! `.lanspread/`. Receivers without a catalog agree on its digest, and fetch it to check what a packed stream brings.
//!
//! Invariants:
//!
//! - A list is named only while the root files are those that it was made of: their stamps are compared at each request.
//! - The work is done by one thread, which is cancelled with the peer. A game that a peer asks about comes first, and
//!   interrupts one that no peer waits for. While transfers are running, such a game gets a share of the time only.
//! - If the catalog names a manifest of exactly these files, and it is here, the list is derived from it. Everyone who
//!   reads the same files makes the same list.
//! - If the disk does not take a list, a few are held in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use lanspread_store::state::file_stamps::FileStamps;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::packing_lists;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::GameVersion;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::source::packing_lists::{ListBytes, ListOffer};
use crate::source::{Source, make_packing_lists};
use crate::task::{NoResult, Working};

impl Source {
    /// What this source says about the packing list of a game that it offers. A game without one is made next. Blocking.
    pub(super) fn packing_list_offered(&self, state: &GameState, version: &GameVersion) -> ListOffer {
        let game = &state.game;
        let Ok(files) = FileStamps::read(&state.root, &state.root_files) else { return ListOffer::default() };
        let named = self.named_manifest(game, version);
        let mut lists = self.packing_lists.lock();
        if let Some(known) = lists.known(game, &files, named) {
            return ListOffer { manifest: known.list.as_ref().map(|list| list.digest), in_ms: None };
        }
        if !self.packing_lists.is_followed.load(Ordering::Relaxed) {
            return ListOffer::default();
        }
        let readable_from = lists.readable_from(game, &files);
        lists.queue.add(game, state.root_bytes(), readable_from);
        lists.queue.ask(game);
        let in_ms = lists.queue.ready_in_ms(game, Instant::now());
        drop(lists);
        self.packing_lists.woken.notify_one();
        ListOffer { manifest: None, in_ms }
    }

    /// The bytes of a packing list, to hand it on. The receiver compares their digest.
    pub(super) fn kept_list(&self, digest: &ContentDigest) -> Option<ListBytes> {
        let (game, in_memory) = {
            let lists = self.packing_lists.lock();
            lists.known.iter().find_map(|(game, known)| {
                let list = known.list.as_ref().filter(|list| list.digest == *digest)?;
                Some((game.clone(), list.in_memory.clone()))
            })?
        };
        if let Some(bytes) = in_memory {
            return Some(ListBytes::InMemory(bytes));
        }
        let opened = GamesDir::open(&self.games_dir).and_then(|games| packing_lists::open(&games, &game));
        let reason = match opened {
            Ok(Some(file)) => return Some(ListBytes::OnDisk(file)),
            Ok(None) => "it is gone".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!("the packing list of {game} is made again: {reason}");
        self.packing_lists.lock().known.remove(&game);
        None
    }

    /// Makes the packing lists of what the library offers, until `stop`.
    pub(crate) async fn follow_packing_lists(self: Arc<Self>, stop: CancellationToken) {
        let lists = &self.packing_lists;
        lists.is_followed.store(true, Ordering::Relaxed);
        let mut library = self.library.follow();
        library.mark_changed();
        let mut before = BTreeMap::new();
        let mut working: Option<Working<()>> = None;
        loop {
            let due = lists.next_due().filter(|_| working.is_none());
            let until = tokio::time::Instant::from_std(due.unwrap_or_else(Instant::now));
            tokio::select! {
                () = stop.cancelled() => break,
                changed = library.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let now = library.borrow_and_update().offers.clone();
                    lists.offered(&before, &now);
                    before = now;
                }
                () = lists.woken.notified() => {}
                () = sleep_until(until), if due.is_some() => {
                    let (source, cancel) = (Arc::clone(&self), stop.clone());
                    let work = move || make_packing_lists::all_that_is_due(&source, &cancel);
                    working = Some(self.tasks.spawn_blocking("packing lists", work));
                }
                ended = ended(&mut working) => {
                    if let Err(error) = ended {
                        tracing::error!("no more packing lists are made: {error}");
                        lists.is_followed.store(false, Ordering::Relaxed);
                        return;
                    }
                    working = None;
                }
            }
        }
        lists.is_followed.store(false, Ordering::Relaxed);
    }
}

/// The end of the work; never, if there is none.
async fn ended(working: &mut Option<Working<()>>) -> Result<(), NoResult> {
    match working {
        Some(working) => working.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
