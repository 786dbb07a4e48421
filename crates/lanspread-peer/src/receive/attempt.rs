//! One attempt: tries a whole stream from one source. It begins, receives, verifies and commits, or rolls everything
//! back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lanspread_archive::SinkError;
use lanspread_archive::set::ArchiveSet;
use lanspread_proto::grammar::StreamGrammar;
use lanspread_proto::queued::QueuePosition;
use lanspread_store::install::replace::refuse_user_files;
use lanspread_store::install::staging::StagingSink;
use lanspread_store::install::transaction::{InstallOrigin, Transaction};
use lanspread_store::state::booking::Booking;
use lanspread_tls::endpoint::Endpoint;
use lanspread_trust::manifest::{Deviation, ManifestCheck, ManifestFile};
use lanspread_types::content::{ArchiveSummary, RootFile, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::fault::ContentError;
use lanspread_types::ids::GameVersion;
use lanspread_types::layout::is_archive_name;
use lanspread_types::limits;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::receive::attempt_order::NextAttempt;
use crate::receive::blame::{Blame, blame};
use crate::receive::error::AttemptError;
use crate::receive::patience::{Patience, QueueReports};
use crate::receive::staging_queue::{StagingSender, check, stage, staging_queue};
use crate::receive::stream::{StreamObserver, receive};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::queued::QueuedAt;
use crate::transport::dial::dial;
use crate::trust::select::PeerOffer;

/// What all attempts of one install share.
pub(crate) struct AttemptContext {
    pub(crate) locked: LockedGame,
    pub(crate) version: GameVersion,
    pub(crate) policy: NamePolicy,
    /// Nothing counts but this, if there is one.
    pub(crate) manifest: Option<Arc<ManifestFile>>,
    /// Whether there is an installed tree, which the new one replaces.
    pub(crate) replaces: bool,
    /// Whether files of the user in the installed tree may be lost.
    pub(crate) force: bool,
    pub(crate) ours: Endpoint,
    /// How long a source may send nothing before it is given up.
    pub(crate) idle_timeout: Duration,
    /// How long the install waits for a place.
    pub(crate) patience: Patience,
    pub(crate) events: EventSender,
    pub(crate) cancel: CancellationToken,
}

/// Tries one source. On success the game is installed; on failure nothing of the attempt is left. `next` says when the
/// source is left for another one.
pub(crate) async fn attempt(
    context: &AttemptContext,
    source: &PeerOffer,
    next: NextAttempt,
) -> Result<Totals, AttemptError> {
    let (transaction, sink) = begin(context, source).await?;
    let received = transfer(context, source, next, sink).await;
    if let Ok(totals) = &received {
        let (game, bytes) = (context.locked.game().clone(), totals.bytes);
        context.events.report(PeerEvent::Finishing { game, bytes });
    }
    let looks_again = context.replaces && !context.force;
    let ended = context.locked.run("commit", move |games, game, _| {
        // The last check for files of the user is as late as possible: they may save while the stream runs.
        let complete = received.and_then(|totals| {
            if looks_again {
                refuse_user_files(games, game).map_err(AttemptError::Refused)?;
            }
            Ok(totals)
        });
        match complete {
            Ok(totals) => Ok(transaction.commit().map(|()| totals)?),
            Err(error) => {
                transaction.roll_back_or_log();
                Err(error)
            }
        }
    });
    ended.await
}

async fn begin(
    context: &AttemptContext,
    source: &PeerOffer,
) -> Result<(Transaction, StagingSink), AttemptError> {
    let origin = InstallOrigin {
        version: context.version.clone(),
        source: source.name.clone(),
        source_id: source.id,
        manifest: context.manifest.clone(),
    };
    let (policy, replaces) = (context.policy, context.replaces);
    let begin = context
        .locked
        .run("begin", move |games, game, _| Ok(Transaction::begin(games, game, &origin, policy, replaces)?));
    begin.await
}

/// Receives the whole stream into staging and waits until the threads that compare and stage have ended.
async fn transfer(
    context: &AttemptContext,
    source: &PeerOffer,
    next: NextAttempt,
    sink: StagingSink,
) -> Result<Totals, AttemptError> {
    let (steps, stage_of_check, queue) = staging_queue(context.manifest.is_some());
    let mut progress = AttemptProgress::new(context, source, next);
    let receiving = async {
        // Both branches drop the sender of the channel, so the staging thread ends too.
        let received = tokio::select! {
            received = request(context, source, next, steps, &mut progress) => received,
            () = context.cancel.cancelled() => Err(AttemptError::Cancelled),
        };
        progress.finish();
        received
    };
    let staging = context.locked.run("staging", move |games, game, _| {
        let book = |totals| Booking::take(games, game, totals);
        let staged = stage(sink, queue, book).and_then(|mut sink| {
            // Files that wait may still fail; and what is left of the sink may be dropped on any thread.
            sink.settle()?;
            Ok(sink)
        });
        Ok::<_, AttemptError>(staged)
    });
    let checking = async {
        let (Some(stage), Some(manifest)) = (stage_of_check, &context.manifest) else { return Ok(Ok(None)) };
        let checker = ManifestCheck::new(manifest.shared());
        let check = move || check(stage, checker).map(Some);
        context.locked.run("check", move |_, _, _| Ok::<_, AttemptError>(check())).await
    };
    let (staged, checked, received) = tokio::join!(staging, checking, receiving);
    let (staged, checked) = (staged?, checked?);
    // If it is this machine that failed, no other source can help, whatever this one sent.
    if !matches!(&staged, Err(SinkError::Local(error)) if blame(error) == Blame::Machine) {
        lie(checked, received.is_ok())?;
    }
    match (staged, received) {
        (Ok(sink), Ok(())) => context.locked.run("receipt", move |_, _, _| Ok(sink.complete()?)).await,
        (Err(SinkError::Content(error)), _) => Err(AttemptError::Content(error)),
        (Err(SinkError::Local(error)), _) => Err(AttemptError::of_staging(error)),
        (Err(SinkError::Closed), Ok(())) => Err(AttemptError::StagingStopped),
        (Ok(_) | Err(SinkError::Closed), Err(error)) => Err(error),
    }
}

/// Fails if the thread that compares found something that is not as listed, or if the stream is complete and something
/// that is listed has not come.
fn lie(checked: Result<Option<ManifestCheck>, Deviation>, is_complete: bool) -> Result<(), AttemptError> {
    let verdict = checked.and_then(|seen| match seen {
        Some(seen) if is_complete => seen.complete(),
        _ => Ok(()),
    });
    verdict.map_err(|deviation| AttemptError::Lied(Box::new(deviation)))
}

async fn request(
    context: &AttemptContext,
    source: &PeerOffer,
    next: NextAttempt,
    steps: StagingSender,
    progress: &mut AttemptProgress<'_>,
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
    receive(&mut dialled.connection, grammar, context.policy, next.another_waits, steps, progress).await
}

/// The names of the archives that a validated list of files is about.
fn archives(files: &[RootFile]) -> Result<Vec<String>, AttemptError> {
    let names = files.iter().map(|file| file.name.as_str()).filter(|name| is_archive_name(name));
    let sets = ArchiveSet::group(Path::new(""), names)
        .map_err(|gap| AttemptError::Content(ContentError::RootFiles(gap.to_string())))?;
    Ok(sets.iter().map(|set| set.name().to_owned()).collect())
}

/// Reports the progress of one attempt: at intervals, and at its end if bytes have arrived since the last report.
struct AttemptProgress<'a> {
    context: &'a AttemptContext,
    source: &'a PeerOffer,
    next: NextAttempt,
    queue_reports: QueueReports,
    bytes: u64,
    bytes_total: u64,
    reported: Option<(Instant, u64)>,
}

impl<'a> AttemptProgress<'a> {
    fn new(context: &'a AttemptContext, source: &'a PeerOffer, next: NextAttempt) -> Self {
        let queue_reports = QueueReports::default();
        Self { context, source, next, queue_reports, bytes: 0, bytes_total: 0, reported: None }
    }

    fn report(&mut self) {
        self.reported = Some((Instant::now(), self.bytes));
        self.context.events.report(PeerEvent::StreamProgress {
            game: self.context.locked.game().clone(),
            peer: self.source.name.clone(),
            bytes: self.bytes,
            bytes_total: self.bytes_total,
        });
    }

    fn finish(&mut self) {
        let is_news = self.reported.is_none_or(|(_, bytes)| bytes != self.bytes);
        if self.bytes > 0 && is_news {
            self.report();
        }
    }
}

impl StreamObserver for AttemptProgress<'_> {
    fn queued(&mut self, position: QueuePosition) -> Result<Option<Instant>, AttemptError> {
        let is_first = self.queue_reports.is_first();
        if self.queue_reports.is_due(position, Instant::now()) {
            self.context.events.report(PeerEvent::Queued(QueuedAt {
                game: self.context.locked.game().clone(),
                peer: self.source.name.clone(),
                ahead: position.ahead,
                in_ms: position.in_ms,
            }));
        }
        // One that has begun to wait stays: it would begin again elsewhere.
        let leaves = is_first && self.next.leaves_queue(position);
        if leaves || self.context.patience.is_over() {
            return Err(AttemptError::NoPlace(position));
        }
        Ok(self.context.patience.until())
    }

    fn announced(&mut self, totals: Totals) {
        self.bytes_total = totals.bytes;
    }

    fn archive(&mut self, archive: &ArchiveSummary) {
        let event = PeerEvent::archive_begin(self.context.locked.game(), &self.source.name, archive);
        self.context.events.report(event);
    }

    fn progress(&mut self, bytes: u64) {
        self.bytes = bytes;
        let due = self.reported.is_none_or(|(at, _)| at.elapsed() >= limits::PROGRESS_INTERVAL);
        if bytes > 0 && due {
            self.report();
        }
    }
}
