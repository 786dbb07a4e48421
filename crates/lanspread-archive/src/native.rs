//! The `native` provider: decoders in this process, one for each generation of the format.
//!
//! RAR 5 and 7 are read by our own `lanspread-rar`, RAR 1.5 to 4 by the crate `rars`. An archive's signature decides. None
//! of the decoders' types leave this folder, and the listing guard holds what both yield to the listing.

mod rar4;
mod rar5;
mod reader;
mod threads;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::native::threads::DecoderThreads;
use crate::provider::{ArchiveProvider, OpenArchive};
use crate::set::ArchiveSet;

/// Decodes in this process.
pub(super) struct NativeProvider {
    dictionary_bytes_max: u64,
    threads: Arc<DecoderThreads>,
}

impl NativeProvider {
    pub(super) fn new(dictionary_bytes_max: u64) -> Self {
        Self { dictionary_bytes_max, threads: Arc::new(DecoderThreads::of_this_machine()) }
    }
}

impl ArchiveProvider for NativeProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let opened = rar5::open(archive, cancel, self.dictionary_bytes_max, &self.threads);
        let opened = match opened {
            Ok(Some(rar5)) => Ok(Box::new(rar5) as Box<dyn OpenArchive>),
            Ok(None) => rar4::open(archive, cancel, self.dictionary_bytes_max)
                .map(|rar4| Box::new(rar4) as Box<dyn OpenArchive>),
            Err(error) => Err(error),
        };
        // A cancelled reader fails, and the decoders take that for a fault of the disk.
        if cancel.is_cancelled() { Err(ArchiveError::Cancelled) } else { opened }
    }
}

#[cfg(test)]
mod tests;
