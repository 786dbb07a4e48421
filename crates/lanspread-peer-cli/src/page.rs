//! The room page: what `lanspread-web` asks, answered by the peer of this process, as it answers the control socket.

use std::sync::Arc;

use lanspread_peer::{
    Answer, CellState, ControlReply, ControlRequest, ErrorCategory, GameId, OperationFailure, OperationKind,
    OperationOptions, OperationRequest, Peer, PeerId, ReplyStream, ReportedEvent, Room, RoomCell,
    RoomChanges, RoomWarning, answer, default_state_dir,
};
use lanspread_web::{
    Answering, Coming, Log, Planned, RefusedAt, RoomDaemon, RoomFeed, RoomNews, Start, Started, TokenError,
    WebConfig, WebRefusal, WebServer, token_of_file, token_of_state,
};
use serde_json::{Value, json};

use crate::arguments::{Global, WebOptions};
use crate::exit::Failure;
use crate::hints;
use crate::output::{self, Output};

/// Serves the page, if that is asked for, and says where it is.
pub(crate) async fn serve(
    global: &Global,
    output: Output,
    options: &WebOptions,
    peer: &Peer,
) -> Result<Option<WebServer>, Failure> {
    let Some(listen) = options.web else { return Ok(None) };
    let (token, token_file) = match (&options.web_token_file, listen.ip().is_loopback()) {
        (Some(file), _) => (Some(token_of_file(file)?), Some(file.clone())),
        (None, true) => (None, None),
        (None, false) => {
            let state_dir = global.state_dir.clone().or_else(default_state_dir);
            let state_dir =
                state_dir.ok_or_else(|| no_page("no folder is known for the token".to_owned()))?;
            let (token, file) = token_of_state(&state_dir)?;
            (Some(token), Some(file))
        }
    };
    let commands = options.web_commands.into();
    let config = WebConfig { listen, names: options.web_names.clone(), token, commands };
    let server = WebServer::start(config, Arc::new(ServedRoom(peer.clone())))
        .await
        .map_err(|error| no_page(format!("cannot serve the page on {listen}: {error}")))?;
    let url = format!("http://{}/", server.address());
    let ready = Answer::PageReady { url, token_file: token_file.map(|file| file.display().to_string()) };
    // A reader that has gone must not stop the peer.
    if let Err(error) = output.announce(&ready) {
        tracing::debug!("stdout: {error}");
    }
    Ok(Some(server))
}

fn no_page(message: String) -> Failure {
    Failure::new("web-page", None, message, ErrorCategory::Local)
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::new("web-token", None, error.to_string(), ErrorCategory::Local)
    }
}

/// The daemon of this process.
struct ServedRoom(Peer);

impl ServedRoom {
    /// Starts an operation of this peer. It continues although its events are not followed.
    async fn start_here(&self, request: OperationRequest) -> Result<u64, OperationFailure> {
        let mut replies = answer(&self.0, ControlRequest::Operate(request));
        loop {
            match replies.next().await {
                ControlReply::Accepted { operation, .. } => return Ok(operation),
                ControlReply::Failed(failure) => return Err(failure),
                _ => {}
            }
        }
    }

    async fn start_at(
        &self,
        asked: &Start,
        seats: Vec<PeerId>,
        started: &mut Started,
    ) -> Result<(), WebRefusal> {
        let seats = seats.iter().map(PeerId::to_string).collect();
        let request = ControlRequest::OperateAt { kind: asked.kind, game: asked.game.clone(), seats };
        let mut replies = answer(&self.0, request);
        loop {
            match replies.next().await {
                ControlReply::Report { report: Answer::SeatAccepted { operation, .. } } => {
                    started.operations.push(operation);
                }
                ControlReply::Report { report: Answer::SeatRefused { peer, code, message, .. } } => {
                    started.refused.push(refused_at(peer, &code, None, message, &asked.game));
                }
                ControlReply::Failed(failure) => return Err(refusal(&failure)),
                ControlReply::Done => return Ok(()),
                _ => {}
            }
        }
    }

    async fn start_all(&self, asked: Start) -> Result<Started, WebRefusal> {
        let mut started = Started::default();
        let (here, others): (Vec<_>, Vec<_>) =
            asked.peers.iter().copied().partition(|peer| *peer == self.0.id());
        if !here.is_empty() {
            let (kind, game) = (asked.kind, asked.game.clone());
            let request = OperationRequest { kind, game, options: OperationOptions::default() };
            match self.start_here(request).await {
                Ok(operation) => started.operations.push(operation),
                Err(failure) if others.is_empty() => return Err(refusal(&failure)),
                Err(OperationFailure { code, cause, message, .. }) => {
                    let refused = refused_at(self.0.id(), &code, cause.as_deref(), message, &asked.game);
                    started.refused.push(refused);
                }
            }
        }
        if !others.is_empty() {
            self.start_at(&asked, others, &mut started).await?;
        }
        match started.refused.first() {
            Some(first) if started.operations.is_empty() => {
                let refusal =
                    WebRefusal::new(409, &*first.code, &*first.message).with_hint(first.hint.clone());
                Err(refusal.of_peers(started.refused))
            }
            _ => Ok(started),
        }
    }

    async fn counted(&self) -> Result<String, WebRefusal> {
        let mut replies = answer(&self.0, ControlRequest::Metrics);
        loop {
            match replies.next().await {
                ControlReply::Report { report: Answer::Metrics { text } } => return Ok(text),
                ControlReply::Failed(failure) => return Err(refusal(&failure)),
                ControlReply::Done => return Err(WebRefusal::new(500, "internal", "nothing was counted")),
                _ => {}
            }
        }
    }

    /// Returns the plan of an operation, also if the disk is too small for it.
    async fn planned(&self, request: ControlRequest) -> Result<Planned, WebRefusal> {
        let mut replies = answer(&self.0, request);
        loop {
            match replies.next().await {
                ControlReply::Report { report: Answer::OperationPlan(plan) } => return Ok((*plan).into()),
                ControlReply::Report { report: Answer::SeatPlanned(plan) } => return Ok(plan.into()),
                ControlReply::Report { report: Answer::SeatRefused { code, message, .. } } => {
                    return Err(WebRefusal::new(409, &*code, message));
                }
                ControlReply::Failed(failure) => return Err(refusal(&failure)),
                ControlReply::Done => return Err(WebRefusal::new(500, "internal", "nothing was planned")),
                _ => {}
            }
        }
    }

    /// Waits for the end of a request of which the replies say nothing more.
    async fn done(&self, request: ControlRequest) -> Result<(), WebRefusal> {
        let mut replies = answer(&self.0, request);
        loop {
            match replies.next().await {
                ControlReply::Done => return Ok(()),
                ControlReply::Failed(failure) => return Err(refusal(&failure)),
                _ => {}
            }
        }
    }
}

fn refused_at(peer: PeerId, code: &str, cause: Option<&str>, message: String, game: &GameId) -> RefusedAt {
    let hint = hints::hint(code, cause).map(|hint| hints::for_game(hint, game));
    RefusedAt { peer, code: code.to_owned(), message, hint }
}

fn refusal(failure: &OperationFailure) -> WebRefusal {
    let hint = hints::hint(&failure.code, failure.cause.as_deref()).map(str::to_owned);
    WebRefusal::new(409, &*failure.code, &*failure.message).with_hint(hint)
}

impl RoomDaemon for ServedRoom {
    fn own(&self) -> PeerId {
        self.0.id()
    }

    fn room(&self) -> Box<dyn RoomFeed> {
        Box::new(RoomReplies(answer(&self.0, ControlRequest::Room { follow: true })))
    }

    fn start(&self, asked: Start) -> Answering<'_, Started> {
        Box::pin(self.start_all(asked))
    }

    fn plan(&self, peer: PeerId, kind: OperationKind, game: &GameId) -> Answering<'_, Planned> {
        let game = game.clone();
        let request = if peer == self.0.id() {
            ControlRequest::Plan(OperationRequest { kind, game, options: OperationOptions::default() })
        } else {
            ControlRequest::PlanAt { kind, game, seats: vec![peer.to_string()] }
        };
        Box::pin(self.planned(request))
    }

    fn cancel(&self, operation: u64) -> Answering<'_, ()> {
        Box::pin(self.done(ControlRequest::CancelOperation { operation }))
    }

    fn metrics(&self) -> Answering<'_, String> {
        Box::pin(self.counted())
    }

    fn log(&self) -> Box<dyn Log> {
        let events = answer(&self.0, ControlRequest::Events { follow: true });
        Box::new(EventLog { events, name: self.0.name().to_string() })
    }
}

struct RoomReplies(ReplyStream);

impl RoomFeed for RoomReplies {
    fn next(&mut self) -> Coming<'_, RoomNews> {
        Box::pin(async {
            loop {
                match self.0.next().await {
                    ControlReply::Report { report: Answer::Room(room) } => return Some(whole(*room)),
                    ControlReply::Report { report: Answer::RoomChanged(changes) } => {
                        return Some(changed(*changes));
                    }
                    ControlReply::Done | ControlReply::Failed(_) => return None,
                    _ => {}
                }
            }
        })
    }
}

fn whole(mut room: Room) -> RoomNews {
    add_hints(&mut room.cells, &mut room.warnings);
    if let Some(looking) = &mut room.looking {
        looking.hint = hints::hint("no-peers", Some("nobody-heard")).map(str::to_owned);
    }
    RoomNews::Whole(Box::new(room))
}

fn changed(mut changes: RoomChanges) -> RoomNews {
    add_hints(&mut changes.cells, changes.warnings.as_deref_mut().unwrap_or_default());
    RoomNews::Changes(Box::new(changes))
}

const REPAIR_HINT: &str = "open it and press Repair, which fetches what differs and nothing else";

/// What to do, which the library does not say.
fn add_hints(cells: &mut [RoomCell], warnings: &mut [RoomWarning]) {
    for cell in cells {
        let hint = cell.code.as_deref().and_then(|code| hints::hint(code, cell.cause.as_deref()));
        cell.hint = match cell.state {
            // What a person who looks at the page can do there.
            CellState::Damaged => Some(REPAIR_HINT.to_owned()),
            _ => hint.map(|hint| hints::for_game(hint, &cell.game)),
        };
    }
    for warning in warnings {
        warning.hint = hints::hint(&warning.code, None).map(str::to_owned);
    }
}

struct EventLog {
    events: ReplyStream,
    /// Of the peer whose events these are.
    name: String,
}

impl Log for EventLog {
    fn next(&mut self) -> Coming<'_, Value> {
        Box::pin(async {
            loop {
                match self.events.next().await {
                    ControlReply::Event(event) => {
                        if let Some(entry) = entry(&event, &self.name) {
                            return Some(entry);
                        }
                    }
                    ControlReply::Done | ControlReply::Failed(_) => return None,
                    _ => {}
                }
            }
        })
    }
}

/// An event in the log: what people need a line about.
fn entry(event: &ReportedEvent, own_name: &str) -> Option<Value> {
    let message = output::words_of(&event.event)?;
    let fields = serde_json::to_value(&event.event).unwrap_or_default();
    let name = fields["name"].as_str().unwrap_or(own_name);
    let time = humantime::format_rfc3339_millis(event.at).to_string();
    let (event, game) = (&fields["event"], &fields["game"]);
    Some(json!({ "event": event, "time": time, "name": name, "game": game, "message": message }))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use lanspread_peer::PeerEvent;

    use super::*;

    #[test]
    fn an_entry_of_the_log_says_when_what_happened_with_which_game() {
        let event = PeerEvent::GameRecovered { game: "alpha".parse().unwrap(), action: "rolled-back".into() };
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let entry = entry(&ReportedEvent { at, seq: Some(1), operation: None, event }, "den").unwrap();
        assert_eq!(entry["event"], "game-recovered");
        assert_eq!(entry["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!((&entry["name"], &entry["game"]), (&json!("den"), &json!("alpha")));
        assert!(entry["message"].as_str().unwrap().contains("rolled-back"));
    }
}
