//! The messages that peers send to each other.
//!
//! Enums are append-only, because bincode numbers their variants. Words with a checked type are checked while they are
//! decoded. Entry paths are text here, because the receiver's policy decides which are accepted.

use lanspread_types::checksum::{Checksum, ContentDigest};
use lanspread_types::content::{ArchiveSummary, GameOffer, RootFile, Totals, UnixSeconds};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
#[cfg(doc)]
use lanspread_types::limits;
use serde::{Deserialize, Serialize};

use crate::activity::{ActivityHead, GameActivity, WorkFailure, WorkKind};
use crate::packed::{Follow, Join, NextWave, Placement};
use crate::planned::PlannedWork;
use crate::queued::QueuePosition;
pub use crate::refusal::{Refusal, RefusalCode};

/// Version of the protocol. Only the current one exists.
pub const PROTOCOL_VERSION: u16 = 5;

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
    /// The signed catalog that it has and hands on.
    pub catalog: Option<CatalogMark>,
}

/// Which signed catalog a peer has. It is only said: the signature of the file is the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CatalogMark {
    /// The Ed25519 key that signed it.
    pub signer: [u8; 32],
    /// Its version.
    pub version: u64,
}

/// What a peer asks another one for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum Request {
    /// The games that are offered, or what the peer is doing, as soon as one of them has another revision than is known here:
    /// first the games. Answer: [`Reply::Games`] or [`Reply::Activity`], in parts; [`Reply::Unchanged`] if nothing changes for
    /// a while. See [`crate::activity`].
    News { library: Option<u64>, activity: Option<u64> },
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
    /// A manifest by its digest, from a position on. Answer: [`Reply::Part`].
    Manifest { digest: ContentDigest, from: u64 },
    /// One of the two files of a signed catalog, from a position on. Answer: [`Reply::Part`].
    Catalog { signer: [u8; 32], version: u64, part: CatalogPart, from: u64 },
    /// The installed files of the game that a manifest lists, from a path on if there is one. Answer: a stream, in which the
    /// first archive of the manifest has all entries, in the order of the manifest, and the others are empty; then the
    /// connection ends.
    StreamEntries { game: GameId, version: GameVersion, manifest: ContentDigest, from_path: Option<String> },
    /// A place in a wave of receivers of a packed stream. Answer: [`Reply::NextWave`] while there is none, then
    /// [`Reply::Placed`]. See [`crate::packed`].
    Join(Join),
    /// The chunks of a packed stream. Answer: [`Reply::Following`]; then the connection carries chunks until the receiver
    /// closes it.
    Follow(Follow),
    /// A relay that the source named cannot be reached. Answer: [`Reply::Noted`].
    CannotReach { wave: u64, relay: PeerId },
    /// An operation that the peer is to do itself. Answer: [`Reply::Accepted`], if the user there allows it to this peer.
    Operate { kind: WorkKind, game: GameId },
    /// What such an operation would do, without doing it. Answer: [`Reply::Planned`] or [`Reply::WouldFail`], if the user
    /// there allows the operation to this peer.
    Plan { kind: WorkKind, game: GameId },
}

/// The files of a signed catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatalogPart {
    /// The catalog itself.
    File,
    /// Its signature.
    Signature,
}

/// What a source answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum Reply {
    /// Some of the games that one revision of the library offers; `more` if another part follows.
    Games { revision: u64, games: Vec<GameOffer>, more: bool },
    /// Some of the root files of a game; `more` if another part follows. All parts name the packing list of exactly these
    /// files, if the source has it. If it is being made, they say in how many milliseconds it may be ready.
    Details {
        version: GameVersion,
        files: Vec<RootFile>,
        more: bool,
        manifest: Option<ContentDigest>,
        manifest_in_ms: Option<u32>,
    },
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
    /// Bytes of a file that is handed on, from the position that was asked for: [`limits::PART_BYTES`], or the rest if
    /// that is less. `total` is the length of the whole file.
    Part { total: u64, bytes: Vec<u8> },
    /// The game is offered by entries only: its archives are not here, its installed files are those of this manifest.
    /// Answer to [`Request::Details`], in one part.
    EntriesOffered { version: GameVersion, manifest: ContentDigest },
    /// A place in a wave.
    Placed(Placement),
    /// There is no place now, and the connection waits in a queue. Sent again at intervals.
    Queued(QueuePosition),
    /// The chunks may be asked for. Those from `lo` on and before `hi` are here now.
    Following { lo: u64, hi: u64 },
    /// It was heard.
    Noted,
    /// There is no place in a wave now, and the connection waits for the next one. Sent again at intervals.
    NextWave(NextWave),
    /// What the peer is doing, at one revision; `more` if another part follows. `is_whole` says that games which no part names
    /// are gone; otherwise they are as before. `accepts` says whether the peer that asks may have it do something.
    Activity {
        revision: u64,
        is_whole: bool,
        accepts: bool,
        head: ActivityHead,
        games: Vec<GameActivity>,
        more: bool,
    },
    /// It will be done; the number of the operation there.
    Accepted { operation: u64 },
    /// What the operation would do.
    Planned(PlannedWork),
    /// How the operation would fail.
    WouldFail(WorkFailure),
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
    /// Receivers that wait for a place.
    pub waiting: u64,
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
    /// There is no place now, as in [`Reply::Queued`]. Sent only before [`Self::Begin`].
    Queued(QueuePosition),
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
            Self::Queued(_) => "queued",
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
        assert_eq!(codec::encode(&Request::News { library: None, activity: None }).unwrap(), [0, 0, 0]);
        assert_eq!(codec::encode(&Reply::Unchanged).unwrap(), [6]);
        assert_eq!(codec::encode(&StreamMessage::KeepAlive).unwrap(), [9]);
        let queued = StreamMessage::Queued(QueuePosition { ahead: 3, in_ms: None });
        assert_eq!(codec::encode(&queued).unwrap(), [10, 3, 0]);
        let status = SourceStatus {
            games: 1,
            active_outbound_transfers: 2,
            streams_max: 3,
            connections: 4,
            waiting: 5,
        };
        assert_eq!(codec::encode(&Reply::Status(status)).unwrap(), [3, 1, 2, 3, 4, 5]);
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
    fn catalogs_and_manifests_are_handed_on_in_fixed_bytes() {
        let request = Request::Manifest { digest: ContentDigest([9; 32]), from: 300 };
        assert_eq!(codec::encode(&request).unwrap(), [&[6][..], &[9; 32], &[251, 44, 1]].concat());
        let request = Request::Catalog { signer: [7; 32], version: 5, part: CatalogPart::Signature, from: 0 };
        assert_eq!(codec::encode(&request).unwrap(), [&[7][..], &[7; 32], &[5, 1, 0]].concat());
        let part = Reply::Part { total: 300, bytes: vec![1, 2] };
        assert_eq!(codec::encode(&part).unwrap(), [7, 251, 44, 1, 2, 1, 2]);
        let details = |manifest, manifest_in_ms| {
            let files = vec![RootFile { name: "a".to_owned(), size: 3 }];
            let version = "1".parse().unwrap();
            let details = Reply::Details { version, files, more: false, manifest, manifest_in_ms };
            codec::encode(&details).unwrap()
        };
        assert_eq!(details(None, None), [1, 1, b'1', 1, 1, b'a', 3, 0, 0, 0]);
        assert_eq!(details(None, Some(300)), [1, 1, b'1', 1, 1, b'a', 3, 0, 0, 1, 251, 44, 1]);
        let with_one = [&[1, 1, b'1', 1, 1, b'a', 3, 0, 1][..], &[9; 32], &[0]].concat();
        assert_eq!(details(Some(ContentDigest([9; 32])), None), with_one);
        for message in [vec![7; 3], vec![6, 9]] {
            assert!(codec::decode::<Request>(&message).is_err(), "a cut request");
        }
    }

    #[test]
    fn entries_are_asked_for_and_offered_in_fixed_bytes() {
        let (game, version): (GameId, GameVersion) = ("g".parse().unwrap(), "1".parse().unwrap());
        let manifest = ContentDigest([9; 32]);
        let head = [&[8, 1, b'g', 1, b'1'][..], &[9; 32]].concat();
        for (from_path, tail) in [(None, &[0][..]), (Some("a/b".to_owned()), b"\x01\x03a/b")] {
            let (game, version) = (game.clone(), version.clone());
            let request = Request::StreamEntries { game, version, manifest, from_path };
            assert_eq!(codec::encode(&request).unwrap(), [&head, tail].concat());
        }
        let offered = Reply::EntriesOffered { version: version.clone(), manifest };
        assert_eq!(codec::encode(&offered).unwrap(), [&[8, 1, b'1'][..], &[9; 32]].concat());
        let offer = GameOffer { game, version, bytes: 3, entries: true };
        assert_eq!(codec::encode(&offer).unwrap(), [1, b'g', 1, b'1', 3, 1]);
    }

    #[test]
    fn news_and_operations_are_asked_for_in_fixed_bytes() {
        let news = Request::News { library: None, activity: Some(300) };
        assert_eq!(codec::encode(&news).unwrap(), [0, 0, 1, 251, 44, 1]);
        let operate = Request::Operate { kind: WorkKind::Download, game: "g".parse().unwrap() };
        assert_eq!(codec::encode(&operate).unwrap(), [12, 1, 1, b'g']);
        assert_eq!(codec::encode(&Reply::Accepted { operation: 7 }).unwrap(), [15, 7]);
        let (head, games) = (ActivityHead::default(), Vec::new());
        let activity =
            Reply::Activity { revision: 7, is_whole: true, accepts: false, head, games, more: false };
        assert_eq!(codec::encode(&activity).unwrap(), [14, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(codec::encode(&RefusalCode::NotPermitted).unwrap(), [10]);
    }

    #[test]
    fn a_plan_is_asked_for_and_told_in_fixed_bytes() {
        let plan = Request::Plan { kind: WorkKind::Ensure, game: "g".parse().unwrap() };
        assert_eq!(codec::encode(&plan).unwrap(), [13, 8, 1, b'g']);
        let planned = PlannedWork {
            version: Some("1".parse().unwrap()),
            changed: true,
            fetched_bytes: Some(2),
            bytes: None,
            lost_files: 3,
            needed_bytes: Some(4),
            free_bytes: 5,
            fits: Some(true),
        };
        let bytes = codec::encode(&Reply::Planned(planned)).unwrap();
        assert_eq!(bytes, [16, 1, 1, b'1', 1, 1, 2, 0, 3, 1, 4, 5, 1, 1]);
        let failure = WorkFailure::new(WorkKind::Ensure, "no-peers", None, "m");
        let bytes = codec::encode(&Reply::WouldFail(failure)).unwrap();
        assert_eq!(bytes, [&[17, 8, 8][..], b"no-peers", &[0, 1, b'm']].concat());
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
