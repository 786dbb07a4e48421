//! `--dry-run`: what an operation would do, without doing it. Each road has its plan, which refuses what the road refuses.
//!
//! A plan takes no lock and changes no game. It asks the same peers as the operation, and what it learns of catalogs and
//! manifests stays, as after every question.

mod course;
mod fetching;
mod removing;
mod repairing;

use lanspread_store::install::replace::{Replace, tree_here};
use lanspread_store::state::booking::estimate;
use lanspread_types::content::Totals;
use tokio_util::sync::CancellationToken;

use self::course::{Course, peak};
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::ensure_plan::TreeFrom;
use crate::peer::error::PeerError;
use crate::peer::update::UpdatePlan;
use crate::report::operation::{OperationKind, OperationRequest};
use crate::report::planned::OperationPlan;

impl Peer {
    /// Returns what an operation would do, and changes nothing.
    ///
    /// The plan of a repair reads everything that is here, as the repair would; that of an *ensure* does if files are missing,
    /// or if it is asked to verify.
    ///
    /// # Errors
    /// As for the operation itself, except that too little space is not an error but shows in the plan
    /// ([`OperationPlan::missing_space`]).
    pub async fn plan(
        &self,
        request: &OperationRequest,
        cancel: &CancellationToken,
    ) -> Result<OperationPlan, PeerError> {
        let context = OperationContext {
            game: request.game.clone(),
            options: request.options.clone(),
            events: self.inner.events.of_operation(None),
            cancel: cancel.clone(),
        };
        // Boxed, because it is as large as the roads.
        let planning = Box::pin(self.course(request.kind, &context));
        let course = cancel.run_until_cancelled(planning).await.ok_or(PeerError::Cancelled)??;
        let request = request.clone();
        self.look_at("plan", &context.game, move |games, game| {
            let free = estimate(games, game, Totals::default())?;
            let mut steps = Vec::new();
            for step in &course.steps {
                if let Some(written) = step.written {
                    steps.push(step.disk_use(written, estimate(games, game, written)?));
                }
            }
            let peak = (steps.len() == course.steps.len()).then(|| peak(&steps));
            Ok(course.plan(&request, peak, &free))
        })
        .await
    }

    async fn course(&self, kind: OperationKind, context: &OperationContext) -> Result<Course, PeerError> {
        let mut course = Course::default();
        match kind {
            OperationKind::StreamInstall => {
                self.newer_catalog(context).await?;
                self.check_in_catalog(&context.game)?;
                self.permit_install(context, Replace::NEW).await?;
                self.plan_stream(context, &mut course).await?;
            }
            OperationKind::Download => self.plan_download(context, &mut course).await.map(drop)?,
            OperationKind::Install => self.plan_install(context, &mut course).await?,
            OperationKind::Update => self.plan_update(context, &mut course).await?,
            OperationKind::Uninstall => self.plan_uninstall(context, &mut course).await?,
            OperationKind::Remove => self.plan_remove(context, &mut course).await?,
            OperationKind::Absent => self.plan_absent(context, &mut course).await?,
            OperationKind::Verify => self.plan_verify(context, &mut course).await?,
            OperationKind::Repair => self.plan_repair(context, &mut course).await?,
            OperationKind::Ensure => self.plan_ensure(context, &mut course).await?,
        }
        Ok(course)
    }

    async fn plan_install(&self, context: &OperationContext, course: &mut Course) -> Result<(), PeerError> {
        self.newer_catalog(context).await?;
        self.check_in_catalog(&context.game)?;
        self.permit_install(context, Replace::NEW).await?;
        if self.has_wanted_archives(&context.game).await? {
            return self.plan_unpack(context, course).await;
        }
        let tree = self.plan_download(context, course).await?;
        course.unpacks(tree);
        Ok(())
    }

    async fn plan_update(&self, context: &OperationContext, course: &mut Course) -> Result<(), PeerError> {
        let (plan, wanted) = self.decide_update(context).await?;
        if plan.replaces_tree() {
            self.note_lost(context, course).await?;
        }
        match plan {
            UpdatePlan::Nothing => course.version = Some(wanted),
            UpdatePlan::Stream => self.plan_stream(context, course).await?,
            UpdatePlan::Download => self.plan_download(context, course).await.map(drop)?,
            UpdatePlan::Install => self.plan_unpack(context, course).await?,
            UpdatePlan::DownloadAndInstall => {
                let tree = self.plan_download(context, course).await?;
                course.unpacks(tree);
            }
        }
        Ok(())
    }

    async fn plan_ensure(&self, context: &OperationContext, course: &mut Course) -> Result<(), PeerError> {
        let found = self.look(context).await?;
        let (plan, wanted, context) = self.decide_ensure(context, &found).await?;
        let (context, is_replaced) = (&context, found.is_installed() && plan.tree != TreeFrom::Here);
        if is_replaced {
            self.permit_replace(context).await?;
            self.note_lost(context, course).await?;
        }
        if plan.repair {
            self.permit_mend(context).await?;
            self.plan_repair(context, course).await?;
        }
        let fetching = async {
            let tree = if plan.download { self.plan_download(context, course).await? } else { None };
            match plan.tree {
                TreeFrom::Here => Ok(()),
                TreeFrom::Peers => self.plan_stream(context, course).await,
                TreeFrom::Archives if plan.download => {
                    course.unpacks(tree);
                    Ok(())
                }
                TreeFrom::Archives => self.plan_unpack(context, course).await,
            }
        };
        fetching.await.map_err(|error| wanted.explain(error, &context.game))?;
        course.version = course.version.take().or_else(|| wanted.exact()).or_else(|| found.version());
        Ok(())
    }

    /// Notes which files of the user are lost when the tree is replaced or removed.
    async fn note_lost(&self, context: &OperationContext, course: &mut Course) -> Result<(), PeerError> {
        let looking = self.look_at("look", &context.game, |games, game| Ok(tree_here(games, game)?));
        if let Some(here) = looking.await? {
            course.lost = here.users;
        }
        Ok(())
    }
}
