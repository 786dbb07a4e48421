//! What a peer reports while it works.
//!
//! Events are data: the library never prints. Field names and the kebab-case `event` names are stable; fields may be
//! added. Bytes are unpacked bytes, durations milliseconds.

use std::net::SocketAddr;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, InstallTrust};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::built_manifest::{ArrivedManifest, BuiltManifest};
use crate::report::download::{DownloadBegin, DownloadFinished};
use crate::report::ensured::Ensured;
use crate::report::failure::{AttemptFailure, Code};
use crate::report::offender::{PenalisedPeer, ProvedLie, ServerLie};
use crate::report::operation::OperationKind;
use crate::report::packed_stream::{
    GapFilled, PackedFinished, PackedPlaced, RelayBegin, RelayEnd, RelayLingers, UpstreamBegin, UpstreamEnd,
    WaveProgress,
};
use crate::report::packing_list::{AwaitedPackingList, MadePackingList};
use crate::report::passed_over::PassedOverFolder;
use crate::report::queued::QueuedAt;
use crate::report::repair::{RepairBegin, RepairFailed, RepairFinished, VerifyFinished};
use crate::report::wanted_operation::{
    AwaitedSource, Draining, DroppedOperation, QueuedOperation, RetriedOperation,
};

mod about;

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum PeerEvent {
    /// The listener is open: other peers can connect.
    PeerReady {
        /// Address it listens on, with the real port.
        addr: SocketAddr,
        /// Name of this peer.
        name: PeerName,
        /// Identity of this peer.
        peer: PeerId,
    },
    /// This peer serves and is of no party: every peer of the network may list and install what it serves.
    NetworkOpen {},
    /// This peer serves and is of a party: it talks to members only.
    PartyEntered {
        /// The four characters by which members tell parties apart.
        party: String,
    },
    /// What a crash left of an earlier operation was recovered.
    GameRecovered {
        /// Which game.
        game: GameId,
        /// What was done.
        action: Code,
    },
    /// The sources of a streamed install are chosen.
    StreamInstallBegin {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// Names of the validated peers, in the order in which they are tried.
        sources: Vec<PeerName>,
    },
    /// One source is tried.
    StreamAttemptBegin {
        /// Which game.
        game: GameId,
        /// Counts from 1.
        attempt: usize,
        /// Name of the source.
        peer: PeerName,
        /// Its identity.
        peer_id: PeerId,
        /// Its address.
        addr: SocketAddr,
    },
    /// The source has no place now, and the operation is in its queue. Reported at once, when its place has changed, and at
    /// intervals.
    Queued(QueuedAt),
    /// An archive begins to arrive.
    ArchiveBegin {
        /// Which game.
        game: GameId,
        /// Name of the source.
        peer: PeerName,
        /// File name of the archive at the source.
        name: String,
        /// Container format.
        format: ArchiveFormat,
        /// Whether decoding a file needs the files before it.
        solid: bool,
        /// Files in it.
        files: u64,
        /// Unpacked bytes in it.
        bytes: u64,
    },
    /// Bytes arrived.
    StreamProgress {
        /// Which game.
        game: GameId,
        /// Name of the source.
        peer: PeerName,
        /// Unpacked bytes received in this attempt.
        bytes: u64,
        /// Unpacked bytes of the game.
        bytes_total: u64,
    },
    /// A source failed, or is too slow; its staging is gone. Cancelling and faults of this machine are no failure of a
    /// source.
    StreamAttemptFailed {
        /// Which game.
        game: GameId,
        /// Counts from 1.
        attempt: usize,
        /// Name of the source.
        peer: PeerName,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// A source sent something else than the manifest lists. Its attempt has failed, and it is not asked again in this
    /// operation.
    PeerLied(ProvedLie),
    /// A receiver has a place in a wave.
    PackedPlaced(PackedPlaced),
    /// What a receiver has heard of its wave.
    WaveProgress(WaveProgress),
    /// An upstream begins to bring chunks.
    UpstreamBegin(UpstreamBegin),
    /// An upstream brings no more chunks.
    UpstreamEnd(UpstreamEnd),
    /// What a relay no longer had was brought by a source.
    GapFilled(GapFilled),
    /// An HTTP server sent something else than the manifest lists.
    ServerLied(ServerLie),
    /// Where the bytes of a packed stream came from; the game is installed.
    PackedFinished(PackedFinished),
    /// The game is installed.
    StreamInstallFinished {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// Name of the source it came from.
        peer: PeerName,
        /// Files installed, copies included.
        files: u64,
        /// Bytes installed.
        bytes: u64,
        /// Whether each byte was compared with a manifest.
        trust: InstallTrust,
        /// From the command to the first attempt: the search for peers and their answers.
        waited_ms: u64,
        /// From the first attempt to the durable rename.
        duration_ms: u64,
    },
    /// The game is not installed; the machine is as it was.
    StreamInstallFailed {
        /// Which game.
        game: GameId,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
        /// Every attempt that was made, in order.
        attempts: Vec<AttemptFailure>,
    },
    /// The sources of a download are chosen and its space is booked.
    DownloadBegin(DownloadBegin),
    /// Bytes arrived.
    DownloadProgress {
        /// Which game.
        game: GameId,
        /// Bytes that are on this machine, including those kept from earlier.
        bytes: u64,
        /// Bytes of the game root's files.
        bytes_total: u64,
        /// Sources that are sending.
        sources: u64,
        /// Name of the one that has sent most; none until one has sent something.
        source: Option<String>,
        /// Its identity, if it is a peer.
        source_id: Option<PeerId>,
    },
    /// A source failed or is too slow; other sources, if there are any, take over what it had not sent.
    DownloadSourceFailed {
        /// Which game.
        game: GameId,
        /// Name of the source.
        peer: PeerName,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
        /// When it is tried again; none if it is not.
        retry_ms: Option<u64>,
        /// Other sources that may still be used.
        sources_left: u64,
    },
    /// The game is downloaded: its sentinel is written.
    DownloadFinished(DownloadFinished),
    /// The game is not downloaded; what has arrived is kept for the next try.
    DownloadFailed {
        /// Which game.
        game: GameId,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
        /// Bytes that the next try need not fetch.
        bytes_kept: u64,
    },

    /// Every byte is on this machine and right; what is left is to make it durable and to move it into place.
    Finishing {
        /// Which game.
        game: GameId,
        /// Bytes of the game, as in the progress before.
        bytes: u64,
    },

    // ---- Installs from local archives, removal, verification ----
    /// An install from the archives of the game root begins.
    InstallBegin {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// Unpacked bytes of the game.
        bytes_total: u64,
        /// Whether it replaces an installed tree.
        replaces: bool,
    },
    /// Bytes were unpacked.
    InstallProgress {
        /// Which game.
        game: GameId,
        /// Unpacked bytes so far.
        bytes: u64,
        /// Unpacked bytes of the game.
        bytes_total: u64,
    },
    /// The game is installed from its archives.
    InstallFinished {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// Files installed, copies included.
        files: u64,
        /// Bytes installed.
        bytes: u64,
        /// Whether each byte was compared with a manifest.
        trust: InstallTrust,
        /// From the command to the durable rename.
        duration_ms: u64,
    },
    /// The game is not installed; the machine is as it was.
    InstallFailed {
        /// Which game.
        game: GameId,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// An update has nothing to do.
    AlreadyCurrent {
        /// Which game.
        game: GameId,
        /// The version that is wanted and already on this machine.
        version: GameVersion,
        /// Files that are missing or have another size. `verify` reads all of them, and `repair` brings them back.
        #[serde(default)]
        differences: u64,
    },
    /// An *ensure* or an *absent* is done.
    Ensured(Ensured),
    /// `local/` is gone.
    UninstallFinished {
        /// Which game.
        game: GameId,
    },
    /// The downloaded files are gone.
    RemoveFinished {
        /// Which game.
        game: GameId,
        /// Files that were removed.
        files: u64,
        /// Bytes that are free again.
        bytes: u64,
    },
    /// Bytes of a game have been read and decoded for its manifest.
    CatalogBuildProgress {
        /// Which game.
        game: GameId,
        /// Bytes so far: those of the root files, and the unpacked ones.
        bytes: u64,
        /// Bytes in all.
        bytes_total: u64,
    },
    /// A game has a manifest.
    CatalogGameBuilt(BuiltManifest),
    /// Another version of the signed catalog is in force.
    CatalogUpdated {
        /// Name of the peer that handed it on; none if a file has changed.
        from: Option<PeerName>,
        /// Its version.
        version: u64,
        /// The version before, if there was one.
        old: Option<u64>,
    },
    /// A catalog does not count; the one before it stays in force.
    CatalogRefused {
        /// Name of the peer that handed it on; none if it is a file.
        from: Option<PeerName>,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// The manifest of a game has arrived from a peer and is what the catalog names.
    ManifestArrived(ArrivedManifest),
    /// The manifest that the catalog names for a game is not here, and no peer that was asked handed it on.
    ManifestMissing {
        /// Which game.
        game: GameId,
        /// Its SHA-256.
        manifest: ContentDigest,
        /// Why, in one line.
        message: String,
    },
    /// The packing list of a game that this peer serves was made.
    PackingListMade(MadePackingList),
    /// An operation waits until the sources of a game have made its packing list.
    PackingListAwaited(AwaitedPackingList),
    /// Files are being compared.
    VerifyProgress {
        /// Which game.
        game: GameId,
        /// Bytes compared so far.
        bytes: u64,
        /// Bytes to compare.
        bytes_total: u64,
    },
    /// A file is not as it was installed or downloaded.
    VerifyDifference {
        /// Which game.
        game: GameId,
        /// `local` (the installed tree) or `download` (the game root's files).
        part: Code,
        /// Path below `local/` or the game root.
        path: String,
        /// `missing`, `size`, `content`, `executable`, `unlisted` (installed by lanspread, and not in the manifest), or
        /// `added` (a file of the user, which is not a fault).
        problem: Code,
    },
    /// Everything was compared.
    VerifyFinished(VerifyFinished),
    /// Something differs, and is fetched and replaced.
    RepairBegin(RepairBegin),
    /// Nothing differs any more.
    RepairFinished(RepairFinished),
    /// The game could not be repaired. What was replaced before stays, and is right.
    RepairFailed(RepairFailed),

    // ---- Operations ----
    /// An operation waits for its turn.
    OperationQueued(QueuedOperation),
    /// An operation begins.
    OperationBegin {
        /// Its number, in this run of the peer.
        operation: u64,
        /// What it does.
        kind: OperationKind,
        /// With which game.
        game: GameId,
    },
    /// An operation ended.
    OperationEnd {
        /// Its number, in this run of the peer.
        operation: u64,
        /// What it did.
        kind: OperationKind,
        /// With which game.
        game: GameId,
        /// `done`, or the stable code of what ended it.
        outcome: Code,
    },

    /// An operation of an earlier run of the daemon is tried again.
    OperationRetry(RetriedOperation),
    /// An operation of an earlier run of the daemon is given up.
    OperationDropped(DroppedOperation),
    /// This peer ends what runs, and then stops.
    PeerDraining(Draining),
    /// A source stopped, and the operation waits for it to come back.
    SourceAwaited(AwaitedSource),

    // ---- Library and peers ----
    /// The games that this peer offers have changed, or were read for the first time.
    LibraryChanged {
        /// Counts the changes in this run of the peer.
        revision: u64,
        /// Games that are offered.
        games: u64,
        /// Games whose offer is new, different or gone; all games at the start.
        changed: Vec<GameId>,
    },
    /// A folder of the games directory looks like a game and is not served.
    FolderPassedOver(PassedOverFolder),
    /// A peer was found and answers.
    PeerFound {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
    },
    /// A peer reported its library, for the first time or because it changed.
    PeerLibraryChanged {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// The revision of its library.
        revision: u64,
        /// Games that it offers.
        games: u64,
    },
    /// A peer no longer answers.
    PeerLost {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// Why, in one line.
        reason: String,
    },
    /// A source lied or broke the protocol, and is not believed for a while.
    PeerPenalised(PenalisedPeer),
    /// Two running peers have the same identity, because a state directory was copied.
    DuplicateIdentity {
        /// The identity.
        peer: PeerId,
        /// Their names.
        names: Vec<PeerName>,
        /// Where they answer.
        addrs: Vec<SocketAddr>,
    },

    // ---- Serving ----
    /// A stream or download to another peer began.
    TransferBegin {
        /// Which game.
        game: GameId,
        /// Name of the receiver.
        peer: PeerName,
        /// Identity of the receiver.
        peer_id: PeerId,
    },
    /// A stream or download to another peer ended.
    TransferEnd {
        /// Which game.
        game: GameId,
        /// Name of the receiver.
        peer: PeerName,
        /// `complete`, or the stable code of what ended it.
        outcome: Code,
        /// Bytes sent: unpacked bytes of a stream, file bytes of a download.
        bytes: u64,
    },
    /// A follower begins to be fed from the window of an install.
    RelayBegin(RelayBegin),
    /// A follower is no longer fed.
    RelayEnd(RelayEnd),
    /// An install is done, and a follower is still fed.
    RelayLingers(RelayLingers),
    /// The subscriber was too slow and lost events.
    EventsLost {
        /// How many.
        count: u64,
    },
}
