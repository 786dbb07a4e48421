//! What an organiser makes of the games of a machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_archive::provider::ProviderChoice;
use lanspread_testing::machine::Machine;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::catalog_build::CatalogBuild;
use crate::catalog_build::observer::BuildObserver;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;

struct Strict;

impl BuildObserver for Strict {
    fn event(&self, _: PeerEvent) {}
    fn failed(&self, game: &GameId, error: &PeerError) {
        panic!("{game}: {error}");
    }
}

/// Builds a catalog of the games of a machine, with their manifests, in a folder. Returns the path of the catalog.
pub(crate) fn build_catalog(machine: &Machine, out: &Path) -> PathBuf {
    let build = CatalogBuild {
        games_dir: machine.games_dir(),
        out: out.to_owned(),
        name: None,
        sources: Vec::new(),
        games: Vec::new(),
        jobs: 1,
        provider: ProviderChoice::Native,
        dictionary_bytes_max: limits::DICTIONARY_BYTES_DEFAULT,
    };
    let observer: Arc<dyn BuildObserver> = Arc::new(Strict);
    build.run(&observer, &CancellationToken::new()).unwrap().catalog
}
