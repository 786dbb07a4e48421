//! What a game is downloaded from: peers, servers, the list by which chunks are proved, and who may give a place in a wave.

use std::sync::Arc;

use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_types::content::RootFile;
use lanspread_types::fault::ContentError;
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use lanspread_types::limits;

use crate::http::server::HttpServer;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::packed_sources::{PackedSources, with_archives};
use crate::peer::servers::is_without_peers;
use crate::receive::transfer_source::TransferSource;
use crate::report::failure::{AttemptFailure, PeerAnswer};
use crate::trust::select::Selection;

/// The sources of a download.
pub(super) struct DownloadSources {
    pub(super) version: GameVersion,
    /// The files of the game root, as its sources say.
    pub(super) files: Vec<RootFile>,
    /// The peers to use at once, and the servers after them.
    pub(super) sources: Vec<TransferSource>,
    /// By which chunks are proved, if there is a list.
    pub(super) listed: Option<ListedChunks>,
    /// From which the archives may come as a packed stream.
    pub(super) wave: Option<PackedSources>,
    /// The other peers, and why they are not sources.
    pub(super) dropped: Vec<PeerAnswer>,
}

impl Peer {
    /// Finds what the operation's game is downloaded from. `trusted` is what the manifest lists that the catalog names.
    ///
    /// # Errors
    /// As [`Self::choose`]; [`PeerError::NoManifest`] if only servers are named and none has a manifest.
    pub(super) async fn download_sources(
        &self,
        operation: &OperationContext,
        servers: Vec<Arc<HttpServer>>,
        trusted: Option<ListedChunks>,
    ) -> Result<DownloadSources, PeerError> {
        self.find_download_sources(operation, servers, trusted, false).await
    }

    /// The same, but waits for the packing list of a game that no manifest is about, if its sources are making it.
    pub(super) async fn download_sources_with_list(
        &self,
        operation: &OperationContext,
        servers: Vec<Arc<HttpServer>>,
        trusted: Option<ListedChunks>,
    ) -> Result<DownloadSources, PeerError> {
        self.find_download_sources(operation, servers, trusted, true).await
    }

    async fn find_download_sources(
        &self,
        operation: &OperationContext,
        servers: Vec<Arc<HttpServer>>,
        trusted: Option<ListedChunks>,
        awaits_list: bool,
    ) -> Result<DownloadSources, PeerError> {
        let OperationContext { game, options, cancel, .. } = operation;
        let manifest = trusted.as_ref().map(|listed| Arc::clone(listed.list()));
        let chosen = self.choose_and_later(manifest, game, options, cancel).await;
        let chosen = match chosen {
            Ok((selection, late)) if awaits_list && trusted.is_none() => {
                self.await_packing_list(operation, selection, late).await
            }
            chosen => chosen,
        };
        let chosen = chosen.and_then(|(selection, late)| Ok((keep_archives(game, selection)?, late)));
        let (selection, late) = match (chosen, trusted.clone()) {
            (Ok(chosen), _) => chosen,
            (Err(no_peer), Some(listed)) if is_without_peers(&no_peer) && !servers.is_empty() => {
                tracing::info!("{game}: only servers have it: {no_peer}");
                return Ok(from_servers(&servers, listed));
            }
            (Err(error), Some(_)) => return Err(error),
            (Err(no_peer), None) => {
                let unsigned = self.unsigned_manifest(operation, &servers, no_peer).await?;
                return Ok(from_servers(&servers, ListedChunks::unsigned(unsigned)));
            }
        };
        let listed = match trusted {
            Some(trusted) => Some(trusted),
            None => self.packing_list(operation, &selection).await?.map(ListedChunks::unsigned),
        };
        if listed.is_none() && !servers.is_empty() {
            tracing::warn!(
                "{game}: servers are not used: neither the catalog nor the peers say what its files are"
            );
        }
        let proved = if listed.is_some() { &servers[..] } else { &[] };
        let files = selection.sources.first().map(|source| source.files.clone()).unwrap_or_default();
        let servers = self.servers_within(operation, limits::PACKED_IDLE);
        let wave = PackedSources { peers: with_archives(&selection), servers, late };
        let is_possible = listed.as_ref().is_some_and(|listed| wave.may_place(listed.list()));
        Ok(DownloadSources {
            version: selection.version.clone(),
            files,
            sources: sources(&selection, proved),
            listed,
            wave: is_possible.then_some(wave),
            dropped: selection.dropped,
        })
    }
}

/// Without peers.
fn from_servers(servers: &[Arc<HttpServer>], listed: ListedChunks) -> DownloadSources {
    let sources = servers.iter().cloned().map(TransferSource::Server).collect();
    let (version, files) = (listed.version().clone(), listed.files().to_vec());
    DownloadSources { version, files, sources, listed: Some(listed), wave: None, dropped: Vec::new() }
}

/// The peers that are used at once, and the servers after them.
fn sources(selection: &Selection, servers: &[Arc<HttpServer>]) -> Vec<TransferSource> {
    let peers = selection.at_once().into_iter().map(|peer| TransferSource::Peer(Box::new(peer)));
    peers.chain(servers.iter().cloned().map(TransferSource::Server)).collect()
}

/// Keeps the sources that have archives. Those that only have installed files can stream them.
fn keep_archives(game: &GameId, mut selection: Selection) -> Result<Selection, PeerError> {
    let error = ContentError::RootFiles("it has installed files only, which can be streamed".to_owned());
    let refused = refused_by_all(game, selection.sources.iter().map(|source| &source.name), &error);
    selection.sources.retain(|source| source.entries.is_none());
    if selection.sources.is_empty() { Err(refused) } else { Ok(selection) }
}

/// All validated sources report the same list, so every one of them is at fault.
pub(super) fn refused_by_all<'n>(
    game: &GameId,
    names: impl Iterator<Item = &'n PeerName>,
    error: &ContentError,
) -> PeerError {
    let attempts = names.map(|name| AttemptFailure::new(name, error.code(), error.to_string()));
    PeerError::AllSourcesFailed { game: game.clone(), attempts: attempts.collect() }
}
