//! The bytes of a packed stream until they were used.

use std::sync::Arc;

use lanspread_archive::packed::PackedBytes;

/// Closes the bytes when it is dropped, so that a thread that waits for some ends.
pub(super) struct Unread(Option<Arc<dyn PackedBytes>>);

impl Unread {
    pub(super) fn new(bytes: Arc<dyn PackedBytes>) -> Self {
        Self(Some(bytes))
    }

    /// All of them were used, and others may still want them.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(bytes) = &self.0 {
            bytes.close();
        }
    }
}
