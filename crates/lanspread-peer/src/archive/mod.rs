//! The archive layer: what an archive holds, and how its entries reach a sink.

pub mod error;
mod feed;
pub(crate) mod list;
mod listing;
mod native;
pub mod provider;
pub mod set;
mod time;
mod unrar;

use std::sync::Arc;

pub use error::{ArchiveError, SinkError};
use provider::{ArchiveProvider, ProviderChoice};

/// Makes the chosen provider.
///
/// A program that cannot be run is reported by the first request that needs it, not here: a peer whose decoder is
/// missing still answers everything else.
pub fn provider(choice: &ProviderChoice) -> Arc<dyn ArchiveProvider> {
    match choice {
        ProviderChoice::Native => Arc::new(native::NativeProvider),
        ProviderChoice::Unrar(program) => Arc::new(unrar::UnrarProvider::new(program.clone())),
    }
}
