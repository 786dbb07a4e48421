//! Chunks from a server: asked for ahead, answered in order.
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
use crate::traffic::Meter;

/// Where a chunk is: in which file of the manifest, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) file: usize,
    pub(crate) offset: u64,
    /// At least 1, and at most [`limits::MANIFEST_CHUNK_BYTES`].
    pub(crate) length: u64,
}

/// Hears of what arrives, before it is known whether it is right.
pub(crate) trait HearArrivals: Send + Sync {
    /// So many bytes have come.
    fn count(&self, bytes: u64);

    /// One of the requests begins to wait for this peer, or no longer does: that is not the server's time.
    fn waits(&self, _begins: bool) {}
}

impl<F: Fn(u64) + Send + Sync> HearArrivals for F {
    fn count(&self, bytes: u64) {
        self(bytes);
    }
}

/// A server that is asked for chunks, each of which its user calls by a `K`.
pub(crate) struct HttpUpstream<K> {
    server: Arc<HttpServer>,
    tasks: Tasks,
    files: Arc<[RootFile]>,
    meter: Meter,
    hears: Arc<dyn HearArrivals>,
    asked: VecDeque<(K, Fetching)>,
}

/// A running request, which ends when it is dropped.
struct Fetching(JoinHandle<Result<Bytes, HttpError>>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request waits for this peer, until it is dropped.
struct Waits<'h>(&'h dyn HearArrivals);

impl<'h> Waits<'h> {
    fn begin(hears: &'h dyn HearArrivals) -> Self {
        hears.waits(true);
        Self(hears)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waits(false);
    }
}

impl<K: Copy> HttpUpstream<K> {
    pub(crate) fn new(
        server: Arc<HttpServer>,
        tasks: Tasks,
        files: Arc<[RootFile]>,
        meter: Meter,
        hears: Arc<dyn HearArrivals>,
    ) -> Self {
        Self { server, tasks, files, meter, hears, asked: VecDeque::new() }
    }

    /// Asks for a chunk. Does nothing and returns false if so many are asked for already that no more may be, or if there
    /// can be no such chunk.
    pub(crate) fn ask(&mut self, chunk: K, place: ChunkPlace) -> bool {
        let fits = (1..=u64::from(limits::MANIFEST_CHUNK_BYTES)).contains(&place.length)
            && self.asked.len() < limits::PACKED_ASKED_MAX;
        let Some(file) = self.files.get(place.file).filter(|_| fits).cloned() else { return false };
        let (server, meter, hears) = (Arc::clone(&self.server), self.meter.clone(), Arc::clone(&self.hears));
        let fetching = self.tasks.spawn_contained("http-chunk", async move {
            let ChunkPlace { offset, length, .. } = place;
            let mut body =
                server.part(FilePart { file: &file.name, size: file.size, offset, length }).await?;
            let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
            while let Some(piece) = body.next().await? {
                let length = piece.len() as u64;
                hears.count(length);
                meter.count(length);
                if meter.is_limited() {
                    let _waits = Waits::begin(hears.as_ref());
                    meter.pass(length).await;
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes.freeze())
        });
        self.asked.push_back((chunk, Fetching(fetching)));
        true
    }

    /// How many chunks are asked for and not answered yet.
    pub(crate) fn asked(&self) -> usize {
        self.asked.len()
    }

    /// The first chunk that was asked for and not answered yet. Waits for ever if none was. Cancel safe.
    ///
    /// # Errors
    /// [`HttpError`]: the upstream is then of no more use.
    pub(crate) async fn next(&mut self) -> Result<(K, Bytes), HttpError> {
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
