//! What is said over the control socket.

use lanspread_types::ids::GameId;
use serde::{Deserialize, Serialize};

use crate::report::answer::Answer;
use crate::report::event::ReportedEvent;
use crate::report::failure::OperationFailure;
use crate::report::operation::{AskOptions, OperationOptions, OperationRequest};

/// What a peer is asked. Every request but `events` comes to an end by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// Runs an operation, or joins the same one; its events follow.
    Operate(OperationRequest),
    /// What a streamed install would do.
    Plan {
        /// Which game.
        game: GameId,
        /// How.
        options: OperationOptions,
    },
    /// Cancels every operation on a game.
    Cancel {
        /// Which game.
        game: GameId,
    },
    /// The operations that run and wait.
    Operations,
    /// The newest events.
    Events {
        /// Goes on with those that come.
        follow: bool,
    },
    /// The games here and those that peers offer.
    List(AskOptions),
    /// The peers that answer.
    Peers(AskOptions),
    /// What this peer is doing.
    Status,
    /// Behind an `operate` on the same connection: cancels the operation unless somebody else follows it.
    GiveUp,
}

/// What a peer answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum ControlReply {
    /// The operation runs or waits.
    Accepted {
        /// Its number, in this run of the peer.
        operation: u64,
        /// Whether it had been asked for before.
        joined: bool,
    },
    /// Something happened.
    Event(ReportedEvent),
    /// One object of the answer.
    Report {
        /// The object.
        report: Answer,
    },
    /// The request is done; the last reply.
    Done,
    /// The request failed; the last reply.
    Failed(OperationFailure),
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::report::event::PeerEvent;
    use crate::report::failure::ErrorCategory;
    use crate::report::operation::OperationKind;

    #[test]
    fn requests_read_as_documented() {
        let request = r#"{"request":"operate","kind":"stream-install","game":"g"}"#;
        let expected = OperationRequest {
            kind: OperationKind::StreamInstall,
            game: "g".parse().unwrap(),
            options: OperationOptions::default(),
        };
        assert_eq!(
            serde_json::from_str::<ControlRequest>(request).unwrap(),
            ControlRequest::Operate(expected)
        );
        for bad in [
            r#"{"request":"operate","kind":"stream-install","game":"../x"}"#,
            r#"{"request":"operate","kind":"destroy","game":"g"}"#,
            r#"{"request":"operate","kind":"verify","game":"g","options":{"froce":true}}"#,
            r#"{"request":"list","paers":[]}"#,
            r#"{"request":"no-such"}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<ControlRequest>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replies_come_back_as_they_went() {
        let event = PeerEvent::EventsLost { count: 3 };
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        let failure = OperationFailure {
            code: "busy".into(),
            message: "m".to_owned(),
            cause: None,
            category: ErrorCategory::Refused,
        };
        for reply in [
            ControlReply::Accepted { operation: 1, joined: false },
            ControlReply::Event(ReportedEvent { at, event }),
            ControlReply::Report {
                report: Answer::OperationsCancelled { game: "g".parse().unwrap(), count: 1 },
            },
            ControlReply::Done,
            ControlReply::Failed(failure),
        ] {
            let line = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<ControlReply>(&line).unwrap(), reply, "{line}");
        }
    }
}
