//! A download whose sources are chosen: what of it is here already, space for the rest, and disk work on it.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use lanspread_store::download::partials;
use lanspread_store::state::booking::Booking;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::{RootFile, Totals};
use lanspread_types::ids::{GameId, GameVersion};

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::error::PeerError;
use crate::receive::chunk_writer::DownloadTarget;
use crate::receive::transfer_source::TransferSource;
use crate::report::download::DownloadBegin;
use crate::report::event::PeerEvent;

/// A prepared download: which files it fetches, from which sources, and where to.
pub(super) struct Prepared {
    pub(super) locked: LockedGame,
    pub(super) version: GameVersion,
    /// The peers to use at once, and the servers after them.
    pub(super) sources: Vec<TransferSource>,
    pub(super) files: Vec<RootFile>,
    /// What a manifest lists about these files, if there is one.
    pub(super) listed: Option<ListedChunks>,
    pub(super) target: Arc<DownloadTarget>,
    /// Bytes that need not be fetched.
    pub(super) bytes_kept: u64,
}

/// Finds the chunks that have already arrived and books space for the rest.
pub(super) async fn prepare_download(
    context: &OperationContext,
    locked: LockedGame,
    version: GameVersion,
    sources: Vec<TransferSource>,
    files: Vec<RootFile>,
    listed: Option<ListedChunks>,
) -> Result<Prepared, PeerError> {
    let (wanted_version, wanted, chunks) = (version.clone(), files.clone(), listed.clone());
    let preparing = locked.run("prepare", move |games, game, cancel| {
        let (partials, journal) =
            partials::prepare(games, game, &wanted_version, &wanted, chunks.as_ref(), cancel)?;
        let bytes_kept = journal.record.here_bytes();
        let bytes: u64 = wanted.iter().map(|file| file.size).sum();
        let missing = Totals { files: wanted.len() as u64, directories: 1, bytes: bytes - bytes_kept };
        let booking = match Booking::take(games, game, missing) {
            Ok(booking) => Some(booking),
            Err(error) if bytes_kept == 0 => {
                partials::discard(games, game)?;
                return Err(PeerError::from(error));
            }
            Err(error) => return Err(error.into()),
        };
        let journal = Mutex::new(journal);
        let written_bytes = AtomicU64::new(0);
        Ok((Arc::new(DownloadTarget { partials, journal, booking, written_bytes }), bytes_kept))
    });
    let (target, bytes_kept) = preparing.await?;
    context.events.report(PeerEvent::DownloadBegin(DownloadBegin {
        game: context.game.clone(),
        version: version.clone(),
        sources: sources.iter().map(|source| source.name().clone()).collect(),
        files: files.len() as u64,
        bytes_total: files.iter().map(|file| file.size).sum(),
        bytes_kept,
    }));
    Ok(Prepared { locked, version, sources, files, listed, target, bytes_kept })
}

impl Prepared {
    /// The manifest by which chunks are proved, if nothing of the archives that it lists is here. What is here cannot be
    /// passed on: a download that resumes takes no part in a wave.
    pub(super) fn without_archives(&self) -> Option<Arc<ManifestFile>> {
        let list = self.listed.as_ref()?.list();
        let journal = self.target.journal();
        let record = &journal.record;
        let files = list.manifest().archives.iter().flat_map(|archive| &archive.files);
        let mut chunks = files.flat_map(|file| record.chunks.of_file(*file));
        chunks.all(|chunk| record.here[chunk.id].is_none()).then(|| Arc::clone(list))
    }

    /// Runs disk work of the download.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&GamesDir, &GameId, &DownloadTarget) -> Result<T, PeerError> + Send + 'static,
    ) -> Result<T, PeerError> {
        let target = Arc::clone(&self.target);
        self.locked.run(name, move |games, game, _| work(games, game, &target)).await
    }
}

/// After a failure, returns how many bytes the next download need not fetch. If there are none, it removes the folder
/// and the record of the download.
pub(super) async fn keep_or_discard(prepared: &Prepared) -> u64 {
    let cleaned = prepared.on_disk("keep", |games, game, target| {
        let bytes_kept = target.journal().record.here_bytes();
        if bytes_kept == 0 {
            partials::discard(games, game)?;
        }
        Ok(bytes_kept)
    });
    cleaned.await.unwrap_or_else(|error| {
        let game = prepared.locked.game();
        tracing::warn!("{game}: the rest of the failed download is left to the next command: {error}");
        prepared.bytes_kept
    })
}
