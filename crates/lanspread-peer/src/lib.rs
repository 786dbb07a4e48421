//! lanspread as a library: serve games to a LAN, and install a game straight from another peer's archive.
//!
//! The archive is decoded at the source, its entries are streamed, checked and staged here, and the whole tree is
//! promoted to `local/` in one rename. The archive itself is never stored. A source that fails is answered by a fresh
//! whole attempt from the next validated peer.
//!
//! ```no_run
//! # async fn example() -> Result<(), lanspread_peer::PeerError> {
//! use lanspread_peer::{OperationOptions, Peer};
//!
//! let peer = Peer::builder("/srv/games").build()?;
//! let options = OperationOptions { peers: vec!["10.0.0.5:4100".parse()?], ..Default::default() };
//! let report = peer.stream_install_game(&"cnctw".parse()?, &options, Default::default()).await?;
//! println!("{} files from {}", report.totals.files, report.source.name);
//! # Ok(())
//! # }
//! ```
//!
//! The modules follow the words of the project: `source`
//! (answering others), `install` (changing this machine), `download` (root files as they are), [`library`] (what is on
//! disk). `ARCHITECTURE.md` in the repository follows one request through them.

pub mod catalog;
pub mod control;
mod download;
pub mod error;
pub mod event;
mod identity;
mod install;
pub mod library;
mod net;
pub mod operation;
pub mod operations;
mod peer;
pub mod report;
mod saved_peers;
mod searched;
mod source;
mod task;
#[cfg(test)]
mod testing;

pub use error::{AttemptFailure, ErrorCategory, PeerError};
pub use event::{PeerEvent, PeerEvents};
pub use lanspread_archive::ArchiveError;
pub use lanspread_archive::provider::ProviderChoice;
pub use lanspread_proto::WireError;
pub use lanspread_proto::message::PROTOCOL_VERSION;
pub use lanspread_types::content::{ArchiveFormat, Availability, GameOffer, RootFile, Totals};
pub use lanspread_types::entry_path::NamePolicy;
pub use lanspread_types::fault::{ContentError, LocalError};
pub use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId, PeerName, WordError};
pub use lanspread_types::limits;
pub use lanspread_types::text::printable;
pub use net::directory::{HowKnown, KnownPeer};
pub use operation::{Discovery, OperationFailure, OperationKind, OperationOptions, OperationRequest};
pub use peer::{
    DiscoveredPeers, FailedPeer, OfferedGame, Peer, PeerBuilder, PeerClient, PeerConfig, PeerOffers,
    PeerStatus, SourcePeer, StreamInstallPlan, StreamInstallReport,
};
pub use saved_peers::SavedPeers;
pub use searched::{DiscoverySearch, OtherVersion, Searched};
/// Cancels an operation.
pub use tokio_util::sync::CancellationToken;
