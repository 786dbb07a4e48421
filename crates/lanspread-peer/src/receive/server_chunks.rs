//! An HTTP server as a source of chunks: each one is one request, and what comes is passed on in small pieces.
//!
//! The server gives no checksum of a chunk, so the one that is recorded is of what has come; the manifest proves it first.

use std::sync::Arc;

use lanspread_proto::chunk::Buffers;
use lanspread_store::state::chunks::Chunk;
use lanspread_types::checksum::ChecksumHasher;
use lanspread_types::content::RootFile;
use lanspread_types::limits;
use tokio::sync::mpsc;

use crate::http::server::{FilePart, HttpServer};
use crate::receive::arrivals::Arrivals;
use crate::receive::chunk_source::{ChunkSource, FetchError};
use crate::receive::chunk_writer::ChunkWrite;

/// A server that is asked for chunks.
pub(crate) struct ServerChunks {
    server: Arc<HttpServer>,
    files: Vec<RootFile>,
    /// Without meaning: chunks of a server are always proved.
    fingerprints: Vec<u64>,
}

impl ServerChunks {
    pub(crate) fn new(server: Arc<HttpServer>, files: &[RootFile]) -> Self {
        // Whatever its files were when it was asked before.
        server.forget();
        Self { server, files: files.to_vec(), fingerprints: vec![0; files.len()] }
    }

    async fn fetch_chunk(
        &self,
        chunk: Chunk,
        writes: &mpsc::Sender<ChunkWrite>,
        buffers: &Buffers,
        arrivals: &Arrivals,
    ) -> Result<(), FetchError> {
        let file = &self.files[chunk.file];
        let part = FilePart { file: &file.name, size: file.size, offset: chunk.offset, length: chunk.length };
        let mut body = self.server.part(part).await?;
        let (mut offset, mut hasher) = (chunk.offset, ChecksumHasher::default());
        let mut data = emptied(buffers);
        loop {
            let bytes = body.next().await?;
            let is_last = bytes.is_none();
            let bytes = bytes.unwrap_or_default();
            arrivals.count(bytes.len() as u64);
            hasher.update(&bytes);
            if !data.is_empty() && (is_last || data.len() + bytes.len() > limits::DATA_CHUNK_BYTES) {
                let length = data.len() as u64;
                let full = std::mem::replace(&mut data, emptied(buffers));
                arrivals.deliver(writes, ChunkWrite::Data { chunk, offset, data: full }).await?;
                offset += length;
            }
            data.extend_from_slice(&bytes);
            if is_last {
                let checksum = hasher.finish();
                return Ok(arrivals.deliver(writes, ChunkWrite::End { chunk, checksum }).await?);
            }
        }
    }
}

fn emptied(buffers: &Buffers) -> bytes::BytesMut {
    let mut buffer = buffers.take();
    buffer.clear();
    buffer
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
        arrivals: &Arrivals,
    ) -> Result<(), FetchError> {
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = orders.recv() => chunk,
                // The writer refused the last chunk, and without a next one no failed send would show it.
                () = writes.closed() => return Err(FetchError::WriterStopped),
            };
            let Some(chunk) = chunk else { return Ok(()) };
            self.fetch_chunk(chunk, &writes, buffers, arrivals).await?;
        }
    }
}
