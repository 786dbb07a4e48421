//! What feeds a stream: its upstreams, what they are told, and what they say.

use std::sync::Arc;

use bytes::Bytes;
use lanspread_proto::packed::WaveNews;
use lanspread_proto::queued::QueuePosition;
use tokio::sync::mpsc;

use crate::packed::plan::{Tier, UpstreamId};
use crate::packed::upstream_error::UpstreamError;

/// What the loop sends to the task of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ask(u64),
    /// It said that something is gone; what is ordered from here on counts.
    Resume,
    /// Everything is here.
    Done,
}

/// What an upstream answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It can be asked; it has the chunks from `lo` on.
    Opened {
        lo: u64,
    },
    Alive {
        full: bool,
        wave: WaveNews,
    },
    Gone {
        lo: u64,
    },
    /// The bytes of a chunk that was asked for. Nothing is known of them yet.
    Chunk(u64, Bytes),
    /// It has no place now.
    Queued(QueuePosition),
    /// Whether this receiver takes what it sends more slowly than it arrives.
    Behind(bool),
}

/// How to begin with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The first chunk that is wanted.
    pub(crate) at: u64,
    /// The upstream that was left, which a relay may still feed.
    pub(crate) instead_of: Option<UpstreamId>,
}

/// The upstreams of one stream, in the order of their preference. More may be added at the end while it is fed.
pub(crate) trait Upstreams: Send + Sync + 'static {
    /// What kind each of them is.
    fn tiers(&self) -> Vec<Tier>;

    /// Hears that no upstream is left. Returns whether one may still be added.
    fn awaits_more(&self) -> bool {
        false
    }

    /// The position of this receiver in its wave.
    fn position(&self) -> u32;

    /// Opens an upstream and asks it for what is ordered, until the orders end. Everything that it says goes to `says`.
    fn run(
        self: Arc<Self>,
        id: UpstreamId,
        begin: Begin,
        orders: mpsc::Receiver<Order>,
        says: mpsc::Sender<Said>,
    ) -> impl Future<Output = Result<(), UpstreamError>> + Send;

    /// Compares a chunk with the manifest.
    fn prove(
        self: Arc<Self>,
        chunk: u64,
        bytes: Bytes,
    ) -> impl Future<Output = Result<Bytes, UpstreamError>> + Send;

    /// Hears what happens.
    fn hear(&self, event: FeedEvent<'_>);
}

/// What happens while a stream is fed.
pub(crate) enum FeedEvent<'e> {
    Begin {
        upstream: UpstreamId,
        chunk: u64,
    },
    Queued {
        upstream: UpstreamId,
        position: QueuePosition,
    },
    /// An upstream ended; with an error if it was not asked to.
    End {
        upstream: UpstreamId,
        chunk: u64,
        chunks: u64,
        bytes: u64,
        error: Option<&'e UpstreamError>,
    },
    /// An upstream brought a chunk of so many bytes.
    Brought {
        upstream: UpstreamId,
        bytes: u64,
        is_new: bool,
    },
    /// An upstream said what it knows of the wave.
    Wave(UpstreamId, WaveNews),
    /// What a relay had lost was brought by a source.
    GapFilled {
        from: u64,
        to: u64,
    },
}
