//! Bounds of packed streams: windows, relays, waves.

use std::time::Duration;

/// Chunks that a receiver asks one upstream for ahead of those that have arrived: 4 MiB covers 10 Gbit/s and 3 ms.
pub const PACKED_AHEAD: usize = 4;
/// Chunks that an upstream lets be asked ahead, and no more.
pub const PACKED_ASKED_MAX: usize = 2 * PACKED_AHEAD;
/// Verified chunks that a receiver holds in memory, to decode and to pass on, in bytes.
pub const PACKED_WINDOW_BYTES: u64 = 64 * 1024 * 1024;
/// The smallest window that a user may set: several requests of several upstreams.
pub const PACKED_WINDOW_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// The largest one.
pub const PACKED_WINDOW_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// An upstream says at least this often that it is alive.
pub const PACKED_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// It says so at most this often, on average; the rest is for clocks. Each word costs its follower work.
pub const PACKED_ALIVE_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// An upstream that sends nothing for this long is left: three signs of life are missing.
pub const PACKED_IDLE: Duration = Duration::from_secs(3);
/// A receiver gives a relay this long to answer a first connection: it is on the same network.
pub const RELAY_CONNECT_DEADLINE: Duration = Duration::from_millis(1500);
/// A receiver that is asked for a stream of which it has no window waits so long for one: its follower may have heard of it
/// before it heard of its own place. Shorter than [`PACKED_IDLE`], after which a follower gives up.
pub const RELAY_OPENS: Duration = Duration::from_secs(1);
/// A relay whose follower vanished keeps what it has for the next one, for so long.
pub const TAKEOVER_WAIT: Duration = Duration::from_secs(4);
/// A relay waits for a follower that takes nothing while the window is full, so long in all: longer than [`PACKED_IDLE`],
/// after which a receiver that takes over must still find its chunks.
pub const FOLLOWER_PATIENCE: Duration = Duration::from_secs(9);
/// A window waits for followers so long in all, whichever they are: for three that are slow or vanish. Each new one has a
/// patience of its own, and anyone can be a new one.
pub const FOLLOWERS_PATIENCE: Duration = Duration::from_secs(30);
/// A follower that made no progress for so long may be replaced by one that comes instead of it.
pub const FOLLOWER_STUCK: Duration = Duration::from_millis(1500);
/// How much longer than a third of the time a relay may hold its follower up before it is left, in all: at half the pace
/// that is eight seconds.
pub const RELAY_SLOW_SPAN: Duration = Duration::from_secs(2);
/// A relay that is alive and brings nothing for so long is doubted: twice [`PACKED_IDLE`], in which a relay notices that what
/// is before it is gone, and goes on from another upstream.
pub const RELAY_DOUBT: Duration = Duration::from_secs(6);
/// So much longer for each place of a wave: the time in which a receiver gets a chunk from a source and passes it on.
pub const RELAY_DOUBT_PER_PLACE: Duration = Duration::from_millis(250);
/// A receiver that has everything waits for its follower, at most so long.
pub const RELAY_LINGER_MAX: Duration = Duration::from_secs(30);
/// How often in a row an upstream of a stream that has begun may fail, half a second to eight between two tries: what is
/// here is kept for half a minute although all upstreams are gone.
pub const UPSTREAM_TRIES: u32 = 8;
/// The same for a stream that has not begun: nothing is lost.
pub const UPSTREAM_TRIES_AT_FIRST: u32 = 2;
/// Relays that a placement names: several deaths in a row.
pub const PACKED_RELAYS_NAMED_MAX: usize = 4;
/// A packed stream brings so many bytes of archives in a second, as long as nothing is known: what one core decodes.
pub const PACKED_RATE_ASSUMED: u64 = 85_000_000;
/// A decoded stream brings what so many bytes of archives in a second hold: a link of 1 Gbit/s, and unpacked bytes are three
/// times as many.
pub const DECODED_RATE_ASSUMED: u64 = 40_000_000;
/// Receivers that may come at once, as long as nothing is known: a source decodes for each of them, and shares its link.
pub const ROOM_ASSUMED: u64 = 8;
/// The longest wait for a packing list: a source that promises one again and again must not hold a receiver up.
pub const PACKING_LIST_WAIT_MAX: Duration = Duration::from_mins(10);
/// How often the sources are asked whether they have it.
pub const PACKING_LIST_ASK_INTERVAL: Duration = Duration::from_secs(2);
/// A wait of this length is reported.
pub const PACKING_LIST_WAIT_REPORTED: Duration = Duration::from_secs(1);
/// Upstreams that a receiver takes chunks from at once.
pub const PACKED_UPSTREAMS_MAX: usize = 4;
/// Receivers that one source sends a packed stream to at once: the heads of waves, and gaps.
pub const PACKED_HEADS_MAX: usize = 16;
/// Receivers that one wave has room for.
pub const WAVE_RECEIVERS_MAX: usize = 4096;
/// Waves that a source remembers.
pub const WAVES_MAX: usize = 256;
/// If others have just asked about a game that does not fit into a window, they may join its wave for so long after the first
/// receiver came: until then its receivers ask for no more than stays in theirs.
pub const WAVE_GATHER: Duration = Duration::from_secs(1);
/// A source forgets a receiver of which it has heard nothing for so long.
pub const WAVE_MEMORY: Duration = Duration::from_mins(10);
/// A wave that the source does not feed for this long is not waited for: its head turned elsewhere, or is gone.
pub const WAVE_UNFED: Duration = Duration::from_secs(10);
/// A receiver waits for the next wave of one source for so long, and then of another one, if there is one.
pub const NEXT_WAVE_STAY: Duration = Duration::from_mins(1);
/// Bytes that the kernel keeps for a connection and has not begun to send: less than what a receiver asks ahead, so that a
/// source notices that its uplink is busy, and enough that the link is never idle.
pub const UNSENT_BYTES_MAX: u32 = 128 * 1024;
/// That another stream slows down the one that is sent first, as a source has measured, says nothing after this time: several
/// times [`UPLINK_LATE_WAIT_MAX`], after which it is measured again.
pub const UPLINK_SPAN: Duration = Duration::from_secs(15);
/// If its uplink cannot carry all receivers of a game, a source sends so many chunks to the one that is furthest for each chunk
/// to one behind it: the wave loses an eighth.
pub const UPLINK_SPARES: u32 = 7;
/// The same for a chunk to one of another wave, which came late. It ends no sooner for it, as the uplink has as much to send in
/// any order. So this is only enough to notice when there is room, and the wave under way loses a thirtieth.
pub const UPLINK_LATE_SPARES: u32 = 31;
/// A chunk is sent to another wave after this time at the latest: sooner than a receiver of that wave doubts the relay before it
/// ([`RELAY_DOUBT`]).
pub const UPLINK_LATE_WAIT_MAX: Duration = Duration::from_secs(4);
/// A receiver that is not the furthest waits no longer for its next chunk: a third of [`super::STREAM_STALL_DEADLINE`], after
/// which it would leave.
pub const UPLINK_WAIT_MAX: Duration = Duration::from_mins(1);
/// A receiver is sent so many chunks without waiting for those that are further: a gap is rarely larger, and a relay keeps
/// what it has, which can hold up a whole wave, while one is filled. One of another wave is sent so many at most while it is
/// not known whether that slows down those that are further.
pub const UPLINK_FIRST_CHUNKS: u64 = PACKED_ASKED_MAX as u64;
/// What brings a packed stream has this long to end after its last byte was decoded, or to say why it failed.
pub const PACKED_FEEDING_END_WAIT: Duration = Duration::from_secs(1);
/// A peer that asked about a game so lately may come for it.
pub const INTEREST_SPAN: Duration = Duration::from_secs(3);
/// Peers of which a source remembers that they asked about a game.
pub const INTEREST_MAX: usize = 256;
/// Receivers without a place that a status names: the rest are a number in it.
pub const WAITING_NAMED_MAX: usize = 256;
/// Memory of a streamed install beside its window and its dictionary: batches that are being written, chunks that are being
/// proved, the program.
pub const STREAM_INSTALL_BYTES_BESIDE: u64 = 16 * 1024 * 1024;
