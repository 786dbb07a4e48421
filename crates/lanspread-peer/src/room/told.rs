//! What one peer tells about what it is doing, put together from the parts of an answer.

use lanspread_proto::WireError;
use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_types::limits;

/// What one answer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToldActivity {
    pub(crate) revision: u64,
    /// Whether games that it does not name are gone.
    pub(crate) is_whole: bool,
    pub(crate) accepts: bool,
    pub(crate) head: ActivityHead,
    pub(crate) games: Vec<GameActivity>,
}

impl ToldActivity {
    /// Adds the next part of the answer.
    ///
    /// # Errors
    /// It is of another revision, or more is told than may be.
    pub(crate) fn add(&mut self, part: Self) -> Result<(), WireError> {
        if (part.revision, part.is_whole) != (self.revision, self.is_whole) {
            return Err(WireError::Malformed("what a peer is doing, from two revisions".to_owned()));
        }
        self.games.extend(part.games);
        let bytes: usize = self.games.iter().map(GameActivity::memory_bytes).sum();
        // Twice as many as are told at once: those that are gone are told too.
        if self.games.len() > 2 * limits::ACTIVITY_GAMES_MAX || bytes > 2 * limits::ACTIVITY_BYTES_MAX {
            return Err(WireError::Malformed("a peer that tells too much of what it is doing".to_owned()));
        }
        Ok(())
    }
}
