//! `download`: all steps from the request to the sentinel, in order.

use std::sync::Arc;
use std::time::Instant;

use lanspread_store::download::{commit, root_files};
use lanspread_store::error::StoreError;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_store::state::sentinel::read_sentinel;
use lanspread_types::content::{InstallTrust, RootFile};
use lanspread_types::fault::ContentError;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::layout::SENTINEL_FILE;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::download_sources::{DownloadSources, refused_by_all};
use crate::peer::error::PeerError;
use crate::peer::outcome::{milliseconds, reported};
use crate::peer::packed_download::ThroughWave;
use crate::peer::packed_sources::PackedSources;
use crate::peer::prepared_download::{Prepared, keep_or_discard, prepare_download};
use crate::peer::relaying::Relaying;
use crate::receive::chunk_writer::DownloadTarget;
use crate::receive::fetch::Dialling;
use crate::receive::patience::Patience;
use crate::receive::session::TransferContext;
use crate::receive::transfer::transfer;
use crate::receive::transfer_source::TransferSource;
use crate::report::download::DownloadFinished;
use crate::report::event::PeerEvent;
use crate::report::failure::AttemptFailure;
use crate::report::operation::OperationOptions;
use crate::report::source_share::SourceShare;

/// How far a download came.
#[derive(Default)]
struct Course {
    /// When its transfer began.
    begun: Option<Instant>,
    /// Bytes that the next download need not fetch.
    bytes_kept: u64,
    /// What a finished download still passes on.
    relay: Option<Relaying>,
}

impl Peer {
    /// Downloads the files of a game root as they are: the archives through a wave of receivers if there is one, and the rest
    /// from all validated peers at once. If the catalog names a manifest of the game, no byte is written that it does not list.
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
        self.operate(
            game,
            options,
            &cancel,
            |peer, context| async move { peer.download_alone(&context).await },
        )
        .await
    }

    /// Runs a download that is all of its operation.
    pub(super) async fn download_alone(&self, context: &OperationContext) -> Result<(), PeerError> {
        let relay = self.download(context).await?;
        self.linger(relay, &context.cancel).await;
        Ok(())
    }

    /// Runs the download as part of an operation. Returns what it still passes on; the operation lingers for that.
    pub(super) async fn download(&self, context: &OperationContext) -> Result<Option<Relaying>, PeerError> {
        let requested = Instant::now();
        let game = &context.game;
        let mut course = Course::default();
        let downloading = self.download_from_sources(context, &mut course);
        let downloaded = self.contain(context, downloading).await;
        let ended = Instant::now();
        let Course { begun, bytes_kept, relay } = course;
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
        .map(|_| relay)
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
        let listed = manifest.map(ListedChunks::new);
        permit(&locked, listed.clone(), context.options.accept_unverified).await?;
        let DownloadSources { version, files, sources, listed, wave, .. } =
            self.download_sources(context, servers, listed).await?;
        refuse_downloaded(&locked, &version).await?;
        let files = root_files::accept(&files, context.options.names)
            .map_err(|error| refused_by_all(game, sources.iter().map(TransferSource::name), &error))?;
        let prepared = prepare_download(context, locked, version, sources, files, listed).await?;
        course.begun = Some(Instant::now());
        let ended = self.fetch_and_commit(context, &prepared, wave, &mut course.relay).await;
        if ended.is_err() {
            course.bytes_kept = keep_or_discard(&prepared).await;
        }
        let Prepared { version, files, listed, .. } = prepared;
        let is_verified = listed.is_some_and(|listed| listed.is_trusted());
        let trust = if is_verified { InstallTrust::Verified } else { InstallTrust::Unverified };
        ended.map(|sources| (version, files, trust, sources))
    }

    async fn fetch_and_commit(
        &self,
        context: &OperationContext,
        prepared: &Prepared,
        wave: Option<PackedSources>,
        relay: &mut Option<Relaying>,
    ) -> Result<Vec<SourceShare>, PeerError> {
        let game = &context.game;
        let patience = Patience::new(context.options.wait);
        let through_wave = match wave.zip(prepared.without_archives()) {
            Some((wave, listed)) => {
                Box::pin(self.download_through_wave(context, prepared, wave, listed, &patience)).await?
            }
            None => ThroughWave::default(),
        };
        *relay = through_wave.relay;
        let fetched = transfer(TransferContext {
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
                downlink: self.inner.source.traffic.downlink(),
                tasks: self.inner.tasks.clone(),
            },
            patience,
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
        Ok(SourceShare::sum(through_wave.shares, fetched))
    }
}

/// Refuses a version that is already downloaded.
async fn refuse_downloaded(locked: &LockedGame, version: &GameVersion) -> Result<(), PeerError> {
    let version = version.clone();
    let looking = locked.run("look", move |games, game, _| {
        let here = GameState::read(games.path(), game)?.and_then(|state| state.version);
        refuse_version_here(game, here.as_ref(), &version)
    });
    looking.await
}

/// The same, of a version that is known to be here.
pub(super) fn refuse_version_here(
    game: &GameId,
    here: Option<&GameVersion>,
    version: &GameVersion,
) -> Result<(), PeerError> {
    if here != Some(version) {
        return Ok(());
    }
    Err(StoreError::AlreadyDownloaded { game: game.clone(), version: version.clone() }.into())
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
