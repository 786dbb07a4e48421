//! What an operation is doing, in words. Nothing here does I/O.

use lanspread_peer::{
    AwaitedSource, Draining, DroppedOperation, EndedReport, OperationKind, OperationProgress, OperationStep,
    PeerEvent, RetriedOperation,
};

use crate::hints;

use super::quantities::{bytes, count as counted, duration, percent, rate};

/// What it is doing, how far it is, from where, and how long it may still take.
pub(super) fn state(kind: OperationKind, running: bool, progress: &OperationProgress) -> String {
    if !running {
        return "waiting for its turn here".to_owned();
    }
    let mut words = vec![step(kind, progress)];
    if progress.step == OperationStep::Waiting {
        return words.concat();
    }
    if let (Some(done), Some(total)) = (progress.bytes, progress.bytes_total) {
        words.push(format!("{} of {}", bytes(done), bytes(total)));
        if let Some(per_second) = progress.bytes_per_second {
            words.push(rate(per_second));
            if let Some(left) = milliseconds_left(done, total, per_second) {
                words.push(format!("{} left", duration(left)));
            }
        }
    }
    if let Some(source) = &progress.source {
        words.push(format!("from {source}"));
    }
    if let Some(position) = progress.position {
        let place = u64::from(position) + 1;
        let of = progress.places.map(|places| format!(" of {places}")).unwrap_or_default();
        words.push(format!("number {place}{of} in its chain"));
    }
    words.join(", ")
}

/// How it ended, how long ago and, if it failed, why and what to do.
pub(super) fn ended(ended: &EndedReport, hint: Option<&str>) -> String {
    let EndedReport { operation, kind, game, ago_ms, outcome, message, .. } = ended;
    let ago = duration(*ago_ms);
    let how = match message {
        None => format!("done {ago} ago"),
        Some(_) if &**outcome == "cancelled" => format!("cancelled {ago} ago"),
        Some(message) => format!("failed {ago} ago: {}", hints::with_hint(message, hint)),
    };
    format!("{operation}  {kind} {game}  {how}")
}

/// What it is doing, with how much of it is done.
pub(super) fn step(kind: OperationKind, progress: &OperationProgress) -> String {
    let done = match (progress.bytes, progress.bytes_total) {
        (Some(done), Some(total)) if total > 0 => format!(" {} %", percent(done, total)),
        _ => String::new(),
    };
    match progress.step {
        OperationStep::Waiting => {
            let source = progress.waiting_for.as_ref().map_or("a source".to_owned(), ToString::to_string);
            let ahead = progress.ahead.map(|ahead| format!(", {ahead} before it")).unwrap_or_default();
            format!("waiting for {source}{ahead}")
        }
        OperationStep::Streaming if kind == OperationKind::Update => format!("updating{done}"),
        OperationStep::Streaming => format!("streaming{done}"),
        OperationStep::Downloading => format!("downloading{done}"),
        OperationStep::Unpacking => format!("unpacking{done}"),
        OperationStep::Verifying => format!("verifying{done}"),
        OperationStep::Finishing => "finishing".to_owned(),
        _ => "preparing".to_owned(),
    }
}

/// One line about what keeps an operation or this daemon from going on; nothing for other events.
pub(super) fn event(event: &PeerEvent) -> Option<String> {
    Some(match event {
        PeerEvent::OperationRetry(RetriedOperation { kind, game, message, retry_ms, .. }) => {
            format!("{kind} {game}: {message}; tried again in {}", duration(*retry_ms))
        }
        PeerEvent::PeerDraining(Draining { transfers, operations, drain_ms }) => format!(
            "this daemon stops in {} at most: {} and {} end first",
            duration(*drain_ms),
            counted(*transfers, "transfer"),
            counted(*operations, "operation")
        ),
        PeerEvent::SourceAwaited(AwaitedSource { game, peer, retry_ms, wait_ms, .. }) => format!(
            "{game}: waiting for {peer} to come back, asked again in {}, for {} at most",
            duration(*retry_ms),
            duration(*wait_ms)
        ),
        PeerEvent::OperationDropped(DroppedOperation { kind, game, starts }) => {
            format!("{kind} {game} is given up: this daemon ended {starts} times while it ran")
        }
        _ => return None,
    })
}

/// How long the rest takes at this rate; none if nothing comes.
fn milliseconds_left(done: u64, total: u64, per_second: u64) -> Option<u64> {
    let left = u128::from(total.saturating_sub(done));
    let milliseconds = (left * 1000).checked_div(u128::from(per_second))?;
    u64::try_from(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: OperationStep) -> OperationProgress {
        let mut progress = OperationProgress::default();
        progress.step = step;
        progress
    }

    #[test]
    fn an_ended_operation_is_told_with_why_it_failed_and_what_to_do() {
        let words = |outcome: &str, message: Option<&str>, hint| {
            let (kind, game) = (OperationKind::Verify, "g".parse().unwrap());
            let message = message.map(str::to_owned);
            let outcome = outcome.to_owned().into();
            ended(
                &EndedReport { operation: 3, kind, game, ago_ms: 75_900, outcome, message, cause: None },
                hint,
            )
        };
        assert_eq!(words("done", None, None), "3  verify g  done 1 min 15 s ago");
        assert_eq!(words("cancelled", Some("cancelled"), None), "3  verify g  cancelled 1 min 15 s ago");
        assert_eq!(
            words("differences", Some("2 files differ"), Some("repair it")),
            "3  verify g  failed 1 min 15 s ago: 2 files differ (repair it)"
        );
    }

    #[test]
    fn an_operation_is_told_with_how_far_it_is_and_from_where() {
        let mut streaming = progress(OperationStep::Streaming);
        (streaming.bytes, streaming.bytes_total) = (Some(430 << 20), Some(1000 << 20));
        let kind = OperationKind::StreamInstall;
        assert_eq!(state(kind, true, &streaming), "streaming 43 %, 430.00 MiB of 1000.00 MiB");
        streaming.bytes_per_second = Some(10 << 20);
        streaming.source = Some("den".to_owned());
        (streaming.position, streaming.places) = (Some(2), Some(8));
        assert_eq!(
            state(kind, true, &streaming),
            "streaming 43 %, 430.00 MiB of 1000.00 MiB, 10.00 MiB/s, 57 s left, from den, number 3 of 8 in its chain"
        );
        streaming.bytes_per_second = Some(0);
        assert!(!state(kind, true, &streaming).contains("left"), "a stall has no end");
        assert_eq!(state(kind, false, &streaming), "waiting for its turn here");
        let mut waiting = progress(OperationStep::Waiting);
        (waiting.waiting_for, waiting.ahead) = (Some("den".parse().unwrap()), Some(2));
        assert_eq!(state(kind, true, &waiting), "waiting for den, 2 before it");
    }
}
