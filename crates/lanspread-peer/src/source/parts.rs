//! Cuts lists into messages that fit into a frame.

use lanspread_proto::message::Reply;
use lanspread_types::content::GameOffer;

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
