//! Waits for a source to come back that stopped in the middle, and asks it again.
//!
//! A packed stream keeps what is in its window for half a minute although all upstreams are gone, and a download keeps every
//! chunk: neither begins again. What has failed for good is tried again as a whole, if a source said that it is stopping or its
//! connection broke: a machine that restarts is back in a moment, and its receivers need not ask their users.

use std::time::Duration;

use lanspread_types::ids::PeerName;
use lanspread_types::limits;
use tokio::time::{Instant, sleep};

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::report::failure::{Code, ErrorCategory};
use crate::report::operation::{OperationKind, Wait};
use crate::report::wanted_operation::AwaitedSource;

impl Peer {
    /// Performs one operation to its end, and again if a source has gone that may come back.
    pub(super) async fn perform_until_back(
        &self,
        kind: OperationKind,
        context: &OperationContext,
    ) -> Result<(), PeerError> {
        let mut first = match self.perform_kind(kind, context).await {
            Err(error) => error,
            done => return done,
        };
        let mut wait = match gone_source(&first) {
            Some((peer, code)) => ReturnWait::new(peer, code, context.options.wait, Instant::now()),
            None => return Err(first),
        };
        while let Some(pause) = wait.next_pause(Instant::now()) {
            context.events.report(PeerEvent::SourceAwaited(AwaitedSource {
                game: context.game.clone(),
                peer: wait.peer.clone(),
                code: wait.code.clone(),
                retry_ms: milliseconds(pause),
                wait_ms: milliseconds(wait.until.saturating_duration_since(Instant::now())),
            }));
            if context.cancel.run_until_cancelled(sleep(pause)).await.is_none() {
                return Err(PeerError::Cancelled);
            }
            let error = match self.perform_kind(kind, context).await {
                Err(error) => error,
                done => return done,
            };
            match gone_source(&error) {
                // It was back, and has gone again, or it is still about to stop.
                Some((peer, code)) => {
                    (wait.peer, wait.code) = (peer, code);
                    first = error;
                }
                None if is_absence(&error) => {}
                None => return Err(error),
            }
        }
        Err(first)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The source that went last, if the operation failed only because its sources have gone: each of them was there when it was
/// chosen. One that lied, or whose archive is damaged, is no better when another one is back. Pure.
fn gone_source(error: &PeerError) -> Option<(PeerName, Code)> {
    const GONE: [&str; 3] = ["source-stopping", "connection-lost", "unreachable"];
    let PeerError::AllSourcesFailed { attempts, .. } = error else { return None };
    let all_gone = attempts.iter().all(|attempt| GONE.contains(&&*attempt.code));
    attempts.last().filter(|_| all_gone).map(|attempt| (attempt.peer.clone(), attempt.code.clone()))
}

/// Whether an operation failed only because no source is there.
fn is_absence(error: &PeerError) -> bool {
    matches!(error.category(), ErrorCategory::NotOffered | ErrorCategory::SourcesFailed)
}

/// How long a source is waited for, and how often it is asked. Pure. The wait begins once: a source that comes back again and
/// again, and goes each time, is not waited for without an end.
#[derive(Debug, Clone)]
struct ReturnWait {
    peer: PeerName,
    code: Code,
    until: Instant,
    pause: Duration,
}

impl ReturnWait {
    /// An operation that does not wait for a place does not wait for a source either.
    fn new(peer: PeerName, code: Code, wait: Wait, now: Instant) -> Self {
        let patience =
            wait.limit().map_or(limits::RETURN_PATIENCE, |limit| limit.min(limits::RETURN_PATIENCE));
        Self { peer, code, until: now + patience, pause: limits::RETURN_RETRY_INTERVAL }
    }

    /// How long to pause before the next try; none if the wait is over.
    fn next_pause(&mut self, now: Instant) -> Option<Duration> {
        let left = self.until.saturating_duration_since(now);
        let pause = self.pause;
        self.pause = (pause * 2).min(limits::RETURN_RETRY_INTERVAL_MAX);
        (left >= pause).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::failure::AttemptFailure;

    fn attempt(peer: &str, code: &'static str) -> AttemptFailure {
        AttemptFailure::new(&peer.parse().unwrap(), code, String::new())
    }

    fn failed(attempts: Vec<AttemptFailure>) -> PeerError {
        PeerError::AllSourcesFailed { game: "g".parse().unwrap(), attempts }
    }

    #[test]
    fn only_a_source_that_stopped_or_broke_off_is_waited_for() {
        let gone = |attempts| gone_source(&failed(attempts)).map(|(peer, code)| (peer.to_string(), code));
        let stopping = Some(("den".to_owned(), "source-stopping".into()));
        assert_eq!(gone(vec![attempt("a", "unreachable"), attempt("den", "source-stopping")]), stopping);
        assert_eq!(gone(vec![attempt("liar", "not-as-listed"), attempt("den", "source-stopping")]), None);
        let lost = Some(("den".to_owned(), "connection-lost".into()));
        assert_eq!(gone(vec![attempt("den", "connection-lost")]), lost);
        for code in ["timeout", "busy", "archive-damaged", "not-offered"] {
            assert_eq!(gone(vec![attempt("den", code)]), None, "{code}");
        }
        assert_eq!(gone(Vec::new()), None);
        assert!(gone_source(&PeerError::Cancelled).is_none());
    }

    #[test]
    fn the_wait_is_bounded_and_its_pauses_grow() {
        let begun = Instant::now();
        let pauses = |wait| {
            let mut waiting = ReturnWait::new("den".parse().unwrap(), "source-stopping".into(), wait, begun);
            let (mut now, mut pauses) = (begun, Vec::new());
            while let Some(pause) = waiting.next_pause(now) {
                pauses.push(pause.as_secs());
                now += pause;
            }
            pauses
        };
        let always = pauses(Wait::Always);
        assert_eq!(always[..5], [1, 2, 4, 8, 8]);
        let all: u64 = always.iter().sum();
        assert!(all <= limits::RETURN_PATIENCE.as_secs() && all + 8 > limits::RETURN_PATIENCE.as_secs());
        assert_eq!(pauses(Wait::For { wait_ms: 0 }), [0; 0], "with --no-wait it is not waited for");
        assert_eq!(pauses(Wait::For { wait_ms: 4000 }), [1, 2]);
    }
}
