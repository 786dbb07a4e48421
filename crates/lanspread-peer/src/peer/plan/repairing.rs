//! Plans of a repair and of a comparison.

use std::sync::Arc;

use lanspread_store::install::replace::UserFiles;
use lanspread_store::repair::{Findings, RootRepair, TreeRepair, examine, parts_of_tree, refuse_obstacles};
use lanspread_store::state::game_state::GameState;
use lanspread_store::verify::comparison::{Difference, Problem, Recording, VerifyObserver};
use lanspread_store::verify::{INSTALLED, parts};
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::Totals;
use lanspread_types::limits;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::download_sources::DownloadSources;
use crate::peer::error::PeerError;
use crate::peer::plan::course::{Course, CourseStep};
use crate::peer::repair::{of_version, same_files};
use crate::report::planned::PlannedStep;

/// Files of the tree that are here and differ. A repair replaces them; nothing says who changed them.
#[derive(Debug, Default)]
struct Replaced(UserFiles);

impl VerifyObserver for Replaced {
    fn progress(&mut self, _: u64, _: u64) {}

    fn difference(&mut self, Difference { part, path, problem }: Difference) {
        if part != INSTALLED || matches!(problem, Problem::Missing | Problem::Added | Problem::Executable) {
            return;
        }
        self.0.count += 1;
        if self.0.first.len() < limits::USER_FILES_SHOWN {
            self.0.first.push(path);
        }
    }
}

impl Peer {
    /// Compares a game without recording what is found.
    pub(in crate::peer) async fn examine_only(
        &self,
        context: &OperationContext,
        manifest: Option<&Arc<ManifestFile>>,
    ) -> Result<(Findings, UserFiles), PeerError> {
        let (manifest, cancel) = (manifest.cloned(), context.cancel.clone());
        let examining = self.look_at("examine", &context.game, move |games, game| {
            let mut replaced = Replaced::default();
            let manifest = manifest.as_ref();
            let found = examine(games, game, manifest, Recording::Off, &mut replaced, &cancel)?;
            Ok((found, replaced.0))
        });
        examining.await
    }

    pub(super) async fn plan_verify(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let manifest = self.trusted_manifest(&context.game).await?;
        // What it refuses: nothing is here, or nothing is recorded about it.
        let looking = self.look_at("look", &context.game, move |games, game| {
            Ok(parts(games, game, manifest.as_ref()).map(drop)?)
        });
        looking.await?;
        let state = self.game_state(&context.game).await?;
        course.version = state.as_ref().and_then(GameState::version_here).cloned();
        course.steps.push(CourseStep::local(PlannedStep::Compare, 0));
        Ok(())
    }

    /// As the repair: the downloaded files first, then the tree.
    pub(super) async fn plan_repair(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let manifest = self.trusted_manifest(&context.game).await?;
        let (mut found, mut replaced) = self.examine_only(context, manifest.as_ref()).await?;
        if manifest.is_none() && (found.tree.is_some() || found.root.is_some()) {
            let manifest = self.obtain_manifest(context, &self.servers(context)).await?;
            if manifest.is_some() {
                (found, replaced) = self.examine_only(context, manifest.as_ref()).await?;
            }
        }
        let Findings { tree, root, .. } = found;
        let state = self.game_state(&context.game).await?;
        course.version = state.as_ref().and_then(GameState::version_here).cloned();
        if let Some(root) = root {
            self.plan_root_repair(context, root, course).await?;
        }
        if let Some(tree) = tree {
            course.lost = replaced;
            self.plan_tree_repair(context, tree, course).await?;
        }
        Ok(())
    }

    async fn plan_root_repair(
        &self,
        context: &OperationContext,
        mut root: RootRepair,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let sources = self.repair_sources(context, root.version()).await?;
        if let Some(listed) = sources.listed.clone() {
            let cancel = context.cancel.clone();
            let refining = self.blocking("refine", move || {
                root.refine(&listed, &cancel)?;
                Ok(root)
            });
            root = refining.await?;
        }
        same_files(&context.game, &root, &sources.files)?;
        let bytes = root.parts().bytes();
        course.fetches_from(&sources.sources);
        course.version = Some(root.version().clone());
        course.steps.push(CourseStep {
            step: PlannedStep::Repair,
            fetched_bytes: Some(bytes),
            written: Some(Totals { files: root.wrong_files(), directories: 1, bytes }),
            removed_bytes: 0,
        });
        Ok(())
    }

    async fn plan_tree_repair(
        &self,
        context: &OperationContext,
        tree: Arc<TreeRepair>,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let wanted = Arc::clone(&tree);
        let looking = self
            .look_at("look", &context.game, move |games, game| Ok(refuse_obstacles(games, game, &wanted)?));
        looking.await?;
        let fetched_bytes = match self.archives_of(context, &tree).await? {
            Some(_) => Some(0),
            None => self.fetched_for_tree(context, &tree, course).await?,
        };
        course.version = Some(tree.version().clone());
        course.steps.push(CourseStep {
            step: PlannedStep::Repair,
            fetched_bytes,
            written: Some(tree.staged()),
            removed_bytes: 0,
        });
        Ok(())
    }

    /// Bytes of the parts of archives that have what is wrong. If they cannot be told apart, the whole game is streamed.
    async fn fetched_for_tree(
        &self,
        context: &OperationContext,
        tree: &Arc<TreeRepair>,
        course: &mut Course,
    ) -> Result<Option<u64>, PeerError> {
        let sources = match self.repair_sources(context, tree.version()).await {
            Ok(sources) => Some(sources),
            // Peers that have installed files only are asked for these.
            Err(PeerError::AllSourcesFailed { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some(DownloadSources { sources, listed: Some(listed), .. }) = sources {
            let (game, wanted) = (context.game.clone(), Arc::clone(tree));
            let (dictionary, cancel) = (self.inner.dictionary_bytes_max, context.cancel.clone());
            let looking = self
                .blocking("parts", move || Ok(parts_of_tree(&game, &wanted, &listed, dictionary, &cancel)?));
            if let Some(parts) = looking.await? {
                course.fetches_from(&sources);
                return Ok(Some(parts.bytes()));
            }
        }
        let mut streamed = Course::default();
        self.plan_stream(&of_version(context, tree.version()), &mut streamed).await?;
        course.sources.append(&mut streamed.sources);
        course.upstreams.append(&mut streamed.upstreams);
        Ok(streamed.fetched_bytes())
    }
}
