//! lanspread as a library: serve games to a LAN, and stream, download, install, update, verify and remove them.
//!
//! In a streamed install, the packed bytes of the archive arrive in their order, are checked, decoded and passed on to the
//! next receiver, and the whole tree is promoted to `local/` in one rename. The archive itself is never stored. Without a
//! manifest, or if that is asked for, the source decodes the archive and streams its entries.
//!
//! ```no_run
//! # async fn example() -> Result<(), lanspread_peer::PeerError> {
//! use lanspread_peer::{OperationOptions, Peer};
//!
//! let peer = Peer::builder("/srv/games").build()?;
//! let options = OperationOptions::default().with_peers(vec!["10.0.0.5:4107".parse()?]);
//! let report = peer.stream_install_game(&"cnctw".parse()?, &options, Default::default()).await?;
//! println!("{} files from {}", report.totals.files, report.source.name);
//! # Ok(())
//! # }
//! ```
//!
//! Serve a folder of games and find others; nothing runs before [`Peer::serve`], and nothing after [`Peer::shutdown`]:
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (games, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! use lanspread_peer::Peer;
//!
//! let peer = Peer::builder(games.path()).state_dir(state.path()).name("den".parse()?).build()?;
//! let address = peer.serve("127.0.0.1:0".parse()?).await?;
//! println!("{} serves on {address} and knows {} others", peer.name(), peer.known_peers().len());
//! peer.shutdown().await?;
//! assert_eq!(peer.running_tasks(), 0);
//! # Ok(()) }
//! ```
//!
//! Failures have codes that do not change and categories, so that a program need not read messages:
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (games, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! use lanspread_peer::{ErrorCategory, OperationOptions, Peer};
//!
//! let peer = Peer::builder(games.path()).state_dir(state.path()).build()?;
//! let options = OperationOptions::default();
//! let failed = peer.stream_install_game(&"cnctw".parse()?, &options, Default::default()).await.unwrap_err();
//! assert_eq!((failed.code(), failed.category()), ("no-peers", ErrorCategory::Usage));
//! # Ok(()) }
//! ```
//!
//! An operation is cancelled by its token, and leaves the machine as it was:
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (games, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! use lanspread_peer::{CancellationToken, OperationOptions, Peer};
//!
//! let peer = Peer::builder(games.path()).state_dir(state.path()).build()?;
//! let cancel = CancellationToken::new();
//! cancel.cancel();
//! let options = OperationOptions::default().with_peers(vec!["127.0.0.1:9".parse()?]);
//! let ended = peer.stream_install_game(&"cnctw".parse()?, &options, cancel).await;
//! assert_eq!(ended.unwrap_err().code(), "cancelled");
//! # Ok(()) }
//! ```
//!
//! Operations that are submitted queue, can be joined and followed, and say how far they are:
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (games, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! use lanspread_peer::{OperationKind, OperationOptions, OperationRequest, Peer};
//!
//! let peer = Peer::builder(games.path()).state_dir(state.path()).build()?;
//! let (game, options) = ("cnctw".parse()?, OperationOptions::default());
//! let mut verify = peer.submit(OperationRequest { kind: OperationKind::Verify, game, options })?;
//! for running in peer.running_operations() {
//!     println!("{} {}: {:?}", running.kind, running.game, running.progress.step);
//! }
//! while let Some(event) = verify.next_event().await {
//!     println!("{event:?}");
//! }
//! assert_eq!(verify.outcome().await.unwrap_err().code, "not-installed");
//! # Ok(()) }
//! ```
//!
//! Events arrive in the order in which they happened, each with a number that only grows, as a `Stream` too:
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (games, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! use std::future::poll_fn;
//! use std::pin::Pin;
//!
//! use futures_core::Stream;
//! use lanspread_peer::{Peer, PeerEvent};
//!
//! let peer = Peer::builder(games.path()).state_dir(state.path()).build()?;
//! let mut events = peer.events().into_stream();
//! peer.serve("127.0.0.1:0".parse()?).await?;
//! let first = poll_fn(|context| Pin::new(&mut events).poll_next(context)).await.ok_or("the peer is gone")?;
//! assert!(matches!(first.event, PeerEvent::PeerReady { .. }));
//! assert_eq!(first.seq, Some(1));
//! # peer.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! The modules, from the top down: `catalog_build` (what an organiser makes of a games directory), `daemon` (serves commands over a socket), `peer` (the public interface, one file per
//! operation), `discovery` (which peers there are), `receive` (streams and chunks from other peers), `source` (answers
//! other peers), `control` (the protocol of the commands), `operations` (which one runs when), `packed` (streams of packed archives), `http` (servers that have games), `transport` (sockets),
//! `traffic` (what is sent and received, counted and limited), `trust` (identity, catalog, which peers to believe), `report` (events, answers and failures as data), `locked_game`
//! (the one way to work on the files of a locked game), `task` (every task has an owner and an end). Below this crate are
//! `lanspread-store` (disk), `lanspread-proto` (wire), `lanspread-archive` (RAR), `lanspread-trust` (what an
//! organiser signs) and `lanspread-types` (terms and limits). `ARCHITECTURE.md` in the repository follows one request
//! through them.
//!
//! Features: `discovery` (peers find each other by multicast DNS) and `control` (the socket for commands) are on by default; `http`
//! (HTTP servers as sources) and `s3` (object stores as such) are off. What was left out is refused when it is asked for: to search
//! without `discovery` is [`PeerError::DiscoveryNotBuilt`]. Peers that are named, saved or connect are known without it.
//!
//! In a debug build, decoding and hashing need optimised code to be as fast as a disk. Profiles of dependencies are those of the program
//! that embeds them, so its `Cargo.toml` has, for `lanspread-rar`, `crc32fast`, `sha2` and `blake2s_simd` each:
//!
//! ```toml
//! [profile.dev.package.lanspread-rar]
//! opt-level = 3
//! ```
//!
//! This crate knows no command line: its messages name no options, and it never prints.

mod catalog_build;
mod control;
mod daemon;
mod discovery;
mod guests;
mod http;
mod locked_game;
mod operations;
mod packed;
mod peer;
mod receive;
mod report;
mod room;
mod room_file;
mod source;
mod task;
#[cfg(test)]
mod testing;
mod traffic;
mod transport;
mod trust;

// A peer and its operations.
pub use peer::builder::{PeerBuilder, PeerConfig};
pub use peer::client::{DiscoveredPeers, FailedPeer, OfferedGame, PeerClient, PeerOffers, PeerStatus};
pub use peer::core::Peer;
pub use peer::error::PeerError;
pub use peer::room::{RoomFollower, RoomUpdate};
pub use peer::stream_install::{SourcePeer, StreamInstallReport};
/// Cancels an operation.
pub use tokio_util::sync::CancellationToken;
pub use traffic::TrafficLimits;

// What a peer reports, and how you request operations.
pub use operations::{OperationHandle, OperationInfo, OperationOutcome, OperationsError};
pub use report::EVENTS_VERSION;
pub use report::answer::Answer;
pub use report::built_manifest::{ArrivedManifest, BuiltManifest};
pub use report::catalog_listing::CatalogListing;
pub use report::channel::{PeerEventStream, PeerEvents};
pub use report::download::{DownloadBegin, DownloadFinished};
pub use report::ensured::{EnsureAction, Ensured};
pub use report::event::PeerEvent;
pub use report::failure::{AttemptFailure, Code, ErrorCategory, OperationFailure, PeerAnswer};
pub use report::game_pattern::{GamePattern, GamesAmong};
pub use report::machine_settings::{ConfigFilePath, MachineSetUp, OptionSetting};
pub use report::metrics::{MetricFamily, MetricKind, MetricSample, Metrics};
pub use report::offender::{
    NoAddress, Offence, Offender, PenalisedPeer, PenaltyAddress, ProvedLie, ServerLie,
};
pub use report::operation::{
    AdmissionRules, AskOptions, DecodeAt, DiscoveryMode, OperationKind, OperationOptions, OperationRequest,
    RelayChoice, Wait,
};
pub use report::operation_outcome::{EndedOperation, EndedReport};
pub use report::operation_progress::{OperationProgress, OperationStep};
pub use report::packed_status::ReceivingAddress;
pub use report::packed_status::{RelayStatus, WaitingReceiver, WaveStatus};
pub use report::packed_stream::{
    BytesByKind, GapFilled, PackedFinished, PackedPlaced, RelayBegin, RelayEnd, RelayLingers,
    SlowestReceiver, UpstreamBegin, UpstreamEnd, UpstreamKind, UpstreamShare, WaveProgress,
};
pub use report::packing_list::{AwaitedPackingList, MadePackingList};
pub use report::party_line::PartyLineShown;
pub use report::passed_over::PassedOverFolder;
pub use report::peer_trust::PeerTrust;
pub use report::planned::{OperationPlan, PlannedSource, PlannedStep, PlannedUpstream, SeatPlan};
pub use report::queued::QueuedAt;
pub use report::repair::{RepairBegin, RepairFailed, RepairFinished, VerifyFinished};
pub use report::reported_event::ReportedEvent;
pub use report::room::{
    CellState, LinkKind, Room, RoomCell, RoomChanges, RoomGame, RoomLink, RoomLooking, RoomOperation,
    RoomSeat, RoomSummary, RoomWarning, SeatState,
};
pub use report::script_answers::{AwaitedOperation, DetachedOperation, GameUpdate, MatchedGame};
pub use report::source_share::SourceShare;
pub use report::wanted::{GameForm, WantedVersion};
pub use report::wanted_operation::{
    AwaitedSource, Draining, DroppedOperation, QueuedOperation, RetriedOperation, WantedOperation,
};

// The peers around it, and what it trusts.
pub use discovery::directory::{HowKnown, KnownPeer};
pub use discovery::search_outcome::{DiscoverySearch, OtherVersion, SearchOutcome};
pub use trust::catalog::Catalog;
pub use trust::catalog_store::forget_catalog_version;
pub use trust::error::TrustError;
pub use trust::identity::default_state_dir;
pub use trust::peer_rules::of_short_id;
pub use trust::penalties::{ClearedPenalties, Penalties, Penalty};
pub use trust::saved_peers::{
    DeniedPeer, PeerDecisions, SavedPeer, SavedPeers, SavedPeersError, TrustedPeer,
};

// What an organiser makes: keys, signatures, catalogs, manifests.
pub use catalog_build::observer::BuildObserver;
pub use catalog_build::one_manifest::{ManifestBuild, WrittenManifest};
pub use catalog_build::{CatalogBuild, CatalogBuilt};
pub use lanspread_trust::catalog::{
    CatalogContent, CatalogGame, CatalogHead, CatalogTime, MANIFESTS_DIR, ManifestReference, open_manifest,
};
pub use lanspread_trust::key_file::KeyError;
pub use lanspread_trust::manifest::{ManifestError, ManifestFile, ManifestProblem};
pub use lanspread_trust::minisign::{
    KeyId, KeyProblem, PublicKey, SecretKey, Signature, SignatureProblem, Signer,
};
pub use lanspread_trust::party::{PartyKey, PartyLine, PartyLineError, PartyText};
pub use lanspread_trust::party_file::{PartyFileError, PartyStored};
pub use lanspread_trust::{draft_file, key_file, manifest, party_file};

// What a room wants.
pub use room_file::{RoomFile, RoomFileError, RoomFileGame};

// What commands ask, and what is answered, in this process or over the socket of a daemon.
pub use control::error::ControlError;
pub use control::message::{ControlReply, ControlRequest};
pub use daemon::answer::{ReplyStream, answer};
#[cfg(feature = "control")]
pub use {
    control::client::ControlClient,
    control::ownership::{Daemon, find_daemon},
    control::running::{RunningDaemon, running_daemons},
    daemon::accept_commands::{CommandGroups, accept_commands, accept_commands_of, list_as_running},
};

// What the public interface needs from the layers below.
pub use lanspread_archive::ArchiveError;
pub use lanspread_archive::provider::ProviderChoice;
pub use lanspread_proto::WireError;
pub use lanspread_proto::message::PROTOCOL_VERSION;
pub use lanspread_store::StoreError;
pub use lanspread_store::state::game_state::GameState;
pub use lanspread_types::checksum::{Checksum, ContentDigest};
pub use lanspread_types::content::{ArchiveFormat, Availability, GameOffer, InstallTrust, RootFile, Totals};
pub use lanspread_types::entry_path::NamePolicy;
pub use lanspread_types::fault::{ContentError, ForeignState, LocalError};
pub use lanspread_types::ids::{
    CatalogName, GameId, GameVersion, PeerAddress, PeerId, PeerName, RoomName, WordError,
};
pub use lanspread_types::layout::MANIFEST_NAME;
pub use lanspread_types::limits;
pub use lanspread_types::rate_limit::{RateLimit, RateLimitError};
pub use lanspread_types::regular_file;
pub use lanspread_types::source_url::SourceUrl;
pub use lanspread_types::text::printable;
