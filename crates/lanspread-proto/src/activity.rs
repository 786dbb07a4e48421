//! What a peer tells others about what it is doing: a head about itself, and one object for each game with which something is
//! so. Nothing of it is proved; it is shown to people and decides nothing.
//!
//! A receiver knows one revision and is told the games that have changed since, as [`crate::message::Reply::Activity`]. A
//! game about which there is nothing to say any more is told once as [`GameActivity::gone`].

use lanspread_types::ids::{GameId, GameVersion, PeerId};
use lanspread_types::limits;
use lanspread_types::text::printable;
use serde::{Deserialize, Deserializer, Serialize};

/// What a peer tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityHead {
    /// The version of its program.
    #[serde(deserialize_with = "program")]
    pub program: String,
    /// Bytes that are free for games.
    pub free_bytes: Option<u64>,
    /// Streams and downloads that it sends.
    pub transfers: u32,
    /// The most that it sends at once.
    pub transfers_max: u32,
    /// Receivers that wait for a place.
    pub waiting: u32,
}

/// What is so with one game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameActivity {
    /// Which game.
    pub game: GameId,
    /// Whether its installed tree is there.
    pub installed: bool,
    /// Version of that tree.
    pub installed_version: Option<GameVersion>,
    /// Version of its archives, if they are there.
    pub downloaded_version: Option<GameVersion>,
    /// What is being done with it.
    pub work: Option<GameWork>,
    /// How what was done last has failed; none if it has not.
    pub failure: Option<WorkFailure>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of operations")]
pub enum WorkKind {
    StreamInstall,
    Download,
    Install,
    Update,
    Uninstall,
    Remove,
    Verify,
    Repair,
    Ensure,
    Absent,
}

/// What an operation is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkStep {
    /// It waits for its turn on its own machine.
    Queued,
    /// It looks for sources, or prepares.
    Preparing,
    /// A source has no place for it.
    Waiting,
    /// Bytes arrive and are installed.
    Streaming,
    /// Root files arrive.
    Downloading,
    /// Archives are unpacked.
    Unpacking,
    /// Files are read and compared.
    Verifying,
    /// Every byte is there.
    Finishing,
}

/// An operation on a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameWork {
    /// Its number at the peer that does it.
    pub operation: u64,
    /// What it does.
    pub kind: WorkKind,
    /// What it is busy with.
    pub step: WorkStep,
    /// Bytes so far: unpacked ones, or those of root files while they are downloaded.
    pub bytes: Option<u64>,
    /// Bytes in all, of the same kind.
    pub bytes_total: Option<u64>,
    /// What of them comes in a second.
    pub bytes_per_second: Option<u64>,
    /// The peer that brings them.
    pub source: Option<PeerId>,
    /// Position in a wave, from 0.
    pub position: Option<u32>,
    /// The attempt, from 1.
    pub attempt: Option<u32>,
    /// The source that has no place for it.
    pub waiting_for: Option<PeerId>,
    /// How many have their turn before it.
    pub ahead: Option<u32>,
}

/// How an operation has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkFailure {
    /// What failed.
    pub kind: WorkKind,
    /// Stable kebab-case code.
    #[serde(deserialize_with = "code")]
    pub code: String,
    /// What the code alone does not say, kebab-case.
    #[serde(deserialize_with = "cause")]
    pub cause: Option<String>,
    /// Why, in one line, safe to show.
    #[serde(deserialize_with = "text")]
    pub message: String,
}

impl GameActivity {
    /// Nothing is to be said of a game any more.
    pub fn gone(game: GameId) -> Self {
        Self {
            game,
            installed: false,
            installed_version: None,
            downloaded_version: None,
            work: None,
            failure: None,
        }
    }

    /// Whether there is something to say of it.
    pub fn is_gone(&self) -> bool {
        *self == Self::gone(self.game.clone())
    }

    /// The memory that it takes: itself, and its texts with what an allocator adds to each of them.
    pub fn memory_bytes(&self) -> usize {
        const ALLOCATOR_BYTES: usize = 16;
        let version = |version: &Option<GameVersion>| version.as_ref().map_or(0, |text| text.as_str().len());
        let failure = self.failure.as_ref().map_or(0, |failure| {
            failure.code.len() + failure.message.len() + failure.cause.as_ref().map_or(0, String::len)
        });
        let texts = self.game.as_str().len()
            + version(&self.installed_version)
            + version(&self.downloaded_version)
            + failure;
        size_of::<Self>() + texts + 6 * ALLOCATOR_BYTES
    }
}

impl WorkFailure {
    /// A failure with a text made printable and cut to its limit. A code that is none becomes `unknown`.
    pub fn new(kind: WorkKind, failed_code: &str, failed_cause: Option<&str>, message: &str) -> Self {
        let code = if is_code(failed_code) { failed_code } else { "unknown" }.to_owned();
        let cause = failed_cause.filter(|cause| is_code(cause)).map(str::to_owned);
        Self { kind, code, cause, message: printable(message, limits::FAILURE_TEXT_CHARS_MAX) }
    }
}

/// Whether a text is a kebab-case word.
fn is_code(text: &str) -> bool {
    (1..=limits::CODE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    is_code(&text)
        .then_some(text)
        .ok_or_else(|| serde::de::Error::custom("a code that is no kebab-case word"))
}

fn cause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if text.as_deref().is_some_and(|text| !is_code(text)) {
        return Err(serde::de::Error::custom("a cause that is no kebab-case word"));
    }
    Ok(text)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(printable(&String::deserialize(deserializer)?, limits::FAILURE_TEXT_CHARS_MAX))
}

fn program<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(printable(&String::deserialize(deserializer)?, limits::PROGRAM_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn game() -> GameActivity {
        let work = GameWork {
            operation: 300,
            kind: WorkKind::StreamInstall,
            step: WorkStep::Streaming,
            bytes: Some(1),
            bytes_total: Some(2),
            bytes_per_second: None,
            source: Some([9; 16].into()),
            position: Some(3),
            attempt: Some(1),
            waiting_for: None,
            ahead: None,
        };
        GameActivity {
            game: "g".parse().unwrap(),
            installed: true,
            installed_version: Some("1".parse().unwrap()),
            downloaded_version: None,
            work: Some(work),
            failure: Some(WorkFailure::new(WorkKind::Verify, "damaged", None, "m")),
        }
    }

    /// Golden bytes: a change of these is a change of the protocol.
    #[test]
    fn activity_has_fixed_bytes() {
        let head = ActivityHead {
            program: "0.1".to_owned(),
            free_bytes: Some(300),
            transfers: 1,
            transfers_max: 2,
            waiting: 3,
        };
        assert_eq!(codec::encode(&head).unwrap(), [3, b'0', b'.', b'1', 1, 251, 44, 1, 1, 2, 3]);
        let expected = [
            &[1, b'g', 1, 1, 1, b'1', 0][..],
            &[1, 251, 44, 1, 0, 3, 1, 1, 1, 2, 0, 1],
            &[9; 16],
            &[1, 3, 1, 1, 0, 0],
            &[1, 6, 7],
            b"damaged",
            &[0, 1, b'm'],
        ]
        .concat();
        let bytes = codec::encode(&game()).unwrap();
        assert_eq!(bytes, expected);
        assert_eq!(codec::decode::<GameActivity>(&bytes).unwrap(), game());
    }

    #[test]
    fn a_text_from_outside_is_shown_safely_and_a_code_is_a_word() {
        let mut hostile = game();
        let long = "\u{1b}[2J\u{202e}".repeat(1000);
        hostile.failure.as_mut().unwrap().message.clone_from(&long);
        let read: GameActivity = codec::decode(&codec::encode(&hostile).unwrap()).unwrap();
        let message = read.failure.unwrap().message;
        assert!(!message.contains(['\u{1b}', '\u{202e}']));
        assert!(message.chars().count() <= limits::FAILURE_TEXT_CHARS_MAX * 10 + 1);
        for code in ["", "A", "a b", "<b>", &"a".repeat(limits::CODE_BYTES_MAX + 1)] {
            let mut hostile = game();
            hostile.failure.as_mut().unwrap().code = code.to_owned();
            assert!(codec::decode::<GameActivity>(&codec::encode(&hostile).unwrap()).is_err(), "{code:?}");
            let mut hostile = game();
            hostile.failure.as_mut().unwrap().cause = Some(code.to_owned());
            assert!(codec::decode::<GameActivity>(&codec::encode(&hostile).unwrap()).is_err(), "{code:?}");
            assert_eq!(WorkFailure::new(WorkKind::Verify, code, Some(code), "").code, "unknown");
        }
    }

    #[test]
    fn a_message_of_the_longest_games_fits_into_a_frame() {
        let id = "g".repeat(limits::GAME_ID_BYTES_MAX);
        let version: GameVersion = "v".repeat(64).parse().unwrap();
        let mut longest = game();
        longest.game = id.parse().unwrap();
        longest.installed_version = Some(version.clone());
        longest.downloaded_version = Some(version);
        let work = longest.work.as_mut().unwrap();
        (work.operation, work.bytes, work.bytes_total) = (u64::MAX, Some(u64::MAX), Some(u64::MAX));
        (work.bytes_per_second, work.waiting_for) = (Some(u64::MAX), Some([9; 16].into()));
        (work.ahead, work.position, work.attempt) = (Some(u32::MAX), Some(u32::MAX), Some(u32::MAX));
        let code = "a".repeat(limits::CODE_BYTES_MAX);
        let message = "\u{1b}".repeat(limits::FAILURE_TEXT_CHARS_MAX * 2);
        longest.failure = Some(WorkFailure::new(WorkKind::Verify, &code, Some(&code), &message));
        let bytes = codec::encode(&longest).unwrap().len();
        assert!(
            bytes * limits::ACTIVITY_GAMES_PER_MESSAGE + 256 < limits::CONTROL_FRAME_BYTES_MAX,
            "{bytes} bytes"
        );
    }
}
