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

/// Puts the bytes of chunks in their places, and records whole chunks. The bytes of one chunk come in their order.
pub(crate) struct ChunkWriter<'w> {
    target: &'w DownloadTarget,
    origin: &'w ChunkOrigin,
    /// The file that was written last, by its number.
    open: Option<(usize, File)>,
    /// Of what was written since the last chunk ended.
    hasher: ChecksumHasher,
}

impl<'w> ChunkWriter<'w> {
    pub(crate) fn new(target: &'w DownloadTarget, origin: &'w ChunkOrigin) -> Self {
        Self { target, origin, open: None, hasher: ChecksumHasher::default() }
    }

    /// Writes the next bytes of a chunk, at their offset in its file.
    pub(crate) fn write(&mut self, file: usize, offset: u64, data: &[u8]) -> Result<(), LocalError> {
        let opened = match self.open.take() {
            Some((number, opened)) if number == file => opened,
            _ => self.target.partials.open(file)?,
        };
        let written = opened.write_all_at(data, offset);
        written.map_err(LocalError::io("write", self.target.partials.path(file)))?;
        self.open = Some((file, opened));
        self.hasher.update(data);
        let bytes = data.len() as u64;
        let written_bytes = self.target.written_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(booking) = &self.target.booking {
            booking.note_written(written_bytes);
        }
        Ok(())
    }

    /// The CRC-32 of the chunk that was written whole.
    pub(crate) fn end(&mut self) -> Checksum {
        std::mem::take(&mut self.hasher).finish()
    }

    /// Records a chunk that was written whole and is right.
    pub(crate) fn record(&mut self, chunk: Chunk, checksum: Checksum) -> Result<(), LocalError> {
        if let Some((file, opened)) = &self.open {
            self.target.partials.begin_write_back(*file, opened, chunk.offset, chunk.length);
        }
        let ChunkOrigin { peer, peer_id, fingerprints } = self.origin;
        let fingerprint = fingerprints.get(chunk.file).copied().unwrap_or_default();
        let recorded = Recorded { checksum, peer: peer.clone(), peer_id: *peer_id, fingerprint };
        self.target.journal().chunk(chunk.id, recorded)
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
    let mut writer = ChunkWriter::new(target, origin);
    while let Some(step) = queue.blocking_recv() {
        match step {
            ChunkWrite::Data { chunk, offset, data } => {
                writer.write(chunk.file, offset, &data)?;
                buffers.give(data);
            }
            ChunkWrite::End { chunk, checksum } => {
                let got = writer.end();
                if got != checksum {
                    let shown = target.partials.path(chunk.file);
                    let name = shown.file_name().unwrap_or_default().to_string_lossy();
                    let path = printable(&name, limits::COMPONENT_BYTES_MAX);
                    return Err(ContentError::Checksum { path, expected: checksum, got }.into());
                }
                writer.record(chunk, got)?;
                done(chunk);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lanspread_store::download::partials;
    use lanspread_store::state::games_dir::GamesDir;
    use lanspread_testing::machine::Machine;
    use lanspread_types::content::RootFile;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A chunk is on its way to the disk when it is recorded; of a wrong one nothing is written back or recorded.
    #[test]
    fn a_right_chunk_is_written_back_and_recorded_and_a_wrong_one_is_neither() {
        let machine = Machine::new();
        let games = GamesDir::open(&machine.games_dir()).unwrap();
        let file = |name: &str, size| RootFile { name: name.to_owned(), size };
        let files = [file("a.eti", limits::CHUNK_BYTES + 5), file("version.ini", 1)];
        let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
        let (partials, journal) =
            partials::prepare(&games, &game, &version, &files, None, &CancellationToken::new()).unwrap();
        let chunks = journal.record.chunks.all().to_vec();
        let journal = Mutex::new(journal);
        let target = DownloadTarget { partials, journal, booking: None, written_bytes: AtomicU64::new(0) };
        let origin = ChunkOrigin {
            peer: "pc".parse().unwrap(),
            peer_id: PeerId::random().unwrap(),
            fingerprints: vec![1, 2],
        };
        let (writes, queue) = mpsc::channel(8);
        let (right, wrong) = (chunks[1], chunks[2]);
        let put = |chunk: Chunk, data: &[u8], of: &[u8]| {
            let data = ChunkWrite::Data { chunk, offset: chunk.offset, data: BytesMut::from(data) };
            writes.try_send(data).unwrap();
            writes.try_send(ChunkWrite::End { chunk, checksum: Checksum::of(of) }).unwrap();
        };
        put(right, b"12345", b"12345");
        put(wrong, b"1", b"2");
        drop(writes);
        let done = Mutex::new(Vec::new());
        let written = write(&target, &origin, queue, &Buffers::default(), |chunk| {
            assert_eq!(target.partials.begun_bytes(), chunk.length, "before it is done");
            done.lock().unwrap().push(chunk.id);
        });
        assert!(matches!(written, Err(SinkError::Content(ContentError::Checksum { .. }))), "{written:?}");
        assert_eq!(*done.lock().unwrap(), [right.id]);
        assert_eq!(target.partials.begun_bytes(), right.length);
        let here: Vec<bool> = target.journal().record.here.iter().map(Option::is_some).collect();
        assert_eq!(here, [false, true, false]);
    }
}
