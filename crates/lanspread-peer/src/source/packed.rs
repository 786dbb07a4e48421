//! Packed streams at their source: places in waves, and chunks from the disk.
//!
//! The source need not have the manifest that a receiver names: which chunks there are follows from the root files alone,
//! and what they hold is judged by the receiver. Reading and sending is all the work that a packed stream is here.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lanspread_archive::set::ArchiveSet;
use lanspread_proto::WireError;
use lanspread_proto::chunk::Buffers;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_proto::packed::{Follow, Join, NextWave, PackedGame, Place, WaveNews};
use lanspread_store::state::game_state::GameState;
use lanspread_trust::manifest::chunk_bytes;
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Source;
use super::admission::Receiver;
use super::running::{Running, StreamEnd, TransferKind};
use super::waiting;
use super::waiting::Asking;
use crate::packed::layout::Layout;
use crate::packed::relays::Relay;
use crate::packed::roster::{JoinOutcome, Newcomer, SourceState};
use crate::packed::serve::{ChunkAnswer, ServeChunks, Served, serve};
use crate::packed::uplink::AtUplink;
use crate::packed::uplink_order::FedWave;
use crate::report::event::PeerEvent;
use crate::report::packed_stream::{RelayBegin, RelayEnd};
use crate::source::served_chunks::{FilesOnDisk, ServedChunks, changed};
use crate::task::Tasks;
use crate::traffic::{Meter, TrafficKind};

/// Gives a receiver a place, and keeps it waiting while there is none.
pub(super) async fn join<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    from: IpAddr,
    wanted: Join,
    stop: &CancellationToken,
) -> Result<(), WireError> {
    let Join { packed, relay_port, window } = wanted;
    let asked = packed.clone();
    let looked = source.look(move |source| {
        let state = source.offered(&asked.game, Some(&asked.version))?;
        // Waves of lists that no archive here has would only take the place of others.
        let listed = source.packing_list_offered(&state, &asked.version).manifest;
        if listed.is_some_and(|listed| listed != asked.manifest) {
            return Err(Refusal::new(RefusalCode::NotOffered, "its archives have another packing list"));
        }
        let layout = layout(&state)?;
        Ok((layout.chunks(), limits::PACKED_WINDOW_BYTES_MIN / layout.chunk_bytes()))
    });
    let (total, least_window) = match looked.await {
        Ok(known) => known,
        Err(refusal) => return connection.send(&Reply::Refused(refusal)).await,
    };
    let newcomer = Newcomer {
        peer: connection.peer,
        name: connection.theirs.name.clone(),
        ip: from,
        relay_port,
        // No receiver has a smaller one, and none could join the wave of one that says so.
        window: window.max(least_window),
    };
    let expects_others = source.packed.expects_others(&packed.game, newcomer.peer);
    if source.draining.is_cancelled() {
        return connection.send(&stopping()).await;
    }
    let mut ended = source.packed.waves_ended.subscribe();
    // Until this returns.
    let mut waits = None;
    loop {
        ended.borrow_and_update();
        let may_have_room = source.packed.uplink.may_have_room(&packed);
        let source_state = SourceState { may_have_room, expects_others };
        let now = Instant::now();
        let number = random_number();
        let joined = source.packed.roster().join(&packed, newcomer.clone(), total, source_state, number, now);
        let in_time = match joined {
            JoinOutcome::Placed(placement) => return connection.send(&Reply::Placed(placement)).await,
            JoinOutcome::Wait { in_time } => in_time,
        };
        let waiting = source.waits.for_game(&packed.game);
        waits.get_or_insert_with(|| waiting.add(&connection.theirs.name));
        let in_ms = in_time.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        let receivers = u32::try_from(waiting.count()).unwrap_or(u32::MAX);
        connection.send(&Reply::NextWave(NextWave { in_ms, receivers })).await?;
        tokio::select! {
            () = stop.cancelled() => return connection.send(&stopping()).await,
            () = source.draining.cancelled() => return connection.send(&stopping()).await,
            () = connection.gone() => return Ok(()),
            _ = timeout(limits::KEEP_ALIVE_INTERVAL, ended.changed()) => {}
        }
    }
}

fn stopping() -> Reply {
    Reply::Refused(Refusal::new(RefusalCode::Stopping, "the source is stopping"))
}

/// The number of a new wave. Receivers compare it with the one they were given, and no peer gains by guessing it.
fn random_number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        Err(error) => {
            tracing::warn!("a wave has no random number: {error}");
            0
        }
    }
}

/// A receiver cannot reach a relay.
pub(super) fn cannot_reach(source: &Source, wave: u64, relay: PeerId, by: PeerId) -> Reply {
    source.packed.roster().cannot_reach(wave, relay, by);
    Reply::Noted
}

/// Feeds a follower, from a window if this peer is installing the game, or from its archives.
pub(super) async fn follow<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    asking: Asking<'_>,
    wanted: Follow,
) -> Result<(), WireError> {
    if let Some(relay) = source.packed.relays.find(&wanted.packed) {
        asking.seat.transfers();
        return relay_to(source, connection, &relay, &wanted, asking).await;
    }
    let place = waiting::place::<Reply, _>(
        &source.packed_heads,
        source.waits.for_game(&wanted.packed.game),
        connection,
        asking,
    )
    .await?;
    let Some(place) = place else { return Ok(()) };
    let PackedGame { game, version, .. } = wanted.packed.clone();
    let admitted = source.admit(place, TransferKind::Packed, game, version, FilesOfGame::survey).await;
    let admitted = match admitted {
        Ok(admitted) => admitted,
        // It does not have the game: it may be about to install it.
        Err(refusal) if refusal.code == RefusalCode::NotOffered => {
            let Some(relay) = source.packed.relays.find_soon(&wanted.packed).await else {
                return connection.send(&Reply::Refused(refusal)).await;
            };
            return relay_to(source, connection, &relay, &wanted, asking).await;
        }
        Err(refusal) => return connection.send(&Reply::Refused(refusal)).await,
    };
    let total = admitted.what.layout.chunks();
    connection.send(&Reply::Following { lo: 0, hi: total }).await?;
    let to = Receiver::of(connection);
    admitted
        .run(to, asking.stop, async |files, running| send(source, connection, files, &wanted, running).await)
        .await;
    Ok(())
}

async fn relay_to<S: AsyncRead + AsyncWrite>(
    source: &Source,
    connection: &mut Connection<S>,
    relay: &Relay,
    wanted: &Follow,
    asking: Asking<'_>,
) -> Result<(), WireError> {
    let game = wanted.packed.game.clone();
    let follower = connection.theirs.name.clone();
    let begun = |chunk| {
        let (game, follower) = (game.clone(), follower.clone());
        relay.events.report(PeerEvent::RelayBegin(RelayBegin { game, follower, chunk }));
    };
    let meter = source.traffic.sent_to(asking.guest.network, TrafficKind::Packed);
    let end = relay.serve(connection, wanted, meter, asking.stop, begun).await?;
    if end.was_fed {
        let (chunks, bytes, outcome) = (end.chunks, end.bytes, end.served.code().into());
        relay.events.report(PeerEvent::RelayEnd(RelayEnd { game, follower, chunks, bytes, outcome }));
    }
    Ok(())
}

async fn send<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    files: FilesOfGame,
    wanted: &Follow,
    running: &Running<'_>,
) -> StreamEnd {
    let (packed, wave) = (&wanted.packed, wanted.place.wave);
    let total = files.layout.chunks();
    let fed_wave = {
        let mut roster = source.packed.roster();
        roster.begins_fed(packed, wave, wanted.at, total, Instant::now());
        FedWave { id: wave, is_ours: roster.is_ours(packed, wave) }
    };
    let _feeds = FeedsWave { source, packed, wave };
    let chunks = FromDisk {
        source,
        files: Arc::new(files),
        packed,
        place: wanted.place,
        uplink: source.packed.uplink.feed(packed.clone(), fed_wave, wanted.at),
        running,
        sent: Mutex::default(),
        buffers: Arc::default(),
        tasks: &source.tasks,
    };
    let ending = CancellationToken::new();
    let served = tokio::select! {
        served = serve(connection, &chunks, &ending) => served,
        () = async {
            running.must_end().await;
            ending.cancel();
            std::future::pending::<()>().await;
        } => Served::Stopped,
    };
    let Sent { bytes, last } = *chunks.sent.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(served, Served::Done) && last.is_some_and(|last| last + 1 == total) {
        source.packed.roster().is_over(packed, wave);
        source.packed.wave_ended();
    }
    if let Served::Wire(error) = &served {
        tracing::info!("the packed stream to {} ended: {error}", connection.theirs.name);
    }
    StreamEnd { outcome: served.code(), bytes }
}

/// A wave is fed by this source until it is dropped.
struct FeedsWave<'s> {
    source: &'s Source,
    packed: &'s PackedGame,
    wave: u64,
}

impl Drop for FeedsWave<'_> {
    fn drop(&mut self) {
        self.source.packed.roster().ends_fed(self.packed, self.wave, Instant::now());
    }
}

/// The archives of a game, and where its chunks are in them.
struct FilesOfGame {
    layout: Layout,
    files: Mutex<FilesOnDisk>,
}

impl FilesOfGame {
    fn survey(state: &GameState) -> Result<Self, Refusal> {
        Ok(Self { layout: layout(state)?, files: Mutex::new(FilesOnDisk::survey(state)?) })
    }

    /// Reads a chunk, if its file was the announced one before and after.
    fn read(&self, chunk: u64, buffer: &mut BytesMut) -> Result<(), Refusal> {
        let Some(place) = self.layout.chunk(chunk) else {
            let message = format!("it has {} chunks, but no chunk {chunk}", self.layout.chunks());
            return Err(Refusal::new(RefusalCode::BadRequest, &message));
        };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.check_unchanged(place.file)?;
        buffer.resize(usize::try_from(place.length).unwrap_or(0), 0);
        let mut filled = 0;
        while filled < buffer.len() {
            let read = files.read_at(place.file, place.offset + filled as u64, &mut buffer[filled..])?;
            if read == 0 {
                return Err(changed(&files.files()[place.file].file));
            }
            filled += read;
        }
        files.check_unchanged(place.file)
    }
}

/// Which chunks the archives of a game have, as its manifest would list them.
fn layout(state: &GameState) -> Result<Layout, Refusal> {
    let archives =
        state.archives().map_err(|gap| Refusal::new(RefusalCode::ArchiveDamaged, &gap.to_string()))?;
    if archives.is_empty() {
        return Err(Refusal::new(RefusalCode::NotOffered, &format!("it has no archive of {}", state.game)));
    }
    let place = |path: std::path::PathBuf| {
        let name = path.file_name();
        let is_it = |file: &lanspread_types::content::RootFile| {
            name.is_some_and(|name| name == std::ffi::OsStr::new(&file.name))
        };
        let file = state.root_files.iter().position(is_it)?;
        Some((file, state.root_files[file].size))
    };
    let volumes: Option<Vec<(usize, u64)>> = archives.iter().flat_map(ArchiveSet::paths).map(place).collect();
    let volumes =
        volumes.ok_or_else(|| Refusal::new(RefusalCode::Internal, "a volume is not a root file"))?;
    Ok(Layout::new(chunk_bytes(state.root_bytes()).into(), volumes))
}

/// The chunks of a game for one follower.
struct FromDisk<'s> {
    source: &'s Source,
    files: Arc<FilesOfGame>,
    packed: &'s PackedGame,
    place: Place,
    uplink: AtUplink,
    running: &'s Running<'s>,
    sent: Mutex<Sent>,
    buffers: Arc<Buffers>,
    tasks: &'s Tasks,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    bytes: u64,
    last: Option<u64>,
}

impl ServeChunks for FromDisk<'_> {
    async fn chunk(&self, chunk: u64) -> ChunkAnswer {
        self.uplink.turn(chunk).await;
        let (files, mut buffer) = (Arc::clone(&self.files), self.buffers.take());
        let buffers = Arc::clone(&self.buffers);
        let reading = self.tasks.spawn_blocking("chunk-reader", move || {
            let read = files.read(chunk, &mut buffer);
            read.map(|()| buffers.lend(buffer))
        });
        match reading.await {
            Ok(Ok(bytes)) => ChunkAnswer::Chunk(bytes),
            Ok(Err(refusal)) => ChunkAnswer::Failed(refusal),
            Err(error) => {
                tracing::error!("the reader of a packed stream ended abnormally: {error}");
                ChunkAnswer::Failed(Refusal::new(RefusalCode::Internal, "the source failed"))
            }
        }
    }

    fn meter(&self) -> &Meter {
        self.running.meter()
    }

    fn took(&self, chunk: u64, bytes: Bytes, taken: Duration) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.bytes += bytes.len() as u64;
        sent.last = sent.last.max(Some(chunk));
        self.running.sent(sent.bytes);
        self.uplink.sent(taken);
        self.source.packed.roster().reached(self.packed, self.place.wave, chunk, Instant::now());
    }

    fn alive(&self) -> (u64, bool) {
        (self.files.layout.chunks(), false)
    }

    fn wave(&self) -> WaveNews {
        let places = self.source.packed.roster().places(self.packed, self.place.wave);
        WaveNews { places, slowest: None }
    }
}
