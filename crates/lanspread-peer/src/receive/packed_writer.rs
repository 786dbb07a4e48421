//! The archives of a download, written to their places as a packed stream brings them.
//!
//! ```text
//!  feeding ─▶ WindowBytes ─▶ writing thread: each chunk to its place, and 16 MiB into the record when they are whole
//! ```
//!
//! Whatever brings the chunks has proved them. What is recorded stays if the stream fails: the rest is left to a transfer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::locked_game::LockedGame;
use crate::receive::chunk_writer::{ChunkOrigin, ChunkWriter, DownloadTarget};
use crate::receive::error::AttemptError;
use crate::receive::packed_upstreams::WindowBytes;
use crate::receive::unread::Unread;

/// What is written, and where to.
pub(crate) struct PackedWrite {
    pub(crate) locked: LockedGame,
    pub(crate) bytes: Arc<WindowBytes>,
    pub(crate) target: Arc<DownloadTarget>,
    /// What the record names for what it cannot tell apart: a chunk of 16 MiB may come from several peers.
    pub(crate) origin: ChunkOrigin,
}

/// Writes what `feeding` brings, until all of it is here. `written` hears from time to time how many bytes are.
///
/// # Errors
/// What `feeding` fails with; [`AttemptError::Local`] if the disk fails.
pub(crate) async fn write_packed(
    write: PackedWrite,
    feeding: impl Future<Output = Result<(), AttemptError>> + Send,
    written: impl Fn(u64) + Send,
) -> Result<(), AttemptError> {
    let PackedWrite { locked, bytes, target, origin } = write;
    let unread = Unread::new(Arc::clone(&bytes) as _);
    let thread = {
        let (bytes, target) = (Arc::clone(&bytes), Arc::clone(&target));
        locked.run("packed-writer", move |_, _, _| run(&bytes, &target, &origin).map_err(AttemptError::Local))
    };
    let (mut thread, mut feeding) = (Box::pin(thread), Box::pin(feeding));
    let mut ticks = interval(limits::PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fed = None;
    loop {
        tokio::select! {
            is_complete = &mut thread => {
                let is_complete = is_complete?;
                written(target.written_bytes.load(Ordering::Relaxed));
                if is_complete {
                    unread.keep();
                    // The upstreams are told that everything is here.
                    if fed.is_none() {
                        let _ = timeout(limits::PACKED_FEEDING_END_WAIT, &mut feeding).await;
                    }
                    return Ok(());
                }
                return fed.unwrap_or(Err(AttemptError::ThreadStopped));
            }
            ended = &mut feeding, if fed.is_none() => {
                if ended.is_err() {
                    bytes.window.close();
                }
                fed = Some(ended);
            }
            _ = ticks.tick() => written(target.written_bytes.load(Ordering::Relaxed)),
        }
    }
}

/// The work of the writing thread. Returns whether everything was written; if not, the window was closed.
fn run(bytes: &WindowBytes, target: &DownloadTarget, origin: &ChunkOrigin) -> Result<bool, LocalError> {
    let chunks = target.journal().record.chunks.clone();
    let mut writer = ChunkWriter::new(target, origin);
    for number in 0..bytes.layout.chunks() {
        let Some(place) = bytes.layout.chunk(number) else { break };
        let Ok(data) = bytes.window.read(number) else { return Ok(false) };
        writer.write(place.file, place.offset, &data)?;
        // A chunk of the record ends where one of the manifest does.
        let ended = chunks.containing(place.file, place.offset);
        if let Some(chunk) = ended.filter(|chunk| chunk.offset + chunk.length == place.offset + place.length)
        {
            let checksum = writer.end();
            writer.record(chunk, checksum)?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
