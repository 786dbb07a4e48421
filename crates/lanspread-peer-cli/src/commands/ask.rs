//! `list`, `peers`, `status`: what is here and what peers say.

use std::collections::BTreeMap;

use lanspread_peer::library::scan::scan;
use lanspread_peer::library::state::{Availability, GameState};
use lanspread_peer::{GameId, GameVersion, PeerAddress, PeerClient, PeerError, PeerOffers};
use serde::Serialize;

use crate::arguments::{Global, List, Peers, Status};
use crate::exit::{CommandResult, Failure};
use crate::output::{Output, bytes, state_words};

#[derive(Serialize)]
#[serde(tag = "event", rename = "local-game")]
struct LocalGame<'a> {
    game: &'a GameId,
    version: Option<&'a GameVersion>,
    state: Availability,
    downloaded: bool,
    installed: bool,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "offered-game")]
struct OfferedGame<'a> {
    game: &'a GameId,
    version: &'a GameVersion,
    bytes: u64,
    peers: &'a [String],
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "peer")]
struct PeerObject<'a> {
    peer: String,
    name: &'a str,
    addr: String,
    games: usize,
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "peer-status")]
struct StatusObject<'a> {
    peer: String,
    name: &'a str,
    addr: String,
    games: Vec<&'a GameId>,
    active_outbound_transfers: u64,
    streams_max: u64,
    connections: u64,
}

pub(crate) async fn list(global: &Global, output: Output, list: List) -> CommandResult {
    for state in scan(&list.games.games_dir).map_err(PeerError::from)? {
        print_local(output, &state)?;
    }
    if list.peers.peers.is_empty() {
        return Ok(());
    }
    let client = PeerClient::new(global.state_dir.clone())?;
    let offers = ask(&client, output, &list.peers.peers).await?;
    let mut games: BTreeMap<(&GameId, &GameVersion), (u64, Vec<String>)> = BTreeMap::new();
    for offer in &offers {
        for game in &offer.games {
            let (_, peers) = games.entry((&game.game, &game.version)).or_insert((game.bytes, Vec::new()));
            peers.push(offer.name.to_string());
        }
    }
    for ((game, version), (size, peers)) in games {
        let object = OfferedGame { game, version, bytes: size, peers: &peers };
        output.object(&object, || {
            format!("{game}  {version}  offered by {}  {}", peers.join(", "), bytes(size))
        })?;
    }
    Ok(())
}

fn print_local(output: Output, state: &GameState) -> std::io::Result<()> {
    let object = LocalGame {
        game: &state.game,
        version: state.version.as_ref(),
        state: state.availability(),
        downloaded: state.downloaded(),
        installed: state.installed,
        bytes: state.root_bytes(),
    };
    let version = state.version.as_ref().map_or("-", GameVersion::as_str);
    output.object(&object, || format!("{}  {version}  {}", state.game, state_words(state)))
}

pub(crate) async fn peers(global: &Global, output: Output, peers: Peers) -> CommandResult {
    if peers.peers.peers.is_empty() {
        return Err(PeerError::NoPeers.into());
    }
    let client = PeerClient::new(global.state_dir.clone())?;
    for offer in ask(&client, output, &peers.peers.peers).await? {
        let object = PeerObject {
            peer: offer.id.to_string(),
            name: offer.name.as_str(),
            addr: offer.address.to_string(),
            games: offer.games.len(),
        };
        output
            .object(&object, || format!("{}  {}  {} games", offer.name, offer.address, offer.games.len()))?;
    }
    Ok(())
}

pub(crate) async fn status(global: &Global, output: Output, status: Status) -> CommandResult {
    let status = PeerClient::new(global.state_dir.clone())?.status(&status.peer).await?;
    let object = StatusObject {
        peer: status.id.to_string(),
        name: status.name.as_str(),
        addr: status.address.to_string(),
        games: status.games.iter().map(|offer| &offer.game).collect(),
        active_outbound_transfers: status.active_outbound_transfers,
        streams_max: status.streams_max,
        connections: status.connections,
    };
    output.object(&object, || {
        format!(
            "{} at {}: {} games, {} of {} streams, {} connections",
            status.name,
            status.address,
            status.games.len(),
            status.active_outbound_transfers,
            status.streams_max,
            status.connections
        )
    })?;
    Ok(())
}

/// Asks the peers for their games. Some may fail, which is said; when all of them do, the command fails.
async fn ask(
    client: &PeerClient,
    output: Output,
    addresses: &[PeerAddress],
) -> Result<Vec<PeerOffers>, Failure> {
    let mut offers = Vec::new();
    let mut failures = Vec::new();
    for answer in client.offers(addresses).await {
        match answer {
            Ok(offer) => offers.push(offer),
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    if offers.is_empty()
        && let Some(last) = failures.pop()
    {
        for failure in &failures {
            output.failure(failure);
        }
        return Err(last);
    }
    for failure in &failures {
        output.failure(failure);
    }
    Ok(offers)
}
