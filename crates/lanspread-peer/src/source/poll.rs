//! Answers requests for the offers, at once or when they change.
//!
//! A waiting connection holds a place of its own kind, never one for listing archives. It gives the place back when the
//! library changes, the wait is over, or the other side sends something or closes the connection.

use std::sync::Arc;

use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Source;
use crate::source::library_index::Library;
use crate::source::parts::offers_in_parts;

/// The answer to a request for offers newer than `known`; none if the library has not been read, so that the disk must
/// be read.
pub(super) async fn games<S: AsyncRead + AsyncWrite>(
    source: &Source,
    connection: &mut Connection<S>,
    known: Option<u64>,
) -> Option<Vec<Reply>> {
    let mut follower = source.library.follow();
    let now = Arc::clone(&follower.borrow_and_update());
    match known {
        None => return now.is_read().then(|| listed(&now)),
        Some(known) if known != now.revision && now.is_read() => return Some(listed(&now)),
        Some(_) => {}
    }
    let Ok(_place) = source.polls.try_acquire() else {
        let message = format!("{} peers already wait for changes of its library", limits::LIBRARY_POLLS_MAX);
        return Some(vec![Reply::Refused(Refusal::new(RefusalCode::Busy, &message))]);
    };
    let changed = timeout(limits::LIBRARY_WAIT, follower.changed());
    tokio::select! {
        changed = changed => match changed {
            Ok(Ok(())) => Some(listed(&follower.borrow())),
            _ => Some(vec![Reply::Unchanged]),
        },
        () = connection.gone() => Some(vec![Reply::Unchanged]),
    }
}

fn listed(library: &Library) -> Vec<Reply> {
    offers_in_parts(library.revision, &library.list())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use lanspread_archive::provider::ProviderChoice;
    use lanspread_proto::message::{Hello, Request};
    use lanspread_types::ids::PeerId;
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::report::channel::EventSender;
    use crate::source::handler;
    use crate::task::Tasks;
    use crate::testing::offers;

    fn source() -> Arc<Source> {
        let provider = lanspread_archive::provider(&ProviderChoice::Native);
        let nowhere = PathBuf::from("/nonexistent");
        Arc::new(Source::new(nowhere, None, provider, EventSender::new(), Tasks::default(), 1))
    }

    fn hello() -> Hello {
        Hello { peer: PeerId::random().unwrap(), name: "pc".parse().unwrap(), listen_port: None, instance: 1 }
    }

    async fn connect(source: &Arc<Source>) -> Connection<DuplexStream> {
        let (near, far) = duplex(1 << 20);
        let worker = Arc::clone(source);
        source.tasks.spawn("connection", async move {
            handler::serve(&worker, far, &hello(), &CancellationToken::new()).await;
        });
        Connection::open(near, &hello()).await.unwrap()
    }

    async fn ask(connection: &mut Connection<DuplexStream>, known: Option<u64>) {
        connection.send(&Request::Games { known }).await.unwrap();
    }

    async fn answer(connection: &mut Connection<DuplexStream>) -> Reply {
        connection.receive("reply", Duration::from_hours(1)).await.unwrap().unwrap()
    }

    fn revision(reply: &Reply) -> Option<(u64, usize)> {
        if let Reply::Games { revision, games, .. } = reply { Some((*revision, games.len())) } else { None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_reported_at_once_and_no_change_after_the_wait() {
        let source = source();
        source.library.replace(offers(1));
        let mut connection = connect(&source).await;
        for known in [None, Some(0), Some(7)] {
            let begun = Instant::now();
            ask(&mut connection, known).await;
            assert_eq!(revision(&answer(&mut connection).await), Some((1, 1)), "{known:?}");
            assert_eq!(begun.elapsed(), Duration::ZERO, "{known:?}");
        }
        let begun = Instant::now();
        ask(&mut connection, Some(1)).await;
        assert_eq!(answer(&mut connection).await, Reply::Unchanged);
        assert_eq!(begun.elapsed().as_secs(), limits::LIBRARY_WAIT.as_secs());
        ask(&mut connection, Some(1)).await;
        // The request is waiting when the library changes.
        while source.polls.available_permits() == limits::LIBRARY_POLLS_MAX {
            tokio::task::yield_now().await;
        }
        source.library.replace(offers(300));
        assert_eq!(revision(&answer(&mut connection).await), Some((2, 256)));
        assert_eq!(revision(&answer(&mut connection).await), Some((2, 44)), "one list, in parts");
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_peer_takes_no_place_of_a_listing_and_gives_its_own_back() {
        let source = source();
        source.library.replace(offers(1));
        let mut waiting = Vec::new();
        for _ in 0..limits::LIBRARY_POLLS_MAX {
            let mut connection = connect(&source).await;
            ask(&mut connection, Some(1)).await;
            waiting.push(connection);
        }
        while source.polls.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(source.inspections.available_permits(), limits::INSPECTIONS_MAX);
        let mut late = connect(&source).await;
        ask(&mut late, Some(1)).await;
        let refused = answer(&mut late).await;
        assert!(matches!(refused, Reply::Refused(refusal) if refusal.code == RefusalCode::Busy));
        ask(&mut late, None).await;
        assert_eq!(revision(&answer(&mut late).await), Some((1, 1)), "a list is still answered");
        let begun = Instant::now();
        drop(waiting);
        while source.polls.available_permits() < limits::LIBRARY_POLLS_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "a closed connection is noticed at once");
    }
}
