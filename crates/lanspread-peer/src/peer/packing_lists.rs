//! The packing list on which the sources of a game agree: a receiver without a trusted manifest compares a packed stream
//! with it.
//!
//! It is a stranger's word, as the list of files is, so it is checked against that list, and nothing of it is stored: it is
//! held in a file without a name, in memory, and is gone with the operation or with the process.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::message::Request;
use lanspread_store::packing::volumes;
use lanspread_trust::manifest::{Manifest, ManifestFile};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::RootFile;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio::time::{Instant, sleep};

use crate::discovery::ask::LateOffers;
use crate::operations::OperationContext;
use crate::peer::asking_order::AskingOrder;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::list_wait::{ListDecision, ListWait, decide};
use crate::report::event::PeerEvent;
use crate::report::packing_list::AwaitedPackingList;
use crate::transport::dial::dial_soon;
use crate::transport::handed_on::{Arriving, Expected};
use crate::trust::select::{AgreedList, PeerOffer, Selection};

impl Peer {
    /// Waits until the sources have made the packing list, if that is sooner done than a decoded stream. Returns the
    /// selection as it is then, with the offers that were not awaited.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub(super) async fn await_packing_list(
        &self,
        operation: &OperationContext,
        mut selection: Selection,
        mut late: LateOffers,
    ) -> Result<(Selection, LateOffers), PeerError> {
        let OperationContext { game, options, events, cancel } = operation;
        let begun = Instant::now();
        let mut is_reported = false;
        while let AgreedList::InMaking { in_ms } = selection.list {
            let first = selection.sources.first();
            let wait = ListWait {
                in_ms,
                waited: begun.elapsed(),
                packed_bytes: first.map_or(0, |source| bytes_of(&source.files)),
                transfers: first.and_then(|source| source.load).map_or(0, |load| load.transfers),
            };
            let next = match decide(&wait) {
                ListDecision::Decoded(reason) => {
                    tracing::info!("{game} is streamed decoded: {reason}");
                    break;
                }
                ListDecision::Wait(next) => next,
            };
            let is_long = begun.elapsed() + next > limits::PACKING_LIST_WAIT_REPORTED;
            if is_long && !std::mem::replace(&mut is_reported, true) {
                let awaited = AwaitedPackingList { game: game.clone(), in_ms: in_ms.into() };
                events.report(PeerEvent::PackingListAwaited(awaited));
            }
            cancel.run_until_cancelled(sleep(next)).await.ok_or(PeerError::Cancelled)?;
            (selection, late) = self.choose_and_later(None, game, options, cancel).await?;
        }
        Ok((selection, late))
    }

    /// The packing list on which the sources agree, from one of those that name it. `None` if they agree on none, if none of
    /// them hands it on, or if it is not about what they offer.
    ///
    /// # Errors
    /// [`PeerError::Cancelled`]; [`PeerError::Internal`].
    pub(super) async fn packing_list(
        &self,
        operation: &OperationContext,
        selection: &Selection,
    ) -> Result<Option<Arc<ManifestFile>>, PeerError> {
        let AgreedList::Agreed(digest) = selection.list else { return Ok(None) };
        let game = &operation.game;
        let holders = selection.sources.iter().filter(|source| source.manifest == Some(digest));
        let holders = holders.take(limits::MANIFEST_SOURCES_MAX);
        let mut order = AskingOrder::new(holders, limits::HANDED_ON_DEADLINE);
        while let Some((holder, patience)) = order.next() {
            let fetching = Box::pin(self.fetch_list(holder, digest, patience));
            let fetched = operation.cancel.run_until_cancelled(fetching).await;
            let refused = |reason: &dyn Display| {
                tracing::warn!("the packing list of {game} is not taken from {}: {reason}", holder.name);
            };
            let bytes = match fetched.ok_or(PeerError::Cancelled)? {
                Ok(bytes) => bytes,
                Err(error) => {
                    refused(&error);
                    if matches!(error, WireError::Timeout { .. }) {
                        order.was_silent(holder, patience);
                    }
                    continue;
                }
            };
            let open = move || Ok(ManifestFile::in_memory(&bytes, Some(&digest)));
            let list = match self.blocking("packing list", open).await? {
                Ok(list) => list,
                Err(problem) => {
                    refused(&problem);
                    continue;
                }
            };
            // It has the digest that they agree on, so another source hands on nothing else.
            let about = disagreement(list.manifest(), game, selection, &holder.files);
            if let Some(what) = about {
                tracing::warn!("the packing list of {game} on which its sources agree is refused: {what}");
                return Ok(None);
            }
            return Ok(Some(Arc::new(list)));
        }
        Ok(None)
    }

    async fn fetch_list(
        &self,
        holder: &PeerOffer,
        digest: ContentDigest,
        patience: Duration,
    ) -> Result<Vec<u8>, WireError> {
        let mut dialled = dial_soon(holder.address, &self.endpoint(), None, patience).await?;
        let expected = Expected::AtMost(limits::PACKING_LIST_BYTES_MAX);
        let request = |from| Request::Manifest { digest, from };
        let mut file = Arriving::new(&mut dialled.connection, expected, request, patience);
        let mut bytes = Vec::new();
        while let Some(part) = file.next().await? {
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}

/// What a peer says has no bound yet.
fn bytes_of(files: &[RootFile]) -> u64 {
    files.iter().fold(0, |bytes, file| bytes.saturating_add(file.size))
}

/// What a list says that is not what its sources offer, as a sentence about it. Pure.
fn disagreement(
    list: &Manifest,
    game: &GameId,
    selection: &Selection,
    offered: &[RootFile],
) -> Option<String> {
    if list.has_tree() {
        return Some("it lists an installed tree, which only a catalog is believed about".to_owned());
    }
    if list.game != *game || list.version != selection.version {
        return Some(format!("it is about {} in version {}", list.game, list.version));
    }
    let mut offered = offered.to_vec();
    offered.sort_by(|one, other| one.name.cmp(&other.name));
    if list.root_files != offered {
        return Some("its root files are not those that are offered".to_owned());
    }
    let files = list.archives.iter().map(|archive| archive.files.clone());
    if volumes(&offered) != Some(files.collect()) {
        return Some("its archives have other volumes than the names of the files say".to_owned());
    }
    None
}

#[cfg(test)]
mod tests;
