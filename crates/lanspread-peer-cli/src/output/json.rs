//! One JSON object per line: `{"event": …, "time": …, …}`.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::SystemTime;

use lanspread_peer::{Answer, EVENTS_VERSION, GameId, PeerEvent, ReportedEvent};
use serde::Serialize;

use super::reporter::Reporter;
use crate::exit::{Failure, Retry, Summary};
use crate::hints;

/// An object with what every object has.
#[derive(Serialize)]
struct Stamped<'a, T> {
    v: u64,
    #[serde(flatten)]
    object: &'a T,
    /// RFC 3339, UTC, milliseconds: when the event happened, or the object was printed.
    time: String,
}

/// An event with its place in the run of its peer.
#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    event: &'a PeerEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// Unless the event names it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<u64>,
}

/// An answer with the hint that the command adds to it.
#[derive(Serialize)]
struct Hinted<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    hint: Option<Cow<'static, str>>,
}

/// A failed command, or what failed of it.
#[derive(Serialize)]
#[serde(tag = "event", rename = "error")]
struct FailureObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    game: Option<&'a GameId>,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    exit_status: u8,
}

/// What became of a request for several games.
#[derive(Serialize)]
#[serde(tag = "event", rename = "summary")]
struct SummaryObject<'a> {
    done: &'a [GameId],
    failed: &'a [GameId],
    exit_status: u8,
}

/// A request that failed and is made again.
#[derive(Serialize)]
#[serde(tag = "event", rename = "retry")]
struct RetryObject<'a> {
    game: &'a GameId,
    code: &'a str,
    message: &'a str,
    retry: u64,
    retries: u64,
    delay_ms: u64,
}

fn retry_object(retry: &Retry) -> RetryObject<'_> {
    RetryObject {
        game: &retry.game,
        code: &retry.failure.code,
        message: &retry.failure.message,
        retry: retry.number,
        retries: retry.retries,
        delay_ms: u64::try_from(retry.delay.as_millis()).unwrap_or(u64::MAX),
    }
}

/// One object as one line.
fn line(object: &impl Serialize, at: SystemTime) -> io::Result<Vec<u8>> {
    let time = humantime::format_rfc3339_millis(at).to_string();
    let mut line = serde_json::to_vec(&Stamped { v: EVENTS_VERSION, object, time })?;
    line.push(b'\n');
    Ok(line)
}

/// Prints one object as one line.
fn print(object: &impl Serialize, at: SystemTime) -> io::Result<()> {
    let line = line(object, at)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Prints one object of an answer.
pub(super) fn print_answer(answer: &Answer) -> io::Result<()> {
    let now = SystemTime::now();
    match answer {
        Answer::NobodyFound { .. } | Answer::EndedOperation(_) => {
            print(&Hinted { answer, hint: hints::of_report(answer) }, now)
        }
        _ => print(answer, now),
    }
}

pub(super) fn print_failure(failure: &Failure) {
    if let Err(error) = print(&failure_object(failure), SystemTime::now()) {
        tracing::debug!("stdout: {error}");
    }
}

fn failure_object(failure: &Failure) -> FailureObject<'_> {
    FailureObject {
        game: failure.game.as_ref(),
        code: &failure.code,
        message: &failure.message,
        hint: failure.hint.as_deref(),
        exit_status: failure.status,
    }
}

pub(super) fn print_summary(summary: &Summary) {
    if let Err(error) = print(&summary_object(summary), SystemTime::now()) {
        tracing::debug!("stdout: {error}");
    }
}

fn summary_object(summary: &Summary) -> SummaryObject<'_> {
    SummaryObject { done: &summary.done, failed: &summary.failed, exit_status: summary.status }
}

fn numbered(reported: &ReportedEvent) -> Numbered<'_> {
    let ReportedEvent { event, seq, operation, .. } = reported;
    Numbered { event, seq: *seq, operation: operation.filter(|_| event.operation().is_none()) }
}

/// Prints every event.
pub(super) struct JsonReporter;

impl Reporter for JsonReporter {
    fn event(&mut self, reported: &ReportedEvent) -> io::Result<()> {
        print(&numbered(reported), reported.at)
    }

    fn retry(&mut self, retry: &Retry) {
        if let Err(error) = print(&retry_object(retry), SystemTime::now()) {
            tracing::debug!("stdout: {error}");
        }
    }

    fn failure(&mut self, failure: &Failure) {
        print_failure(failure);
        super::lines::print_error(&failure.line_of_game());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lanspread_peer::{ErrorCategory, OperationKind};
    use lanspread_testing::json_schema::Schema;
    use serde_json::Value;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(include_str!("../../../../docs/event-schema.json")).unwrap()
    }

    fn printed(object: &impl Serialize) -> Value {
        serde_json::from_slice(&line(object, SystemTime::now()).unwrap()).unwrap()
    }

    /// The events and answers of the library are checked there; these are the objects that only the command knows.
    #[test]
    fn what_the_command_adds_is_in_the_schema() {
        let game: GameId = "g".parse().unwrap();
        let plain = Failure::new("no-such-code", None, "what happened".to_owned(), ErrorCategory::Refused);
        let full =
            Failure::new("usage", None, "what happened".to_owned(), ErrorCategory::Usage).of_game(&game);
        assert!(plain.hint.is_none() && full.hint.is_some());
        let summary = Summary {
            done: vec![game.clone()],
            failed: vec![game.clone()],
            status: 5,
            is_interrupted: false,
        };
        let nobody = Answer::NobodyFound { message: String::new(), cause: Some("nobody-heard".into()) };
        let hinted = Hinted { answer: &nobody, hint: hints::of_report(&nobody) };
        assert!(hinted.hint.is_some());
        let objects = [
            printed(&failure_object(&plain)),
            printed(&failure_object(&full)),
            printed(&summary_object(&summary)),
            printed(&retry_object(&Retry {
                game: game.clone(),
                failure: plain.clone(),
                number: 1,
                retries: 2,
                delay: std::time::Duration::from_secs(3),
            })),
            printed(&hinted),
            printed(&Hinted { answer: &nobody, hint: None }),
        ];
        for object in objects {
            assert_eq!(schema().problem_strictly(&object), None, "{object}");
        }
        let begun =
            PeerEvent::OperationBegin { operation: 7, kind: OperationKind::Verify, game: game.clone() };
        let progress = PeerEvent::InstallProgress { game, bytes: 1, bytes_total: 2 };
        for event in [begun, progress] {
            let reported = ReportedEvent { seq: Some(3), operation: Some(7), ..ReportedEvent::now(event) };
            let text = String::from_utf8(line(&numbered(&reported), reported.at).unwrap()).unwrap();
            assert_eq!(text.matches("\"operation\":7").count(), 1, "{text}");
            let object = serde_json::from_str(&text).unwrap();
            assert_eq!(schema().problem_strictly(&object), None, "{object}");
        }
        let names: BTreeSet<&str> = ["error", "summary"].into();
        assert!(schema().kinds().is_superset(&names), "{:?}", schema().kinds());
    }
}
