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

use crate::install::tree_repair::TreeRepair;
use crate::state::receipt::{ChecksumText, FileLine, FileStamp, ReceiptDraft};
use crate::state::receipt_reader::InstalledContent;

/// A draft and what its files were compared with.
#[derive(Debug)]
pub(super) struct SharedReceipt {
    draft: Mutex<ReceiptDraft>,
    bytes: AtomicU64,
    digests: StagedDigests,
}

/// Who says which digests the files have.
#[derive(Debug)]
pub(super) enum StagedDigests {
    /// Nothing does.
    Unknown,
    /// The manifest with which everything was compared.
    Listed(Arc<Manifest>),
    /// What is repaired, which has files that will be renamed once more.
    Wanted(Arc<TreeRepair>),
}

impl SharedReceipt {
    pub(super) fn new(draft: ReceiptDraft, digests: StagedDigests) -> Self {
        Self { bytes: AtomicU64::new(draft.bytes()), draft: Mutex::new(draft), digests }
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
            line.stamp = Some(match &self.digests {
                StagedDigests::Wanted(_) => FileStamp::before_rename(&metadata),
                StagedDigests::Unknown | StagedDigests::Listed(_) => FileStamp::of(&metadata),
            });
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
        match &self.digests {
            StagedDigests::Unknown => None,
            StagedDigests::Listed(manifest) => match manifest.entries.find(path.as_str())?.content {
                EntryContent::File { digest, .. } => Some(*digest),
                EntryContent::Folder => None,
            },
            StagedDigests::Wanted(repair) => match repair.files.get(path.as_str())?.installed.content {
                InstalledContent::Digest(digest) => Some(digest),
                InstalledContent::Checksum(_) => None,
            },
        }
    }
}
