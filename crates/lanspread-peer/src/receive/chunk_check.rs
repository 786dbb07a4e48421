//! The check of one source: stands between what arrives and the writer, and lets nothing through but what the manifest
//! lists.
//!
//! It runs on a thread of its own for each source, so that digests are computed while other bytes arrive and are written,
//! and for several sources on several cores. What has arrived of one listed chunk is held until its last byte is here, so
//! nothing is written before it is proved. The memory for that is bounded: what a source sends in small frames is moved
//! together.

use bytes::BytesMut;
use lanspread_proto::chunk::Buffers;
use lanspread_store::state::chunks::Chunk;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_types::checksum::ContentHasher;
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio::sync::mpsc;

use crate::receive::chunk_source::FetchError;
use crate::receive::chunk_writer::ChunkWrite;
use crate::receive::other_bytes::OtherBytes;

/// Checks until the queue ends or its writer does.
///
/// # Errors
/// [`FetchError::OtherBytes`], and [`FetchError::Local`] if the manifest cannot be read.
pub(crate) fn check(
    listed: &ListedChunks,
    mut queue: mpsc::Receiver<ChunkWrite>,
    writes: &mpsc::Sender<ChunkWrite>,
    buffers: &Buffers,
) -> Result<(), FetchError> {
    let mut held = Held::default();
    while let Some(step) = queue.blocking_recv() {
        match step {
            ChunkWrite::Data { chunk, mut offset, mut data } => {
                while !data.is_empty() {
                    let size = listed.files().get(chunk.file).map_or(0, |file| file.size);
                    let end = listed.end_of(size, offset);
                    let rest = cut(&mut data, end.saturating_sub(offset), buffers);
                    offset += data.len() as u64;
                    held.take(data, buffers);
                    if offset >= end {
                        let proved = held.prove(listed, chunk, offset)?;
                        if !pass(proved, writes) {
                            return Ok(());
                        }
                    }
                    data = rest;
                }
            }
            end @ ChunkWrite::End { .. } => {
                // A chunk ends where a listed one does: if bytes are held, it is not whole.
                if !held.pieces.is_empty() || writes.blocking_send(end).is_err() {
                    return Err(FetchError::WriterStopped);
                }
            }
        }
    }
    Ok(())
}

/// Passes proved bytes to the writer; false if it has ended.
fn pass(proved: impl Iterator<Item = ChunkWrite>, writes: &mpsc::Sender<ChunkWrite>) -> bool {
    proved.into_iter().all(|write| writes.blocking_send(write).is_ok())
}

/// Cuts off and returns what is behind the first `length` bytes.
fn cut(data: &mut BytesMut, length: u64, buffers: &Buffers) -> BytesMut {
    let length = usize::try_from(length).map_or(data.len(), |length| length.min(data.len()));
    if length == data.len() {
        return BytesMut::new();
    }
    // Copied, not split: two halves of one buffer could not be used again. Peers send frames that need no cut.
    let mut rest = buffers.take();
    rest.clear();
    rest.extend_from_slice(&data[length..]);
    data.truncate(length);
    rest
}

/// What has arrived of one listed chunk.
#[derive(Default)]
struct Held {
    pieces: Vec<BytesMut>,
    bytes: u64,
    hasher: ContentHasher,
}

impl Held {
    /// Takes the next bytes. Of two neighbours, one could not take in the other, so less than half of the memory is unused.
    fn take(&mut self, mut data: BytesMut, buffers: &Buffers) {
        self.hasher.update(&data);
        self.bytes += data.len() as u64;
        match self.pieces.last_mut() {
            Some(last) if last.capacity() - last.len() >= data.len() => {
                last.extend_from_slice(&data);
                buffers.give(data);
            }
            _ => {
                data.reserve(limits::HELD_PIECE_BYTES_MIN.saturating_sub(data.len()));
                self.pieces.push(data);
            }
        }
    }

    /// Gives what is held, which ends at `end` of its file, as writes of `chunk`, if it is as listed.
    fn prove(
        &mut self,
        listed: &ListedChunks,
        chunk: Chunk,
        end: u64,
    ) -> Result<impl Iterator<Item = ChunkWrite>, FetchError> {
        let Self { pieces, bytes, hasher } = std::mem::take(self);
        let (position, got) = (end - bytes, hasher.finish());
        let expected = listed.digest(chunk.file, position).map_err(FetchError::Local)?;
        if got != expected {
            let name = listed.files().get(chunk.file).map_or("", |file| &file.name);
            let path = printable(name, limits::COMPONENT_BYTES_MAX);
            return Err(OtherBytes { path, position, expected, got }.into());
        }
        let mut offset = position;
        Ok(pieces.into_iter().map(move |data| {
            let at = offset;
            offset += data.len() as u64;
            ChunkWrite::Data { chunk, offset: at, data }
        }))
    }
}

#[cfg(test)]
mod tests;
