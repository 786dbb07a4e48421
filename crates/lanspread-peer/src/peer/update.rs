//! `update`: decides from the state on this machine and the wanted version what to do, and does it.

use lanspread_store::error::StoreError;
use lanspread_store::repair::plain_differences;
use lanspread_store::state::game_state::GameState;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::layout::LOCAL_DIR;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;

/// What an update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpdatePlan {
    /// Everything on this machine has the wanted version, as far as it is recorded.
    Nothing,
    /// Stream the installed tree again, because there are no archives on this machine.
    Stream,
    /// Download the archives again; nothing is installed.
    Download,
    /// Install from the archives, whose version the installed tree does not have.
    Install,
    /// Download the archives, then install from them.
    DownloadAndInstall,
}

impl UpdatePlan {
    /// Whether the installed tree is replaced.
    pub(super) fn replaces_tree(self) -> bool {
        matches!(self, Self::Stream | Self::Install | Self::DownloadAndInstall)
    }
}

/// The state of a game on this machine.
#[derive(Debug, Clone, Copy)]
struct Here<'a> {
    /// Version of the sentinel.
    downloaded: Option<&'a GameVersion>,
    installed: bool,
    /// Version of the receipt; nothing for a tree that lanspread did not install.
    installed_version: Option<&'a GameVersion>,
}

/// What an update does; nothing if the game is neither downloaded nor installed. Pure.
fn decide(here: Here<'_>, wanted: &GameVersion) -> Option<UpdatePlan> {
    let is_wanted = |version: Option<&GameVersion>| version == Some(wanted);
    match (here.downloaded, here.installed) {
        (None, false) => None,
        (None, true) if is_wanted(here.installed_version) => Some(UpdatePlan::Nothing),
        (None, true) => Some(UpdatePlan::Stream),
        (Some(_), false) if is_wanted(here.downloaded) => Some(UpdatePlan::Nothing),
        (Some(_), false) => Some(UpdatePlan::Download),
        (Some(_), true) if !is_wanted(here.downloaded) => Some(UpdatePlan::DownloadAndInstall),
        // If the archives are current, a tree without a receipt is left to the user who made it.
        (Some(_), true) if here.installed_version.is_none() || is_wanted(here.installed_version) => {
            Some(UpdatePlan::Nothing)
        }
        (Some(_), true) => Some(UpdatePlan::Install),
    }
}

/// Whether an update to this version would change anything.
pub(super) fn is_outdated(state: &GameState, wanted: &GameVersion) -> bool {
    let here = Here::of(state);
    decide(here, wanted).is_some_and(|plan| plan != UpdatePlan::Nothing)
}

impl<'a> Here<'a> {
    fn of(state: &'a GameState) -> Self {
        Self {
            downloaded: state.version.as_ref(),
            installed: state.installed,
            installed_version: state.installed_version.as_ref(),
        }
    }
}

impl Peer {
    /// Updates the game to the version that the catalog expects, or without a catalog to the one that most peers have.
    pub(super) async fn update(&self, context: &OperationContext) -> Result<(), PeerError> {
        let OperationContext { game, events, cancel, .. } = context;
        let (plan, wanted) = self.decide_update(context).await?;
        match plan {
            UpdatePlan::Nothing => {
                let differences = self.plain_differences(game).await?;
                events.report(PeerEvent::AlreadyCurrent { game: game.clone(), version: wanted, differences });
                Ok(())
            }
            UpdatePlan::Stream => self.stream_install(context, true).await.map(|_| ()),
            UpdatePlan::Download => self.download_alone(context).await,
            UpdatePlan::Install => self.install_from_archives(context, true).await,
            UpdatePlan::DownloadAndInstall => {
                let relay = self.download(context).await?;
                let installed = self.install_from_archives(context, true).await;
                self.linger(relay, cancel).await;
                installed
            }
        }
    }

    /// What an update does, and to which version. Refuses to replace what must stay.
    pub(super) async fn decide_update(
        &self,
        context: &OperationContext,
    ) -> Result<(UpdatePlan, GameVersion), PeerError> {
        let game = &context.game;
        self.newer_catalog(context).await?;
        self.check_in_catalog(game)?;
        let state = self.game_state(game).await?;
        let nothing_here = || StoreError::NotInstalled {
            game: game.clone(),
            path: self.inner.games_dir.join(game.as_str()).join(LOCAL_DIR),
        };
        let state = state.ok_or_else(nothing_here)?;
        let here = Here::of(&state);
        let wanted = match self.wanted_version(game) {
            Some(version) => version,
            None => self.version_of_peers(context).await?,
        };
        let plan = decide(here, &wanted).ok_or_else(nothing_here)?;
        if plan.replaces_tree() {
            // Checked before the download, because a refusal would make it useless.
            self.permit_replace(context).await?;
        }
        Ok((plan, wanted))
    }

    /// How many files of a game are obviously not as they were installed or downloaded.
    async fn plain_differences(&self, game: &GameId) -> Result<u64, PeerError> {
        self.look_at("look", game, |games, game| Ok(plain_differences(games, game)?)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row for every combination of states.
    #[test]
    fn only_what_is_outdated_is_fetched_or_installed_again() {
        let (old, new): (GameVersion, GameVersion) = ("1".parse().unwrap(), "2".parse().unwrap());
        let (old, new) = (Some(&old), Some(&new));
        let table = [
            (None, false, None, None),
            (None, true, new, Some(UpdatePlan::Nothing)),
            (None, true, old, Some(UpdatePlan::Stream)),
            (None, true, None, Some(UpdatePlan::Stream)),
            (new, false, None, Some(UpdatePlan::Nothing)),
            (old, false, None, Some(UpdatePlan::Download)),
            (new, true, new, Some(UpdatePlan::Nothing)),
            (new, true, None, Some(UpdatePlan::Nothing)),
            (new, true, old, Some(UpdatePlan::Install)),
            (old, true, old, Some(UpdatePlan::DownloadAndInstall)),
            (old, true, new, Some(UpdatePlan::DownloadAndInstall)),
            (old, true, None, Some(UpdatePlan::DownloadAndInstall)),
        ];
        for (downloaded, installed, installed_version, expected) in table {
            let here = Here { downloaded, installed, installed_version };
            assert_eq!(decide(here, &"2".parse().unwrap()), expected, "{here:?}");
        }
    }
}
