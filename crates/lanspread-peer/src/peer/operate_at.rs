//! Has other peers do something, or say what it would do, over connections on which both identities are proved.

use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::message::{Reply, Request};
use lanspread_types::ids::{GameId, PeerId};
use lanspread_types::limits;
use tokio::task::JoinSet;

use crate::discovery::directory::KnownPeer;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::answer::Answer;
use crate::report::failure::Code;
use crate::report::operation::OperationKind;
use crate::report::planned::SeatPlan;
use crate::room::words::kind_told;
use crate::transport::dial::dial_any;
use crate::trust::peer_rules::of_short_id;

impl Peer {
    /// Asks peers to do something with a game, all at once: those that are named, or else all that accept it from this peer.
    /// One answer for each of them.
    ///
    /// # Errors
    /// [`PeerError::NotServing`] if this peer does not serve: it knows no others then. [`PeerError::NoSuchSeat`] if a peer of
    /// that name does not answer; [`PeerError::NoSeats`] if no peer accepts operations from this one. Nothing is asked then.
    pub async fn operate_at(
        &self,
        kind: OperationKind,
        game: &GameId,
        seats: &[String],
    ) -> Result<Vec<Answer>, PeerError> {
        let request = Request::Operate { kind: kind_told(kind), game: game.clone() };
        let asked = self.ask_seats(seats, &request, limits::LISTING_DEADLINE).await?;
        let answer = |(peer, reply)| match reply {
            Ok(Reply::Accepted { operation }) => {
                let KnownPeer { id: peer, name, .. } = peer;
                Answer::SeatAccepted { peer, name, game: game.clone(), kind, operation }
            }
            other => refused(peer, game, other),
        };
        Ok(asked.into_iter().map(answer).collect())
    }

    /// Asks peers what an operation would do there, as [`Self::operate_at`] asks them to do it. Nothing is changed.
    ///
    /// # Errors
    /// As of [`Self::operate_at`].
    pub async fn plan_at(
        &self,
        kind: OperationKind,
        game: &GameId,
        seats: &[String],
    ) -> Result<Vec<Answer>, PeerError> {
        let request = Request::Plan { kind: kind_told(kind), game: game.clone() };
        let asked = self.ask_seats(seats, &request, limits::PLAN_REPLY_DEADLINE).await?;
        let answer = |(peer, reply)| match reply {
            Ok(Reply::Planned(plan)) => {
                let KnownPeer { id: peer, name, .. } = peer;
                Answer::SeatPlanned(SeatPlan {
                    peer,
                    name,
                    game: game.clone(),
                    kind,
                    version: plan.version,
                    changed: plan.changed,
                    fetched_bytes: plan.fetched_bytes,
                    bytes: plan.bytes,
                    lost_files: plan.lost_files,
                    needed_bytes: plan.needed_bytes,
                    free_bytes: plan.free_bytes,
                    fits: plan.fits,
                })
            }
            other => refused(peer, game, other),
        };
        Ok(asked.into_iter().map(answer).collect())
    }

    /// Sends a request to the seats that are meant, all at once, and returns what each of them says, by name.
    async fn ask_seats(
        &self,
        seats: &[String],
        request: &Request,
        deadline: Duration,
    ) -> Result<Vec<(KnownPeer, Result<Reply, WireError>)>, PeerError> {
        let Some(neighbours) = self.inner.neighbours.get() else {
            return Err(PeerError::NotServing { games_dir: self.inner.games_dir.clone() });
        };
        let known = neighbours.known();
        let chosen = if seats.is_empty() {
            let accepting = neighbours.room().all();
            let accepts = |peer: &KnownPeer| accepting.get(&peer.id).is_some_and(|told| told.accepts);
            known.into_iter().filter(accepts).collect()
        } else {
            named(&known, seats)?
        };
        if chosen.is_empty() {
            return Err(PeerError::NoSeats);
        }
        let mut asking = JoinSet::new();
        for peer in chosen {
            let (ours, request) = (self.endpoint(), request.clone());
            asking.spawn(async move {
                let asked = async {
                    let dialled = dial_any(&peer.addresses, &ours, Some(peer.id)).await?;
                    let mut connection = dialled.connection;
                    connection.send(&request).await?;
                    connection.receive("answer", deadline).await?.ok_or(WireError::Closed)
                };
                let reply = asked.await;
                (peer, reply)
            });
        }
        let mut answers = Vec::new();
        while let Some(asked) = asking.join_next().await {
            answers.push(asked.map_err(|error| PeerError::Internal(format!("asking a peer: {error}")))?);
        }
        answers.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        Ok(answers)
    }
}

/// What is said of a peer that does not, or would not, do what it was asked for.
fn refused(peer: KnownPeer, game: &GameId, reply: Result<Reply, WireError>) -> Answer {
    let (code, message) = match reply {
        Ok(Reply::WouldFail(failure)) => (failure.code.into(), failure.message),
        Ok(Reply::Refused(refusal)) => reason(&WireError::Refused(refusal)),
        Ok(_) => reason(&WireError::Unexpected { expected: "an answer", got: "another reply" }),
        Err(error) => reason(&error),
    };
    let KnownPeer { id: peer, name, .. } = peer;
    Answer::SeatRefused { peer, name, game: game.clone(), code, message }
}

fn reason(error: &WireError) -> (Code, String) {
    (error.code().into(), error.to_string())
}

/// The peers of these names, identities, or first characters of identities.
fn named(known: &[KnownPeer], seats: &[String]) -> Result<Vec<KnownPeer>, PeerError> {
    let mut chosen: Vec<KnownPeer> = Vec::new();
    for seat in seats {
        // A page sends whole identities. They come first: a peer may have that of another one as its name.
        let whole: Option<PeerId> = seat.parse().ok();
        let is_meant = |peer: &&KnownPeer| whole.map_or(peer.name.as_str() == seat, |id| peer.id == id);
        let mut of_name: Vec<&KnownPeer> = known.iter().filter(is_meant).collect();
        if of_name.is_empty() && whole.is_none() {
            let id = of_short_id(seat, known.iter().map(|peer| peer.id)).ok();
            of_name.extend(known.iter().filter(|peer| Some(peer.id) == id));
        }
        match of_name[..] {
            [peer] if chosen.iter().any(|other| other.id == peer.id) => {}
            [peer] => chosen.push(peer.clone()),
            [] => return Err(PeerError::NoSuchSeat { seat: seat.clone() }),
            // A name proves nothing: which of them is meant, the user has to say by its identity.
            _ => return Err(PeerError::AmbiguousSeat { seat: seat.clone() }),
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn peer(number: u8, name: &str) -> KnownPeer {
        KnownPeer {
            id: [number; 16].into(),
            name: name.parse().unwrap(),
            addresses: Vec::new(),
            how_known: [].into(),
            instance: 1,
            revision: None,
            games: Vec::new(),
            last_seen: SystemTime::UNIX_EPOCH,
            duplicate: false,
        }
    }

    #[test]
    fn a_seat_is_meant_by_its_name_its_identity_or_the_first_characters_of_it() {
        let known = [peer(1, "seat-1"), peer(2, "seat-2")];
        let meant = |seat: &str| named(&known, &[seat.to_owned()]).ok().map(|found| found[0].id);
        let second = known[1].id;
        for seat in ["seat-2".to_owned(), second.to_string(), second.short()] {
            assert_eq!(meant(&seat), Some(second), "{seat}");
        }
        assert_eq!(meant("seat-3"), None);
        assert_eq!(meant(&PeerId::from([3; 16]).to_string()), None);
    }

    #[test]
    fn a_peer_that_has_the_identity_of_another_one_as_its_name_is_not_meant_by_it() {
        let victim = peer(1, "seat-1");
        let name = victim.id.to_string();
        let found = named(&[victim.clone(), peer(2, &name)], &[name]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, victim.id);
    }
}
