//! Connections between the machines of a room, and who answers at their other end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::{Channel, Introduction};
use lanspread_proto::message::{Refusal, RefusalCode, Reply, Request};
use lanspread_proto::packed::{Place, WaveNews};
use lanspread_proto::queued::QueuePosition;
use lanspread_types::limits;
use tokio::io::duplex;
use tokio::time::{Instant, sleep, timeout};

use super::gate::{Gated, OnTheWay};
use super::room::CHUNK_BYTES;
use super::world::{World, content, lock};
use crate::packed::serve::{ChunkAnswer, ServeChunks, serve};
use crate::packed::uplink::AtUplink;
use crate::packed::uplink_order::FedWave;
use crate::testing::hello;
use crate::traffic::Meter;

impl World {
    /// Connects two machines, and serves the connection at the other one. Returns also what is on the way in the pipe.
    pub(super) async fn connect(
        self: &Arc<Self>,
        from: usize,
        to: usize,
    ) -> Result<(Connection<Gated>, OnTheWay), WireError> {
        let target = &self.nodes[to];
        if target.is_dead.is_cancelled() {
            return Err(WireError::Connect(std::io::ErrorKind::ConnectionRefused.into()));
        }
        let gates = [Arc::clone(&self.nodes[from].gate), Arc::clone(&target.gate)];
        if !target.is_reachable || gates.iter().any(|gate| gate.is_closed()) {
            sleep(limits::RELAY_CONNECT_DEADLINE).await;
            return Err(WireError::Connect(std::io::ErrorKind::TimedOut.into()));
        }
        let (near, far) = duplex(4 * CHUNK_BYTES);
        let (dialled, answered) = Channel::of_pipe(self.nodes[from].key, target.key);
        let links = |from: usize, to: usize| {
            [Arc::clone(&self.nodes[from].uplink), Arc::clone(&self.nodes[to].downlink)]
        };
        let on_the_way = OnTheWay::default();
        let far = Gated::new(far, gates.clone(), links(to, from), on_the_way.other_end());
        let near = Gated::new(near, gates, links(from, to), on_the_way.clone());
        let (world, is_dead) = (Arc::clone(self), target.is_dead.clone());
        target.tasks.spawn_contained("connection", async move {
            let introduction = Introduction::open(hello(&format!("node-{to}")));
            let serving = async {
                let opened = Connection::open(far, &answered, &introduction).await;
                if let Ok(mut connection) = opened
                    && let Err(error) = world.answer(to, &mut connection).await
                {
                    world.tell(to, &format!("a connection of node {from} ended: {error}"));
                }
            };
            is_dead.run_until_cancelled(serving).await;
        });
        let introduction = Introduction::open(hello(&format!("node-{from}")));
        let opened =
            timeout(limits::RELAY_CONNECT_DEADLINE, Connection::open(near, &dialled, &introduction)).await;
        let late = |_| Err(WireError::Connect(std::io::ErrorKind::TimedOut.into()));
        Ok((opened.unwrap_or_else(late)?, on_the_way))
    }

    async fn answer(&self, node: usize, connection: &mut Connection<Gated>) -> Result<(), WireError> {
        let request = connection.receive("request", limits::REQUEST_IDLE_DEADLINE).await?;
        let Some(Request::Follow(wanted)) = request else { return Ok(()) };
        let at = &self.nodes[node];
        if at.is_only_alive.load(Ordering::Relaxed) {
            connection.send(&Reply::Following { lo: 0, hi: self.room.chunks }).await?;
            serve(connection, &OnlyAlive(Meter::unlimited()), &at.leaves).await;
            return Ok(());
        }
        while at.has_no_place.load(Ordering::Relaxed) {
            connection.send(&Reply::Queued(QueuePosition { ahead: 0, in_ms: None })).await?;
            sleep(limits::KEEP_ALIVE_INTERVAL).await;
        }
        if let Some(relay) = at.relays.find(&wanted.packed) {
            let end = relay.serve(connection, &wanted, Meter::unlimited(), &at.leaves, |_| {}).await?;
            self.tell(node, &format!("fed {} chunks: {}", end.chunks, end.served.code()));
            return Ok(());
        }
        if !at.is_source {
            let refusal = Refusal::new(RefusalCode::NotOffered, "nothing is installed here");
            return connection.send(&Reply::Refused(refusal)).await;
        }
        connection.send(&Reply::Following { lo: 0, hi: self.room.chunks }).await?;
        let id = wanted.place.wave;
        let wave = FedWave { id, is_ours: lock(&at.roster).is_ours(&wanted.packed, id) };
        let uplink = at.sends.feed(wanted.packed.clone(), wave, wanted.at);
        let source = Source { world: self, node, place: wanted.place, uplink, meter: Meter::unlimited() };
        lock(&at.roster).begins_fed(
            &wanted.packed,
            wanted.place.wave,
            wanted.at,
            self.room.chunks,
            Instant::now(),
        );
        let served = serve(connection, &source, &at.leaves).await;
        self.tell(node, &format!("served as a source: {}", served.code()));
        lock(&at.roster).ends_fed(&wanted.packed, wanted.place.wave, Instant::now());
        Ok(())
    }
}

/// A source of the whole game.
struct Source<'w> {
    world: &'w World,
    node: usize,
    place: Place,
    uplink: AtUplink,
    meter: Meter,
}

impl ServeChunks for Source<'_> {
    async fn chunk(&self, chunk: u64) -> ChunkAnswer {
        if self.world.nodes[self.node].says_gone.load(Ordering::Relaxed) {
            return ChunkAnswer::Gone(chunk + 1);
        }
        self.uplink.turn(chunk).await;
        ChunkAnswer::Chunk(content(self.world.room.seed, chunk))
    }

    fn took(&self, chunk: u64, _: Bytes, taken: Duration) {
        self.uplink.sent(taken);
        self.world.sent_by_sources.fetch_add(1, Ordering::Relaxed);
        let mut roster = lock(&self.world.nodes[self.node].roster);
        roster.reached(&self.world.packed, self.place.wave, chunk, Instant::now());
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    fn alive(&self) -> (u64, bool) {
        (self.world.room.chunks, false)
    }

    fn wave(&self) -> WaveNews {
        let roster = lock(&self.world.nodes[self.node].roster);
        WaveNews { places: roster.places(&self.world.packed, self.place.wave), slowest: None }
    }
}

/// A peer that is alive for ever, and sends nothing.
struct OnlyAlive(Meter);

impl ServeChunks for OnlyAlive {
    async fn chunk(&self, _: u64) -> ChunkAnswer {
        std::future::pending().await
    }

    fn meter(&self) -> &Meter {
        &self.0
    }

    fn alive(&self) -> (u64, bool) {
        (u64::MAX, false)
    }
}
