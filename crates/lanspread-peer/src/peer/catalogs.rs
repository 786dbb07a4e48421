//! Catalogs that peers hand on: fetched when a hello names a newer one, checked in the same order as a file, and in force
//! without a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanspread_proto::WireError;
use lanspread_proto::message::{CatalogMark, CatalogPart, Hello, Request};
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use tokio::sync::mpsc;
use tokio::time::interval;

use crate::discovery::catalog_news::{OfferedCatalog, is_newer};
use crate::discovery::search::{Judge, Search, find};
use crate::operations::OperationContext;
use crate::peer::asking_order::AskingOrder;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::transport::dial::{Dialled, dial_soon};
use crate::transport::handed_on::{Arriving, Expected};
use crate::trust::live_catalog::LiveCatalog;

/// How often each peer has handed on what does not count.
#[derive(Debug, Default)]
struct WrongAnswers(BTreeMap<(PeerId, u64), u32>);

impl WrongAnswers {
    /// Whether a peer may be asked for a version.
    fn may_ask(&self, offered: &OfferedCatalog) -> bool {
        let wrong = self.0.get(&(offered.peer, offered.mark.version));
        wrong.is_none_or(|wrong| *wrong < limits::WRONG_ANSWERS_MAX)
    }

    fn count(&mut self, offered: &OfferedCatalog) {
        if self.0.len() >= limits::PEERS_MAX {
            self.0.pop_first();
        }
        *self.0.entry((offered.peer, offered.mark.version)).or_default() += 1;
    }
}

/// Why a catalog was not taken from a peer.
enum NotTaken {
    /// The connection; it may be asked again.
    Wire(WireError),
    /// What it handed on does not count.
    Wrong(PeerError),
}

impl Peer {
    /// While this peer serves: takes newer catalogs, and says hello again to the peers around it when another version is
    /// in force, so that they hear of it.
    pub(super) async fn follow_catalogs(
        self,
        live: Arc<LiveCatalog>,
        mut offers: mpsc::Receiver<OfferedCatalog>,
    ) {
        let stop = self.inner.tasks.cancel_token();
        let mut wrong = WrongAnswers::default();
        let mut said = live.mark();
        let mut look = interval(limits::CATALOG_LOOK_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(offered) = offers.recv() => {
                    let patience = limits::HANDED_ON_DEADLINE;
                    let taking = Box::pin(self.take_offered(&live, &offered, &mut wrong, patience));
                    if stop.run_until_cancelled(taking).await.is_none() {
                        return;
                    }
                }
                _ = look.tick() => {}
            }
            let mark = live.mark();
            if mark != said {
                said = mark;
                if let Some(neighbours) = self.inner.neighbours.get() {
                    let greeting = Arc::clone(neighbours).greet_again();
                    self.inner.tasks.spawn("catalog-greetings", greeting);
                }
            }
        }
    }

    /// Returns whether the peer was silent for too long.
    async fn take_offered(
        &self,
        live: &Arc<LiveCatalog>,
        offered: &OfferedCatalog,
        wrong: &mut WrongAnswers,
        patience: Duration,
    ) -> bool {
        if !is_newer(live, &offered.mark) || !wrong.may_ask(offered) {
            return false;
        }
        match self.take_catalog(live, offered, patience).await {
            Ok(()) => false,
            Err(NotTaken::Wire(error)) => {
                tracing::info!("{} has not handed its catalog on: {error}", offered.name);
                matches!(error, WireError::Timeout { .. })
            }
            Err(NotTaken::Wrong(error)) => {
                wrong.count(offered);
                self.report_refused(offered, &error);
                false
            }
        }
    }

    fn report_refused(&self, offered: &OfferedCatalog, error: &PeerError) {
        let version = offered.mark.version;
        tracing::warn!("version {version} of the catalog from {} is not taken: {error}", offered.name);
        self.inner.events.report(PeerEvent::CatalogRefused {
            from: Some(offered.name.clone()),
            code: error.code().into(),
            message: error.to_string(),
        });
    }

    /// Fetches the two files of a catalog, and puts it in force if it counts.
    async fn take_catalog(
        &self,
        live: &Arc<LiveCatalog>,
        offered: &OfferedCatalog,
        patience: Duration,
    ) -> Result<(), NotTaken> {
        let fetched = async {
            let peer = Some(offered.peer);
            let mut dialled = dial_soon(offered.address, &self.endpoint(), peer, patience).await?;
            let file = fetch(&mut dialled, offered.mark, CatalogPart::File, patience).await?;
            let signature = fetch(&mut dialled, offered.mark, CatalogPart::Signature, patience).await?;
            Ok((file, signature))
        };
        let (file, signature) = fetched.await.map_err(|error| match error {
            WireError::Malformed(_) | WireError::Unexpected { .. } => {
                let peer = offered.name.to_string();
                NotTaken::Wrong(PeerError::Peer { peer, source: error })
            }
            error => NotTaken::Wire(error),
        })?;
        let (live, from) = (Arc::clone(live), offered.name.clone());
        let take = move || Ok(live.take_from_peer(file, signature, &from)?);
        let taken = self.blocking("catalog", take).await;
        taken.map(|_| ()).map_err(NotTaken::Wrong)
    }

    /// Before an operation of a peer that does not serve: asks the peers for a newer catalog, if it wants catalogs from
    /// peers. A serving peer has heard of them already.
    ///
    /// # Errors
    /// [`PeerError::Cancelled`]; [`crate::trust::error::TrustError::NoCatalog`] if there is none before and after.
    pub(super) async fn newer_catalog(&self, operation: &OperationContext) -> Result<(), PeerError> {
        let Some(live) = self.inner.catalog.as_ref().filter(|_| self.inner.catalog_from_peers) else {
            return Ok(());
        };
        if self.inner.neighbours.get().is_none() && self.asks_for_catalogs_now() {
            let asking = Box::pin(self.ask_for_catalogs(live, operation));
            operation.cancel.run_until_cancelled(asking).await.ok_or(PeerError::Cancelled)??;
        }
        live.current().map(drop).map_err(PeerError::from)
    }

    /// Whether it is time to ask: several operations that follow each other ask once.
    fn asks_for_catalogs_now(&self) -> bool {
        let mut asked = self.inner.catalogs_asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_recent = asked.is_some_and(|asked: Instant| asked.elapsed() < limits::CATALOG_ASK_INTERVAL);
        if !is_recent {
            *asked = Some(Instant::now());
        }
        !is_recent
    }

    async fn ask_for_catalogs(
        &self,
        live: &Arc<LiveCatalog>,
        operation: &OperationContext,
    ) -> Result<(), PeerError> {
        let options = &operation.options;
        let at_hand = self.peers_at_hand(&options.peers)?;
        let search = Search::for_game(options.discovery, self.inner.discovery_port);
        let ours = Arc::clone(live);
        let question = move |dialled: Dialled| {
            let ours = Arc::clone(&ours);
            async move {
                let peer = dialled.connection.peer;
                let Hello { name, catalog, .. } = dialled.connection.theirs;
                let newer = catalog.filter(|mark| is_newer(&ours, mark));
                Ok(newer.map(|mark| OfferedCatalog { mark, peer, name, address: dialled.address }))
            }
        };
        let judge = OfCatalogs { has_one: live.mark().is_some() };
        let (found, _) = find(&at_hand, &self.endpoint(), search, question, judge).await;
        let mut offered: Vec<_> = found.into_iter().filter_map(|found| found.answer.ok().flatten()).collect();
        // The highest version first; the others, if that does not count.
        offered.sort_by_key(|offered| std::cmp::Reverse(offered.mark.version));
        let mut wrong = WrongAnswers::default();
        let offered = offered.into_iter().take(limits::MANIFEST_SOURCES_MAX);
        let mut order = AskingOrder::new(offered, limits::HANDED_ON_DEADLINE);
        while let Some((offered, patience)) = order.next() {
            if self.take_offered(live, &offered, &mut wrong, patience).await {
                order.was_silent(offered, patience);
            }
        }
        Ok(())
    }
}

async fn fetch(
    dialled: &mut Dialled,
    mark: CatalogMark,
    part: CatalogPart,
    patience: Duration,
) -> Result<Vec<u8>, WireError> {
    let bytes_max = match part {
        CatalogPart::File => limits::CATALOG_BYTES_MAX,
        CatalogPart::Signature => limits::SIGNATURE_BYTES_MAX,
    };
    let CatalogMark { signer, version } = mark;
    let mut all = Vec::new();
    let request = |from| Request::Catalog { signer, version, part, from };
    let mut arriving = Arriving::new(&mut dialled.connection, Expected::AtMost(bytes_max), request, patience);
    while let Some(bytes) = arriving.next().await? {
        all.extend(bytes);
    }
    Ok(all)
}

/// Judges what peers say of their catalogs.
struct OfCatalogs {
    /// Whether a catalog is in force already, so that nothing is waited for.
    has_one: bool,
}

impl Judge<Option<OfferedCatalog>> for OfCatalogs {
    fn offers(&self, answer: &Option<OfferedCatalog>) -> bool {
        answer.is_some()
    }

    fn is_settled(&self, answers: &[&Option<OfferedCatalog>], missing: usize) -> bool {
        let has_answer =
            if self.has_one { !answers.is_empty() } else { answers.iter().any(|answer| answer.is_some()) };
        has_answer && missing == 0
    }
}
