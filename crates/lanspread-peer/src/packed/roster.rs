//! The waves of a source: which receivers it places, and after which others. Pure: the time is given.
//!
//! - A receiver joins the wave that is under way if all of it still has the first chunk. Otherwise it begins a wave
//!   of its own, or waits for the next one if that is known to slow down the wave under way.
//! - Positions only grow, and no receiver is given a relay with a larger one.
//! - The roster only remembers what the source has answered. If the source is gone, every receiver still knows its relays.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lanspread_proto::packed::{PackedGame, Place, Placement, RelayOffer};
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;
use tokio::time::Instant;

use crate::packed::layout::at_pace;

use crate::report::packed_status::WaveStatus;

/// A receiver that wants a place.
#[derive(Debug, Clone)]
pub(crate) struct Newcomer {
    pub(crate) peer: PeerId,
    pub(crate) name: PeerName,
    pub(crate) ip: IpAddr,
    /// Where it answers followers, if it relays.
    pub(crate) relay_port: Option<u16>,
    /// Chunks that its window has room for.
    pub(crate) window: u64,
}

/// What a source knows when a receiver comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceState {
    /// Whether its uplink may have room for another wave: it is not known to be full.
    pub(crate) may_have_room: bool,
    /// Whether others have just asked about the game and may come too.
    pub(crate) expects_others: bool,
}

/// The answer to a receiver that wants a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JoinOutcome {
    Placed(Placement),
    /// For the next wave; how long the first of those under way will take, if that can be said.
    Wait {
        in_time: Option<Duration>,
    },
}

/// The waves of one source.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    games: HashMap<PackedGame, Vec<Wave>>,
}

#[derive(Debug)]
struct Wave {
    id: u64,
    begins_at: Instant,
    members: Vec<Member>,
    /// Position of the next member.
    next: u32,
    /// Room of the smallest window.
    window: u64,
    /// Chunks of the game.
    total: u64,
    /// How far the head is, and how far it was when this source first heard of the wave.
    head_at: u64,
    first_at: u64,
    heard_at: Instant,
    /// Receivers of it that this source feeds, and since when there is none.
    fed: usize,
    unfed_since: Option<Instant>,
    is_over: bool,
    /// Whether this source places its receivers. If not, another one did, and is gone or also feeds them.
    is_ours: bool,
}

#[derive(Debug)]
struct Member {
    peer: PeerId,
    name: PeerName,
    position: u32,
    /// Where it answers followers; none if it does not, or cannot be reached.
    relay: Option<SocketAddr>,
}

impl Roster {
    /// Places a receiver of a game of `total` chunks. `number` is a random one for a new wave.
    pub(crate) fn join(
        &mut self,
        packed: &PackedGame,
        newcomer: Newcomer,
        total: u64,
        source: SourceState,
        number: u64,
        now: Instant,
    ) -> JoinOutcome {
        self.forget_old(now);
        let waves = self.games.entry(packed.clone()).or_default();
        let under_way = waves.iter().rposition(|wave| !wave.is_over);
        let joins = under_way.filter(|wave| waves[*wave].is_joinable(total));
        let wave = match (joins, under_way) {
            (Some(wave), _) => wave,
            (None, Some(_)) if !source.may_have_room || waves.len() >= WAVES_AT_ONCE_MAX => {
                // One that is sent little, because it came late, does not tell.
                let in_time = waves.iter().filter_map(|wave| wave.left(total, now)).min();
                return JoinOutcome::Wait { in_time };
            }
            _ => {
                let gathers = source.expects_others && total > newcomer.window;
                let gather = if gathers { limits::WAVE_GATHER } else { Duration::ZERO };
                waves.push(Wave {
                    id: number,
                    begins_at: now + gather,
                    members: Vec::new(),
                    next: 0,
                    window: newcomer.window,
                    total,
                    head_at: 0,
                    first_at: 0,
                    heard_at: now,
                    fed: 0,
                    unfed_since: Some(now + gather),
                    is_over: false,
                    is_ours: true,
                });
                waves.len() - 1
            }
        };
        JoinOutcome::Placed(waves[wave].place(newcomer, now))
    }

    /// The head of a wave has asked for a chunk.
    pub(crate) fn reached(&mut self, packed: &PackedGame, wave: u64, chunk: u64, now: Instant) {
        if let Some(wave) = self.wave(packed, wave) {
            wave.head_at = wave.head_at.max(chunk);
            wave.heard_at = now;
        }
    }

    /// The source begins to feed a receiver of a wave, from a chunk of `total` on. If another source has formed the wave,
    /// newcomers may have to wait for it too.
    pub(crate) fn begins_fed(&mut self, packed: &PackedGame, wave: u64, at: u64, total: u64, now: Instant) {
        if let Some(wave) = self.wave(packed, wave) {
            wave.fed += 1;
            wave.unfed_since = None;
            return;
        }
        self.forget_old(now);
        let waves = self.games.entry(packed.clone()).or_default();
        // One is enough to wait for, and a receiver can name as many as it likes.
        if waves.is_empty() {
            waves.push(Wave {
                id: wave,
                begins_at: now,
                members: Vec::new(),
                next: 0,
                window: 0,
                total,
                // What a receiver says may be anything.
                head_at: at.min(total),
                first_at: at.min(total),
                heard_at: now,
                fed: 1,
                unfed_since: None,
                is_over: false,
                is_ours: false,
            });
        }
    }

    /// The source no longer feeds a receiver of a wave. If it feeds none for a while, the wave is over, or goes on elsewhere.
    pub(crate) fn ends_fed(&mut self, packed: &PackedGame, wave: u64, now: Instant) {
        if let Some(wave) = self.wave(packed, wave) {
            wave.fed = wave.fed.saturating_sub(1);
            wave.unfed_since = (wave.fed == 0).then_some(now);
        }
    }

    /// How many places a wave has; 0 if this source did not form it.
    pub(crate) fn places(&self, packed: &PackedGame, id: u64) -> u32 {
        let waves = self.games.get(packed).into_iter().flatten();
        waves.filter(|wave| wave.id == id).map(|wave| wave.next).next().unwrap_or(0)
    }

    /// Whether this source places the receivers of a wave.
    pub(crate) fn is_ours(&self, packed: &PackedGame, id: u64) -> bool {
        self.places(packed, id) > 0
    }

    /// The last chunk of a wave was sent: no receiver can join it any more.
    pub(crate) fn is_over(&mut self, packed: &PackedGame, wave: u64) {
        if let Some(wave) = self.wave(packed, wave) {
            wave.is_over = true;
        }
    }

    /// A receiver could not reach a relay that it was given.
    pub(crate) fn cannot_reach(&mut self, wave: u64, relay: PeerId, by: PeerId) {
        let waves = self.games.values_mut().flatten();
        for wave in waves.filter(|known| known.id == wave) {
            let position =
                |peer| wave.members.iter().rfind(|member| member.peer == peer).map(|member| member.position);
            // Only a receiver that may have been given it can say so.
            if position(by) > position(relay) {
                for member in wave.members.iter_mut().filter(|member| member.peer == relay) {
                    member.relay = None;
                }
            }
        }
    }

    fn wave(&mut self, packed: &PackedGame, id: u64) -> Option<&mut Wave> {
        self.games.get_mut(packed)?.iter_mut().find(|wave| wave.id == id)
    }

    fn forget_old(&mut self, now: Instant) {
        for waves in self.games.values_mut() {
            waves.retain(|wave| {
                let silent = now.saturating_duration_since(wave.heard_at);
                let unfed = wave.unfed_since.map(|since| now.saturating_duration_since(since));
                let is_fed = unfed.is_none_or(|unfed| unfed < limits::WAVE_UNFED);
                !wave.is_over && is_fed && silent < limits::WAVE_MEMORY
            });
        }
        self.games.retain(|_, waves| !waves.is_empty());
        while self.games.len() >= limits::WAVES_MAX {
            let oldest =
                self.games.iter().min_by_key(|(_, waves)| waves.iter().map(|wave| wave.heard_at).max());
            let Some(oldest) = oldest.map(|(packed, _)| packed.clone()) else { break };
            self.games.remove(&oldest);
        }
    }

    /// Waves that are under way, for people.
    pub(crate) fn under_way(&self) -> Vec<WaveStatus> {
        let of_game = |(packed, waves): (&PackedGame, &Vec<Wave>)| {
            let under_way = waves.iter().filter(|wave| wave.is_ours && !wave.is_over);
            let status = |wave: &Wave| WaveStatus {
                game: packed.game.clone(),
                version: packed.version.clone(),
                receivers: wave.members.len() as u64,
                chunk: wave.head_at,
                chunks: wave.total,
            };
            under_way.map(status).collect::<Vec<_>>()
        };
        let mut waves: Vec<_> = self.games.iter().flat_map(of_game).collect();
        waves.sort_by(|one, other| one.game.cmp(&other.game));
        waves
    }
}

impl Wave {
    /// Whether all of it still have the first chunk, and will until a newcomer asks for it.
    fn is_joinable(&self, total: u64) -> bool {
        let keeps_everything = total <= self.window;
        let has_first = self.head_at + limits::PACKED_ASKED_MAX as u64 <= self.window;
        self.is_ours && self.members.len() < limits::WAVE_RECEIVERS_MAX && (keeps_everything || has_first)
    }

    /// How long the wave will take, at the pace of its head.
    fn left(&self, total: u64, now: Instant) -> Option<Duration> {
        let passed = now.checked_duration_since(self.begins_at)?;
        let left = total.saturating_sub(self.head_at);
        at_pace(passed, self.head_at.saturating_sub(self.first_at), left)
    }

    fn place(&mut self, newcomer: Newcomer, now: Instant) -> Placement {
        // It has another place now; at the old one it may not be followed.
        self.members.retain(|member| member.peer != newcomer.peer);
        let Newcomer { peer, name, ip, relay_port, window } = newcomer;
        let mut relays: Vec<RelayOffer> = Vec::new();
        let mut in_the_way = None;
        for member in self.members.iter().rev() {
            let Some(address) = member.relay else {
                // It relays nothing, so the newcomer takes its place at the nearest relay.
                if relays.is_empty() {
                    in_the_way = Some(member.peer);
                }
                continue;
            };
            relays.push(RelayOffer {
                peer: member.peer,
                name: member.name.clone(),
                address,
                position: member.position,
                instead_of: in_the_way.take(),
            });
            if relays.len() == limits::PACKED_RELAYS_NAMED_MAX {
                break;
            }
        }
        let position = self.next;
        self.next += 1;
        self.window = self.window.min(window);
        self.heard_at = now;
        let relay = relay_port.map(|port| SocketAddr::new(ip, port));
        self.members.push(Member { peer, name, position, relay });
        let starts_in = self.begins_at.saturating_duration_since(now);
        let starts_in_ms = u32::try_from(starts_in.as_millis()).unwrap_or(u32::MAX);
        Placement { place: Place { wave: self.id, position }, starts_in_ms, relays }
    }
}

/// Waves of one game that a source feeds at once, whatever its links can carry: each takes reading and sending.
const WAVES_AT_ONCE_MAX: usize = 8;

#[cfg(test)]
mod tests;
