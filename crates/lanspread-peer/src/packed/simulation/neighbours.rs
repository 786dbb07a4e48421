//! What a machine of a room asks and answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use lanspread_proto::packed::{Follow, Place};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::PeerId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::room::CHUNK_BYTES;
use super::world::{World, content, lock};
use crate::packed::backlog::Backlog;
use crate::packed::feed::{Begin, FeedEvent, Order, Said, Upstreams};
use crate::packed::follow::follow;
use crate::packed::plan::{Tier, UpstreamId};
use crate::packed::upstream_error::{OtherChunk, UpstreamError};
use crate::traffic::Meter;

#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) node: usize,
    pub(super) tier: Tier,
    pub(super) instead_of: Option<PeerId>,
    /// When this receiver hears of it. Later ones come after earlier ones.
    pub(super) known_at: Instant,
}

/// The upstreams of one receiver.
pub(super) struct Neighbours {
    pub(super) world: Arc<World>,
    pub(super) node: usize,
    pub(super) place: Place,
    /// How long its machine takes to get a chunk from the network.
    pub(super) takes: Duration,
    pub(super) targets: Vec<Target>,
}

impl Upstreams for Neighbours {
    fn tiers(&self) -> Vec<Tier> {
        let now = Instant::now();
        let known = self.targets.iter().take_while(|target| target.known_at <= now);
        known.map(|target| target.tier).collect()
    }

    fn awaits_more(&self) -> bool {
        self.targets.iter().any(|target| target.known_at > Instant::now())
    }

    fn position(&self) -> u32 {
        self.place.position
    }

    async fn run(
        self: Arc<Self>,
        id: UpstreamId,
        begin: Begin,
        orders: mpsc::Receiver<Order>,
        says: mpsc::Sender<Said>,
    ) -> Result<(), UpstreamError> {
        let target = self.targets[id];
        let (mut connection, on_the_way) = self.world.connect(self.node, target.node).await?;
        let left = begin.instead_of.map(|left| self.world.nodes[self.targets[left].node].peer);
        let wanted = Follow {
            packed: self.world.packed.clone(),
            at: begin.at,
            place: self.place,
            instead_of: left.or(target.instead_of),
        };
        let backlog = Backlog::new(CHUNK_BYTES as u64, || Ok(on_the_way.here.load(Ordering::Relaxed)));
        follow(
            &mut connection,
            wanted,
            target.tier,
            backlog,
            (&Arc::default(), Meter::unlimited()),
            orders,
            says,
        )
        .await
    }

    async fn prove(self: Arc<Self>, chunk: u64, bytes: Bytes) -> Result<Bytes, UpstreamError> {
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        if bytes == content(self.world.room.seed, chunk) {
            return Ok(bytes);
        }
        let (expected, got) = (ContentDigest([1; 32]), ContentDigest([2; 32]));
        Err(OtherChunk { chunk, path: "a".to_owned(), position: 0, expected, got }.into())
    }

    fn hear(&self, event: FeedEvent<'_>) {
        match event {
            FeedEvent::Begin { upstream, chunk } => {
                let upstream = self.targets[upstream].node;
                self.world.tell(self.node, &format!("follows node {upstream} from chunk {chunk}"));
                self.world.follow(self.node, upstream);
            }
            FeedEvent::End { upstream, chunk, error, .. } => {
                let upstream = self.targets[upstream].node;
                let why = error.map_or("done".to_owned(), ToString::to_string);
                self.world.tell(self.node, &format!("leaves node {upstream} at chunk {chunk}: {why}"));
                self.world.unfollow(self.node, upstream);
            }
            FeedEvent::GapFilled { from, to } => {
                self.world.tell(self.node, &format!("filled the gap from {from} to {to}"));
            }
            FeedEvent::Brought { bytes, is_new, .. } => {
                let twice = if is_new { 0 } else { bytes };
                self.world.bytes_twice.fetch_add(twice, Ordering::Relaxed);
            }
            FeedEvent::Wave(upstream, news) => {
                let node = &self.world.nodes[self.node];
                node.view.wave().hear(upstream, news);
                if let Some(slowest) = node.view.wave().slowest() {
                    *lock(&node.slowest) = slowest.peer.to_string();
                }
            }
            FeedEvent::Queued { .. } => {}
        }
    }
}
