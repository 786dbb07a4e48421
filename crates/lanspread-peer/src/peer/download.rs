//! `download`: all steps from the request to the sentinel, in order.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use lanspread_store::download::{commit, partials, root_files};
use lanspread_store::error::StoreError;
use lanspread_store::state::booking::Booking;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_store::state::sentinel::read_sentinel;
use lanspread_types::content::{InstallTrust, RootFile, Totals};
use lanspread_types::fault::ContentError;
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use lanspread_types::layout::SENTINEL_FILE;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::http::server::HttpServer;
use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::outcome::{milliseconds, reported};
use crate::peer::servers::is_without_peers;
use crate::receive::chunk_writer::DownloadTarget;
use crate::receive::fetch::Dialling;
use crate::receive::patience::Patience;
use crate::receive::session::TransferContext;
use crate::receive::transfer::transfer;
use crate::receive::transfer_source::TransferSource;
use crate::report::download::{DownloadBegin, DownloadFinished};
use crate::report::event::PeerEvent;
use crate::report::failure::AttemptFailure;
use crate::report::operation::OperationOptions;
use crate::report::source_share::SourceShare;
use crate::trust::select::Selection;

/// A prepared download: which files it fetches, from which sources, and where to.
struct Prepared {
    locked: LockedGame,
    version: GameVersion,
    /// The peers to use at once, and the servers after them.
    sources: Vec<TransferSource>,
    files: Vec<RootFile>,
    /// What the manifest lists about these files, if there is one.
    listed: Option<ListedChunks>,
    target: Arc<DownloadTarget>,
    /// Bytes that need not be fetched.
    bytes_kept: u64,
}

/// How far a download came.
#[derive(Default)]
struct Course {
    /// When its transfer began.
    begun: Option<Instant>,
    /// Bytes that the next download need not fetch.
    bytes_kept: u64,
}

impl Peer {
    /// Downloads the files of a game root as they are, from all validated peers at once. If the catalog names a manifest of
    /// the game, no byte is written that it does not list.
    ///
    /// On success, the sentinel is in its place. On failure, the files in the game root are as they were, and what has
    /// arrived is kept in a folder of its own, from which the next download resumes.
    ///
    /// # Errors
    /// Every variant of [`PeerError`] that is not about serving. Its category is the kind of failure.
    pub async fn download_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.download(&context).await })
            .await
    }

    /// Runs the download as part of an operation.
    pub(super) async fn download(&self, context: &OperationContext) -> Result<(), PeerError> {
        let requested = Instant::now();
        let game = &context.game;
        let mut course = Course::default();
        let downloading = self.download_from_sources(context, &mut course);
        let downloaded = self.contain(context, downloading).await;
        let ended = Instant::now();
        let Course { begun, bytes_kept } = course;
        let begun = begun.unwrap_or(ended);
        let (waited, duration) = (begun - requested, ended - begun);
        reported(
            &context.events,
            downloaded,
            |(version, files, trust, sources)| {
                let bytes_fetched = sources.iter().map(|share| share.bytes).sum();
                let rate = u128::from(bytes_fetched) * 1_000_000 / duration.as_micros().max(1);
                PeerEvent::DownloadFinished(DownloadFinished {
                    game: game.clone(),
                    version: version.clone(),
                    files: files.len() as u64,
                    bytes: files.iter().map(|file| file.size).sum(),
                    bytes_fetched,
                    sources: sources.clone(),
                    waited_ms: milliseconds(waited),
                    duration_ms: milliseconds(duration),
                    bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
                    trust: *trust,
                })
            },
            |code, message| PeerEvent::DownloadFailed { game: game.clone(), code, message, bytes_kept },
        )
        .map(|_| ())
    }

    async fn download_from_sources(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(GameVersion, Vec<RootFile>, InstallTrust, Vec<SourceShare>), PeerError> {
        let game = &context.game;
        self.newer_catalog(context).await?;
        self.check_in_catalog(game)?;
        let locked = self.lock_and_recover(context).await?;
        // If the catalog names the version, a refusal needs no peer.
        if let Some(wanted) = self.wanted_version(game) {
            refuse_downloaded(&locked, &wanted).await?;
        }
        let servers = self.servers(context);
        let manifest = self.obtain_manifest(context, &servers).await?;
        let listed = manifest.clone().map(ListedChunks::new);
        permit(&locked, listed.clone(), context.options.accept_unverified).await?;
        let mut chosen = self.choose_by(manifest, game, &context.options, &context.cancel).await;
        if let Ok(selection) = &mut chosen
            && let Err(no_peer) = keep_archives(game, selection)
        {
            chosen = Err(no_peer);
        }
        let (peers, listed) = match (chosen, listed) {
            (Ok(selection), listed) => (Some(selection), listed),
            (Err(no_peer), Some(listed)) if is_without_peers(&no_peer) && !servers.is_empty() => {
                tracing::info!("{game}: only servers have it: {no_peer}");
                (None, Some(listed))
            }
            (Err(error), Some(_)) => return Err(error),
            (Err(no_peer), None) => {
                let unsigned = self.unsigned_manifest(context, &servers, no_peer).await?;
                (None, Some(ListedChunks::unsigned(unsigned)))
            }
        };
        if listed.is_none() && !servers.is_empty() {
            tracing::warn!(
                "{game}: servers are not used: the catalog names no manifest, and peers have the game"
            );
        }
        let sources = sources(peers.as_ref(), if listed.is_some() { &servers } else { &[] });
        let (version, files) = match (&peers, &listed) {
            (Some(selection), _) => (selection.version.clone(), selection.sources[0].files.as_slice()),
            (None, Some(listed)) => (listed.version().clone(), listed.files()),
            (None, None) => return Err(PeerError::Internal("a download without a list of files".to_owned())),
        };
        refuse_downloaded(&locked, &version).await?;
        let files = root_files::accept(files, context.options.names)
            .map_err(|error| refused_by_all(game, sources.iter().map(TransferSource::name), &error))?;
        let prepared = prepare_download(context, locked, version, sources, files, listed).await?;
        course.begun = Some(Instant::now());
        let ended = self.transfer_and_commit(context, &prepared).await;
        if ended.is_err() {
            course.bytes_kept = keep_or_discard(&prepared).await;
        }
        let Prepared { version, files, listed, .. } = prepared;
        let is_verified = listed.is_some_and(|listed| listed.is_trusted());
        let trust = if is_verified { InstallTrust::Verified } else { InstallTrust::Unverified };
        ended.map(|sources| (version, files, trust, sources))
    }

    async fn transfer_and_commit(
        &self,
        context: &OperationContext,
        prepared: &Prepared,
    ) -> Result<Vec<SourceShare>, PeerError> {
        let game = &context.game;
        let shares = transfer(TransferContext {
            game: game.clone(),
            version: prepared.version.clone(),
            files: prepared.files.clone(),
            sources: prepared.sources.clone(),
            target: Arc::clone(&prepared.target),
            listed: prepared.listed.clone(),
            locked: Some(prepared.locked.clone()),
            connect: Dialling {
                ours: self.endpoint(),
                idle_timeout: self.inner.idle_timeout,
                offences: self.offences(game, &context.events),
                tasks: self.inner.tasks.clone(),
            },
            patience: Patience::new(context.options.wait),
            events: context.events.clone(),
            tasks: self.inner.tasks.clone(),
            cancel: context.cancel.clone(),
        })
        .await?;
        let bytes: u64 = prepared.files.iter().map(|file| file.size).sum();
        context.events.report(PeerEvent::Finishing { game: game.clone(), bytes });
        let version = prepared.version.clone();
        prepared
            .on_disk("check", move |games, game, target| check_sentinel(games, game, target, &version))
            .await?;
        // From here on no new transfer gets the old files; those that read them may finish.
        let quiesce = self.inner.source.readers.quiesce(game, limits::QUIESCE_DEADLINE);
        let Some(_quiet) = context.cancel.run_until_cancelled(quiesce).await else {
            return Err(PeerError::Cancelled);
        };
        tracing::debug!(
            "{game}: of {bytes} bytes, {} were on their way early",
            prepared.target.partials.begun_bytes()
        );
        prepared
            .on_disk("promote", |games, game, target| Ok(commit::begin(games, game, &mut target.journal())?))
            .await?;
        prepared
            .on_disk("promote", |games, game, target| {
                Ok(commit::promote(games, game, &target.journal().record)?)
            })
            .await?;
        prepared
            .on_disk("finish", |games, game, target| Ok(commit::finish(games, game, &mut target.journal())?))
            .await?;
        Ok(shares)
    }
}

/// Refuses a version that is already downloaded.
async fn refuse_downloaded(locked: &LockedGame, version: &GameVersion) -> Result<(), PeerError> {
    let version = version.clone();
    let looking = locked.run("look", move |games, game, _| {
        let state = GameState::read(games.path(), game)?;
        match state.and_then(|state| state.version) {
            Some(here) if here == version => {
                Err(StoreError::AlreadyDownloaded { game: game.clone(), version: here }.into())
            }
            _ => Ok(()),
        }
    });
    looking.await
}

/// Refuses to replace verified files by files that no manifest will verify.
async fn permit(
    locked: &LockedGame,
    listed: Option<ListedChunks>,
    accept_unverified: bool,
) -> Result<(), PeerError> {
    let looking = locked.run("look", move |games, game, _| {
        Ok(commit::permit(games, game, listed.as_ref(), accept_unverified)?)
    });
    looking.await
}

/// Keeps the sources that have archives. Those that only have installed files can stream them.
fn keep_archives(game: &GameId, selection: &mut Selection) -> Result<(), PeerError> {
    let error = ContentError::RootFiles("it has installed files only, which can be streamed".to_owned());
    let refused = refused_by_all(game, selection.sources.iter().map(|source| &source.name), &error);
    selection.sources.retain(|source| source.entries.is_none());
    if selection.sources.is_empty() { Err(refused) } else { Ok(()) }
}

/// Finds the chunks that have already arrived and books space for the rest.
async fn prepare_download(
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
    /// Runs disk work of the download.
    async fn on_disk<T: Send + 'static>(
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
async fn keep_or_discard(prepared: &Prepared) -> u64 {
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

/// The peers that are used at once, and the servers after them.
fn sources(peers: Option<&Selection>, servers: &[Arc<HttpServer>]) -> Vec<TransferSource> {
    let peers = peers.map(Selection::at_once).unwrap_or_default();
    let servers = servers.iter().cloned().map(TransferSource::Server);
    peers.into_iter().map(|peer| TransferSource::Peer(Box::new(peer))).chain(servers).collect()
}

/// All validated sources report the same list, so every one of them is at fault.
fn refused_by_all<'n>(
    game: &GameId,
    names: impl Iterator<Item = &'n PeerName>,
    error: &ContentError,
) -> PeerError {
    let attempts = names.map(|name| AttemptFailure::new(name, error.code(), error.to_string()));
    PeerError::AllSourcesFailed { game: game.clone(), attempts: attempts.collect() }
}

/// Refuses a sentinel that does not contain the offered version. Its chunks are dropped, so that the next download
/// fetches them again.
fn check_sentinel(
    games: &GamesDir,
    game: &GameId,
    target: &DownloadTarget,
    version: &GameVersion,
) -> Result<(), PeerError> {
    let path = games.root_path(game).join(lanspread_types::layout::DOWNLOADING_DIR).join(SENTINEL_FILE);
    if read_sentinel(&path)?.version().as_ref() == Some(version) {
        return Ok(());
    }
    let mut journal = target.journal();
    let chunks = journal.record.sentinel().map(|file| journal.record.chunks.of_file(file).to_vec());
    let mut attempts = Vec::new();
    for chunk in chunks.unwrap_or_default() {
        if let Some(recorded) = journal.record.here[chunk.id].clone() {
            let error = ContentError::Sentinel { expected: version.clone() };
            attempts.push(AttemptFailure::new(&recorded.peer, error.code(), error.to_string()));
            journal.drop_chunk(chunk.id)?;
        }
    }
    Err(PeerError::AllSourcesFailed { game: game.clone(), attempts })
}

#[cfg(test)]
mod tests;
