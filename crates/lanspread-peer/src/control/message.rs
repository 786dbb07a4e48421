//! The messages of the control socket.

use lanspread_types::ids::GameId;
use lanspread_types::rate_limit::RateLimit;
use serde::{Deserialize, Serialize};

use crate::report::answer::Answer;
use crate::report::failure::OperationFailure;
use crate::report::game_pattern::{GamePattern, GamesAmong};
use crate::report::operation::{AskOptions, OperationKind, OperationRequest};
use crate::report::reported_event::ReportedEvent;
use crate::report::script_answers::AwaitedOperation;

/// A request to a peer. Every request ends by itself, except `events` with `follow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ControlRequest {
    /// Runs an operation, or joins an equal one; its events follow.
    Operate(OperationRequest),
    /// Reports what an operation would do.
    Plan(OperationRequest),
    /// Reports an operation to its end, or how it ended. The client that asks cannot give it up.
    Wait {
        /// Which one.
        awaited: AwaitedOperation,
    },
    /// Names the games that fit patterns.
    Games {
        /// The patterns.
        patterns: Vec<GamePattern>,
        /// Among which games.
        among: GamesAmong,
        /// Whether each pattern has to fit a game.
        must_match: bool,
        /// Which peers are asked, if it is about what they offer.
        #[serde(default)]
        ask: AskOptions,
    },
    /// Compares games with the version that an update would bring.
    Updates {
        /// Which ones; none for all on this machine.
        #[serde(default)]
        games: Vec<GameId>,
        /// Which peers are asked, if there is no catalog.
        #[serde(default)]
        ask: AskOptions,
    },
    /// Cancels every operation on a game.
    Cancel {
        /// Which game.
        game: GameId,
    },
    /// Cancels one operation.
    CancelOperation {
        /// Its number.
        operation: u64,
    },
    /// Lists the operations that run or wait.
    Operations {
        /// First how the newest operation on each game ended.
        #[serde(default)]
        ended: bool,
    },
    /// Reports the room of a serving peer.
    Room {
        /// Continues with what changes.
        #[serde(default)]
        follow: bool,
    },
    /// Has other peers do something with a game, of those that allow it to this one.
    OperateAt {
        /// What they are to do.
        kind: OperationKind,
        /// With which game.
        game: GameId,
        /// Names or identities of the peers; none for all that accept.
        #[serde(default)]
        seats: Vec<String>,
    },
    /// Reports what other peers would do with a game, of those that allow it to this one.
    PlanAt {
        /// What they would be asked to do.
        kind: OperationKind,
        /// With which game.
        game: GameId,
        /// Names or identities of the peers; none for all that accept.
        #[serde(default)]
        seats: Vec<String>,
    },
    /// Reports the newest events.
    Events {
        /// Continues with the events that follow.
        follow: bool,
    },
    /// Lists the games of this peer and those that other peers offer.
    List(AskOptions),
    /// Lists the peers that answer.
    Peers(AskOptions),
    /// Lists the penalties that are not over, or those that it clears.
    Penalties {
        /// `all`, an identity or its first characters, or an address.
        #[serde(default)]
        clear: Option<String>,
    },
    /// Reports what this peer is doing.
    Status,
    /// Reports what this peer counts and measures.
    Metrics,
    /// Changes the limits of this peer that are given, for as long as it runs, and reports those in force.
    Limits {
        /// For what it sends.
        #[serde(default)]
        up: Option<RateLimit>,
        /// For what it receives.
        #[serde(default)]
        down: Option<RateLimit>,
    },
    /// After an `operate` on the same connection: cancels the operation unless another client follows it.
    GiveUp,
}

impl ControlRequest {
    /// Whether the request only asks: it changes neither a game nor a setting, here or on another machine.
    pub fn only_asks(&self) -> bool {
        match self {
            Self::Plan(_)
            | Self::PlanAt { .. }
            | Self::Wait { .. }
            | Self::Games { .. }
            | Self::Updates { .. }
            | Self::Operations { .. }
            | Self::Room { .. }
            | Self::Events { .. }
            | Self::List(_)
            | Self::Peers(_)
            | Self::Penalties { clear: None }
            | Self::Status
            | Self::Metrics
            | Self::GiveUp => true,
            Self::Limits { up, down } => up.is_none() && down.is_none(),
            Self::Operate(_)
            | Self::Cancel { .. }
            | Self::CancelOperation { .. }
            | Self::OperateAt { .. }
            | Self::Penalties { clear: Some(_) } => false,
        }
    }
}

/// A reply of a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ControlReply {
    /// The operation runs or waits.
    Accepted {
        /// Its number, in this run of the peer.
        operation: u64,
        /// Whether the request joined an operation that was already there.
        joined: bool,
    },
    /// Something happened.
    Event(ReportedEvent),
    /// One object of the answer.
    Report {
        /// The object.
        report: Answer,
    },
    /// The daemon is there and has nothing else to say.
    KeepAlive,
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
    use crate::report::operation::OperationOptions;

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
            r#"{"request":"limits","up":"1KiB/s"}"#,
            r#"{"request":"no-such"}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<ControlRequest>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_text_and_may_be_left_out() {
        let request = r#"{"request":"limits","up":"20 MiB/s"}"#;
        let up = Some("20MiB/s".parse().unwrap());
        assert_eq!(
            serde_json::from_str::<ControlRequest>(request).unwrap(),
            ControlRequest::Limits { up, down: None }
        );
    }

    #[test]
    fn replies_survive_encoding_and_decoding() {
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
            ControlReply::Event(ReportedEvent { at, seq: Some(7), operation: Some(1), event }),
            ControlReply::Report {
                report: Answer::OperationsCancelled { game: "g".parse().unwrap(), count: 1 },
            },
            ControlReply::KeepAlive,
            ControlReply::Done,
            ControlReply::Failed(failure),
        ] {
            let line = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<ControlReply>(&line).unwrap(), reply, "{line}");
        }
    }
}
