//! How two peers prove that they are of one party, before either of them says anything.
//!
//! This runs inside the encrypted connection, which has proved the key of each side. Both sides send their proof at once,
//! so that each finds out by itself why it does not talk to the other, and none has to be told: the connection is
//! closed, without a word.

use std::fmt;
use std::sync::Arc;

use lanspread_trust::party::{KeyDigest, PartyKey, Role};
use lanspread_types::ids::PeerId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::WireError;
use crate::message::{Hello, PROTOCOL_VERSION};

/// What every version of the protocol begins with.
pub const MAGIC: &[u8; 8] = b"LANSPRD\n";
/// The magic, and the version that it is followed by.
pub const PREAMBLE_BYTES: usize = MAGIC.len() + 2;
const PROOF_BYTES: usize = 32;

/// What the encrypted connection has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// Which end this is.
    pub role: Role,
    /// A number that both ends of this connection have, and no other connection has.
    pub exporter: [u8; 32],
    /// The key of this end.
    pub ours: KeyDigest,
    /// The key of the other end.
    pub theirs: KeyDigest,
}

impl Channel {
    /// The two ends of a pipe between two peers of one process, where nothing has to be proved. For tests.
    pub fn of_pipe(client: KeyDigest, server: KeyDigest) -> (Self, Self) {
        let exporter = [0; 32];
        let dialled = Self { role: Role::Client, exporter, ours: client, theirs: server };
        (dialled, Self { role: Role::Server, exporter, ours: server, theirs: client })
    }

    /// The peer at the other end.
    pub fn peer(&self) -> PeerId {
        PeerId::of_key(&self.theirs)
    }

    fn client_and_server(&self) -> (&KeyDigest, &KeyDigest) {
        match self.role {
            Role::Client => (&self.ours, &self.theirs),
            Role::Server => (&self.theirs, &self.ours),
        }
    }

    /// What this end sends.
    pub fn proof(&self, party: &PartyKey) -> [u8; 32] {
        let (client, server) = self.client_and_server();
        party.proof(self.role, &self.exporter, client, server)
    }

    fn is_proof(&self, party: &PartyKey, proof: &[u8; PROOF_BYTES]) -> bool {
        let (client, server) = self.client_and_server();
        party.proves(proof, self.role.other(), &self.exporter, client, server)
    }
}

/// Which peers a peer talks to, of those that are of its party: all of them, if nothing else is said.
#[derive(Clone, Default)]
pub struct Admission(Option<Arc<Admits>>);

type Admits = dyn Fn(&PeerId) -> bool + Send + Sync;

impl Admission {
    /// Those for which this is true.
    pub fn of(admits: impl Fn(&PeerId) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(admits)))
    }

    /// Whether a peer is talked to.
    pub fn admits(&self, peer: &PeerId) -> bool {
        self.0.as_ref().is_none_or(|admits| admits(peer))
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Admission(some)" } else { "Admission(all)" })
    }
}

/// What a peer shows of itself in every handshake, beside its key.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The party that it is of.
    pub party: Arc<PartyKey>,
    /// Which peers it talks to.
    pub admission: Admission,
    /// What it then says.
    pub hello: Hello,
}

impl Introduction {
    /// Of a peer that is of no party and talks to every peer.
    pub fn open(hello: Hello) -> Self {
        Self { party: Arc::new(PartyKey::open_network()), admission: Admission::default(), hello }
    }
}

/// The beginning of a connection in every version of the protocol.
pub fn preamble() -> [u8; PREAMBLE_BYTES] {
    let mut preamble = [0; PREAMBLE_BYTES];
    preamble[..MAGIC.len()].copy_from_slice(MAGIC);
    preamble[MAGIC.len()..].copy_from_slice(&PROTOCOL_VERSION.to_be_bytes());
    preamble
}

/// Exchanges preambles and proofs. Nothing that is wrong is answered.
pub(crate) async fn prove(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    channel: &Channel,
    ours: &Introduction,
) -> Result<(), WireError> {
    writer.write_all(&preamble()).await?;
    writer.write_all(&channel.proof(&ours.party)).await?;
    writer.flush().await?;
    read_preamble(reader).await?;
    let mut theirs = [0; PROOF_BYTES];
    reader.read_exact(&mut theirs).await.map_err(|_| WireError::Closed)?;
    let peer = channel.peer();
    if !channel.is_proof(&ours.party, &theirs) {
        let name = (!ours.party.is_open_network()).then(|| ours.party.name());
        let theirs_is_open = channel.is_proof(&PartyKey::open_network(), &theirs);
        return Err(WireError::OtherParty { peer, ours: name, theirs_is_open });
    }
    // Only now, so that the other side cannot tell a peer that is not admitted from one of another party.
    if !ours.admission.admits(&peer) {
        return Err(WireError::NotAdmitted { peer });
    }
    Ok(())
}

async fn read_preamble(reader: &mut (impl AsyncRead + Unpin)) -> Result<(), WireError> {
    let mut magic = [0; MAGIC.len()];
    let mut filled = 0;
    while filled < magic.len() {
        match reader.read(&mut magic[filled..]).await? {
            0 => return Err(WireError::Closed),
            count => filled += count,
        }
        // Checked after each read, so that a short greeting of another protocol is recognised immediately.
        if !MAGIC.starts_with(&magic[..filled]) {
            return Err(WireError::NotLanspread);
        }
    }
    let theirs = reader.read_u16().await.map_err(|_| WireError::Closed)?;
    if theirs != PROTOCOL_VERSION {
        return Err(WireError::Version { ours: PROTOCOL_VERSION, theirs });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
