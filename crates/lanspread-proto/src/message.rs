//! The messages that peers send to each other.
//!
//! Enums are append-only, because bincode numbers their variants. Words with a checked type are checked while they are
//! decoded. Entry paths are text here, because the receiver's policy decides which are accepted.

use std::fmt;

use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveSummary, GameOffer, RootFile, Totals, UnixSeconds};
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use lanspread_types::limits;
use lanspread_types::text::printable;
use serde::{Deserialize, Serialize};

/// Version of the protocol. Only the current one exists.
pub const PROTOCOL_VERSION: u16 = 2;

/// Introduces a peer; the first message of each side. Which peer it is, the handshake has proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its name, for people.
    pub name: PeerName,
    /// Port it serves on; `None` if it does not serve. The port of the connection is not one that it listens on.
    pub listen_port: Option<u16>,
    /// A random number for each start of a peer. Two of them at a time under one identity mean that a state directory
    /// was copied; one peer on two interfaces has only one.
    pub instance: u64,
    /// The signed catalog that it has, if it has one.
    pub catalog: Option<CatalogMark>,
}

/// Which signed catalog a peer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogMark {
    /// The Ed25519 public key of its signer.
    pub signer: [u8; 32],
    /// Its version.
    pub version: u64,
}

/// What a peer asks another one for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum Request {
    /// All games that are offered. Answer: [`Reply::Games`], in parts. If the revision is the `known` one, the source
    /// waits until it changes, and answers [`Reply::Unchanged`] if it does not change for a while.
    Games { known: Option<u64> },
    /// The root files of one game. Answer: [`Reply::Details`], in parts.
    Details { game: GameId },
    /// The totals of a stream of the game. Answer: [`Reply::Totals`].
    Totals { game: GameId, version: GameVersion },
    /// What the peer is doing. Answer: [`Reply::Status`].
    Status,
    /// The game, decoded. Answer: a stream, then the connection ends.
    StreamInstall { game: GameId, version: GameVersion },
    /// The root files of the game, as they are. Answer: [`Reply::DownloadReady`], in parts; then the connection carries
    /// chunks until the receiver closes it. See [`crate::chunk`].
    Download { game: GameId, version: GameVersion },
}

/// What a source answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum Reply {
    /// Some of the games that one revision of the library offers; `more` if another part follows.
    Games { revision: u64, games: Vec<GameOffer>, more: bool },
    /// Some of the root files of a game; `more` if another part follows.
    Details { version: GameVersion, files: Vec<RootFile>, more: bool },
    /// The totals of a stream.
    Totals { archives: u64, totals: Totals },
    /// What the peer is doing.
    Status(SourceStatus),
    /// The source refuses the request.
    Refused(Refusal),
    /// Some of the files whose chunks may be requested, in the order in which requests number them; `more` if another
    /// part follows.
    DownloadReady { files: Vec<DownloadFile>, more: bool },
    /// The library still has the known revision.
    Unchanged,
}

/// A file whose chunks a receiver may request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadFile {
    /// Its name and size, so that a receiver never numbers files by an outdated list.
    pub file: RootFile,
    /// If this number differs, the content may differ: chunks received under two numbers must not be joined.
    pub fingerprint: u64,
}

/// What a serving peer is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Games it offers.
    pub games: u64,
    /// Streams and downloads it is sending.
    pub active_outbound_transfers: u64,
    /// The most transfers that it sends at once.
    pub streams_max: u64,
    /// Connections open to it, including the one of this request.
    pub connections: u64,
}

/// Why a source refuses or fails: one of a short list of codes, and a text without local paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawRefusal")]
pub struct Refusal {
    /// The reason, for programs.
    pub code: RefusalCode,
    /// The reason, for people: one line, safe to print.
    pub message: String,
}

/// A refusal as it arrives.
#[derive(Deserialize)]
struct RawRefusal {
    code: RefusalCode,
    message: String,
}

impl From<RawRefusal> for Refusal {
    fn from(raw: RawRefusal) -> Self {
        Self::new(raw.code, &raw.message)
    }
}

impl Refusal {
    /// A refusal with this text, made printable and cut to its limit.
    pub fn new(code: RefusalCode, message: &str) -> Self {
        Self { code, message: printable(message, limits::MESSAGE_BYTES_MAX / 4) }
    }
}

/// Why a source refuses or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The source does not offer the game.
    NotOffered,
    /// The source offers the game in another version.
    OtherVersion,
    /// The source already serves as many streams as it may.
    Busy,
    /// An archive is damaged or incomplete.
    ArchiveDamaged,
    /// An archive holds something that must not be installed.
    ArchiveRefused,
    /// The source cannot decode: its decoder cannot be run.
    DecoderUnavailable,
    /// The source is stopping.
    Stopping,
    /// The request breaks the protocol.
    BadRequest,
    /// Anything else; the cause is in the source's log.
    Internal,
    /// A file changed while it was being sent.
    Changed,
}

impl RefusalCode {
    /// Stable kebab-case code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "not-offered",
            Self::OtherVersion => "other-version",
            Self::Busy => "busy",
            Self::ArchiveDamaged => "archive-damaged",
            Self::ArchiveRefused => "archive-refused",
            Self::DecoderUnavailable => "decoder-unavailable",
            Self::Stopping => "source-stopping",
            Self::BadRequest => "bad-request",
            Self::Internal => "source-internal",
            Self::Changed => "source-changed",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Control frames of a stream; data frames are sent between [`Self::FileBegin`] and [`Self::FileEnd`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum StreamMessage {
    /// The sums over all archives. Sent first, so that the receiver can check its disk.
    Begin { archives: u64, totals: Totals },
    /// An archive begins.
    ArchiveBegin(ArchiveSummary),
    /// A folder.
    Directory { path: String },
    /// A file begins; `size` bytes of data follow.
    FileBegin {
        path: String,
        size: u64,
        checksum: Option<Checksum>,
        modified: Option<UnixSeconds>,
        executable: bool,
    },
    /// The file is complete; `checksum` is the CRC-32 of its bytes as the source decoded them.
    FileEnd { checksum: Checksum },
    /// A file equal to an earlier one of the same archive.
    Copy { path: String, original: String, size: u64, modified: Option<UnixSeconds>, executable: bool },
    /// The archive is complete.
    ArchiveEnd,
    /// Everything was sent.
    Complete,
    /// The source cannot continue.
    Failed(Refusal),
    /// The source is alive but has nothing to send yet.
    KeepAlive,
}

impl StreamMessage {
    /// Its name, for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "stream begin",
            Self::ArchiveBegin(_) => "archive begin",
            Self::Directory { .. } => "directory",
            Self::FileBegin { .. } => "file begin",
            Self::FileEnd { .. } => "file end",
            Self::Copy { .. } => "copy",
            Self::ArchiveEnd => "archive end",
            Self::Complete => "complete",
            Self::Failed(_) => "failed",
            Self::KeepAlive => "keep-alive",
        }
    }
}

/// What a source sends in a stream: control messages and raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// A control message.
    Control(StreamMessage),
    /// Bytes of the open file.
    Data(bytes::Bytes),
}

#[cfg(test)]
mod tests {
    use lanspread_types::content::ArchiveFormat;

    use super::*;
    use crate::codec;

    /// Golden bytes: a change of these is a change of the protocol and needs a new [`PROTOCOL_VERSION`].
    #[test]
    fn messages_have_fixed_bytes() {
        let game: GameId = "g".parse().unwrap();
        let version: GameVersion = "1".parse().unwrap();
        let request = Request::StreamInstall { game, version };
        assert_eq!(codec::encode(&request).unwrap(), [4, 1, b'g', 1, b'1']);
        assert_eq!(codec::encode(&Request::Games { known: None }).unwrap(), [0, 0]);
        assert_eq!(codec::encode(&Request::Games { known: Some(7) }).unwrap(), [0, 1, 7]);
        assert_eq!(codec::encode(&Reply::Unchanged).unwrap(), [6]);
        assert_eq!(codec::encode(&StreamMessage::KeepAlive).unwrap(), [9]);
        assert_eq!(
            codec::encode(&StreamMessage::FileEnd { checksum: Checksum::from_crc32(0x0102_0304) }).unwrap(),
            [4, 252, 4, 3, 2, 1]
        );
        let begin = StreamMessage::FileBegin {
            path: "a".to_owned(),
            size: 300,
            checksum: None,
            modified: Some(-1),
            executable: true,
        };
        assert_eq!(codec::encode(&begin).unwrap(), [3, 1, b'a', 251, 44, 1, 0, 1, 1, 1]);
        let summary = ArchiveSummary {
            name: "x".to_owned(),
            format: ArchiveFormat::Rar5,
            solid: true,
            totals: Totals { files: 1, directories: 2, bytes: 3 },
        };
        let archive = codec::encode(&StreamMessage::ArchiveBegin(summary)).unwrap();
        assert_eq!(archive, [1, 1, b'x', 1, 1, 1, 2, 3]);
        let request = Request::Download { game: "g".parse().unwrap(), version: "1".parse().unwrap() };
        assert_eq!(codec::encode(&request).unwrap(), [5, 1, b'g', 1, b'1']);
        let file = DownloadFile { file: RootFile { name: "a".to_owned(), size: 3 }, fingerprint: 300 };
        let ready = Reply::DownloadReady { files: vec![file], more: true };
        assert_eq!(codec::encode(&ready).unwrap(), [5, 1, 1, b'a', 3, 251, 44, 1, 1]);
        assert_eq!(codec::encode(&RefusalCode::Changed).unwrap(), [9]);
        let (name, catalog) = ("a".parse().unwrap(), Some(CatalogMark { signer: [7; 32], version: 300 }));
        let hello = Hello { name, listen_port: Some(1), instance: 2, catalog };
        let signer = [7; 32];
        assert_eq!(
            codec::encode(&hello).unwrap(),
            [&[1, b'a', 1, 1, 2, 1][..], &signer, &[251, 44, 1]].concat()
        );
    }

    #[test]
    fn words_are_checked_while_they_are_decoded() {
        // Request::Details with the game ids `..` and `.x`.
        assert!(codec::decode::<Request>(&[1, 2, b'.', b'.']).is_err());
        assert!(codec::decode::<Request>(&[1, 2, b'.', b'x']).is_ok());
    }

    #[test]
    fn a_refusal_s_text_cannot_disturb_a_terminal() {
        let hostile = Refusal { code: RefusalCode::Busy, message: "a\u{1b}[2J\n".repeat(400) };
        let refusal: Refusal = codec::decode(&codec::encode(&hostile).unwrap()).unwrap();
        assert!(!refusal.message.contains(['\u{1b}', '\n']));
        assert!(refusal.message.chars().count() < 2000);
    }
}
