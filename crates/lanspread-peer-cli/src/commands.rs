//! One file for each kind of command: it turns arguments into requests, and replies into output.

pub(crate) mod ask;
pub(crate) mod candidates;
pub(crate) mod catalog;
pub(crate) mod catalog_build;
pub(crate) mod config;
mod deadline;
pub(crate) mod ensure;
pub(crate) mod generate;
mod given_peers;
pub(crate) mod init;
mod listing;
pub(crate) mod operate;
pub(crate) mod party;
mod requests;
pub(crate) mod room;
pub(crate) mod saved;
mod selected;
pub(crate) mod serve;
mod updates;
pub(crate) mod wait;

use std::path::Path;
use std::time::Duration;

use lanspread_peer::limits::SERVERS_MAX;
use lanspread_peer::{
    ErrorCategory, Peer, PeerBuilder, PeerError, ProviderChoice, SourceUrl, TrustError, WordError, key_file,
};

use crate::arguments::{CatalogFile, Decoder, GivenUrl, Global, LimitOptions};
use crate::exit::Failure;

/// The settings of a peer that only matter if no daemon does the work. What is not given is not used.
#[derive(Debug, Clone, Copy, Default)]
struct OwnPeer<'a> {
    decoder: Option<&'a Decoder>,
    limits: Option<&'a LimitOptions>,
}

/// A peer of a games directory, with the settings that all commands have in common.
fn describe(
    global: &Global,
    games_dir: &Path,
    catalog: &CatalogFile,
    own: OwnPeer<'_>,
) -> Result<PeerBuilder, PeerError> {
    let mut builder = Peer::builder(games_dir);
    if let Some(state_dir) = &global.state_dir {
        builder = builder.state_dir(state_dir);
    }
    builder = with_catalog(builder, catalog)?;
    if let Some(party_file) = &global.party_file {
        builder = builder.party_file(party_file);
    }
    if let Some(limits) = own.limits {
        builder = builder.limits(limits.into());
    }
    if let Some(Decoder { unrar, max_dictionary }) = own.decoder {
        builder = builder.dictionary_bytes_max(max_dictionary.0);
        if let Some(unrar) = unrar {
            builder = builder.provider(ProviderChoice::Unrar(unrar.clone()));
        }
    }
    if let Some(idle_timeout) = idle_timeout_of_tests() {
        builder = builder.idle_timeout(idle_timeout);
    }
    Ok(builder)
}

/// The catalog of a peer, and whose catalog counts.
fn with_catalog(mut builder: PeerBuilder, catalog: &CatalogFile) -> Result<PeerBuilder, PeerError> {
    let CatalogFile { catalog, catalog_key, catalog_from_peers } = catalog;
    if let Some(catalog) = catalog {
        builder = builder.catalog(catalog);
    }
    if let Some(key) = catalog_key {
        let key = key_file::load_public(&key.to_string_lossy()).map_err(TrustError::Key)?;
        builder = builder.catalog_key(key);
    }
    Ok(builder.catalog_from_peers(*catalog_from_peers))
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

/// The URLs of sources, checked.
fn servers(given: &[GivenUrl]) -> Result<Vec<SourceUrl>, Failure> {
    let checked =
        given.iter().map(|url| url.0.parse().map_err(|error: WordError| PeerError::from(error).into()));
    let checked: Vec<SourceUrl> = checked.collect::<Result<_, Failure>>()?;
    if checked.len() > SERVERS_MAX {
        let message = format!("{} servers are named, the limit is {SERVERS_MAX}", checked.len());
        return Err(Failure::new("usage", None, message, ErrorCategory::Usage));
    }
    Ok(checked)
}
