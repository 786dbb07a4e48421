//! What events are about, and how some are made.

use lanspread_types::content::ArchiveSummary;
use lanspread_types::ids::{GameId, PeerName};
use lanspread_types::limits;
use lanspread_types::text::printable;

use crate::report::built_manifest::{ArrivedManifest, BuiltManifest};
use crate::report::download::{DownloadBegin, DownloadFinished};
use crate::report::ensured::Ensured;
use crate::report::event::PeerEvent;
use crate::report::offender::{PenalisedPeer, ProvedLie, ServerLie};
use crate::report::packed_stream::{
    GapFilled, PackedFinished, PackedPlaced, RelayBegin, RelayEnd, RelayLingers, UpstreamBegin, UpstreamEnd,
    WaveProgress,
};
use crate::report::packing_list::{AwaitedPackingList, MadePackingList};
use crate::report::queued::QueuedAt;
use crate::report::repair::{RepairBegin, RepairFailed, RepairFinished, VerifyFinished};
use crate::report::wanted_operation::{AwaitedSource, DroppedOperation, QueuedOperation, RetriedOperation};

impl PeerEvent {
    /// An archive begins to arrive from `peer`.
    pub(crate) fn archive_begin(game: &GameId, peer: &PeerName, archive: &ArchiveSummary) -> Self {
        Self::ArchiveBegin {
            game: game.clone(),
            peer: peer.clone(),
            name: printable(&archive.name, limits::COMPONENT_BYTES_MAX),
            format: archive.format,
            solid: archive.solid,
            files: archive.totals.files,
            bytes: archive.totals.bytes,
        }
    }

    /// The game that the event is about, if there is one.
    pub fn game(&self) -> Option<&GameId> {
        match self {
            Self::GameRecovered { game, .. }
            | Self::StreamInstallBegin { game, .. }
            | Self::StreamAttemptBegin { game, .. }
            | Self::ArchiveBegin { game, .. }
            | Self::StreamProgress { game, .. }
            | Self::StreamAttemptFailed { game, .. }
            | Self::StreamInstallFinished { game, .. }
            | Self::StreamInstallFailed { game, .. }
            | Self::DownloadBegin(DownloadBegin { game, .. })
            | Self::DownloadProgress { game, .. }
            | Self::DownloadSourceFailed { game, .. }
            | Self::PeerLied(ProvedLie { game, .. })
            | Self::PackedPlaced(PackedPlaced { game, .. })
            | Self::WaveProgress(WaveProgress { game, .. })
            | Self::UpstreamBegin(UpstreamBegin { game, .. })
            | Self::UpstreamEnd(UpstreamEnd { game, .. })
            | Self::GapFilled(GapFilled { game, .. })
            | Self::RelayBegin(RelayBegin { game, .. })
            | Self::RelayEnd(RelayEnd { game, .. })
            | Self::RelayLingers(RelayLingers { game, .. })
            | Self::PackedFinished(PackedFinished { game, .. })
            | Self::Queued(QueuedAt { game, .. })
            | Self::ServerLied(ServerLie { game, .. })
            | Self::DownloadFinished(DownloadFinished { game, .. })
            | Self::DownloadFailed { game, .. }
            | Self::Finishing { game, .. }
            | Self::InstallBegin { game, .. }
            | Self::InstallProgress { game, .. }
            | Self::InstallFinished { game, .. }
            | Self::InstallFailed { game, .. }
            | Self::AlreadyCurrent { game, .. }
            | Self::Ensured(Ensured { game, .. })
            | Self::UninstallFinished { game }
            | Self::RemoveFinished { game, .. }
            | Self::CatalogBuildProgress { game, .. }
            | Self::CatalogGameBuilt(BuiltManifest { game, .. })
            | Self::ManifestArrived(ArrivedManifest { game, .. })
            | Self::ManifestMissing { game, .. }
            | Self::PackingListMade(MadePackingList { game, .. })
            | Self::PackingListAwaited(AwaitedPackingList { game, .. })
            | Self::VerifyProgress { game, .. }
            | Self::VerifyDifference { game, .. }
            | Self::VerifyFinished(VerifyFinished { game, .. })
            | Self::RepairBegin(RepairBegin { game, .. })
            | Self::RepairFinished(RepairFinished { game, .. })
            | Self::RepairFailed(RepairFailed { game, .. })
            | Self::PeerPenalised(PenalisedPeer { game, .. })
            | Self::OperationQueued(QueuedOperation { game, .. })
            | Self::OperationRetry(RetriedOperation { game, .. })
            | Self::OperationDropped(DroppedOperation { game, .. })
            | Self::SourceAwaited(AwaitedSource { game, .. })
            | Self::OperationBegin { game, .. }
            | Self::OperationEnd { game, .. }
            | Self::TransferBegin { game, .. }
            | Self::TransferEnd { game, .. } => Some(game),
            Self::PeerReady { .. }
            | Self::NetworkOpen {}
            | Self::PeerDraining(_)
            | Self::PartyEntered { .. }
            | Self::LibraryChanged { .. }
            | Self::FolderPassedOver(_)
            | Self::PeerFound { .. }
            | Self::PeerLibraryChanged { .. }
            | Self::PeerLost { .. }
            | Self::DuplicateIdentity { .. }
            | Self::CatalogUpdated { .. }
            | Self::CatalogRefused { .. }
            | Self::EventsLost { .. } => None,
        }
    }

    /// The operation that the event itself names.
    pub fn operation(&self) -> Option<u64> {
        match self {
            Self::OperationQueued(QueuedOperation { operation, .. })
            | Self::OperationBegin { operation, .. }
            | Self::OperationEnd { operation, .. } => Some(*operation),
            _ => None,
        }
    }

    /// Whether the event only reports progress, so that another one follows soon.
    pub fn is_progress(&self) -> bool {
        matches!(
            self,
            Self::StreamProgress { .. }
                | Self::Queued(_)
                | Self::WaveProgress(_)
                | Self::DownloadProgress { .. }
                | Self::Finishing { .. }
                | Self::InstallProgress { .. }
                | Self::CatalogBuildProgress { .. }
                | Self::VerifyProgress { .. }
        )
    }
}
