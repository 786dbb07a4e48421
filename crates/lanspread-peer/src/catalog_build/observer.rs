//! Hears what happens while a catalog is built.

use lanspread_types::ids::GameId;

use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;

/// Hears what happens while a catalog is built, from several threads.
pub trait BuildObserver: Send + Sync {
    /// An event about one game, or about the games directory.
    fn event(&self, event: PeerEvent);
    /// A game was not read.
    fn failed(&self, game: &GameId, error: &PeerError);
}
