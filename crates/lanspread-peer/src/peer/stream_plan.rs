//! `install --stream --dry-run`: what a streamed install would do, without doing it.

use std::path::PathBuf;
use std::sync::Arc;

use lanspread_store::install::replace::{Replace, permit};
use lanspread_store::state::booking;
use lanspread_store::state::booking::Estimate;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_trust::manifest::{Manifest, ManifestFile};
use lanspread_types::content::Totals;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::packed_sources::PackedSources;
use crate::peer::stream_install::SourcePeer;
use crate::peer::stream_sources::StreamSources;
use crate::report::failure::{AttemptFailure, PeerAnswer};
use crate::report::operation::{DecodeAt, OperationOptions};
use crate::report::packed_stream::UpstreamKind;
use crate::report::planned::PlannedUpstream;
use crate::transport::dial::dial;

/// What a streamed install would do.
#[derive(Debug, Clone)]
pub struct StreamInstallPlan {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// The validated peers, in the order in which they would be tried.
    pub sources: Vec<SourcePeer>,
    /// The other peers, and why they are not sources.
    pub dropped: Vec<PeerAnswer>,
    /// What would be installed.
    pub totals: Totals,
    /// Where it would be decoded.
    pub decode_at: DecodeAt,
    /// The upstreams of a packed stream that are known before it joins a wave: the sources that have the archives, in the
    /// order in which they would be tried. Empty if it would be decoded at the source.
    pub upstreams: Vec<PlannedUpstream>,
    /// The most memory that it would take on this machine.
    pub memory_bytes: u64,
    /// Bytes that the install needs, with room for names and a margin.
    pub needed_bytes: u64,
    /// Bytes that may still be written below the games directory.
    pub free_bytes: u64,
    /// Files and folders that the install needs, with a margin.
    pub needed_inodes: u64,
    /// Files and folders that may still be created there; `None` if the file system does not say.
    pub free_inodes: Option<u64>,
    /// The games directory.
    pub games_dir: PathBuf,
}

impl StreamInstallPlan {
    /// The error with which the install would end, if it does not fit.
    pub(crate) fn missing_space(&self) -> Option<LocalError> {
        let path = self.games_dir.clone();
        let Self { needed_bytes, free_bytes, needed_inodes, free_inodes, .. } = *self;
        if free_bytes < needed_bytes {
            return Some(LocalError::NotEnoughSpace { path, needed_bytes, free_bytes, booked_bytes: 0 });
        }
        let free_inodes = free_inodes.filter(|free_inodes| *free_inodes < needed_inodes)?;
        Some(LocalError::NotEnoughInodes { path, needed_inodes, free_inodes, booked_inodes: 0 })
    }
}

impl Peer {
    /// Returns what [`Self::stream_install_game`] would do, and changes nothing.
    ///
    /// # Errors
    /// As for the install itself, except that too little space is not an error but shows in the plan.
    pub async fn plan_stream_install(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<StreamInstallPlan, PeerError> {
        self.check_in_catalog(game)?;
        let (games_dir, wanted) = (self.inner.games_dir.clone(), game.clone());
        let games = self
            .blocking("plan", move || {
                let games = GamesDir::open(&games_dir)?;
                let new = Replace { allowed: false, force: false, over_verified: false };
                permit(&games, &wanted, new)?;
                Ok(games)
            })
            .await?;
        let context = OperationContext {
            game: game.clone(),
            options: options.clone(),
            events: self.inner.events.of_operation(None),
            cancel: cancel.clone(),
        };
        let trusted = self.trusted_manifest(game).await?;
        let sources = self.stream_sources(&context, trusted.as_ref()).await?;
        let listed = sources.packed.as_ref().map(|(_, listed)| listed.manifest());
        let totals = match listed.filter(|listed| listed.has_tree()) {
            Some(listed) => listed.entries.totals(),
            None => self.totals(game, &sources, trusted.as_ref()).await?,
        };
        let Estimate { needed_bytes, free_bytes, needed_inodes, free_inodes } =
            booking::estimate(&games, totals)?;
        Ok(StreamInstallPlan {
            game: game.clone(),
            sources: sources.peers.iter().map(SourcePeer::from).collect(),
            totals,
            decode_at: if listed.is_some() { DecodeAt::Receiver } else { DecodeAt::Source },
            upstreams: sources.packed.as_ref().map(|(from, _)| upstreams(from)).unwrap_or_default(),
            memory_bytes: memory_bytes(options, listed),
            version: sources.version,
            dropped: sources.dropped,
            needed_bytes,
            free_bytes,
            needed_inodes,
            free_inodes,
            games_dir: self.inner.games_dir.clone(),
        })
    }

    /// Asks the validated peers in order until one answers with the totals of its stream.
    async fn totals(
        &self,
        game: &GameId,
        sources: &StreamSources,
        listed: Option<&Arc<ManifestFile>>,
    ) -> Result<Totals, PeerError> {
        let mut attempts = Vec::new();
        for source in &sources.peers {
            // What they are is known without asking.
            if let Some(listed) = listed.filter(|listed| source.entries == Some(listed.digest())) {
                return Ok(listed.manifest().entries.totals());
            }
            let ask = async {
                let mut dialled = dial(&source.address.into(), &self.endpoint(), Some(source.id)).await?;
                dialled.totals(game, &sources.version).await
            };
            match ask.await {
                Ok((_archives, totals)) => return Ok(totals),
                Err(error) => {
                    attempts.push(AttemptFailure::new(&source.name, error.code(), error.to_string()));
                }
            }
        }
        Err(PeerError::AllSourcesFailed { game: game.clone(), attempts })
    }
}

/// The peers and servers that have the archives.
fn upstreams(from: &PackedSources) -> Vec<PlannedUpstream> {
    let planned = |name: &PeerName, kind| PlannedUpstream { upstream: name.to_string(), kind };
    let peers = from.peers.iter().map(|peer| planned(&peer.name, UpstreamKind::Source));
    peers.chain(from.servers.iter().map(|server| planned(server.name(), UpstreamKind::Http))).collect()
}

/// The most memory that an install takes here: of what is decoded here, the window, which never holds more than the
/// archives are, and one dictionary, because one archive is decoded after the other.
fn memory_bytes(options: &OperationOptions, packed: Option<&Manifest>) -> u64 {
    let Some(manifest) = packed else { return limits::STREAM_INSTALL_BYTES_BESIDE };
    let files = manifest.archives.iter().flat_map(|archive| &archive.files);
    let packed_bytes = files.filter_map(|file| manifest.root_files.get(*file)).map(|file| file.size).sum();
    let dictionary = manifest.archives.iter().map(|archive| archive.dictionary_bytes).max().unwrap_or(0);
    options.window_bytes().min(packed_bytes) + dictionary + limits::STREAM_INSTALL_BYTES_BESIDE
}

#[cfg(test)]
mod tests {
    use lanspread_testing::machine::Machine;
    use lanspread_testing::{manifests, small_game};

    use super::*;

    #[test]
    fn the_memory_of_an_install_is_its_window_the_largest_dictionary_and_what_is_beside_them() {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        let (game, version) = (small_game::game(), small_game::version());
        let listed = manifests::of_archives(&machine.games_dir().join("small"), &game, &version, None, &[]);
        let mut manifest = listed.manifest().clone();
        let options = |mib| OperationOptions::default().with_window_mib(mib);
        let beside = limits::STREAM_INSTALL_BYTES_BESIDE;
        assert_eq!(memory_bytes(&options(None), None), beside, "decoded at the source");
        manifest.archives[0].dictionary_bytes = 5;
        let file = manifest.archives[0].files[0];
        manifest.root_files[file].size = 7;
        assert_eq!(memory_bytes(&options(None), Some(&manifest)), 7 + 5 + beside, "more is never there");
        manifest.root_files[file].size = 1 << 40;
        let usual = limits::PACKED_WINDOW_BYTES;
        assert_eq!(memory_bytes(&options(None), Some(&manifest)), usual + 5 + beside);
        assert_eq!(memory_bytes(&options(Some(256)), Some(&manifest)), (256 << 20) + 5 + beside);
    }
}
