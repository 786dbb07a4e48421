//! The writer of one source: writes bytes at their offsets, checks each chunk's CRC-32 and records whole chunks.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use lanspread_archive::SinkError;
use lanspread_proto::chunk::Buffers;
use lanspread_store::download::partials::Partials;
use lanspread_store::state::booking::Booking;
use lanspread_store::state::chunks::Chunk;
use lanspread_store::state::record::{Journal, Recorded};
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio::sync::mpsc;

/// One write of a chunk. The writes of one chunk are contiguous in the queue.
#[derive(Debug)]
pub(crate) enum ChunkWrite {
    /// Bytes of a chunk, with their offset in the file.
    Data { chunk: Chunk, offset: u64, data: BytesMut },
    /// The end of a whole chunk, with the CRC-32 that the source gave.
    End { chunk: Chunk, checksum: Checksum },
}

/// The source of a writer's chunks.
#[derive(Debug, Clone)]
pub(crate) struct ChunkOrigin {
    pub(crate) peer: PeerName,
    pub(crate) peer_id: PeerId,
    /// Fingerprint of every file, in the receiver's order of files.
    pub(crate) fingerprints: Vec<u64>,
}

/// What the writers of a download write to.
#[derive(Debug)]
pub(crate) struct DownloadTarget {
    pub(crate) partials: Partials,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) booking: Option<Booking>,
    /// Bytes written by all writers.
    pub(crate) written_bytes: AtomicU64,
}

impl DownloadTarget {
    /// Locks the journal for as long as the guard lives.
    pub(crate) fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until the queue ends. Calls `done` for every chunk that it has recorded.
pub(crate) fn write(
    target: &DownloadTarget,
    origin: &ChunkOrigin,
    mut queue: mpsc::Receiver<ChunkWrite>,
    buffers: &Buffers,
    done: impl Fn(Chunk),
) -> Result<(), SinkError> {
    let mut open: Option<(usize, File)> = None;
    let mut hasher = ChecksumHasher::default();
    while let Some(step) = queue.blocking_recv() {
        match step {
            ChunkWrite::Data { chunk, offset, data } => {
                let file = match open.take() {
                    Some((number, file)) if number == chunk.file => file,
                    _ => target.partials.open(chunk.file)?,
                };
                let written = file.write_all_at(&data, offset);
                written.map_err(LocalError::io("write", target.partials.path(chunk.file)))?;
                open = Some((chunk.file, file));
                hasher.update(&data);
                let bytes = data.len() as u64;
                buffers.give(data);
                let written_bytes = target.written_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
                if let Some(booking) = &target.booking {
                    booking.note_written(written_bytes);
                }
            }
            ChunkWrite::End { chunk, checksum } => {
                let got = std::mem::take(&mut hasher).finish();
                if got != checksum {
                    let shown = target.partials.path(chunk.file);
                    let name = shown.file_name().unwrap_or_default().to_string_lossy();
                    let path = printable(&name, limits::COMPONENT_BYTES_MAX);
                    return Err(ContentError::Checksum { path, expected: checksum, got }.into());
                }
                let ChunkOrigin { peer, peer_id, fingerprints } = origin;
                let fingerprint = fingerprints.get(chunk.file).copied().unwrap_or_default();
                let recorded = Recorded { checksum, peer: peer.clone(), peer_id: *peer_id, fingerprint };
                target.journal().chunk(chunk.id, recorded)?;
                done(chunk);
            }
        }
    }
    Ok(())
}
