//! An HTTP server as an upstream of a packed stream: it has every chunk, and nothing of it is ever gone.

use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;
use tokio::sync::mpsc;

use crate::http::server::HttpServer;
use crate::http::upstream::{ChunkPlace, HttpUpstream};
use crate::packed::feed::{Order, Said};
use crate::packed::layout::Layout;
use crate::packed::upstream_error::UpstreamError;
use crate::task::Tasks;
use crate::traffic::Meter;

/// Asks a server for what is ordered, until the orders end.
///
/// # Errors
/// [`UpstreamError::Http`].
pub(crate) async fn follow_server(
    server: Arc<HttpServer>,
    manifest: &ManifestFile,
    layout: Arc<Layout>,
    (tasks, meter): (&Tasks, Meter),
    mut orders: mpsc::Receiver<Order>,
    says: mpsc::Sender<Said>,
) -> Result<(), UpstreamError> {
    let files = manifest.manifest().root_files.clone();
    // Whole chunks are counted, once they are proved.
    let mut upstream = HttpUpstream::new(server, tasks.clone(), files.into(), meter, Arc::new(|_| {}));
    let ask = |upstream: &mut HttpUpstream<u64>, chunk| {
        let place = layout.chunk(chunk);
        let place =
            place.map(|place| ChunkPlace { file: place.file, offset: place.offset, length: place.length });
        place.is_some_and(|place| upstream.ask(chunk, place))
    };
    // If no one listens any more, the orders end too.
    let _ = says.send(Said::Opened { lo: 0 }).await;
    loop {
        let (chunk, bytes) = tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Ask(chunk)) if ask(&mut upstream, chunk) => continue,
                Some(Order::Ask(_)) => return Err(UpstreamError::Unasked),
                Some(Order::Resume) => continue,
                Some(Order::Done) | None => return Ok(()),
            },
            // The client leaves a server that is silent.
            answered = upstream.next() => answered?,
        };
        if says.send(Said::Chunk(chunk, bytes)).await.is_err() {
            return Ok(());
        }
    }
}
