//! Answers each request, in one place for the daemon's socket and for commands that run without a daemon.

use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::control::error::ControlError;
use crate::control::message::{ControlReply, ControlRequest};
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::room::RoomUpdate;
use crate::report::answer::Answer;
use crate::report::failure::{ErrorCategory, OperationFailure};
use crate::report::operation::{AskOptions, OperationKind, OperationRequest};

/// The replies to one request. Dropping it ends the answer, but no operation.
pub struct ReplyStream {
    replies: mpsc::Receiver<ControlReply>,
    give_up: CancellationToken,
    stop: CancellationToken,
}

impl ReplyStream {
    /// The next reply. After the last one, and when the peer stops, a failure. Cancel-safe.
    pub async fn next(&mut self) -> ControlReply {
        self.replies.recv().await.unwrap_or_else(|| {
            let error = if self.stop.is_cancelled() {
                PeerError::Cancelled
            } else {
                PeerError::Internal("the answer ended abnormally".to_owned())
            };
            ControlReply::Failed(error.into())
        })
    }

    /// Gives up the operation: it is cancelled unless another client follows it.
    pub fn give_up(&self) {
        self.give_up.cancel();
    }
}

/// Why an answer ends before it is done.
enum AnswerEnd {
    /// The client is gone.
    Unheard,
    Failed(OperationFailure),
}

impl<E: Into<OperationFailure>> From<E> for AnswerEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Where replies go.
struct ReplySender(mpsc::Sender<ControlReply>);

impl ReplySender {
    async fn say(&self, reply: ControlReply) -> Result<(), AnswerEnd> {
        self.0.send(reply).await.map_err(|_| AnswerEnd::Unheard)
    }

    async fn report_all(&self, reports: Vec<Answer>) -> Result<(), AnswerEnd> {
        for report in reports {
            self.report(report).await?;
        }
        Ok(())
    }

    async fn report(&self, report: impl Into<Answer>) -> Result<(), AnswerEnd> {
        self.say(ControlReply::Report { report: report.into() }).await
    }
}

/// What a client gets that gave up an operation which others still follow. It was interrupted, and the operation was
/// not.
fn left(kind: OperationKind, game: &GameId) -> OperationFailure {
    let message = format!("left {kind} {game}: it continues, because another client follows it");
    let failure = OperationFailure::new("cancelled", ErrorCategory::Interrupted, &message);
    OperationFailure { cause: Some("others-follow".into()), ..failure }
}

/// Answers a request, as a task of the peer.
pub fn answer(peer: &Peer, request: ControlRequest) -> ReplyStream {
    let (replies, queue) = mpsc::channel(limits::CONTROL_QUEUE_ITEMS);
    let give_up = CancellationToken::new();
    let (answering, abandoned) = (Answering(peer.clone()), give_up.clone());
    peer.tasks().spawn_contained("answer", async move {
        let replies = ReplySender(replies);
        let end = match answering.reply(request, &replies, &abandoned).await {
            Ok(()) => ControlReply::Done,
            Err(AnswerEnd::Failed(failure)) => ControlReply::Failed(failure),
            Err(AnswerEnd::Unheard) => return,
        };
        let _ = replies.say(end).await;
    });
    ReplyStream { replies: queue, give_up, stop: peer.tasks().cancel_token() }
}

/// The peer that answers one request.
struct Answering(Peer);

impl Answering {
    async fn reply(
        &self,
        request: ControlRequest,
        replies: &ReplySender,
        give_up: &CancellationToken,
    ) -> Result<(), AnswerEnd> {
        // An operation ends by its own cancellation, so that it reports how it ended.
        if let ControlRequest::Operate(request) = request {
            return self.reply_operate(request, replies, give_up).await;
        }
        let stop = self.0.tasks().cancel_token();
        let answering = async {
            match request {
                ControlRequest::Plan(request) => self.reply_plan(&request, replies, give_up).await,
                ControlRequest::Wait { awaited } => self.reply_wait(&awaited, replies, give_up).await,
                ControlRequest::Games { patterns, among, must_match, ask } => {
                    self.reply_games(&patterns, among, must_match, &ask, replies).await
                }
                ControlRequest::Updates { games, ask } => self.reply_updates(&games, &ask, replies).await,
                ControlRequest::Cancel { game } => {
                    let count = self.0.cancel_operations(&game)? as u64;
                    replies.report(Answer::OperationsCancelled { game, count }).await
                }
                ControlRequest::CancelOperation { operation } => {
                    let game = self.0.cancel_operation(operation)?;
                    replies.report(Answer::OperationsCancelled { game, count: 1 }).await
                }
                ControlRequest::Operations { ended } => {
                    if ended {
                        self.reply_ended(replies).await?;
                    }
                    for info in self.0.running_operations() {
                        replies.report(info).await?;
                    }
                    Ok(())
                }
                ControlRequest::Room { follow } => self.reply_room(follow, replies).await,
                ControlRequest::OperateAt { kind, game, seats } => {
                    replies.report_all(self.0.operate_at(kind, &game, &seats).await?).await
                }
                ControlRequest::PlanAt { kind, game, seats } => {
                    replies.report_all(self.0.plan_at(kind, &game, &seats).await?).await
                }
                ControlRequest::Events { follow } => self.reply_events(follow, replies).await,
                ControlRequest::List(options) => self.reply_list(&options, replies).await,
                ControlRequest::Peers(options) => replies.report_all(self.0.peers(&options).await?).await,
                ControlRequest::Penalties { clear } => {
                    replies.report_all(self.0.penalties(clear).await?).await
                }
                ControlRequest::Status => replies.report(self.0.status().await?).await,
                ControlRequest::Metrics => {
                    let text = self.0.metrics().await?.render();
                    replies.report(Answer::Metrics { text }).await
                }
                ControlRequest::Limits { up, down } => {
                    let mut limits = self.0.limits();
                    limits.up = up.unwrap_or(limits.up);
                    limits.down = down.unwrap_or(limits.down);
                    if up.is_some() || down.is_some() {
                        self.0.set_limits(limits);
                    }
                    replies.report(limits).await
                }
                ControlRequest::Operate(_) | ControlRequest::GiveUp => {
                    Err(ControlError::Broken("there is nothing to give up".to_owned()).into())
                }
            }
        };
        tokio::select! {
            answered = answering => answered,
            () = stop.cancelled() => Err(PeerError::Cancelled.into()),
            () = give_up.cancelled() => Err(PeerError::Cancelled.into()),
        }
    }

    async fn reply_operate(
        &self,
        request: OperationRequest,
        replies: &ReplySender,
        give_up: &CancellationToken,
    ) -> Result<(), AnswerEnd> {
        let (kind, game) = (request.kind, request.game.clone());
        let mut operation = self.0.submit_wanted(request).await?;
        replies
            .say(ControlReply::Accepted { operation: operation.operation(), joined: operation.joined() })
            .await?;
        let mut waiting = true;
        loop {
            tokio::select! {
                event = operation.next_reported() => match event {
                    Some(event) => replies.say(ControlReply::Event(event)).await?,
                    None => break,
                },
                () = give_up.cancelled(), if waiting => {
                    waiting = false;
                    if !operation.give_up() && !operation.has_ended() {
                        return Err(AnswerEnd::Failed(left(kind, &game)));
                    }
                }
                // Also while the operation is silent.
                () = replies.0.closed() => return Err(AnswerEnd::Unheard),
            }
        }
        operation.outcome().await.map_err(AnswerEnd::Failed)
    }

    async fn reply_plan(
        &self,
        request: &OperationRequest,
        replies: &ReplySender,
        give_up: &CancellationToken,
    ) -> Result<(), AnswerEnd> {
        let plan = self.0.plan(request, give_up).await?;
        let missing = plan.missing_space(self.0.games_dir());
        replies.report(Answer::OperationPlan(Box::new(plan))).await?;
        missing.map_or(Ok(()), |error| Err(PeerError::from(error).into()))
    }

    async fn reply_events(&self, follow: bool, replies: &ReplySender) -> Result<(), AnswerEnd> {
        let (history, mut events) = self.0.event_sender().history_and_rest();
        for event in history {
            replies.say(ControlReply::Event(event)).await?;
        }
        if !follow {
            return Ok(());
        }
        loop {
            let next = tokio::select! {
                next = events.next_reported() => next,
                () = replies.0.closed() => return Err(AnswerEnd::Unheard),
            };
            let Some(event) = next else { return Ok(()) };
            replies.say(ControlReply::Event(event)).await?;
        }
    }

    async fn reply_room(&self, follow: bool, replies: &ReplySender) -> Result<(), AnswerEnd> {
        let mut room = self.0.room()?;
        loop {
            let news = tokio::select! {
                news = room.next() => news,
                () = replies.0.closed() => return Err(AnswerEnd::Unheard),
            };
            match news {
                RoomUpdate::Room(room) => replies.report(Answer::Room(room)).await?,
                RoomUpdate::Changes(changes) => replies.report(Answer::RoomChanged(changes)).await?,
                RoomUpdate::Unchanged => {}
            }
            if !follow {
                return Ok(());
            }
        }
    }

    async fn reply_list(&self, options: &AskOptions, replies: &ReplySender) -> Result<(), AnswerEnd> {
        let catalog = self.0.catalog();
        let found = self.0.scan_games().await?;
        for state in &found.games {
            let is_shared = self.0.shares_entries(state);
            let answer = Answer::from(state).listed_in(catalog.as_deref()).sharing_entries(is_shared);
            replies.report(answer).await?;
        }
        for passed_over in &found.passed_over {
            replies.report(passed_over).await?;
        }
        let reports = match self.0.discover(options).await {
            Ok(found) => Answer::offered_games(&found),
            Err(error @ PeerError::NoPeers { .. }) => {
                vec![Answer::NobodyFound { message: error.to_string(), cause: error.cause().map(Into::into) }]
            }
            Err(error) => return Err(error.into()),
        };
        for report in reports {
            replies.report(report.listed_in(catalog.as_deref())).await?;
        }
        Ok(())
    }
}

mod scripts;
#[cfg(test)]
mod tests;
