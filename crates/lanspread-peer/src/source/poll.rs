//! Answers requests for the offers, at once or when they change.
//!
//! A waiting connection holds a place of its own kind, never one for listing archives. It gives the place back when the
//! library changes, the wait is over, the other side sends something or closes the connection, or a guest within its
//! share needs the place.

use std::sync::Arc;

use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Source;
use crate::guests::guest::Guest;

/// The answer to a request for offers newer than `known`; none if the library has not been read, so that the disk must
/// be read.
pub(super) async fn games<S: AsyncRead + AsyncWrite>(
    source: &Source,
    connection: &mut Connection<S>,
    guest: &Guest,
    known: Option<u64>,
) -> Option<Arc<Vec<Reply>>> {
    let mut follower = source.library.follow();
    let now = Arc::clone(&follower.borrow_and_update());
    match known {
        None => return now.is_read().then(|| source.last_list.of(&now)),
        Some(known) if known != now.revision && now.is_read() => return Some(source.last_list.of(&now)),
        Some(_) => {}
    }
    // The one that has waited longest gives way.
    let Some(place) = source.polls.take(*guest) else {
        let message = format!("{} peers already wait for changes of its library", source.polls.held());
        return Some(Arc::new(vec![Reply::Refused(Refusal::new(RefusalCode::Busy, &message))]));
    };
    let changed = timeout(limits::LIBRARY_WAIT, follower.changed());
    tokio::select! {
        changed = changed => match changed {
            Ok(Ok(())) => Some(source.last_list.of(&follower.borrow())),
            _ => Some(unchanged()),
        },
        () = connection.gone() => Some(unchanged()),
        () = place.taken.cancelled() => Some(unchanged()),
    }
}

fn unchanged() -> Arc<Vec<Reply>> {
    Arc::new(vec![Reply::Unchanged])
}

#[cfg(test)]
mod tests;
