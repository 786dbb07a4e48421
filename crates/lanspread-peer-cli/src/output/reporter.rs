//! The interface through which commands show events, whatever form the output has.

use lanspread_peer::PeerEvent;
use lanspread_peer::ReportedEvent;

/// Shows events.
pub(crate) trait Reporter {
    /// Shows one event.
    fn event(&mut self, event: &ReportedEvent);
}

impl dyn Reporter {
    /// Shows an event that happens now.
    pub(crate) fn happened(&mut self, event: PeerEvent) {
        self.event(&ReportedEvent::now(event));
    }
}

/// Shows nothing.
pub(super) struct Silence;

impl Reporter for Silence {
    fn event(&mut self, _event: &ReportedEvent) {}
}
