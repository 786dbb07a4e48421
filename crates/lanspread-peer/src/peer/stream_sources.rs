//! What a game is streamed from: peers, servers, and the manifest by which it can be decoded here.

use std::sync::Arc;

use lanspread_trust::manifest::ManifestFile;
use lanspread_types::ids::{GameVersion, PeerName};
use lanspread_types::limits;

use crate::discovery::ask::LateOffers;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::packed_sources::{PackedSources, with_archives};
use crate::peer::servers::is_without_peers;
use crate::report::failure::PeerAnswer;
use crate::report::operation::DecodeAt;
use crate::trust::select::{PeerOffer, Selection};

/// The sources of a streamed install.
pub(super) struct StreamSources {
    pub(super) version: GameVersion,
    /// The validated peers, in the order in which they are tried.
    pub(super) peers: Vec<PeerOffer>,
    /// What can be decoded here, and from where; none if the peers decode.
    pub(super) packed: Option<(PackedSources, Arc<ManifestFile>)>,
    /// The other peers, and why they are not sources.
    pub(super) dropped: Vec<PeerAnswer>,
}

impl StreamSources {
    /// Their names, in the order in which they are tried.
    pub(super) fn names(&self) -> Vec<PeerName> {
        let servers = self.packed.iter().flat_map(|(sources, _)| &sources.servers);
        let peers = self.peers.iter().map(|source| source.name.clone());
        peers.chain(servers.map(|server| server.name().clone())).collect()
    }
}

impl Peer {
    /// Finds what the operation's game is streamed from. `trusted` is the manifest that the catalog names, if it is here.
    ///
    /// # Errors
    /// As [`Self::choose`]; [`PeerError::NoManifest`] if only servers are named and none has a manifest.
    pub(super) async fn stream_sources(
        &self,
        operation: &OperationContext,
        trusted: Option<&Arc<ManifestFile>>,
    ) -> Result<StreamSources, PeerError> {
        let OperationContext { game, options, cancel, .. } = operation;
        let decodes_here = options.decode_at == DecodeAt::Receiver;
        let servers =
            if decodes_here { self.servers_within(operation, limits::PACKED_IDLE) } else { Vec::new() };
        let chosen = self.choose_and_later(trusted.cloned(), game, options, cancel).await;
        let (mut selection, mut late) = match (chosen, trusted) {
            (Ok(chosen), _) => chosen,
            (Err(no_peer), _) if servers.is_empty() || !is_without_peers(&no_peer) => return Err(no_peer),
            (Err(no_peer), trusted) => {
                tracing::info!("{game}: only servers have it: {no_peer}");
                let listed = match trusted {
                    Some(trusted) => Arc::clone(trusted),
                    None => self.unsigned_manifest(operation, &servers, no_peer).await?,
                };
                let version = listed.manifest().version.clone();
                let packed =
                    Some((PackedSources { peers: Vec::new(), servers, late: LateOffers::none() }, listed));
                return Ok(StreamSources { version, peers: Vec::new(), packed, dropped: Vec::new() });
            }
        };
        let listed = match trusted {
            _ if !decodes_here => None,
            Some(trusted) => Some(Arc::clone(trusted)),
            None => {
                (selection, late) = self.await_packing_list(operation, selection, late).await?;
                self.packing_list(operation, &selection).await?
            }
        };
        let sources = PackedSources { peers: with_archives(&selection), servers, late };
        let packed = listed.filter(|listed| sources.fit(listed)).map(|listed| (sources, listed));
        let Selection { version, sources: peers, dropped, .. } = selection;
        Ok(StreamSources { version, peers, packed, dropped })
    }
}
