//! The answers to what scripts ask: which games a pattern means, what an update would change, how an operation ends.

use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::{AnswerEnd, Answering, ReplySender};
use crate::control::message::ControlReply;
use crate::peer::operations::AwaitedNow;
use crate::report::answer::Answer;
use crate::report::event::PeerEvent;
use crate::report::game_pattern::{GamePattern, GamesAmong};
use crate::report::operation::AskOptions;
use crate::report::operation_outcome::EndedOperation;
use crate::report::reported_event::ReportedEvent;
use crate::report::script_answers::{AwaitedOperation, MatchedGame};
use lanspread_types::ids::GameId;

impl Answering {
    pub(super) async fn reply_games(
        &self,
        patterns: &[GamePattern],
        among: GamesAmong,
        must_match: bool,
        ask: &AskOptions,
        replies: &ReplySender,
    ) -> Result<(), AnswerEnd> {
        for game in self.0.matching(patterns, among, must_match, ask).await? {
            replies.report(Answer::MatchedGame(MatchedGame { game })).await?;
        }
        Ok(())
    }

    pub(super) async fn reply_updates(
        &self,
        games: &[GameId],
        ask: &AskOptions,
        replies: &ReplySender,
    ) -> Result<(), AnswerEnd> {
        for update in self.0.updates(games, ask).await? {
            replies.report(Answer::GameUpdate(update)).await?;
        }
        Ok(())
    }

    /// Reports how the newest operation on each game ended, the newest last.
    pub(super) async fn reply_ended(&self, replies: &ReplySender) -> Result<(), AnswerEnd> {
        for ended in self.0.ended_operations() {
            replies.report(Answer::EndedOperation(ended.report(SystemTime::now()))).await?;
        }
        Ok(())
    }

    /// Reports an operation to its end. A client that leaves ends nothing.
    pub(super) async fn reply_wait(
        &self,
        awaited: &AwaitedOperation,
        replies: &ReplySender,
        give_up: &CancellationToken,
    ) -> Result<(), AnswerEnd> {
        let mut operation = match self.0.follow_operation(awaited)? {
            AwaitedNow::Running(operation) => operation,
            AwaitedNow::Ended(ended) => {
                let failure = ended.failure.clone();
                replies.say(ControlReply::Event(end_event(ended))).await?;
                return failure.map_or(Ok(()), |failure| Err(AnswerEnd::Failed(failure)));
            }
        };
        loop {
            tokio::select! {
                event = operation.next_reported() => match event {
                    Some(event) => replies.say(ControlReply::Event(event)).await?,
                    None => return operation.outcome().await.map_err(AnswerEnd::Failed),
                },
                () = replies.0.closed() => return Err(AnswerEnd::Unheard),
                () = give_up.cancelled() => return Err(crate::peer::error::PeerError::Cancelled.into()),
            }
        }
    }
}

/// The event with which an operation ended, of which no more is remembered.
fn end_event(ended: EndedOperation) -> ReportedEvent {
    let outcome = ended.outcome();
    let EndedOperation { operation, kind, game, at, .. } = ended;
    let event = PeerEvent::OperationEnd { operation, kind, game, outcome };
    ReportedEvent { at, seq: None, operation: Some(operation), event }
}
