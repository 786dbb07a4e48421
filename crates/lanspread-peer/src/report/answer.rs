//! Answers to requests, as data: what a peer reports about itself, its games, its operations and other peers.
//!
//! Like events, they are printed as one JSON object a line, with a stable kebab-case `event` name, and are sent over
//! the control socket unchanged.

use std::net::SocketAddr;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{Availability, InstallTrust};
use lanspread_types::ids::{CatalogName, GameId, GameVersion, PeerAddress, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::catalog_listing::CatalogListing;
use crate::report::failure::Code;
use crate::report::machine_settings::{ConfigFilePath, MachineSetUp, OptionSetting};
use crate::report::offender::{Offence, PenaltyAddress};
use crate::report::operation::OperationKind;
use crate::report::operation_outcome::EndedReport;
use crate::report::operation_progress::OperationProgress;
use crate::report::packed_status::{ReceivingAddress, RelayStatus, WaitingReceiver, WaveStatus};
use crate::report::party_line::PartyLineShown;
use crate::report::passed_over::PassedOverFolder;
use crate::report::peer_trust::PeerTrust;
use crate::report::planned::{OperationPlan, SeatPlan};
use crate::report::room::{Room, RoomChanges};
use crate::report::script_answers::{DetachedOperation, GameUpdate, MatchedGame};

/// One object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// A game on this machine.
    LocalGame {
        /// Which game.
        game: GameId,
        /// Its title in the catalog, for people.
        title: Option<String>,
        /// Version that is downloaded.
        version: Option<GameVersion>,
        /// Version that is installed, according to its receipt.
        installed_version: Option<GameVersion>,
        /// Whether each byte of the installed tree was compared with a manifest; none without a receipt.
        trust: Option<InstallTrust>,
        /// What this machine can do with it.
        state: Availability,
        /// Whether the sentinel exists.
        downloaded: bool,
        /// Whether the downloaded files were compared with a manifest; none if nothing is recorded about them.
        downloaded_trust: Option<InstallTrust>,
        /// Whether `local/` exists.
        installed: bool,
        /// Bytes of its root files.
        bytes: u64,
        /// Whether its installed files are offered to other peers, because its archives are not here.
        shares_entries: bool,
        /// What the catalog says of it.
        #[serde(flatten)]
        listed: CatalogListing,
    },
    /// A folder of the games directory looks like a game and is not served.
    FolderPassedOver(PassedOverFolder),
    /// A game that other peers offer.
    OfferedGame {
        /// Which game.
        game: GameId,
        /// Its title in the catalog, for people.
        title: Option<String>,
        /// In which version.
        version: GameVersion,
        /// Bytes of its root files.
        bytes: u64,
        /// How many peers offer it in this version.
        peer_count: u64,
        /// Their names.
        peers: Vec<PeerName>,
        /// What the catalog says of it.
        #[serde(flatten)]
        listed: CatalogListing,
    },
    /// Another peer that answers.
    Peer {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
        /// How many games it offers.
        games: u64,
        /// What the user has decided about it.
        trust: PeerTrust,
        /// Why its name does not tell who it is: `same-name` (another peer that answers has it), or `other-key` (the
        /// peer that was saved or trusted under it has another identity).
        name_warning: Option<Code>,
        /// What it is penalised for.
        offence: Option<Offence>,
        /// How long it still is.
        penalty_left_ms: Option<u64>,
    },
    /// A peer that was asked and did not answer as expected.
    PeerUnavailable {
        /// The peer as it was named.
        peer: String,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// No peer was found that could be asked. The games of this machine were reported nevertheless.
    NobodyFound {
        /// Where the search looked, and why it found no peer.
        message: String,
        /// The reason: `no-answer`, `nobody-named`, `other-version` or `nobody-heard`.
        cause: Option<Code>,
    },
    /// A peer that is always asked, or no longer.
    SavedPeer {
        /// Where it listens.
        peer: PeerAddress,
        /// Whether it is saved now.
        saved: bool,
        /// The identity with which it answered when it was saved.
        id: Option<PeerId>,
        /// Its name, likewise.
        name: Option<PeerName>,
    },
    /// An identity about which the user has decided.
    DecidedPeer {
        /// The identity.
        peer: PeerId,
        /// Its name, for people.
        name: Option<PeerName>,
        /// What was decided; `unknown` if that was forgotten.
        trust: PeerTrust,
        /// Why it is denied, for people.
        reason: Option<String>,
    },
    /// A penalty.
    Penalty {
        /// The identity that is penalised,
        peer: Option<PeerId>,
        /// or the address of which every peer is.
        addr: Option<PenaltyAddress>,
        /// What for.
        offence: Offence,
        /// How long it still is.
        left_ms: u64,
        /// What happened, in one line.
        message: String,
        /// Whether it is over now, because it was cleared.
        cleared: bool,
    },
    /// What a peer counts and measures.
    Metrics {
        /// In the text format of Prometheus.
        text: String,
    },
    /// The limits for what a peer sends and receives of games; none if there is no limit.
    Limits {
        /// To all peers together.
        up_bytes_per_second: Option<u64>,
        /// From all peers and servers together.
        down_bytes_per_second: Option<u64>,
    },
    /// What a serving peer is doing.
    PeerStatus {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
        /// The games it offers.
        games: Vec<GameId>,
        /// Streams and downloads it is sending.
        active_outbound_transfers: u64,
        /// How many it sends at once, at most.
        streams_max: u64,
        /// Open connections to it, including the one that asks.
        connections: u64,
        /// Receivers that wait for a place.
        waiting: u64,
        /// Where the transfers go. Only a daemon says so of itself; empty for another peer.
        receivers: Vec<ReceivingAddress>,
        /// The waves of packed streams that it feeds. Likewise.
        waves: Vec<WaveStatus>,
        /// Its own installs whose chunks may be passed on. Likewise.
        relays: Vec<RelayStatus>,
        /// The receivers that have waited longest. Likewise.
        waiting_receivers: Vec<WaitingReceiver>,
        /// Its limit for what it sends of games; none without a limit, and for another peer.
        up_bytes_per_second: Option<u64>,
        /// Its limit for what it receives of games; likewise.
        down_bytes_per_second: Option<u64>,
    },
    /// An operation that runs or waits.
    Operation {
        /// Its number, in this run of the peer.
        operation: u64,
        /// What it does.
        kind: OperationKind,
        /// With which game.
        game: GameId,
        /// Whether it runs; it waits otherwise.
        running: bool,
        /// How many clients follow it.
        followers: u64,
        /// How far it is.
        #[serde(flatten)]
        progress: OperationProgress,
        /// Whether an earlier run of the daemon was asked for it.
        resumed: bool,
    },
    /// How the newest operation on a game ended.
    EndedOperation(EndedReport),
    /// The room: which seat is not ready, and why.
    Room(Box<Room>),
    /// What has changed in the room since it was told.
    RoomChanged(Box<RoomChanges>),
    /// A peer will do what it was asked for.
    SeatAccepted {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// With which game.
        game: GameId,
        /// What it will do.
        kind: OperationKind,
        /// The number of the operation there.
        operation: u64,
    },
    /// What a peer would do.
    SeatPlanned(SeatPlan),
    /// A peer will not, or would not, do what it was asked for.
    SeatRefused {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// With which game.
        game: GameId,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// The room page is served.
    PageReady {
        /// Its address, for a browser.
        url: String,
        /// The file with its token; none if it asks for none.
        token_file: Option<String>,
    },
    /// Operations were cancelled.
    OperationsCancelled {
        /// On which game.
        game: GameId,
        /// How many.
        count: u64,
    },
    /// A game that a pattern fits.
    MatchedGame(MatchedGame),
    /// What an update would do.
    GameUpdate(GameUpdate),
    /// An operation that the command does not follow.
    DetachedOperation(DetachedOperation),
    /// What an operation would do.
    OperationPlan(Box<OperationPlan>),
    /// The key pair with which this user signs catalogs.
    CatalogKey {
        /// Its number, for people.
        key_id: String,
        /// The public key: the second line of its `.pub` file.
        public_key: String,
        /// Where the secret key is.
        path: String,
        /// Whether it was made now.
        made: bool,
        /// The `.pub` file that was written, to hand on.
        copy: Option<String>,
    },
    /// A catalog was signed.
    CatalogSigned {
        /// The catalog.
        catalog: String,
        /// The file of the signature.
        signature: String,
        /// Number of the key.
        key_id: String,
        /// Version of the catalog.
        version: u64,
    },
    /// The highest version that was seen of a signer's catalog is forgotten.
    CatalogForgotten {
        /// Number of the key.
        key_id: String,
        /// The version; none if none was seen.
        version: Option<u64>,
    },
    /// The signature of a catalog counts, and so do the manifests that are beside it.
    CatalogVerified {
        /// The catalog.
        catalog: String,
        /// Number of the key.
        key_id: String,
        /// What was signed with it, for people.
        trusted_comment: String,
        /// Version of the catalog; schema 1 has none.
        version: Option<u64>,
        /// Until when its author vouches for it.
        expires: Option<String>,
        /// Whether that has passed.
        expired: bool,
        /// How many games it lists.
        games: u64,
        /// How many manifests were compared.
        manifests: u64,
        /// How many are not beside it.
        manifests_missing: u64,
    },
    /// A catalog was built.
    CatalogBuilt {
        /// The catalog.
        catalog: String,
        /// Its version.
        version: u64,
        /// How many games it lists.
        games: u64,
        /// Whether it was written: something has changed.
        written: bool,
        /// Games that are no longer in it.
        removed: Vec<GameId>,
    },
    /// The manifest of a game was written to a file.
    ManifestWritten {
        /// The file.
        path: String,
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// SHA-256 of the manifest.
        manifest: ContentDigest,
        /// Its bytes.
        bytes: u64,
        /// Whether it lists the installed tree.
        tree: bool,
    },
    /// A game is not the same in two catalogs.
    CatalogDifference {
        /// Which game.
        game: GameId,
        /// What became of it: `added`, `removed`, `version`, `content`, `title` or `manifest`.
        change: Code,
        /// Its version in the old catalog.
        old_version: Option<GameVersion>,
        /// Its version in the new one.
        new_version: Option<GameVersion>,
    },
    /// What two catalogs have in common and what they have not.
    CatalogDifferences {
        /// Version of the old catalog.
        old_version: Option<u64>,
        /// Version of the new one.
        new_version: Option<u64>,
        /// How many games differ.
        differences: u64,
        /// How many games are the same.
        unchanged: u64,
    },
    /// What a catalog says about itself.
    Catalog {
        /// The catalog.
        catalog: String,
        /// Its schema.
        schema: u64,
        /// Its version; schema 1 has none.
        version: Option<u64>,
        /// Its name.
        name: Option<CatalogName>,
        /// When it was built.
        made: Option<String>,
        /// Until when its author vouches for it.
        expires: Option<String>,
        /// Whether that has passed.
        expired: bool,
        /// Number of the key that is said to have signed it. Only verifying it shows whether that is true.
        signed_by: Option<String>,
        /// The HTTP servers that have its games, without credentials.
        sources: Vec<String>,
        /// How many games it lists.
        games: u64,
    },
    /// A game of a catalog.
    CatalogGame {
        /// Which game.
        game: GameId,
        /// Its title, for people.
        title: String,
        /// In which version.
        version: GameVersion,
        /// SHA-256 of its manifest.
        manifest: Option<ContentDigest>,
        /// Bytes of its manifest.
        manifest_bytes: Option<u64>,
        /// Bytes of its root files.
        bytes: Option<u64>,
        /// Bytes of its installed tree.
        unpacked_bytes: Option<u64>,
    },
    /// What a manifest says about a game.
    CatalogManifest {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// SHA-256 of the manifest.
        manifest: ContentDigest,
        /// Bytes of the root files.
        bytes: u64,
        /// Bytes of one chunk of a root file.
        chunk_bytes: u64,
        /// How many archives there are.
        archives: u64,
        /// Memory that the largest dictionary takes.
        dictionary_bytes: u64,
        /// Header bytes that it carries.
        header_bytes: u64,
        /// Files of the installed tree.
        files: u64,
        /// Folders of it.
        directories: u64,
        /// Bytes of it.
        unpacked_bytes: u64,
    },
    /// The party of this machine, and what a command has done about it.
    Party {
        /// The four characters by which members tell parties apart.
        party: String,
        /// `made`, `joined`, `replaced`, `unchanged`, `shown` or `left`.
        change: Code,
        /// The file of the party.
        path: String,
        /// The Ed25519 key of the signer of the catalog, in 64 hexadecimal digits, if the line names one.
        catalog_signer: Option<String>,
        /// The party line, if it was asked for. It is a secret.
        line: Option<PartyLineShown>,
        /// The games directories of daemons that run with this state directory and were started before the change.
        daemons_to_restart: Vec<String>,
    },
    /// This machine was set up.
    MachineSetUp(MachineSetUp),
    /// An option has this value.
    OptionSetting(OptionSetting),
    /// Where the config file is.
    ConfigFile(ConfigFilePath),
    /// A root file that a manifest lists.
    CatalogRootFile {
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: u64,
    },
    /// A file or folder of the installed tree that a manifest lists.
    CatalogEntry {
        /// Its place in the installed tree.
        path: String,
        /// Its bytes; a folder has none.
        bytes: Option<u64>,
        /// Whether it can be executed.
        executable: bool,
        /// SHA-256 of its bytes.
        sha256: Option<ContentDigest>,
    },
}
