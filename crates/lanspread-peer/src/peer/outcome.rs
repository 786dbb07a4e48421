//! Reports how an operation ended.

use std::time::Duration;

use crate::peer::error::PeerError;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::failure::Code;

/// Reports the result of an operation's work as a *finished* or a *failed* event, and returns it.
pub(super) fn reported<T>(
    events: &EventSender,
    result: Result<T, PeerError>,
    finished: impl FnOnce(&T) -> PeerEvent,
    failed: impl FnOnce(Code, String) -> PeerEvent,
) -> Result<T, PeerError> {
    events.report(match &result {
        Ok(done) => finished(done),
        Err(error) => failed(error.code().into(), error.to_string()),
    });
    result
}

/// A duration in the unit of the events.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
