//! What this peer offers, in memory: one list with a revision that grows with every change.
//!
//! A serving peer answers lists and long polls and fills announcements from this index. The gate judges each transfer
//! against the disk, so an outdated index can offer too much for a moment, but the peer never serves it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lanspread_store::state::passed_over::PassedOver;
use lanspread_types::content::GameOffer;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio::sync::watch;

use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::passed_over::PassedOverFolder;

/// The offers at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Library {
    /// Counts the changes in this run of the peer; 0 until the games directory has been read.
    pub(crate) revision: u64,
    /// The offers, by game.
    pub(crate) offers: BTreeMap<GameId, GameOffer>,
}

impl Library {
    /// Whether the games directory has been read.
    pub(crate) fn is_read(&self) -> bool {
        self.revision > 0
    }

    /// The offers as a list, sorted by game.
    pub(crate) fn list(&self) -> Vec<GameOffer> {
        self.offers.values().cloned().collect()
    }

    /// The library with these offers, and the games that differ; none if it was read before and nothing changed.
    fn with(&self, offers: BTreeMap<GameId, GameOffer>) -> Option<(Self, Vec<GameId>)> {
        let changed = changed(&self.offers, &offers);
        if changed.is_empty() && self.is_read() {
            return None;
        }
        Some((Self { revision: self.revision + 1, offers }, changed))
    }
}

/// Games whose offer is new, different or gone, sorted.
fn changed(before: &BTreeMap<GameId, GameOffer>, after: &BTreeMap<GameId, GameOffer>) -> Vec<GameId> {
    let gone = before.keys().filter(|game| !after.contains_key(*game));
    let other = after.iter().filter(|(game, offer)| before.get(*game) != Some(offer)).map(|(game, _)| game);
    let mut games: Vec<GameId> = gone.chain(other).cloned().collect();
    games.sort();
    games
}

/// A folder that is passed over, as it is reported.
pub(crate) fn reported(passed: &PassedOver) -> PassedOverFolder {
    PassedOverFolder {
        folder: passed.folder.clone(),
        code: passed.reason.code().into(),
        message: passed.reason.to_string(),
        suggestion: passed.reason.suggestion().cloned(),
    }
}

/// The library of a peer, which others can follow.
#[derive(Debug)]
pub(crate) struct LibraryIndex {
    current: watch::Sender<Arc<Library>>,
    /// The folders that are passed over, by name, so that each is reported once; never more than
    /// [`limits::PASSED_OVER_MAX`] and one.
    passed_over: Mutex<BTreeMap<String, PassedOver>>,
    events: EventSender,
}

impl LibraryIndex {
    pub(crate) fn new(events: EventSender) -> Self {
        Self { current: watch::Sender::new(Arc::default()), passed_over: Mutex::default(), events }
    }

    /// The library as it is now.
    pub(crate) fn current(&self) -> Arc<Library> {
        Arc::clone(&self.current.borrow())
    }

    /// Follows the library from now on.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Library>> {
        self.current.subscribe()
    }

    /// Replaces all offers, after everything was read again.
    pub(crate) fn replace(&self, offers: Vec<GameOffer>) {
        self.update(|_| offers.into_iter().map(|offer| (offer.game.clone(), offer)).collect());
    }

    /// Replaces the offers of some games that were read again; none means that the game is not offered.
    pub(crate) fn replace_games(&self, read: Vec<(GameId, Option<GameOffer>)>) {
        self.update(|library| {
            let mut offers = library.offers.clone();
            for (game, offer) in read {
                match offer {
                    Some(offer) => offers.insert(game, offer),
                    None => offers.remove(&game),
                };
            }
            offers
        });
    }

    /// Replaces the folders that are passed over, after everything was read again, and reports those that are new or are
    /// passed over for another reason.
    pub(crate) fn pass_over(&self, found: Vec<PassedOver>) {
        let found = found.into_iter().map(|passed| (passed.folder.clone(), passed)).collect();
        let mut known = self.passed_over.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *known, found);
        for (_, passed) in known.iter().filter(|(folder, passed)| before.get(*folder) != Some(*passed)) {
            self.events.report(PeerEvent::FolderPassedOver(reported(passed)));
        }
    }

    /// The same for one folder that was read again; none means that it is not passed over.
    pub(crate) fn pass_over_folder(&self, folder: &str, found: Option<PassedOver>) {
        let mut known = self.passed_over.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(passed) = found else {
            known.remove(folder);
            return;
        };
        let is_new = known.get(folder) != Some(&passed);
        // Beyond the bound, only a scan of everything reports how many there are.
        if is_new && known.len() <= limits::PASSED_OVER_MAX {
            self.events.report(PeerEvent::FolderPassedOver(reported(&passed)));
            known.insert(folder.to_owned(), passed);
        }
    }

    /// Makes and reports one change at a time, so events are in the order of their revisions.
    fn update(&self, change: impl FnOnce(&Library) -> BTreeMap<GameId, GameOffer>) {
        self.current.send_if_modified(|current| {
            let offers = change(current);
            let Some((library, changed)) = current.with(offers) else { return false };
            self.events.report(PeerEvent::LibraryChanged {
                revision: library.revision,
                games: library.offers.len() as u64,
                changed,
            });
            *current = Arc::new(library);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(game: &str, version: &str, bytes: u64) -> GameOffer {
        GameOffer { game: game.parse().unwrap(), version: version.parse().unwrap(), bytes, entries: false }
    }

    fn ids(games: &[&str]) -> Vec<GameId> {
        games.iter().map(|game| game.parse().unwrap()).collect()
    }

    #[test]
    fn every_change_is_one_revision_and_one_event_that_names_the_changed_games() {
        let events = EventSender::new();
        let mut heard = events.subscribe();
        let index = LibraryIndex::new(events);
        let mut expect = |revision: u64, games: u64, changed: &[&str]| {
            let event = heard.try_next();
            let expected = PeerEvent::LibraryChanged { revision, games, changed: ids(changed) };
            assert_eq!(event, Some(expected));
        };
        index.replace(vec![offer("a", "1", 1), offer("b", "1", 1), offer("c", "1", 1)]);
        expect(1, 3, &["a", "b", "c"]);
        index.replace(vec![offer("a", "1", 1), offer("b", "2", 1), offer("d", "1", 1)]);
        expect(2, 3, &["b", "c", "d"]);
        index.replace_games(vec![
            (ids(&["d"])[0].clone(), None),
            (ids(&["a"])[0].clone(), Some(offer("a", "1", 9))),
        ]);
        expect(3, 2, &["a", "d"]);
        assert_eq!(index.current().list(), [offer("a", "1", 9), offer("b", "2", 1)]);
    }

    #[test]
    fn reading_the_same_again_is_no_change_but_the_first_reading_always_is() {
        let events = EventSender::new();
        let mut heard = events.subscribe();
        let index = LibraryIndex::new(events);
        let mut follower = index.follow();
        assert!(!index.current().is_read());
        index.replace(Vec::new());
        assert!(index.current().is_read(), "an empty library is a library");
        assert!(heard.try_next().is_some() && follower.has_changed().unwrap());
        follower.mark_unchanged();
        index.replace(Vec::new());
        index.replace_games(vec![(ids(&["a"])[0].clone(), None)]);
        assert!(heard.try_next().is_none() && !follower.has_changed().unwrap());
        assert_eq!(index.current().revision, 1);
    }
}
