//! Turns entries into the frames of a stream.

use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_proto::entry;
use lanspread_types::content::EntryStep;

use super::frame_queue::FrameSender;

/// Adds entries to the frames that are sent, and blocks while there is no room for them.
pub(super) struct WireSink(pub(super) std::rc::Rc<FrameSender>);

impl EntrySink for WireSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match entry::message(step) {
            Ok(message) => self.0.control(&message),
            Err(content) => self.0.content(content),
        }
    }
}
