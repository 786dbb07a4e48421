//! What a source remembers of packed streams: its waves, what its uplink carries, and the windows that can be followed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_types::ids::{GameId, PeerId};
use lanspread_types::limits;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::packed::relays::Relays;
use crate::packed::roster::Roster;
use crate::packed::uplink::SourceUplink;
use crate::report::packed_status::WaveStatus;

/// What a source and its relays know of packed streams.
#[derive(Debug, Default)]
pub(crate) struct PackedStreams {
    roster: Mutex<Roster>,
    /// Counts the waves that ended.
    pub(super) waves_ended: watch::Sender<u64>,
    /// Whose chunk is sent next, and whether there may be room for another wave.
    pub(super) uplink: Arc<SourceUplink>,
    interest: Mutex<VecDeque<Interest>>,
    /// The windows of this peer that can be followed.
    pub(crate) relays: Arc<Relays>,
}

/// A peer has asked about a game, and may come for it.
#[derive(Debug)]
struct Interest {
    game: GameId,
    peer: PeerId,
    at: Instant,
}

impl PackedStreams {
    fn interest(&self) -> MutexGuard<'_, VecDeque<Interest>> {
        // Each change of the list is whole.
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer asks what the game is made of.
    pub(super) fn asked(&self, game: &GameId, peer: PeerId) {
        let (mut interest, at) = (self.interest(), Instant::now());
        interest.retain(|other| other.peer != peer || other.game != *game);
        if interest.len() >= limits::INTEREST_MAX {
            interest.pop_front();
        }
        interest.push_back(Interest { game: game.clone(), peer, at });
    }

    /// Whether other peers have just asked about a game, so that they may come too. The one that comes has come.
    pub(super) fn expects_others(&self, game: &GameId, comes: PeerId) -> bool {
        let mut interest = self.interest();
        interest.retain(|one| {
            one.at.elapsed() < limits::INTEREST_SPAN && (one.peer != comes || one.game != *game)
        });
        interest.iter().any(|one| one.game == *game)
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        // Each change of the roster is whole.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wave_ended(&self) {
        self.waves_ended.send_modify(|ended| *ended = ended.wrapping_add(1));
    }

    /// The waves that are under way, for people.
    pub(crate) fn waves(&self) -> Vec<WaveStatus> {
        self.roster().under_way()
    }
}
