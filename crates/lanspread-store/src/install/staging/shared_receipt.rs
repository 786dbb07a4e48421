//! The draft of a receipt, which every thread that writes files adds to.
//!
//! A file is recorded when it is complete on the disk, by the thread that wrote it: only then is there a stamp to record.
//! So the lines of a receipt have no order.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lanspread_trust::manifest::{EntryContent, Manifest};
use lanspread_types::checksum::{Checksum, ContentDigest};
use lanspread_types::content::Totals;
use lanspread_types::entry_path::EntryPath;
use lanspread_types::fault::LocalError;

use crate::state::receipt::{ChecksumText, FileLine, FileStamp, ReceiptDraft};

/// A draft and what its files were compared with.
#[derive(Debug)]
pub(super) struct SharedReceipt {
    draft: Mutex<ReceiptDraft>,
    bytes: AtomicU64,
    manifest: Option<Arc<Manifest>>,
}

impl SharedReceipt {
    pub(super) fn new(draft: ReceiptDraft, manifest: Option<Arc<Manifest>>) -> Self {
        Self { bytes: AtomicU64::new(draft.bytes()), draft: Mutex::new(draft), manifest }
    }

    /// Records a file that is complete and has its time.
    pub(super) fn file(
        &self,
        path: &EntryPath,
        size: u64,
        checksum: Checksum,
        file: &File,
    ) -> Result<(), LocalError> {
        let sha256 = self.digest(path);
        let mut line =
            FileLine { path: path.as_str(), size, crc32: Some(ChecksumText(checksum)), sha256, stamp: None };
        if sha256.is_some() {
            let metadata = file.metadata().map_err(LocalError::io("read", path.as_str()))?;
            line.stamp = Some(FileStamp::of(&metadata));
        }
        let mut draft = self.draft.lock().unwrap_or_else(PoisonError::into_inner);
        draft.file(&line)?;
        self.bytes.store(draft.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Completes the draft; the caller makes it durable with everything else.
    pub(super) fn complete(&self, totals: Totals) -> Result<(), LocalError> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner).complete(totals)
    }

    /// Bytes that the draft has so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The digest that a manifest lists for a file.
    fn digest(&self, path: &EntryPath) -> Option<ContentDigest> {
        match self.manifest.as_ref()?.entries.find(path.as_str())?.content {
            EntryContent::File { digest, .. } => Some(*digest),
            EntryContent::Folder => None,
        }
    }
}
