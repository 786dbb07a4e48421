//! A sink that turns entries into the items of a stream and hands them to the socket's task.

use bytes::{Bytes, BytesMut};
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_proto::message::{StreamItem, StreamMessage};
use lanspread_types::content::{ArchiveSummary, CopyEntry, DirectoryEntry, FileEntry};
use lanspread_types::limits::DATA_CHUNK_BYTES;
use tokio::sync::mpsc;

/// Sends entries into a bounded channel; blocks while it is full, which is the back-pressure.
pub(super) struct WireSink {
    items: mpsc::Sender<StreamItem>,
    /// Bytes of the open file that do not fill a frame yet.
    pending: BytesMut,
}

impl WireSink {
    pub(super) fn new(items: mpsc::Sender<StreamItem>) -> Self {
        Self { items, pending: BytesMut::new() }
    }

    pub(super) fn send(&self, item: StreamItem) -> Result<(), SinkError> {
        self.items.blocking_send(item).map_err(|_| SinkError::Closed)
    }

    fn control(&self, message: StreamMessage) -> Result<(), SinkError> {
        self.send(StreamItem::Control(message))
    }

    fn send_pending(&mut self) -> Result<(), SinkError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes: Bytes = self.pending.split().freeze();
        self.send(StreamItem::Data(bytes))
    }
}

impl EntrySink for WireSink {
    fn archive_begin(&mut self, archive: &ArchiveSummary) -> Result<(), SinkError> {
        self.control(StreamMessage::ArchiveBegin(archive.clone()))
    }

    fn directory(&mut self, directory: &DirectoryEntry) -> Result<(), SinkError> {
        self.control(StreamMessage::Directory { path: directory.path.as_str().to_owned() })
    }

    fn file_begin(&mut self, file: &FileEntry) -> Result<(), SinkError> {
        self.control(StreamMessage::FileBegin {
            path: file.path.as_str().to_owned(),
            size: file.size,
            crc32: file.crc32,
            modified: file.modified,
            executable: file.executable,
        })
    }

    fn chunk(&mut self, mut bytes: &[u8]) -> Result<(), SinkError> {
        while !bytes.is_empty() {
            if self.pending.is_empty() {
                // Small files get small buffers.
                self.pending.reserve(if bytes.len() < DATA_CHUNK_BYTES / 4 {
                    bytes.len()
                } else {
                    DATA_CHUNK_BYTES
                });
            }
            let room = DATA_CHUNK_BYTES - self.pending.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            if self.pending.len() == DATA_CHUNK_BYTES {
                self.send_pending()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    fn file_end(&mut self, crc32: u32) -> Result<(), SinkError> {
        self.send_pending()?;
        self.control(StreamMessage::FileEnd { crc32 })
    }

    fn copy(&mut self, copy: &CopyEntry) -> Result<(), SinkError> {
        self.control(StreamMessage::Copy {
            path: copy.path.as_str().to_owned(),
            original: copy.original.as_str().to_owned(),
            size: copy.size,
            modified: copy.modified,
            executable: copy.executable,
        })
    }

    fn archive_end(&mut self) -> Result<(), SinkError> {
        self.control(StreamMessage::ArchiveEnd)
    }
}
