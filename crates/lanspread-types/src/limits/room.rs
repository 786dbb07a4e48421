//! Limits of what peers tell each other about what they are doing.

use std::time::Duration;

/// A peer tells changes of what it does at most this often: a person looks at it, and nothing waits for it.
pub const ACTIVITY_INTERVAL: Duration = Duration::from_secs(1);
/// What changes without an event, such as free space, is looked at this often.
pub const ACTIVITY_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// A peer that has nothing new to tell about itself says so after this long, so that one that is silent is noticed soon.
pub const ACTIVITY_WAIT: Duration = Duration::from_secs(4);
/// A peer that has said nothing for this long is shown as silent: more than two of its words are missing.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// How long an operation that another peer asked for looks for sources on the network, milliseconds: as a command does.
pub const DISCOVERY_ASKED_MS: u64 = 3000;
/// Games of which one peer tells what it does with them; of more, it tells those first with which something happens.
pub const ACTIVITY_GAMES_MAX: usize = 1024;
/// Games in one message of at most [`super::CONTROL_FRAME_BYTES_MAX`]: the longest one takes less than 1700 bytes.
pub const ACTIVITY_GAMES_PER_MESSAGE: usize = 32;
/// Texts of failures in what one peer tells: each may take [`FAILURE_TEXT_CHARS_MAX`] characters.
pub const ACTIVITY_FAILURES_MAX: usize = 64;
/// Characters of a failure, as another peer tells it.
pub const FAILURE_TEXT_CHARS_MAX: usize = 120;
/// Bytes of a code from another peer.
pub const CODE_BYTES_MAX: usize = 40;
/// Bytes of the name of a program and its version.
pub const PROGRAM_BYTES_MAX: usize = 40;
/// Games of a room that are shown.
pub const ROOM_GAMES_MAX: usize = 1024;
/// A link that has brought less than half of what reaches its sender for this long is shown as slow.
pub const SLOW_LINK_SPAN: Duration = Duration::from_secs(10);
/// A reader of the room is told changes at most this often.
pub const ROOM_INTERVAL: Duration = Duration::from_millis(500);
/// A reader of the room to whom nothing else is told hears at least this often that the room is as it was.
pub const ROOM_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Peers of which a peer remembers what they told, those that were lost included.
pub const ROOM_PEERS_MAX: usize = 256;
/// Memory for what one peer tells of its games: those of [`ACTIVITY_GAMES_MAX`] with all that may be said of them take less,
/// unless their texts are as long as they may be. Of all peers of a room together it is 64 MiB.
pub const ACTIVITY_BYTES_MAX: usize = 256 * 1024;
/// Plans that a peer makes for others at a time: each asks other peers, and some read a whole game.
pub const PLANS_FOR_PEERS_MAX: usize = 1;
/// How long a plan for another peer may take, with the time until the one before is made.
pub const PLAN_FOR_PEER_DEADLINE: Duration = Duration::from_secs(20);
/// How long the peer that asked waits for it: longer, because the other one may say that it could not look in time.
pub const PLAN_REPLY_DEADLINE: Duration = Duration::from_secs(30);
/// What a peer tells of its free disk is a multiple of this: any program there changes it all the time, and each change would be
/// told to everyone.
pub const FREE_BYTES_STEP: u64 = 16 * 1024 * 1024;
