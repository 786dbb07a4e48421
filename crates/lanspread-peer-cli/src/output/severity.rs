//! How much an event matters to the person who reads the log of a daemon. Pure.

use lanspread_peer::PeerEvent;

use crate::logging::Severity;

/// The severity of the line about an event.
pub(super) fn severity(event: &PeerEvent) -> Severity {
    match event {
        PeerEvent::PeerLied(_)
        | PeerEvent::ServerLied(_)
        | PeerEvent::PeerPenalised(_)
        | PeerEvent::DuplicateIdentity { .. }
        | PeerEvent::CatalogRefused { .. }
        | PeerEvent::ManifestMissing { .. }
        | PeerEvent::FolderPassedOver(_)
        | PeerEvent::StreamAttemptFailed { .. }
        | PeerEvent::DownloadSourceFailed { .. }
        | PeerEvent::StreamInstallFailed { .. }
        | PeerEvent::DownloadFailed { .. }
        | PeerEvent::InstallFailed { .. }
        | PeerEvent::RepairFailed(_)
        | PeerEvent::VerifyDifference { .. }
        | PeerEvent::SourceAwaited(_)
        | PeerEvent::OperationRetry(_)
        | PeerEvent::OperationDropped(_)
        | PeerEvent::EventsLost { .. } => Severity::Warning,
        // What a person cancelled is no fault.
        PeerEvent::OperationEnd { outcome, .. } if outcome != "done" && outcome != "cancelled" => {
            Severity::Warning
        }
        PeerEvent::NetworkOpen {} | PeerEvent::GameRecovered { .. } | PeerEvent::PeerDraining(_) => {
            Severity::Notice
        }
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use lanspread_peer::OperationKind;

    use super::*;

    #[test]
    fn an_operation_that_failed_is_a_warning_and_one_that_was_cancelled_is_not() {
        let end = |outcome: &'static str| PeerEvent::OperationEnd {
            operation: 1,
            kind: OperationKind::Verify,
            game: "g".parse().unwrap(),
            outcome: outcome.into(),
        };
        assert_eq!(severity(&end("differences")), Severity::Warning);
        assert_eq!(severity(&end("cancelled")), Severity::Info);
        assert_eq!(severity(&end("done")), Severity::Info);
        assert_eq!(severity(&PeerEvent::NetworkOpen {}), Severity::Notice);
    }
}
