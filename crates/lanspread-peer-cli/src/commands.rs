//! One file for each kind of command: it turns arguments into requests, and replies into output.

pub(crate) mod ask;
pub(crate) mod catalog;
mod catalog_build;
pub(crate) mod generate;
pub(crate) mod operate;
pub(crate) mod party;
pub(crate) mod saved;
pub(crate) mod serve;

use std::path::Path;
use std::time::Duration;

use lanspread_peer::{Peer, PeerBuilder, ProviderChoice};

use crate::arguments::{CatalogFile, Decoder, Global};

/// A peer of a games directory, with the settings that all commands have in common.
fn describe(
    global: &Global,
    games_dir: &Path,
    catalog: &CatalogFile,
    decoder: Option<&Decoder>,
) -> PeerBuilder {
    let mut builder = Peer::builder(games_dir);
    if let Some(state_dir) = &global.state_dir {
        builder = builder.state_dir(state_dir);
    }
    if let Some(party_file) = &global.party_file {
        builder = builder.party_file(party_file);
    }
    if let Some(catalog) = &catalog.catalog {
        builder = builder.catalog(catalog);
    }
    if let Some(Decoder { unrar, max_dictionary }) = decoder {
        builder = builder.dictionary_bytes_max(max_dictionary.0);
        if let Some(unrar) = unrar {
            builder = builder.provider(ProviderChoice::Unrar(unrar.clone()));
        }
    }
    if let Some(idle_timeout) = idle_timeout_of_tests() {
        builder = builder.idle_timeout(idle_timeout);
    }
    builder
}

/// The scenarios cannot wait 20 s for each source that falls silent. Not for users: it is no option and no setting.
fn idle_timeout_of_tests() -> Option<Duration> {
    let milliseconds = std::env::var("LANSPREAD_TEST_IDLE_TIMEOUT_MS").ok()?;
    match milliseconds.parse() {
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds)),
        Err(error) => {
            tracing::warn!("LANSPREAD_TEST_IDLE_TIMEOUT_MS is ignored: {error}");
            None
        }
    }
}
