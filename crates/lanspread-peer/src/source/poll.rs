//! Answers requests for news: what is offered and what this peer is doing, at once or when it changes.
//!
//! A waiting connection holds a place of its own kind, never one for listing archives. It gives the place back when
//! something changes, the wait is over, the other side sends something or closes the connection, or a guest within its
//! share needs the place.

use std::sync::Arc;

use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Source;
use crate::guests::guest::Guest;

/// Which revisions a peer knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) library: Option<u64>,
    pub(super) activity: Option<u64>,
}

/// The answer to a request for news; none if the library has not been read, so that the disk must be read.
pub(super) async fn news<S: AsyncRead + AsyncWrite>(
    source: &Source,
    connection: &mut Connection<S>,
    guest: &Guest,
    known: Known,
) -> Option<Arc<Vec<Reply>>> {
    let mut library = source.library.follow();
    let now = Arc::clone(&library.borrow_and_update());
    match known.library {
        None => return now.is_read().then(|| source.last_list.of(&now)),
        Some(known) if known != now.revision && now.is_read() => return Some(source.last_list.of(&now)),
        Some(_) => {}
    }
    let (mut board, peer) = (source.board.follow(), connection.peer);
    let activity = Arc::clone(&board.borrow_and_update());
    // A peer that does not serve has nothing on its board.
    if activity.revision != known.activity.unwrap_or_default() {
        return Some(Arc::new(activity.since(known.activity, source.accepts_from(&peer))));
    }
    // The one that has waited longest gives way.
    let Some(place) = source.polls.take(*guest) else {
        let message = format!("{} peers already wait for changes of its library", source.polls.held());
        return Some(Arc::new(vec![Reply::Refused(Refusal::new(RefusalCode::Busy, &message))]));
    };
    let changed = async {
        tokio::select! {
            changed = library.changed() => changed.ok().map(|()| source.last_list.of(&library.borrow())),
            changed = board.changed() => changed.ok().map(|()| {
                Arc::new(board.borrow().since(known.activity, source.accepts_from(&peer)))
            }),
        }
    };
    tokio::select! {
        changed = timeout(limits::ACTIVITY_WAIT, changed) => {
            Some(changed.ok().flatten().unwrap_or_else(unchanged))
        }
        () = connection.gone() => Some(unchanged()),
        () = place.taken.cancelled() => Some(unchanged()),
    }
}

fn unchanged() -> Arc<Vec<Reply>> {
    Arc::new(vec![Reply::Unchanged])
}

#[cfg(test)]
mod tests;
