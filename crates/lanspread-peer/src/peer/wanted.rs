//! Operations that outlive the daemon which was asked for them.
//!
//! A daemon writes a file before it accepts an operation, and removes it when the operation has ended: when it is done, has
//! failed, or was cancelled by a client. What a stopped or killed daemon leaves is done again at the next start, in the order
//! of the requests, once the peer serves. An operation that began [`limits::WANTED_STARTS_MAX`] times in runs that did not
//! stop by themselves is dropped. One that finds no source after a start is tried again for [`limits::RESUME_PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::wanted;
use lanspread_types::limits;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::operations::{
    OperationContext, OperationEnding, OperationHandle, OperationsError, Perform, Performing, Submission,
};
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::wanted_files::WantedOperations;
use crate::report::event::PeerEvent;
use crate::report::failure::{ErrorCategory, OperationFailure};
use crate::report::operation::{OperationKind, OperationRequest};
use crate::report::wanted_operation::{DroppedOperation, RetriedOperation, WantedOperation};

impl Peer {
    /// From now on operations that are submitted with [`Self::submit_wanted`] outlive this peer, which owns its games
    /// directory. Reads what an earlier run has left.
    ///
    /// # Errors
    /// [`PeerError::Local`] if it cannot be read.
    pub(crate) async fn keep_operations(&self) -> Result<(), PeerError> {
        let games_dir = self.inner.games_dir.clone();
        let wanted = self.blocking("wanted", move || Ok(WantedOperations::read(&games_dir)?)).await?;
        let _ = self.inner.wanted.set(wanted);
        Ok(())
    }

    /// Requests an operation as [`Self::submit`] does. If this peer keeps operations, it is on disk before it is accepted.
    ///
    /// # Errors
    /// [`OperationsError`]; [`LocalError`] if the file cannot be written although there is space.
    pub(crate) async fn submit_wanted(
        &self,
        request: OperationRequest,
    ) -> Result<OperationHandle, OperationFailure> {
        let Some(wanted) = self.inner.wanted.get().filter(|_| outlives(request.kind)) else {
            return Ok(self.submit(request)?);
        };
        let number = wanted.next_number();
        let file = WantedOperation::new(request);
        if !self.write_wanted(number, &file).await? {
            return Ok(self.submit(file.request)?);
        }
        match self.submit_kept(number, file, None) {
            Ok(handle) if !handle.joined() => Ok(handle),
            // What it joined has a file, or needs none.
            other => {
                self.remove_wanted(number).await;
                Ok(other?)
            }
        }
    }

    /// Does again what an earlier run has left.
    pub(super) async fn resume_operations(&self) {
        let Some(wanted) = self.inner.wanted.get() else { return };
        let left = wanted.take_left();
        let until = Instant::now() + limits::RESUME_PATIENCE;
        for (number, file) in left {
            if file.starts >= limits::WANTED_STARTS_MAX {
                let OperationRequest { kind, game, .. } = file.request;
                let dropped = DroppedOperation { kind, game, starts: file.starts };
                self.inner.events.report(PeerEvent::OperationDropped(dropped));
                self.remove_wanted(number).await;
                continue;
            }
            match self.submit_kept(number, file, Some(until)) {
                Ok(handle) if !handle.joined() => {}
                Ok(_) => self.remove_wanted(number).await,
                Err(error) => tracing::warn!("an operation is left to the next start: {error}"),
            }
        }
    }

    fn submit_kept(
        &self,
        number: u64,
        file: WantedOperation,
        resumed_until: Option<Instant>,
    ) -> Result<OperationHandle, OperationsError> {
        let (ended, ending) = oneshot::channel();
        let request = file.request.clone();
        let kept = Kept { peer: self.clone(), number, file: file.clone(), resumed_until };
        let submission = Submission {
            request,
            performer: Arc::new(kept),
            resumed: resumed_until.is_some(),
            ended: Some(ended),
        };
        let handle = self.inner.operations.submit_as(submission)?;
        if !handle.joined() {
            let peer = self.clone();
            self.inner.tasks.spawn_contained("wanted operation", async move {
                match ending.await {
                    Ok(OperationEnding::Over) => peer.remove_wanted(number).await,
                    // This run stops by itself: what began in it is no crash.
                    Ok(OperationEnding::Stopped) => peer.rewrite_wanted(number, file.with_starts(0)).await,
                    Err(_) => {}
                }
            });
        }
        Ok(handle)
    }

    /// Writes the file of an operation. Returns false if the disk is full: what frees space must work then, and is lost with
    /// the daemon.
    async fn write_wanted(&self, number: u64, file: &WantedOperation) -> Result<bool, PeerError> {
        let (games_dir, bytes) = (self.inner.games_dir.clone(), file.encode());
        let OperationRequest { kind, game, .. } = &file.request;
        if bytes.len() as u64 > limits::WANTED_BYTES_MAX {
            tracing::warn!(
                "{kind} {game} does not outlive this daemon: its request has {} bytes",
                bytes.len()
            );
            return Ok(false);
        }
        let write = move || Ok(wanted::write(&GamesDir::open(&games_dir)?, number, &bytes)?);
        match self.blocking("wanted", write).await {
            Ok(()) => Ok(true),
            Err(PeerError::Local(error)) if error.is_disk_full() => {
                tracing::warn!("{kind} {game} does not outlive this daemon: {error}");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn rewrite_wanted(&self, number: u64, file: WantedOperation) {
        if let Err(error) = self.write_wanted(number, &file).await {
            tracing::warn!(
                "the file of {} {} stays as it was: {error}",
                file.request.kind,
                file.request.game
            );
        }
    }

    async fn remove_wanted(&self, number: u64) {
        let games_dir = self.inner.games_dir.clone();
        let remove = move || Ok(wanted::remove(&GamesDir::open(&games_dir)?, number)?);
        if let Err(error) = self.blocking("wanted", remove).await {
            tracing::warn!("an operation that has ended is done again at the next start: {error}");
        }
    }
}

/// Whether an operation means anything without the client that asked for it. The answer of `verify` is all there is of it.
fn outlives(kind: OperationKind) -> bool {
    kind != OperationKind::Verify
}

/// An operation with a file.
struct Kept {
    peer: Peer,
    number: u64,
    file: WantedOperation,
    /// Until when it is tried again if no source is there; none for one that a client has just asked for.
    resumed_until: Option<Instant>,
}

impl Perform for Kept {
    fn perform(&self, kind: OperationKind, context: OperationContext) -> Performing<'_> {
        Box::pin(async move {
            let (peer, number) = (&self.peer, self.number);
            let begun = self.file.clone().with_starts(self.file.starts.saturating_add(1));
            peer.rewrite_wanted(number, begun).await;
            let outcome = self.try_until_there(kind, context).await;
            if outcome.is_ok() || !peer.inner.operations.is_closed() {
                // Before a client hears of the end: what it was told is done is not done again.
                peer.remove_wanted(number).await;
            }
            outcome
        })
    }
}

impl Kept {
    async fn try_until_there(
        &self,
        kind: OperationKind,
        context: OperationContext,
    ) -> Result<(), OperationFailure> {
        loop {
            let failure = match self.peer.perform(kind, context.clone()).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let Some(wait) = next_try(self.resumed_until, &failure, Instant::now()) else {
                return Err(failure);
            };
            context.events.report(PeerEvent::OperationRetry(RetriedOperation {
                kind,
                game: context.game.clone(),
                code: failure.code.clone(),
                message: failure.message.clone(),
                retry_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            }));
            if context.cancel.run_until_cancelled(sleep(wait)).await.is_none() {
                return Err(PeerError::Cancelled.into());
            }
        }
    }
}

/// When an operation is tried again that an earlier run of the daemon was asked for: if it failed because no source was
/// there, and the time for that is not over. Pure.
pub(super) fn next_try(until: Option<Instant>, failure: &OperationFailure, now: Instant) -> Option<Duration> {
    let may_pass = matches!(failure.category, ErrorCategory::NotOffered | ErrorCategory::SourcesFailed);
    let until = until.filter(|_| may_pass)?;
    (now + limits::RESUME_RETRY_INTERVAL <= until).then_some(limits::RESUME_RETRY_INTERVAL)
}
