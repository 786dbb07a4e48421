//! The progress of one attempt, as events.

use lanspread_types::content::{ArchiveSummary, Totals};
use lanspread_types::ids::{GameId, PeerName};
use lanspread_types::limits;
use tokio::time::Instant;

use crate::receive::staged_attempt::AttemptContext;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::trust::select::PeerOffer;

/// Reports the progress of one attempt: at intervals, and at its end if bytes have arrived since the last report.
pub(crate) struct AttemptProgress {
    game: GameId,
    peer: PeerName,
    events: EventSender,
    bytes: u64,
    bytes_total: u64,
    reported: Option<(Instant, u64)>,
}

impl AttemptProgress {
    pub(crate) fn new(context: &AttemptContext, source: &PeerOffer) -> Self {
        let (game, peer) = (context.locked.game().clone(), source.name.clone());
        Self { game, peer, events: context.events.clone(), bytes: 0, bytes_total: 0, reported: None }
    }

    fn report(&mut self) {
        self.reported = Some((Instant::now(), self.bytes));
        self.events.report(PeerEvent::StreamProgress {
            game: self.game.clone(),
            peer: self.peer.clone(),
            bytes: self.bytes,
            bytes_total: self.bytes_total,
        });
    }

    /// The attempt has ended.
    pub(crate) fn finish(&mut self) {
        let is_news = self.reported.is_none_or(|(_, bytes)| bytes != self.bytes);
        if self.bytes > 0 && is_news {
            self.report();
        }
    }

    /// The totals are known.
    pub(crate) fn announced(&mut self, totals: Totals) {
        self.bytes_total = totals.bytes;
    }

    /// An archive begins.
    pub(crate) fn archive(&mut self, archive: &ArchiveSummary) {
        let event = PeerEvent::archive_begin(&self.game, &self.peer, archive);
        self.events.report(event);
    }

    /// So many bytes have come so far.
    pub(crate) fn progress(&mut self, bytes: u64) {
        self.bytes = bytes;
        let due = self.reported.is_none_or(|(at, _)| at.elapsed() >= limits::PROGRESS_INTERVAL);
        if bytes > 0 && due {
            self.report();
        }
    }
}
