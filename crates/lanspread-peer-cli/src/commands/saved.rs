//! `peers add|remove|list|trust|deny|forget`: what the user says about other peers.

use lanspread_peer::{
    Answer, PeerAddress, PeerClient, PeerId, PeerTrust, SavedPeers, SavedPeersError, of_short_id,
};

use crate::arguments::{DecidePeers, ForgottenPeer, Global};
use crate::exit::CommandResult;
use crate::output::Output;

pub(crate) async fn run(global: &Global, output: Output, command: DecidePeers) -> CommandResult {
    let saved = SavedPeers::of(global.state_dir.clone())?;
    match command {
        DecidePeers::Add(peers) => {
            let client = PeerClient::new(global.state_dir.clone(), global.party_file.as_deref())?;
            for peer in &peers.addresses {
                add(&saved, &client, output, peer).await?;
            }
        }
        DecidePeers::Remove(peers) => {
            for peer in &peers.addresses {
                remove(&saved, output, peer)?;
            }
        }
        DecidePeers::List => list(&saved, output)?,
        DecidePeers::Trust(peer) => {
            saved.trust(peer.id, peer.name.clone())?;
            decided(output, peer.id, PeerTrust::Trusted)?;
        }
        DecidePeers::Deny(peer) => {
            saved.deny(peer.id, peer.reason.as_deref())?;
            decided(output, peer.id, PeerTrust::Denied)?;
        }
        DecidePeers::Forget(peer) => match peer.peer {
            ForgottenPeer::Address(peer) => remove(&saved, output, &peer)?,
            ForgottenPeer::Id(id) => forget(&saved, output, id)?,
            ForgottenPeer::Short(short) => {
                let id = of_short_id(&short, saved.decisions()?.ids())?;
                forget(&saved, output, id)?;
            }
        },
    }
    Ok(())
}

/// Saves a peer with the identity that answers. One that does not answer now is saved without.
async fn add(saved: &SavedPeers, client: &PeerClient, output: Output, peer: &PeerAddress) -> CommandResult {
    let answered = match client.introduction(peer).await {
        Ok(answered) => Some(answered),
        Err(error) => {
            output.note(&format!("{error}; it is saved without its id, so any peer may answer there"));
            None
        }
    };
    let (id, name) = answered.clone().unzip();
    saved.add(peer, answered)?;
    Ok(output.report(&Answer::SavedPeer { peer: peer.clone(), saved: true, id, name })?)
}

fn remove(saved: &SavedPeers, output: Output, peer: &PeerAddress) -> CommandResult {
    if !saved.remove(peer)? {
        return Err(SavedPeersError::NotSaved { peer: peer.to_string() }.into());
    }
    Ok(output.report(&Answer::SavedPeer { peer: peer.clone(), saved: false, id: None, name: None })?)
}

fn forget(saved: &SavedPeers, output: Output, id: PeerId) -> CommandResult {
    if !saved.forget(id)? {
        return Err(SavedPeersError::NotSaved { peer: id.to_string() }.into());
    }
    decided(output, id, PeerTrust::Unknown)
}

fn decided(output: Output, peer: PeerId, trust: PeerTrust) -> CommandResult {
    Ok(output.report(&Answer::DecidedPeer { peer, name: None, trust, reason: None })?)
}

fn list(saved: &SavedPeers, output: Output) -> CommandResult {
    let decisions = saved.decisions()?;
    for peer in decisions.saved {
        output.report(&Answer::SavedPeer {
            peer: peer.address,
            saved: true,
            id: peer.id,
            name: peer.name,
        })?;
    }
    for peer in decisions.trusted {
        let (trust, reason) = (PeerTrust::Trusted, None);
        output.report(&Answer::DecidedPeer { peer: peer.id, name: peer.name, trust, reason })?;
    }
    for peer in decisions.denied {
        let trust = PeerTrust::Denied;
        output.report(&Answer::DecidedPeer { peer: peer.id, name: None, trust, reason: peer.reason })?;
    }
    Ok(())
}
