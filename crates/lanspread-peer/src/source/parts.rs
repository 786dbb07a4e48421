//! Cuts lists into messages that fit into a frame.

use std::sync::{Arc, Mutex, PoisonError};

use lanspread_proto::message::Reply;
use lanspread_types::content::GameOffer;

use super::library_index::Library;

/// Offers in one message: 200 bytes each at most.
const OFFERS_PER_MESSAGE: usize = 256;
/// Root files in one message: 280 bytes each at most.
pub(super) const FILES_PER_MESSAGE: usize = 192;

/// The offers of one revision as messages.
pub(super) fn offers_in_parts(revision: u64, offers: &[GameOffer]) -> Vec<Reply> {
    in_parts(offers, OFFERS_PER_MESSAGE, |games, more| Reply::Games { revision, games: games.to_vec(), more })
}

/// Cuts a list into messages; an empty list is one message.
pub(super) fn in_parts<T>(
    items: &[T],
    per_message: usize,
    reply: impl Fn(&[T], bool) -> Reply,
) -> Vec<Reply> {
    let mut parts = items.chunks(per_message).peekable();
    let mut replies = Vec::new();
    while let Some(part) = parts.next() {
        replies.push(reply(part, parts.peek().is_some()));
    }
    if replies.is_empty() {
        replies.push(reply(&[], false));
    }
    replies
}

/// The list of the latest revision that was asked for, in parts: a change is told to all peers that wait, and the list is
/// made and held once for all of them.
#[derive(Debug, Default)]
pub(super) struct LastList(Mutex<Option<(u64, Arc<Vec<Reply>>)>>);

impl LastList {
    /// The list of a library.
    pub(super) fn of(&self, library: &Library) -> Arc<Vec<Reply>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((revision, parts)) if *revision == library.revision => Arc::clone(parts),
            _ => {
                let parts = Arc::new(offers_in_parts(library.revision, &library.list()));
                *last = Some((library.revision, Arc::clone(&parts)));
                parts
            }
        }
    }
}
