//! Unpacks the entries of a tree that are wrong from archives on this machine, and puts them in their places.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use lanspread_archive::list::list;
use lanspread_archive::provider::{ArchiveProvider, EntrySink};
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError};
use lanspread_types::content::{EntryStep, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::install::staging::StagingSink;
use crate::install::transaction::Transaction;
use crate::install::tree_repair::TreeRepair;
use crate::state::booking::Booking;
use crate::state::games_dir::GamesDir;

/// One repair of the installed tree of a locked game from archives on this machine.
pub struct UnpackRepair {
    /// The games directory.
    pub games: Arc<GamesDir>,
    /// Which game.
    pub game: GameId,
    /// What is wrong.
    pub repair: Arc<TreeRepair>,
    /// Archives that have it. Those of the game root are whole; others may have holes.
    pub archives: Vec<ArchiveSet>,
    /// Decodes them.
    pub provider: Arc<dyn ArchiveProvider>,
    /// Cancels the repair, which then returns soon and leaves the tree as it was.
    pub cancel: CancellationToken,
}

/// Replaces what is wrong, and returns what was replaced. Runs on a blocking thread. `progress` is told how many bytes of
/// how many were written.
///
/// # Errors
/// [`StoreError::Archive`] if an archive cannot be decoded or has something else; [`StoreError::Cancelled`]; failures of
/// this machine's disk. The tree is then as it was.
pub fn unpack(repair: &UnpackRepair, progress: impl FnMut(u64, u64) + 'static) -> Result<Totals, StoreError> {
    let UnpackRepair { games, game, .. } = repair;
    let staged = repair.repair.staged();
    let booking = Booking::take(games, game, staged)?;
    // Names were accepted when the tree was installed.
    let (transaction, mut staging) =
        Transaction::begin_repair(games, game, &repair.repair, NamePolicy::Native)?;
    staging.announce(staged, booking);
    let sink = CountingSink { staging, progress, bytes: 0, bytes_total: staged.bytes, reported: None };
    match repair.fill(sink).and_then(|staging| Ok(staging.complete()?)) {
        Ok(totals) => {
            transaction.commit()?;
            Ok(totals)
        }
        Err(error) => {
            transaction.roll_back_or_log();
            Err(error)
        }
    }
}

impl UnpackRepair {
    fn fill<P: FnMut(u64, u64) + 'static>(&self, sink: CountingSink<P>) -> Result<StagingSink, StoreError> {
        let sink = Rc::new(RefCell::new(sink));
        if self.repair.needs_source() {
            let (listed, _) = list(self.provider.as_ref(), &self.archives, &self.cancel)
                .map_err(|error| self.failed(error))?;
            let wanted = self.repair.wanted();
            for archive in listed.into_iter().filter(|archive| archive.listing().has_any(&wanted)) {
                let extracted =
                    archive.extract_some(self.provider.as_ref(), &wanted, sink.clone(), &self.cancel);
                extracted.map_err(|error| self.failed(error))?;
            }
        }
        let Some(sink) = Rc::into_inner(sink).map(RefCell::into_inner) else {
            return Err(StoreError::Internal("the decoder kept the staging folder".to_owned()));
        };
        let mut staging = sink.staging;
        staging.stage_own().map_err(|error| self.failed(error.into()))?;
        staging.make_folders().map_err(|error| self.failed(error.into()))?;
        if let Some(missing) = staging.missing() {
            return Err(self.failed(ArchiveError::Sink(SinkError::Content(missing))));
        }
        if self.cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        Ok(staging)
    }

    fn failed(&self, error: ArchiveError) -> StoreError {
        match error {
            ArchiveError::Cancelled => StoreError::Cancelled,
            ArchiveError::Sink(SinkError::Local(error)) => error.into(),
            source => StoreError::Archive { game: self.game.clone(), source },
        }
    }
}

/// The staging sink, with reports of its progress.
struct CountingSink<P> {
    staging: StagingSink,
    progress: P,
    bytes: u64,
    bytes_total: u64,
    reported: Option<Instant>,
}

impl<P: FnMut(u64, u64)> EntrySink for CountingSink<P> {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        let bytes = match &step {
            EntryStep::Data(bytes) => bytes.len() as u64,
            EntryStep::Copy(copy) => copy.size,
            _ => 0,
        };
        self.staging.take(step)?;
        self.bytes = (self.bytes + bytes).min(self.bytes_total);
        let is_due = self.reported.is_none_or(|at| at.elapsed() >= limits::PROGRESS_INTERVAL);
        if bytes > 0 && (is_due || self.bytes == self.bytes_total) {
            self.reported = Some(Instant::now());
            (self.progress)(self.bytes, self.bytes_total);
        }
        Ok(())
    }
}
