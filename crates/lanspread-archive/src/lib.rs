//! RAR archives: what an archive holds, and how its entries reach a sink.
//!
//! A provider lists an archive without decoding it, refuses what cannot be installed, and then pushes its entries into
//! a sink in one sequential pass. There are two providers: one decodes in this process, one runs an external `unrar`.
//! This crate knows nothing of games, peers, sockets or installed trees.
//!
//! - [`mod@provider`]: the traits of the crate, and what a listing is
//! - [`set`]: which files form which archive
//! - [`list`]: lists several archives and sums them up
//! - [`header_map`]: the headers of an archive, with which it can be listed before its bytes arrive
//! - [`packed`]: archives whose bytes are not on the disk but arrive in their order
//! - [`names`]: whether the names of several archives fit together
//! - [`error`]: what can go wrong

pub mod error;
pub mod header_map;
pub mod list;
mod listing;
mod listing_guard;
pub mod names;
mod native;
pub mod packed;
pub mod provider;
pub mod set;
mod time;
mod unrar;

use std::sync::Arc;

pub use error::{ArchiveError, SinkError};
use lanspread_types::limits::DICTIONARY_BYTES_DEFAULT;
use provider::{ArchiveProvider, ProviderChoice};

/// Makes the chosen provider.
///
/// It does not check that an external program can be run. The first request that needs the program reports that, so
/// that a peer whose decoder is missing can still answer everything else.
pub fn provider(choice: &ProviderChoice) -> Arc<dyn ArchiveProvider> {
    provider_with_dictionary(choice, DICTIONARY_BYTES_DEFAULT)
}

/// Makes the chosen provider; it refuses archives that need a dictionary of more than `dictionary_bytes_max` bytes.
pub fn provider_with_dictionary(
    choice: &ProviderChoice,
    dictionary_bytes_max: u64,
) -> Arc<dyn ArchiveProvider> {
    match choice {
        ProviderChoice::Native => Arc::new(native::NativeProvider::new(dictionary_bytes_max)),
        ProviderChoice::Unrar(program) => {
            Arc::new(unrar::UnrarProvider::new(program.clone(), dictionary_bytes_max))
        }
    }
}
