//! Plans of what takes a game away.

use lanspread_store::error::StoreError;
use lanspread_store::install::replace::{refuse_user_files, tree_here};
use lanspread_store::remove;
use lanspread_types::layout::LOCAL_DIR;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::plan::course::{Course, CourseStep};
use crate::report::planned::PlannedStep;

impl Peer {
    pub(super) async fn plan_uninstall(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let force = context.options.force;
        let looking = self.look_at("look", &context.game, move |games, game| {
            if !force {
                refuse_user_files(games, game)?;
            }
            let here = tree_here(games, game)?;
            here.ok_or_else(|| {
                let path = games.root_path(game).join(LOCAL_DIR);
                PeerError::from(StoreError::NotInstalled { game: game.clone(), path })
            })
        });
        let here = looking.await?;
        course.version = self.game_state(&context.game).await?.and_then(|state| state.installed_version);
        course.lost = here.users;
        course.steps.push(CourseStep::local(PlannedStep::Uninstall, here.bytes));
        Ok(())
    }

    pub(super) async fn plan_remove(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let looking = self.look_at("look", &context.game, |games, game| Ok(remove::downloaded(games, game)?));
        let removed = looking.await?;
        let downloaded = self.game_state(&context.game).await?.and_then(|state| state.version);
        course.version = course.version.take().or(downloaded);
        course.steps.push(CourseStep::local(PlannedStep::Remove, removed.bytes));
        Ok(())
    }

    pub(super) async fn plan_absent(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        match self.plan_uninstall(context, course).await {
            Err(PeerError::Store(StoreError::NotInstalled { .. })) => {}
            planned => planned?,
        }
        match self.plan_remove(context, course).await {
            Err(PeerError::Store(StoreError::NotDownloaded { .. })) => Ok(()),
            planned => planned,
        }
    }
}
