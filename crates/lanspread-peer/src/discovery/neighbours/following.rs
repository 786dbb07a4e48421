//! Follows what a neighbour offers and what it is doing.

use std::time::{Duration, SystemTime};

use lanspread_proto::WireError;
use lanspread_proto::message::RefusalCode;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use crate::discovery::directory::PeerKey;
use crate::discovery::neighbours::Neighbours;
use crate::discovery::pace::Allowance;
use crate::report::event::PeerEvent;
use crate::transport::dial::Dialled;
use crate::transport::listing::{News, ReportedLibrary, news};

impl Neighbours {
    /// Asks for news until the connection breaks.
    pub(super) async fn poll<S: AsyncRead + AsyncWrite>(
        &self,
        key: PeerKey,
        dialled: &mut Dialled<S>,
    ) -> WireError {
        let name = dialled.connection.theirs.name.clone();
        let (mut known, mut known_activity) = (None, None);
        let mut allowance = Allowance::new(limits::LIBRARY_POLLS_AT_ONCE, limits::LIBRARY_POLL_INTERVAL);
        loop {
            sleep(allowance.wait(Instant::now())).await;
            allowance.take(Instant::now());
            let mut share = self.libraries.share(dialled.address.ip());
            let connection = &mut dialled.connection;
            let told = news(connection, known, known_activity, |games| share.take(games)).await;
            let mut wait = Duration::ZERO;
            match told {
                Ok(News::Library(ReportedLibrary { revision, games })) => {
                    let count = games.as_ref().map_or(0, Vec::len) as u64;
                    known = Some(revision);
                    let games = games.map(|games| (games, share));
                    if self.directory().library_reported(key, revision, games, SystemTime::now()) {
                        self.events.report(PeerEvent::PeerLibraryChanged {
                            peer: key.id,
                            name: name.clone(),
                            revision,
                            games: count,
                        });
                    }
                }
                Ok(News::Activity(told)) => {
                    known_activity = Some(told.revision);
                    self.room.told(key.id, told, Instant::now());
                }
                Ok(News::Unchanged) => {}
                Err(WireError::Refused(refusal)) if refusal.code == RefusalCode::Busy => {
                    wait = limits::LIBRARY_WAIT;
                }
                Err(error) => return error,
            }
            self.directory().seen(key, SystemTime::now());
            self.room.heard(key.id, Instant::now());
            self.heard().answered(key, dialled.address, Instant::now());
            sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod following_tests;
