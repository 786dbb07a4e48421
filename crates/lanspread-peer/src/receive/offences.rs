//! What is an offence of a source (pure), and how it is remembered: on a thread that may write, with an event.

use std::net::SocketAddr;
use std::time::SystemTime;

use lanspread_proto::WireError;
use lanspread_types::fault::ContentError;
use lanspread_types::ids::{GameId, PeerId, PeerName};
use tokio::task::JoinHandle;

use crate::packed::upstream_error::UpstreamError;
use crate::receive::chunk_source::FetchError;
use crate::receive::error::AttemptError;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::offender::{Offence, PenalisedPeer};
use crate::task::Tasks;
use crate::trust::penalties::Penalties;
use crate::trust::select::PeerOffer;

/// Remembers what the sources of one operation did wrong. The one place for streams and downloads.
#[derive(Debug, Clone)]
pub(crate) struct OffenceRecorder {
    pub(crate) game: GameId,
    pub(crate) penalties: Penalties,
    pub(crate) events: EventSender,
    pub(crate) tasks: Tasks,
}

impl OffenceRecorder {
    /// Remembers why an attempt failed, if that is an offence.
    pub(crate) async fn after_attempt(&self, source: &PeerOffer, error: &AttemptError) {
        if let Some(offence) = offence_of_attempt(error)
            && let Err(error) = self.remember(source, offence, error.to_string()).await
        {
            tracing::error!("the thread that remembers an offence ended abnormally: {error}");
        }
    }

    /// Remembers why a source of chunks ended, if that is an offence. What it returns is to be awaited before the
    /// operation ends.
    pub(crate) fn after_fetch(&self, source: &PeerOffer, error: &FetchError) -> Option<JoinHandle<()>> {
        let offence = offence_of_fetch(error)?;
        Some(self.remember(source, offence, error.to_string()))
    }

    /// Remembers why an upstream of a packed stream ended, if that is an offence.
    pub(crate) fn after_upstream(
        &self,
        peer: PeerId,
        name: &PeerName,
        address: SocketAddr,
        error: &UpstreamError,
    ) -> Option<JoinHandle<()>> {
        let offence = offence_of_upstream(error)?;
        Some(self.remember_of(peer, name.clone(), address, offence, error.to_string()))
    }

    fn remember(&self, source: &PeerOffer, offence: Offence, message: String) -> JoinHandle<()> {
        self.remember_of(source.id, source.name.clone(), source.address, offence, message)
    }

    fn remember_of(
        &self,
        peer: PeerId,
        name: PeerName,
        addr: SocketAddr,
        offence: Offence,
        message: String,
    ) -> JoinHandle<()> {
        let Self { game, penalties, events, tasks } = self.clone();
        let remembering = tasks.spawn_blocking("penalties", move || {
            let penalty_s = match penalties.punish(peer, addr, offence, &message) {
                Ok(penalty_s) => penalty_s,
                Err(error) => {
                    tracing::warn!("the penalty of {name} is forgotten when this program ends: {error}");
                    let known = penalties.current();
                    known.of(&peer, addr.ip(), SystemTime::now()).map_or(0, |penalty| penalty.length_s)
                }
            };
            let length_ms = penalty_s.saturating_mul(1000);
            events.report(PeerEvent::PeerPenalised(PenalisedPeer {
                game,
                peer,
                name,
                addr,
                offence,
                length_ms,
                message,
            }));
        });
        tasks.spawn_contained("penalties", async move {
            if let Err(error) = remembering.await {
                tracing::error!("an offence is not remembered: {error}");
            }
        })
    }
}

/// What a source is penalised for whose attempt ended like this.
fn offence_of_attempt(error: &AttemptError) -> Option<Offence> {
    match error {
        AttemptError::Wire(error) => offence_on_the_wire(error),
        AttemptError::Lied(_) => Some(Offence::Lied),
        AttemptError::Content(error) => offence_in_content(error),
        // Each of its bytes is what the manifest lists.
        AttemptError::Archive(_)
        | AttemptError::NoUpstream(_)
        | AttemptError::Local(_)
        | AttemptError::Unfit(_)
        | AttemptError::TooSlow
        | AttemptError::NoPlace(_)
        | AttemptError::Cancelled
        | AttemptError::Refused(_)
        | AttemptError::ThreadStopped => None,
    }
}

/// What a source of chunks is penalised for that ended like this.
fn offence_of_fetch(error: &FetchError) -> Option<Offence> {
    match error {
        FetchError::Wire(error) => offence_on_the_wire(error),
        FetchError::OtherBytes(_) => Some(Offence::Lied),
        FetchError::Content(error) => offence_in_content(error),
        // Servers have no identity that could be penalised.
        FetchError::Http(_) | FetchError::Local(_) | FetchError::WriterStopped | FetchError::Panicked => None,
    }
}

/// What an upstream of a packed stream is penalised for that ended like this.
fn offence_of_upstream(error: &UpstreamError) -> Option<Offence> {
    match error {
        UpstreamError::Wire(error) => offence_on_the_wire(error),
        UpstreamError::OtherChunk(_) => Some(Offence::Lied),
        UpstreamError::Unasked => Some(Offence::BrokeProtocol),
        UpstreamError::Http(_)
        | UpstreamError::SentAway(_)
        | UpstreamError::Slow
        | UpstreamError::Stalled
        | UpstreamError::TooFarAhead
        | UpstreamError::Local(_)
        | UpstreamError::Panicked => None,
    }
}

/// A source may be gone, busy or slow without any fault of its own. What it says must keep to the protocol.
fn offence_on_the_wire(error: &WireError) -> Option<Offence> {
    let is_broken = matches!(
        error,
        WireError::FrameTooLong { .. }
            | WireError::Malformed(_)
            | WireError::Unexpected { .. }
            | WireError::Totals { .. }
    );
    is_broken.then_some(Offence::BrokeProtocol)
}

/// Exhaustive: each new way in which content can be wrong needs an answer.
fn offence_in_content(error: &ContentError) -> Option<Offence> {
    match error {
        ContentError::Checksum { .. }
        | ContentError::UnknownOriginal { .. }
        | ContentError::TooManyFolders { .. } => Some(Offence::BrokeProtocol),
        // An honest source has a game with names that are not for this machine, or one that just changes.
        // Without a manifest, it may have other files of the same version.
        ContentError::Name(_)
        | ContentError::RootFiles(_)
        | ContentError::Sentinel { .. }
        | ContentError::NotInstalled { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use lanspread_trust::manifest::Deviation;
    use lanspread_types::checksum::{Checksum, ContentDigest};
    use lanspread_types::fault::LocalError;

    use super::*;
    use crate::receive::other_bytes::OtherBytes;

    /// In a stream and in a download alike.
    #[test]
    fn other_bytes_than_the_manifest_lists_are_a_lie() {
        let (expected, got) = (ContentDigest::of(b"a"), ContentDigest::of(b"b"));
        let path = "a".to_owned();
        let deviation = Deviation {
            path: Some(path.clone()),
            position: None,
            expected: expected.to_string(),
            got: got.to_string(),
        };
        assert_eq!(offence_of_attempt(&AttemptError::Lied(Box::new(deviation))), Some(Offence::Lied));
        let other = OtherBytes { path, position: 0, expected, got };
        assert_eq!(offence_of_fetch(&other.into()), Some(Offence::Lied));
    }

    #[test]
    fn a_source_is_penalised_for_what_it_says_and_not_for_being_gone() {
        let totals = || WireError::Totals { what: "bytes", expected: 1, got: 2 };
        let broken = Some(Offence::BrokeProtocol);
        assert_eq!(offence_of_attempt(&totals().into()), broken);
        assert_eq!(offence_of_fetch(&totals().into()), broken);
        let sum = Checksum::of(b"a");
        let damaged = || ContentError::Checksum { path: "a".to_owned(), expected: sum, got: sum };
        assert_eq!(offence_of_attempt(&AttemptError::Content(damaged())), broken);
        assert_eq!(offence_of_fetch(&FetchError::Content(damaged())), broken);
        for error in
            [WireError::Closed, WireError::NotLanspread, WireError::Connect(io::ErrorKind::NotFound.into())]
        {
            assert_eq!(offence_of_attempt(&error.into()), None);
        }
        assert_eq!(offence_of_attempt(&AttemptError::TooSlow), None);
        let full = LocalError::io("create", "/games/g")(io::ErrorKind::StorageFull.into());
        assert_eq!(offence_of_attempt(&AttemptError::Unfit(full)), None);
        let changed = ContentError::Sentinel { expected: "1".parse().unwrap() };
        assert_eq!(offence_of_fetch(&FetchError::Content(changed)), None);
    }
}
