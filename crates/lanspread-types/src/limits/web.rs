//! Bounds of the room page.

use std::time::Duration;

/// Connections to the page at the same time. A browser opens about six; a room has a few organisers.
pub const WEB_CONNECTIONS_MAX: usize = 64;
/// Of them, those that are told what changes. The other half is for what is asked meanwhile.
pub const WEB_READERS_MAX: usize = 32;
/// For the head of a request, from its first byte or the end of the answer before: neither dripping bytes nor a silent
/// connection can hold a place.
pub const WEB_HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Head of a request: the longest asks about a game on [`WEB_PEERS_MAX`] peers.
pub const WEB_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Body of a request: the longest starts an operation on [`WEB_PEERS_MAX`] peers.
pub const WEB_BODY_BYTES_MAX: usize = 16 * 1024;
/// For the body of a request.
pub const WEB_BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long a page waits until another machine has said what it would do. After that it shows what the room knows.
pub const WEB_PLAN_DEADLINE: Duration = Duration::from_secs(5);
/// Peers that one request may name: more than the seats of a room.
pub const WEB_PEERS_MAX: usize = 256;
/// The room is looked at so often while a page is open, so a page hears of at most two changes a second.
pub const WEB_ROOM_INTERVAL: Duration = Duration::from_millis(500);
/// A page hears so often that the daemon is alive. It takes a daemon for gone after 12 s.
pub const WEB_SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(5);
/// A page that takes nothing for so long loses its place. Its system keeps some hundred KiB for it meanwhile.
pub const WEB_STALL_DEADLINE: Duration = Duration::from_secs(30);
/// A ticket opens one stream, and only soon after it was given.
pub const WEB_TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// Tickets that are not used yet. The oldest one ends when one more is given.
pub const WEB_TICKETS_MAX: usize = 64;
/// A token that can be guessed is none.
pub const WEB_TOKEN_CHARS_MIN: usize = 16;
/// A file that is longer is no file of a token.
pub const WEB_TOKEN_BYTES_MAX: usize = 256;
/// For the connections to end when the daemon does.
pub const WEB_FAREWELL_DEADLINE: Duration = Duration::from_secs(2);

const _: () = assert!(WEB_READERS_MAX * 2 <= WEB_CONNECTIONS_MAX);
const _: () = assert!(WEB_SIGN_OF_LIFE_INTERVAL.as_millis() * 2 < 12_000);
