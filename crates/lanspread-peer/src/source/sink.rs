//! Turns entries into the items of a stream and hands them to the socket's task.

use bytes::{Bytes, BytesMut};
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_proto::message::StreamItem;
use lanspread_types::content::EntryStep;
use lanspread_types::limits::DATA_CHUNK_BYTES;
use tokio::sync::mpsc;

/// Sends entries into a bounded channel, and blocks while it is full: that is the back-pressure.
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

    /// Fills frames with content.
    fn gather(&mut self, mut bytes: &[u8]) -> Result<(), SinkError> {
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

    fn send_pending(&mut self) -> Result<(), SinkError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes: Bytes = self.pending.split().freeze();
        self.send(StreamItem::Data(bytes))
    }
}

impl EntrySink for WireSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        if let EntryStep::Data(bytes) = step {
            return self.gather(bytes);
        }
        // Bytes are pending only at the end of a file.
        self.send_pending()?;
        self.send(step.map_data(Bytes::copy_from_slice).into())
    }
}
