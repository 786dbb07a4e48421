//! `repair`: compares a game as `verify` does, fetches what differs, and nothing else.
//!
//! Downloaded files come first, because the installed tree can be repaired from them. Of a tree without archives, only the
//! parts of the archives are fetched that its wrong files were packed into; if they cannot be told apart, the game is
//! streamed, and only what is wanted of it is written.

use std::sync::Arc;
use std::time::Instant;

use lanspread_archive::provider::ProviderChoice;
use lanspread_archive::provider_with_dictionary;
use lanspread_archive::set::ArchiveSet;
use lanspread_store::download::partials;
use lanspread_store::error::StoreError;
use lanspread_store::repair::{
    Findings, RootRepair, TreeRepair, UnpackRepair, examine, parts_of_tree, put_headers, refuse_obstacles,
    unpack,
};
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_store::verify::comparison::{Difference, Recording, VerifyObserver};
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::{RootFile, Totals};
use lanspread_types::ids::{GameId, GameVersion};
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::download_sources::DownloadSources;
use crate::peer::error::PeerError;
use crate::peer::outcome::{milliseconds, reported};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;
use crate::report::repair::{RepairBegin, RepairFailed, RepairFinished};
use crate::report::source_share::SourceShare;
use crate::report::wanted::WantedVersion;

/// What a repair did.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) bytes_fetched: u64,
    pub(super) sources: Vec<SourceShare>,
    trust: Option<lanspread_types::content::InstallTrust>,
}

impl Repaired {
    /// Counts what sources of root files sent.
    pub(super) fn fetched(&mut self, shares: Vec<SourceShare>) {
        self.bytes_fetched += shares.iter().map(|share| share.bytes).sum::<u64>();
        self.sources = SourceShare::sum(std::mem::take(&mut self.sources), shares);
    }

    fn placed(&mut self, totals: Totals) {
        self.files += totals.entries();
        self.bytes += totals.bytes;
    }
}

impl Peer {
    /// Makes a game again what was installed and downloaded. What differs is fetched and replaced, also files of the game
    /// that the user changed; files that the user added stay, and what is right is neither fetched nor written.
    ///
    /// # Errors
    /// As [`Self::verify_game`], except that differences are repaired; [`PeerError::VersionNotOffered`] if no source offers
    /// the version that is here; and the errors of a download.
    pub async fn repair_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.repair(&context).await }).await
    }

    /// Runs the repair as part of an operation.
    pub(super) async fn repair(&self, context: &OperationContext) -> Result<(), PeerError> {
        let begun = Instant::now();
        let game = &context.game;
        // Boxed, because most of the time it waits.
        let repaired = self.contain(context, Box::pin(self.repair_differences(context))).await;
        reported(
            &context.events,
            repaired,
            |repaired| {
                PeerEvent::RepairFinished(RepairFinished {
                    game: game.clone(),
                    changed: repaired.files > 0,
                    files: repaired.files,
                    bytes: repaired.bytes,
                    bytes_fetched: repaired.bytes_fetched,
                    sources: repaired.sources.clone(),
                    trust: repaired.trust,
                    duration_ms: milliseconds(begun.elapsed()),
                })
            },
            |code, message| PeerEvent::RepairFailed(RepairFailed { game: game.clone(), code, message }),
        )
        .map(|_| ())
    }

    async fn repair_differences(&self, context: &OperationContext) -> Result<Repaired, PeerError> {
        let manifest = self.trusted_manifest(&context.game).await?;
        let locked = self.lock_and_recover(context).await?;
        let mut findings = self.examine(context, &locked, manifest.as_ref()).await?;
        let mut repaired = Repaired { trust: findings.trust, ..Repaired::default() };
        if findings.tree.is_none() && findings.root.is_none() {
            return Ok(repaired);
        }
        if manifest.is_none() {
            // It may be here now, and says more than the records do.
            let manifest = self.obtain_manifest(context, &self.servers(context)).await?;
            if manifest.is_some() {
                findings = self.examine(context, &locked, manifest.as_ref()).await?;
            }
        }
        let Findings { tree, root, .. } = findings;
        let version = tree.as_deref().map(TreeRepair::version).or(root.as_ref().map(RootRepair::version));
        let Some(version) = version.cloned() else { return Ok(repaired) };
        if let Some(tree) = &tree {
            let tree = Arc::clone(tree);
            let looking = locked.run("look", move |games, game, _| {
                refuse_obstacles(games, game, &tree)?;
                Ok::<_, PeerError>(())
            });
            looking.await?;
        }
        context.events.report(PeerEvent::RepairBegin(RepairBegin {
            game: context.game.clone(),
            version,
            entries: tree.as_deref().map_or(0, TreeRepair::entries),
            bytes: tree.as_deref().map_or(0, |tree| tree.staged().bytes),
            root_files: root.as_ref().map_or(0, RootRepair::wrong_files),
            root_bytes: root.as_ref().map_or(0, |root| root.parts().bytes()),
        }));
        if let Some(root) = root {
            repaired.files += root.wrong_files();
            self.repair_root(context, &locked, root, &mut repaired).await?;
        }
        if let Some(tree) = tree {
            self.repair_tree(context, &locked, &tree, &mut repaired).await?;
            repaired.files += tree.removed();
            repaired.trust = Some(tree.trust());
        }
        Ok(repaired)
    }

    /// Compares the game and reports every difference.
    pub(super) async fn examine(
        &self,
        context: &OperationContext,
        locked: &LockedGame,
        manifest: Option<&Arc<ManifestFile>>,
    ) -> Result<Findings, PeerError> {
        let manifest = manifest.cloned();
        let mut told = Differences { game: context.game.clone(), events: context.events.clone() };
        let examining = locked.run("examine", move |games, game, cancel| {
            Ok::<_, PeerError>(examine(games, game, manifest.as_ref(), Recording::On, &mut told, cancel)?)
        });
        examining.await
    }

    /// The sources of a game in exactly the version that is here.
    pub(super) async fn repair_sources(
        &self,
        context: &OperationContext,
        version: &GameVersion,
    ) -> Result<DownloadSources, PeerError> {
        let servers = self.servers(context);
        let manifest = self.obtain_manifest(context, &servers).await?;
        let manifest = manifest.filter(|manifest| manifest.manifest().version == *version);
        let (context, listed) = (of_version(context, version), manifest.map(ListedChunks::new));
        let sources = self.download_sources_with_list(&context, servers, listed).await;
        let sources = sources.map_err(|error| error.about_version(&context.game, version))?;
        same_version(&context.game, version, &sources.version)?;
        Ok(sources)
    }

    /// Repairs the installed tree, from archives on this machine if they are those that it was installed from.
    async fn repair_tree(
        &self,
        context: &OperationContext,
        locked: &LockedGame,
        tree: &Arc<TreeRepair>,
        repaired: &mut Repaired,
    ) -> Result<(), PeerError> {
        if let Some(archives) = self.archives_of(context, tree).await? {
            let provider = Arc::clone(&self.inner.source.provider);
            repaired.placed(self.unpack_repair(context, locked, tree, archives, provider).await?);
            return Ok(());
        }
        if let Some(totals) = self.repair_from_parts(context, locked, tree, repaired).await? {
            repaired.placed(totals);
            return Ok(());
        }
        let (totals, came_bytes) = self.stream_repair(context, locked, tree).await?;
        repaired.placed(totals);
        repaired.bytes_fetched += came_bytes;
        Ok(())
    }

    /// The archives on this machine from which a tree can be repaired; empty if it needs none.
    pub(super) async fn archives_of(
        &self,
        context: &OperationContext,
        tree: &TreeRepair,
    ) -> Result<Option<Vec<ArchiveSet>>, PeerError> {
        if !tree.needs_source() {
            return Ok(Some(Vec::new()));
        }
        let state = self.game_state(&context.game).await?;
        let state = state.filter(|state: &GameState| state.version.as_ref() == Some(tree.version()));
        // One whose volumes are not all here is fetched as if nothing were here.
        Ok(state.and_then(|state| state.archives().ok()).filter(|archives| !archives.is_empty()))
    }

    async fn unpack_repair(
        &self,
        context: &OperationContext,
        locked: &LockedGame,
        tree: &Arc<TreeRepair>,
        archives: Vec<ArchiveSet>,
        provider: Arc<dyn lanspread_archive::provider::ArchiveProvider>,
    ) -> Result<Totals, PeerError> {
        // Peers may be reading the installed files.
        let quiesce =
            self.inner.source.readers.quiesce(&context.game, lanspread_types::limits::QUIESCE_DEADLINE);
        let Some(quiet) = context.cancel.run_until_cancelled(quiesce).await else {
            return Err(PeerError::Cancelled);
        };
        let (repair, events) = (Arc::clone(tree), context.events.clone());
        let unpacking = locked.run("repair", move |games, game, cancel| {
            let (games, game, cancel) = (Arc::clone(games), game.clone(), cancel.clone());
            let told = game.clone();
            let progress = move |bytes, bytes_total| {
                events.report(PeerEvent::InstallProgress { game: told.clone(), bytes, bytes_total });
            };
            let unpacked =
                unpack(&UnpackRepair { games, game, repair, archives, provider, cancel }, progress);
            drop(quiet);
            Ok::<_, PeerError>(unpacked?)
        });
        unpacking.await
    }

    /// Fetches the parts of the archives that have what is wrong, and unpacks them. `None` if no peer has archives, or if
    /// the parts cannot be told apart.
    async fn repair_from_parts(
        &self,
        context: &OperationContext,
        locked: &LockedGame,
        tree: &Arc<TreeRepair>,
        repaired: &mut Repaired,
    ) -> Result<Option<Totals>, PeerError> {
        let sources = match self.repair_sources(context, tree.version()).await {
            Ok(sources) => sources,
            // Peers that have installed files only are asked for these.
            Err(PeerError::AllSourcesFailed { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(listed) = sources.listed.clone() else { return Ok(None) };
        let (wanted, list, dictionary) = (Arc::clone(tree), listed.clone(), self.inner.dictionary_bytes_max);
        let looking = locked.run("parts", move |_, game, cancel| {
            Ok::<_, PeerError>(parts_of_tree(game, &wanted, &list, dictionary, cancel)?)
        });
        let Some(parts) = looking.await? else { return Ok(None) };
        let parts = Arc::new(parts);
        let fetched = self.fetch_parts(context, locked, Arc::clone(&parts), sources).await;
        let unpacked = match fetched {
            Ok(fetched) => {
                repaired.fetched(fetched.shares);
                let (list, target) = (Arc::clone(listed.list()), fetched.target);
                let putting = locked.run("headers", move |_, _, _| {
                    Ok::<_, PeerError>(put_headers(&list, &target.partials, &parts)?)
                });
                let archives = putting.await?;
                let provider = provider_with_dictionary(&ProviderChoice::Native, dictionary);
                self.unpack_repair(context, locked, tree, archives, provider).await
            }
            Err(error) => Err(error),
        };
        // Nothing of them is of use to anything else.
        let discarding = locked.run("discard", |games, game, _| {
            partials::discard(games, game)?;
            Ok::<_, PeerError>(())
        });
        let discarded = discarding.await;
        let totals = unpacked?;
        discarded?;
        Ok(Some(totals))
    }
}

/// The operation, for which no other version than the one that is here will do.
pub(super) fn of_version(context: &OperationContext, version: &GameVersion) -> OperationContext {
    let version = WantedVersion::Exactly { version: version.clone() };
    OperationContext { options: OperationOptions { version, ..context.options.clone() }, ..context.clone() }
}

/// Refuses sources that have other root files than those that are here.
pub(super) fn same_files(game: &GameId, root: &RootRepair, offered: &[RootFile]) -> Result<(), PeerError> {
    let (here, mut offered) = (root.files(), offered.to_vec());
    offered.sort();
    let file = if here.len() == offered.len() {
        here.iter().zip(&offered).find(|(here, offered)| here != offered).map(|(here, _)| here.name.clone())
    } else {
        Some(format!("{} root files", here.len()))
    };
    match file {
        None => Ok(()),
        Some(file) => Err(StoreError::OtherBytes { game: game.clone(), file }.into()),
    }
}

/// Refuses sources of another version than the one that is here.
pub(super) fn same_version(
    game: &GameId,
    here: &GameVersion,
    offered: &GameVersion,
) -> Result<(), PeerError> {
    if here == offered {
        return Ok(());
    }
    let (game, version) = (game.clone(), here.clone());
    Err(PeerError::VersionNotOffered { game, version, why: format!("its sources have version {offered}") })
}

/// Reports a comparison as events.
struct Differences {
    game: GameId,
    events: EventSender,
}

impl VerifyObserver for Differences {
    fn progress(&mut self, bytes: u64, bytes_total: u64) {
        self.events.report(PeerEvent::VerifyProgress { game: self.game.clone(), bytes, bytes_total });
    }

    fn difference(&mut self, Difference { part, path, problem }: Difference) {
        let (game, problem) = (self.game.clone(), problem.code().into());
        self.events.report(PeerEvent::VerifyDifference { game, part: part.into(), path, problem });
    }
}
