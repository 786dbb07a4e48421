//! An HTTP server as a source of chunks. Each chunk of a download is asked for in parts, several ahead and at the same
//! time, so that the way to a server far away is not waited for between two of them, nor between two small files.
//!
//! The server gives no checksum of a chunk, so the one that is recorded is of what has come; the manifest proves it first.

use std::collections::VecDeque;
use std::sync::Arc;

use lanspread_proto::chunk::Buffers;
use lanspread_store::state::chunks::Chunk;
use lanspread_types::checksum::ChecksumHasher;
use lanspread_types::content::RootFile;
use lanspread_types::limits;
use tokio::sync::mpsc;

use crate::http::server::HttpServer;
use crate::http::upstream::{ChunkPlace, HttpUpstream};
use crate::receive::arrivals::{Arrivals, QueueClosed};
use crate::receive::chunk_source::{ChunkSource, FetchError};
use crate::receive::chunk_writer::ChunkWrite;
use crate::task::Tasks;
use crate::traffic::Meter;

/// A server that is asked for chunks.
pub(crate) struct ServerChunks {
    server: Arc<HttpServer>,
    tasks: Tasks,
    meter: Meter,
    files: Arc<[RootFile]>,
    /// Without meaning: chunks of a server are always proved.
    fingerprints: Vec<u64>,
}

/// What one request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChunkPart {
    chunk: Chunk,
    offset: u64,
    length: u64,
}

/// The parts of a chunk, in order. Pure.
fn parts_of(chunk: Chunk) -> impl Iterator<Item = ChunkPart> {
    let (most, end) = (limits::HTTP_PART_BYTES, chunk.offset + chunk.length);
    (0..chunk.length.div_ceil(most)).map(move |part| {
        let offset = chunk.offset + part * most;
        ChunkPart { chunk, offset, length: most.min(end - offset) }
    })
}

impl ServerChunks {
    pub(crate) fn new(server: Arc<HttpServer>, tasks: Tasks, meter: Meter, files: &[RootFile]) -> Self {
        // Whatever its files were when it was asked before.
        server.forget();
        Self { server, tasks, meter, files: files.into(), fingerprints: vec![0; files.len()] }
    }
}

/// Passes parts on to the writer, and knows the checksum of the chunk that they are of.
struct Passing<'p> {
    writes: &'p mpsc::Sender<ChunkWrite>,
    buffers: &'p Buffers,
    arrivals: &'p Arrivals,
    hasher: ChecksumHasher,
}

impl Passing<'_> {
    async fn pass(&mut self, part: ChunkPart, bytes: &[u8]) -> Result<(), QueueClosed> {
        let ChunkPart { chunk, mut offset, length } = part;
        let ends_at = offset + length;
        self.hasher.update(bytes);
        // In the frames of a peer, so that the queues hold no more bytes than of one.
        for piece in bytes.chunks(limits::DATA_CHUNK_BYTES) {
            let mut data = self.buffers.take();
            data.clear();
            data.extend_from_slice(piece);
            self.arrivals.deliver(self.writes, ChunkWrite::Data { chunk, offset, data }).await?;
            offset += piece.len() as u64;
        }
        if ends_at == chunk.offset + chunk.length {
            let checksum = std::mem::take(&mut self.hasher).finish();
            self.arrivals.deliver(self.writes, ChunkWrite::End { chunk, checksum }).await?;
        }
        Ok(())
    }
}

impl ChunkSource for ServerChunks {
    fn fingerprints(&self) -> &[u64] {
        &self.fingerprints
    }

    async fn fetch(
        &mut self,
        orders: &mut mpsc::Receiver<Chunk>,
        writes: mpsc::Sender<ChunkWrite>,
        buffers: &Buffers,
        arrivals: &Arc<Arrivals>,
    ) -> Result<(), FetchError> {
        let arriving: Arc<Arrivals> = Arc::clone(arrivals);
        let (server, files) = (Arc::clone(&self.server), Arc::clone(&self.files));
        let mut server = HttpUpstream::new(server, self.tasks.clone(), files, self.meter.clone(), arriving);
        let mut passing = Passing { writes: &writes, buffers, arrivals, hasher: ChecksumHasher::default() };
        let (mut parts, mut is_ordering) = (VecDeque::new(), true);
        loop {
            while server.asked() < limits::HTTP_PARTS_AHEAD
                && let Some(part) = parts.pop_front()
            {
                let ChunkPart { chunk, offset, length } = part;
                let asked = server.ask(part, ChunkPlace { file: chunk.file, offset, length });
                debug_assert!(asked, "there are no more parts ahead than may be, and each is of a file");
            }
            if !is_ordering && server.asked() == 0 {
                return Ok(());
            }
            tokio::select! {
                biased;
                order = orders.recv(), if is_ordering && parts.is_empty() => match order {
                    Some(chunk) => parts.extend(parts_of(chunk)),
                    None => is_ordering = false,
                },
                // The writer refused the last chunk, and without a next one no failed send would show it.
                () = writes.closed() => return Err(FetchError::WriterStopped),
                answered = server.next() => {
                    let (part, bytes) = answered?;
                    passing.pass(part, &bytes).await?;
                }
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "http")]
mod tests;
