//! One file per kind of command: from arguments to requests, and from replies to output.

pub(crate) mod ask;
pub(crate) mod generate;
pub(crate) mod operate;
pub(crate) mod saved;
pub(crate) mod serve;

use lanspread_peer::{Peer, PeerBuilder, ProviderChoice};

use crate::arguments::{CatalogFile, Decoder, GamesDir, Global};

/// A peer over a games directory, as far as all commands describe it alike.
fn describe(
    global: &Global,
    games: &GamesDir,
    catalog: &CatalogFile,
    decoder: Option<&Decoder>,
) -> PeerBuilder {
    let mut builder = Peer::builder(&games.games_dir);
    if let Some(state_dir) = &global.state_dir {
        builder = builder.state_dir(state_dir);
    }
    if let Some(catalog) = &catalog.catalog {
        builder = builder.catalog(catalog);
    }
    if let Some(unrar) = decoder.and_then(|decoder| decoder.unrar.as_ref()) {
        builder = builder.provider(ProviderChoice::Unrar(unrar.clone()));
    }
    builder
}
