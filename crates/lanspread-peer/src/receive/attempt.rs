//! One attempt at a stream of entries: tries a whole stream from one source.

use std::path::Path;

use lanspread_archive::set::ArchiveSet;
use lanspread_proto::grammar::StreamGrammar;
use lanspread_proto::queued::QueuePosition;
use lanspread_types::content::{ArchiveSummary, RootFile, Totals};
use lanspread_types::fault::ContentError;
use lanspread_types::layout::is_archive_name;
use tokio::time::Instant;

use crate::receive::attempt_order::NextAttempt;
use crate::receive::attempt_progress::AttemptProgress;
use crate::receive::error::AttemptError;
use crate::receive::patience::{QueueMoves, QueueReports};
pub(crate) use crate::receive::staged_attempt::AttemptContext;
use crate::receive::staged_attempt::staged_attempt;
use crate::receive::staging_queue::StagingSender;
use crate::receive::stream::{StreamObserver, receive};
use crate::report::event::PeerEvent;
use crate::report::queued::QueuedAt;
use crate::traffic::TrafficKind;
use crate::transport::dial::dial;
use crate::trust::select::PeerOffer;

/// Tries one source. On success the game is installed; on failure nothing of the attempt is left. `next` says when the
/// source is left for another one.
pub(crate) async fn attempt(
    context: &AttemptContext,
    source: &PeerOffer,
    next: NextAttempt,
) -> Result<Totals, AttemptError> {
    let (steps, queue) = context.queue();
    let progress = AttemptProgress::new(context, source);
    let queue_reports = QueueReports::default();
    let mut observer =
        Observer { context, source, next, queue_reports, moves: QueueMoves::default(), progress };
    let receiving = async {
        // Both branches drop the sender of the queue, so the staging thread ends too.
        let received = tokio::select! {
            received = request(context, source, next, steps, &mut observer) => received,
            () = context.cancel.cancelled() => Err(AttemptError::Cancelled),
        };
        observer.progress.finish();
        received
    };
    staged_attempt(context, source, queue, receiving).await
}

async fn request(
    context: &AttemptContext,
    source: &PeerOffer,
    next: NextAttempt,
    steps: StagingSender,
    observer: &mut Observer<'_>,
) -> Result<(), AttemptError> {
    let mut dialled = dial(&source.address.into(), &context.ours, Some(source.id)).await?;
    dialled.connection.set_idle_timeout(context.idle_timeout);
    let (game, version) = (context.locked.game(), &context.version);
    match source.entries {
        None => dialled.stream_install(game, version).await?,
        // Nothing but the manifest says what these files are.
        Some(manifest) if context.manifest.as_ref().is_some_and(|known| known.digest() == manifest) => {
            dialled.stream_entries(game, version, manifest).await?;
        }
        Some(_) => {
            let reason = "the catalog names another manifest than when the peers were asked".to_owned();
            return Err(AttemptError::Content(ContentError::RootFiles(reason)));
        }
    }
    let grammar = StreamGrammar::of_archives(archives(&source.files)?);
    let (waits, meter) = (next.another_waits, context.downlink.meter(TrafficKind::Stream));
    receive(&mut dialled.connection, grammar, context.policy, waits, steps, meter, observer).await
}

/// The names of the archives that a validated list of files is about.
fn archives(files: &[RootFile]) -> Result<Vec<String>, AttemptError> {
    let names = files.iter().map(|file| file.name.as_str()).filter(|name| is_archive_name(name));
    let sets = ArchiveSet::group(Path::new(""), names)
        .map_err(|gap| AttemptError::Content(ContentError::RootFiles(gap.to_string())))?;
    Ok(sets.iter().map(|set| set.name().to_owned()).collect())
}

/// What one attempt hears of its stream.
struct Observer<'a> {
    context: &'a AttemptContext,
    source: &'a PeerOffer,
    next: NextAttempt,
    queue_reports: QueueReports,
    moves: QueueMoves,
    progress: AttemptProgress,
}

impl StreamObserver for Observer<'_> {
    fn queued(&mut self, position: QueuePosition) -> Result<Option<Instant>, AttemptError> {
        let (is_first, now) = (self.queue_reports.is_first(), Instant::now());
        if self.queue_reports.is_due(position, now) {
            self.context.events.report(PeerEvent::Queued(QueuedAt {
                game: self.context.locked.game().clone(),
                peer: self.source.name.clone(),
                peer_id: Some(self.source.id),
                ahead: position.ahead,
                in_ms: position.in_ms,
                receivers: None,
            }));
        }
        // One that has begun to wait stays as long as the queue moves: it would begin again elsewhere.
        let leaves = is_first && self.next.leaves_queue(position);
        if leaves || self.context.patience.is_over() {
            return Err(AttemptError::NoPlace(position));
        }
        let until = self.next.stays.map(|stays| self.moves.until(position, stays, now));
        Ok([self.context.patience.until(), until].into_iter().flatten().min())
    }

    fn announced(&mut self, totals: Totals) {
        self.progress.announced(totals);
    }

    fn archive(&mut self, archive: &ArchiveSummary) {
        self.progress.archive(archive);
    }

    fn progress(&mut self, bytes: u64) {
        self.progress.progress(bytes);
    }
}
