//! The frame of an attempt, whatever fills its queue: it begins, lets the content be checked and staged while it comes,
//! and commits, or rolls everything back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanspread_archive::SinkError;
use lanspread_store::install::replace::refuse_user_files;
use lanspread_store::install::staging::StagingSink;
use lanspread_store::install::transaction::{InstallOrigin, Transaction};
use lanspread_store::install::tree_repair::TreeRepair;
use lanspread_store::state::booking::Booking;
use lanspread_tls::endpoint::Endpoint;
use lanspread_trust::manifest::{Deviation, ManifestCheck, ManifestFile};
use lanspread_types::content::Totals;
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::GameVersion;
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::receive::blame::{Blame, blame};
use crate::receive::error::AttemptError;
use crate::receive::patience::Patience;
use crate::receive::staging_queue::{
    CheckingStage, StagingReceiver, StagingSender, check, stage, staging_queue,
};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::traffic::Downlink;
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
    /// What is wrong with the installed tree, if nothing else is taken.
    pub(crate) repair: Option<TreeInRepair>,
    pub(crate) ours: Endpoint,
    /// How long a source may send nothing before it is given up.
    pub(crate) idle_timeout: Duration,
    /// How long the install waits for a place.
    pub(crate) patience: Patience,
    /// Counts and limits what it receives.
    pub(crate) downlink: Downlink,
    /// The largest dictionary that an archive may need that is decoded here.
    pub(crate) dictionary_bytes_max: u64,
    pub(crate) events: EventSender,
    pub(crate) cancel: CancellationToken,
}

/// A tree that is repaired from a stream of the whole game.
pub(crate) struct TreeInRepair {
    pub(crate) tree: Arc<TreeRepair>,
    /// Bytes of content that came in all attempts.
    pub(crate) came_bytes: Arc<AtomicU64>,
}

/// The ends of the queue that the threads of an attempt take from.
pub(crate) struct QueueEnds {
    checking: Option<CheckingStage>,
    staging: StagingReceiver,
}

impl AttemptContext {
    /// An empty queue of an attempt. What is in it is compared with the manifest, if there is one.
    pub(crate) fn queue(&self) -> (StagingSender, QueueEnds) {
        let (steps, checking, staging) = staging_queue(self.manifest.is_some());
        (steps, QueueEnds { checking, staging })
    }
}

/// Runs one attempt. `filling` fills the queue with the whole content of the game, and lets go of it at its end. On success
/// the game is installed; on failure nothing of the attempt is left.
pub(crate) async fn staged_attempt(
    context: &AttemptContext,
    source: &PeerOffer,
    queue: QueueEnds,
    filling: impl Future<Output = Result<(), AttemptError>>,
) -> Result<Totals, AttemptError> {
    let (transaction, sink) = begin(context, source).await?;
    let received = transfer(context, queue, filling, sink).await;
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
    let repair = context.repair.as_ref().map(|repair| Arc::clone(&repair.tree));
    let begin = context.locked.run("begin", move |games, game, _| match repair {
        None => Ok(Transaction::begin(games, game, &origin, policy, replaces)?),
        Some(repair) => {
            Transaction::begin_repair(games, game, &repair, policy).map_err(AttemptError::of_store)
        }
    });
    begin.await
}

/// Stages everything that fills the queue, and waits until the threads that compare and stage have ended.
async fn transfer(
    context: &AttemptContext,
    queue: QueueEnds,
    filling: impl Future<Output = Result<(), AttemptError>>,
    sink: StagingSink,
) -> Result<Totals, AttemptError> {
    let QueueEnds { checking, staging } = queue;
    let wanted = context.repair.as_ref().map(|repair| repair.tree.staged());
    let staged = context.locked.run("staging", move |games, game, _| {
        let book = |totals| Booking::take(games, game, wanted.unwrap_or(totals));
        let staged = stage(sink, staging, book).and_then(|mut sink| {
            if wanted.is_some() {
                sink.stage_own()?;
                sink.make_folders()?;
            }
            // Files that wait may still fail; and what is left of the sink may be dropped on any thread.
            sink.settle()?;
            Ok(sink)
        });
        Ok::<_, AttemptError>(staged)
    });
    let checked = async {
        let (Some(stage), Some(manifest)) = (checking, &context.manifest) else { return Ok(Ok(None)) };
        let checker = ManifestCheck::new(manifest.shared());
        let check = move || check(stage, checker).map(Some);
        context.locked.run("check", move |_, _, _| Ok::<_, AttemptError>(check())).await
    };
    let (staged, checked, received) = tokio::join!(staged, checked, filling);
    let (staged, checked) = (staged?, checked?);
    if let (Some(repair), Ok(sink)) = (&context.repair, &staged) {
        repair.came_bytes.fetch_add(sink.came_bytes(), Ordering::Relaxed);
    }
    // If it is this machine that failed, no other source can help, whatever this one sent.
    if !matches!(&staged, Err(SinkError::Local(error)) if blame(error) == Blame::Machine) {
        lie(checked, received.is_ok())?;
    }
    match (staged, received) {
        (Ok(sink), Ok(())) if sink.missing().is_some() => {
            Err(sink.missing().map_or(AttemptError::ThreadStopped, AttemptError::Content))
        }
        (Ok(sink), Ok(())) => context.locked.run("receipt", move |_, _, _| Ok(sink.complete()?)).await,
        (Err(SinkError::Content(error)), _) => Err(AttemptError::Content(error)),
        (Err(SinkError::Local(error)), _) => Err(AttemptError::of_staging(error)),
        (Err(SinkError::Closed), Ok(())) => Err(AttemptError::ThreadStopped),
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
