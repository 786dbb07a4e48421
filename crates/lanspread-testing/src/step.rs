//! The steps of the script of a lying source.

use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::message::StreamItem;
use tokio::sync::Barrier;

/// One thing that the source does in a stream. After the last one it closes the connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends a well-formed frame.
    Say(StreamItem),
    /// Sends bytes as they are.
    Raw(Vec<u8>),
    /// Sends nothing more and does not close the connection.
    Silence,
    /// Sends keep-alives as often as an honest source, for ever.
    KeepAlives,
    /// Takes this long for its next frame, and meanwhile sends keep-alives as often as an honest source.
    Wait(Duration),
    /// Sends a well-formed frame again and again, for ever.
    Flood(StreamItem),
    /// Waits until the test has reached the same point.
    Meet(Arc<Barrier>),
}
