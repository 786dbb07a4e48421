//! Fetches parts of root files for a repair, and puts those of downloaded files in their places.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use lanspread_store::download::partials::{RepairKind, RepairParts};
use lanspread_store::download::{commit, partials};
use lanspread_store::repair::RootRepair;
use lanspread_store::state::booking::Booking;
use lanspread_types::content::Totals;
use lanspread_types::limits;

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::download_sources::DownloadSources;
use crate::peer::error::PeerError;
use crate::peer::repair::{Repaired, same_files};
use crate::receive::chunk_writer::DownloadTarget;
use crate::receive::fetch::Dialling;
use crate::receive::patience::Patience;
use crate::receive::session::TransferContext;
use crate::receive::transfer::transfer;
use crate::report::download::DownloadBegin;
use crate::report::event::PeerEvent;
use crate::report::source_share::SourceShare;

/// Parts that are here.
pub(super) struct FetchedParts {
    pub(super) target: Arc<DownloadTarget>,
    pub(super) shares: Vec<SourceShare>,
}

impl Peer {
    /// Repairs the downloaded files.
    pub(super) async fn repair_root(
        &self,
        context: &OperationContext,
        locked: &LockedGame,
        mut root: RootRepair,
        repaired: &mut Repaired,
    ) -> Result<(), PeerError> {
        let game = &context.game;
        let sources = self.repair_sources(context, root.version()).await?;
        if let Some(listed) = sources.listed.clone() {
            let refining = locked.run("refine", move |_, _, cancel| {
                root.refine(&listed, cancel)?;
                Ok::<_, PeerError>(root)
            });
            root = refining.await?;
        }
        same_files(game, &root, &sources.files)?;
        let parts = Arc::new(root.parts());
        let FetchedParts { target, shares } =
            self.fetch_parts(context, locked, Arc::clone(&parts), sources).await?;
        repaired.bytes += parts.bytes();
        repaired.fetched(shares);
        let fetched = Arc::clone(&target);
        let checking = locked.run("check", move |games, game, cancel| {
            let checked = root.check_fetched(game, &fetched.partials, &fetched.journal().record, cancel);
            if checked.is_err() {
                partials::discard(games, game)?;
            }
            Ok::<_, PeerError>(checked?)
        });
        checking.await?;
        // From here on no new transfer gets the files; those that read them may finish.
        let quiesce = self.inner.source.readers.quiesce(game, limits::QUIESCE_DEADLINE);
        let Some(quiet) = context.cancel.run_until_cancelled(quiesce).await else {
            return Err(PeerError::Cancelled);
        };
        let putting = locked.run("repair", move |games, game, _| {
            let mut journal = target.journal();
            let put = commit::begin(games, game, &mut journal)
                .and_then(|()| commit::promote(games, game, &journal.record))
                .and_then(|()| commit::finish(games, game, &mut journal));
            drop(quiet);
            Ok::<_, PeerError>(put?)
        });
        putting.await
    }

    /// Fetches parts of root files from all sources at once, into a folder of their own. What has arrived of downloaded
    /// files is kept if it fails, for the next repair.
    pub(super) async fn fetch_parts(
        &self,
        context: &OperationContext,
        locked: &LockedGame,
        parts: Arc<RepairParts>,
        sources: DownloadSources,
    ) -> Result<FetchedParts, PeerError> {
        let DownloadSources { sources, listed, .. } = sources;
        let (wanted, list) = (Arc::clone(&parts), listed.clone());
        let preparing = locked.run("prepare", move |games, game, cancel| {
            let (partials, journal) = partials::prepare_repair(games, game, &wanted, list.as_ref(), cancel)?;
            let missing = journal.record.missing_bytes();
            let files = wanted.is_made.iter().filter(|is_made| **is_made).count() as u64;
            let booking = match Booking::take(games, game, Totals { files, directories: 1, bytes: missing }) {
                Ok(booking) => booking,
                Err(error) => {
                    partials::discard(games, game)?;
                    return Err(PeerError::from(error));
                }
            };
            let (journal, written_bytes) = (Mutex::new(journal), AtomicU64::new(0));
            let target = DownloadTarget { partials, journal, booking: Some(booking), written_bytes };
            Ok::<_, PeerError>((Arc::new(target), missing))
        });
        let (target, missing) = preparing.await?;
        let bytes_total: u64 = parts.files.iter().map(|file| file.size).sum();
        context.events.report(PeerEvent::DownloadBegin(DownloadBegin {
            game: context.game.clone(),
            version: parts.version.clone(),
            sources: sources.iter().map(|source| source.name().clone()).collect(),
            files: parts.files.len() as u64,
            bytes_total,
            bytes_kept: bytes_total - missing,
        }));
        let fetched = transfer(TransferContext {
            game: context.game.clone(),
            version: parts.version.clone(),
            files: parts.files.clone(),
            sources,
            target: Arc::clone(&target),
            listed,
            locked: Some(locked.clone()),
            connect: Dialling {
                ours: self.endpoint(),
                idle_timeout: self.inner.idle_timeout,
                downlink: self.inner.source.traffic.downlink(),
                offences: self.offences(&context.game, &context.events),
                tasks: self.inner.tasks.clone(),
            },
            patience: Patience::new(context.options.wait),
            events: context.events.clone(),
            tasks: self.inner.tasks.clone(),
            cancel: context.cancel.clone(),
        })
        .await;
        match fetched {
            Ok(shares) => Ok(FetchedParts { target, shares }),
            Err(error) => {
                let is_kept = parts.kind == RepairKind::Download;
                let keeping = locked.run("keep", move |games, game, _| {
                    if !is_kept || target.journal().record.here_bytes() == 0 {
                        partials::discard(games, game)?;
                    }
                    Ok::<_, PeerError>(())
                });
                keeping.await.unwrap_or_else(|error| {
                    let game = &context.game;
                    tracing::warn!("{game}: the rest of the repair is left to the next command: {error}");
                });
                Err(error.into())
            }
        }
    }
}
