//! `peers add|remove|list`: the saved peers, which are always asked.

use lanspread_peer::{Answer, SavedPeers, SavedPeersError};

use crate::arguments::{Global, SavedPeersCommand};
use crate::exit::CommandResult;
use crate::output::Output;

pub(crate) fn run(global: &Global, output: Output, command: SavedPeersCommand) -> CommandResult {
    let saved = SavedPeers::of(global.state_dir.clone())?;
    let report = |peer: &lanspread_peer::PeerAddress, saved| {
        output.report(&Answer::SavedPeer { peer: peer.clone(), saved })
    };
    match command {
        SavedPeersCommand::Add(peers) => {
            for peer in &peers.addresses {
                saved.add(peer)?;
                report(peer, true)?;
            }
        }
        SavedPeersCommand::Remove(peers) => {
            for peer in &peers.addresses {
                if !saved.remove(peer)? {
                    return Err(SavedPeersError::NotSaved { peer: peer.to_string() }.into());
                }
                report(peer, false)?;
            }
        }
        SavedPeersCommand::List => {
            for peer in saved.load()? {
                report(&peer, true)?;
            }
        }
    }
    Ok(())
}
