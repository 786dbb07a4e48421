//! The chunks of a packed stream from a server: asked for ahead, answered in order.
//!
//! Each chunk is one request. Those that are asked for ahead run at the same time, each on a connection of its own, which
//! the next one uses again: so a server that is far away is never waited for between two chunks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lanspread_types::content::RootFile;
use lanspread_types::limits;
use tokio::task::JoinHandle;

use super::error::{HttpError, HttpProblem};
use super::server::{FilePart, HttpServer};
use crate::task::Tasks;

/// Where a chunk is: in which file of the manifest, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) file: usize,
    pub(crate) offset: u64,
    /// At least 1, and at most [`limits::MANIFEST_CHUNK_BYTES`].
    pub(crate) length: u64,
}

/// Finds the place of a chunk; `None` if there is no such chunk.
pub(crate) type FindChunk = dyn Fn(u64) -> Option<ChunkPlace> + Send + Sync;

/// A server as an upstream of a packed stream.
pub(crate) struct HttpUpstream {
    server: Arc<HttpServer>,
    tasks: Tasks,
    files: Arc<[RootFile]>,
    place: Arc<FindChunk>,
    asked: VecDeque<(u64, Fetching)>,
}

/// A running request, which ends when it is dropped.
struct Fetching(JoinHandle<Result<Bytes, HttpError>>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HttpUpstream {
    pub(crate) fn new(
        server: Arc<HttpServer>,
        tasks: Tasks,
        files: Arc<[RootFile]>,
        place: Arc<FindChunk>,
    ) -> Self {
        Self { server, tasks, files, place, asked: VecDeque::new() }
    }

    /// Asks for a chunk. Does nothing if so many are asked for already that no more may be.
    pub(crate) fn ask(&mut self, chunk: u64) -> bool {
        let place =
            (self.place)(chunk).filter(|place| place.length <= u64::from(limits::MANIFEST_CHUNK_BYTES));
        let place = place.and_then(|place| Some((place, self.files.get(place.file)?.clone())));
        let Some((place, file)) = place.filter(|_| self.asked.len() < limits::PACKED_ASKED_MAX) else {
            return false;
        };
        let server = Arc::clone(&self.server);
        let fetching = self.tasks.spawn_contained("http-chunk", async move {
            let ChunkPlace { offset, length, .. } = place;
            let mut body =
                server.part(FilePart { file: &file.name, size: file.size, offset, length }).await?;
            let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
            while let Some(piece) = body.next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes.freeze())
        });
        self.asked.push_back((chunk, Fetching(fetching)));
        true
    }

    /// The first chunk that was asked for and not answered yet. Waits for ever if none was. Cancel safe.
    ///
    /// # Errors
    /// [`HttpError`]: the upstream is then of no more use.
    pub(crate) async fn next(&mut self) -> Result<(u64, Bytes), HttpError> {
        let Some((chunk, fetching)) = self.asked.front_mut() else { return std::future::pending().await };
        let (chunk, fetched) = (*chunk, (&mut fetching.0).await);
        self.asked.pop_front();
        let fetched = fetched.unwrap_or_else(|_| {
            let what = "the task of this request ended abnormally".to_owned();
            Err(HttpError::new(self.server.name(), HttpProblem::Lost(what)))
        });
        Ok((chunk, fetched?))
    }
}
