//! The manifest of one game in a file of any name, such as `manifest.lsm` beside the files of an HTTP server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_archive::provider::ProviderChoice;
use lanspread_archive::provider_with_dictionary;
use lanspread_store::StoreError;
use lanspread_store::packing::packing_list;
use lanspread_store::state::file_stamps::FileStamps;
use lanspread_store::state::game_state::GameState;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use super::game::{BuildGame, store};
use super::observer::BuildObserver;
use super::progress::Progress;
use super::shared_memory::SharedMemory;
use crate::peer::error::PeerError;

/// Which manifest to write.
#[derive(Debug, Clone)]
pub struct ManifestBuild {
    /// Folder that holds one folder per game.
    pub games_dir: PathBuf,
    /// Which game.
    pub game: GameId,
    /// The file; a file that is there is replaced.
    pub output: PathBuf,
    /// Whether it lists the installed tree. Without it, the archives are read and not decoded: a packing list.
    pub with_tree: bool,
    /// Decodes the archives.
    pub provider: ProviderChoice,
    /// The largest dictionary that an archive may need.
    pub dictionary_bytes_max: u64,
}

/// A manifest that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenManifest {
    /// The version of the game.
    pub version: GameVersion,
    /// SHA-256 of the manifest.
    pub digest: ContentDigest,
    /// Its bytes.
    pub bytes: u64,
}

impl ManifestBuild {
    /// Reads the game and writes its manifest. The file appears complete or not at all. Blocking.
    ///
    /// # Errors
    /// [`PeerError::Store`] if the game is not downloaded, or a receiver would refuse its archives;
    /// [`PeerError::Local`]; [`PeerError::Cancelled`].
    pub fn run(
        &self,
        observer: &Arc<dyn BuildObserver>,
        cancel: &CancellationToken,
    ) -> Result<WrittenManifest, PeerError> {
        let Self { games_dir, game, .. } = self;
        let state = GameState::read(games_dir, game)?.filter(|state| state.root_files.len() > 1);
        let Some((version, state)) = state.and_then(|state| Some((state.version.clone()?, state))) else {
            let path = games_dir.join(game.as_str());
            return Err(StoreError::NotDownloaded { game: game.clone(), path }.into());
        };
        let stamps = FileStamps::read(&state.root, &state.root_files)?;
        let (manifest, packed) = if self.with_tree {
            let provider = provider_with_dictionary(&self.provider, self.dictionary_bytes_max);
            let reading = BuildGame {
                games_dir,
                manifests: Path::new(""),
                provider: provider.as_ref(),
                memory: SharedMemory::new(limits::DICTIONARIES_BYTES_MAX),
                before: None,
            };
            reading.read(&state, &version, &stamps, observer, cancel)?
        } else {
            let progress = Progress::new(game, state.root_bytes(), observer);
            packing_list(&state, &stamps, &mut |bytes| progress.add(bytes), cancel)?
        };
        let written = store(&manifest, &packed, |_| self.output.clone())?;
        Ok(WrittenManifest { version, digest: written.digest(), bytes: written.bytes() })
    }
}
