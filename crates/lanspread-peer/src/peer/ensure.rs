//! `ensure`: looks what is here, decides what is missing, and takes the roads that fetch it. If nothing is missing, it
//! changes nothing, and as far as the version is known it asks no peer.

use lanspread_store::error::{Damage, StoreError};
use lanspread_store::install::replace::refuse_changed_files;
use lanspread_store::state::game_state::GameState;
use lanspread_store::verify::whole::{Whole, whole};
use lanspread_types::ids::{GameId, GameVersion};
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::ensure_plan::{Counts, EnsurePlan, Here, TreeFrom, decide, is_newer};
use crate::peer::error::PeerError;
use crate::report::ensured::{EnsureAction, Ensured};
use crate::report::event::PeerEvent;
use crate::report::failure::Code;
use crate::report::operation::OperationOptions;
use crate::report::wanted::WantedVersion;

/// Why a tree stays that is newer than what peers have.
const NEWER_HERE: &str = "newer-here";

/// What was found of a game on this machine.
pub(super) struct Found {
    state: Option<GameState>,
    whole: Whole,
}

/// The version that counts, and what there is to say about it.
pub(super) struct Wanted {
    /// None if whatever is here counts.
    version: Option<GameVersion>,
    note: Option<Code>,
}

impl Found {
    fn here(&self) -> Here<'_> {
        let Self { state, whole } = self;
        let state = state.as_ref();
        Here {
            downloaded: state.and_then(|state| state.version.as_ref()),
            download_whole: whole.download,
            installed: state.is_some_and(|state| state.installed),
            installed_version: state.and_then(|state| state.installed_version.as_ref()),
            tree_whole: whole.tree,
        }
    }

    pub(super) fn is_installed(&self) -> bool {
        self.here().installed
    }

    /// The version that is here.
    pub(super) fn version(&self) -> Option<GameVersion> {
        self.state.as_ref().and_then(GameState::version_here).cloned()
    }

    /// Whether there is anything of which it can be asked whether it is right.
    fn is_something(&self) -> bool {
        let here = self.here();
        here.installed || here.downloaded.is_some()
    }
}

impl Wanted {
    fn version(version: GameVersion) -> Self {
        Self { version: Some(version), note: None }
    }

    fn any(note: Option<&str>) -> Self {
        Self { version: None, note: note.map(|note| note.to_owned().into()) }
    }

    fn counts(&self) -> Counts<'_> {
        self.version.as_ref().map_or(Counts::Any, Counts::This)
    }

    /// The version; none if whatever is here counts.
    pub(super) fn exact(&self) -> Option<GameVersion> {
        self.version.clone()
    }

    /// The error, as it is about the version if one was asked for.
    pub(super) fn explain(&self, error: PeerError, game: &GameId) -> PeerError {
        match &self.version {
            Some(version) => error.about_version(game, version),
            None => error,
        }
    }
}

impl Peer {
    /// Brings a game to the wanted state: installs it, updates it, repairs it, or does nothing.
    ///
    /// If nothing is missing, no peer is asked, unless there is no catalog that says which version is the current one. Then
    /// a game that is here stays as it is if no peer says what it has, or if what they have is older.
    ///
    /// # Errors
    /// [`PeerError::VersionNotOffered`] if neither the catalog nor a source has the version that was asked for, and the
    /// errors of an install, an update, a download and a comparison.
    pub async fn ensure_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<Ensured, PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.ensure(&context).await }).await
    }

    /// Runs the road as part of an operation.
    pub(super) async fn ensure(&self, context: &OperationContext) -> Result<Ensured, PeerError> {
        let OperationContext { game, events, .. } = context;
        let found = self.find(context).await?;
        let (plan, wanted, context) = self.decide_ensure(context, &found).await?;
        tracing::info!("{game}: {plan:?}");
        self.follow_plan(&context, &found, &wanted, plan).await?;
        let state =
            if plan.action == EnsureAction::None { found.state } else { self.game_state(game).await? };
        let version = state.as_ref().and_then(GameState::version_here).cloned();
        let ensured = Ensured { note: wanted.note, ..Ensured::present(game, version, plan.action) };
        events.report(PeerEvent::Ensured(ensured.clone()));
        Ok(ensured)
    }

    /// What is done, for which version, and the operation for that version: what was decided for one version must not fetch
    /// another one, whatever peers say in the meantime.
    pub(super) async fn decide_ensure(
        &self,
        context: &OperationContext,
        found: &Found,
    ) -> Result<(EnsurePlan, Wanted, OperationContext), PeerError> {
        let wanted = self.wanted(context, found).await?;
        let plan = decide(found.here(), wanted.counts(), context.options.form);
        let version =
            wanted.exact().map_or(WantedVersion::Current, |version| WantedVersion::Exactly { version });
        let options = OperationOptions { version, ..context.options.clone() };
        Ok((plan, wanted, OperationContext { options, ..context.clone() }))
    }

    /// Compares what is here, as [`Self::find`] does, but takes no lock, repairs nothing and records nothing.
    pub(super) async fn look(&self, context: &OperationContext) -> Result<Found, PeerError> {
        let game = &context.game;
        let manifest = self.trusted_manifest(game).await?;
        let whole = if context.options.verify {
            match self.examine_only(context, manifest.as_ref()).await {
                Ok((found, _)) => Whole { tree: found.tree.is_none(), download: found.root.is_none() },
                Err(PeerError::Store(StoreError::NotInstalled { .. })) => {
                    Whole { tree: true, download: true }
                }
                Err(error) => return Err(error),
            }
        } else {
            let looking =
                self.look_at("look", game, move |games, game| Ok(whole(games, game, manifest.as_ref())?));
            looking.await?
        };
        Ok(Found { state: self.game_state(game).await?, whole })
    }

    /// Repairs what a crash left, and compares what is here with its records: names and sizes, or all bytes.
    async fn find(&self, context: &OperationContext) -> Result<Found, PeerError> {
        let game = &context.game;
        if context.options.verify {
            let whole = match self.verify(context).await {
                Ok(()) | Err(PeerError::Store(StoreError::NotInstalled { .. })) => {
                    Whole { tree: true, download: true }
                }
                Err(PeerError::Store(StoreError::Differences { damage, .. })) => whole_but(damage),
                Err(error) => return Err(error),
            };
            return Ok(Found { state: self.game_state(game).await?, whole });
        }
        let manifest = self.trusted_manifest(game).await?;
        let locked = self.lock_and_recover(context).await?;
        let looking = locked.run("look", move |games, game, _| {
            let whole = whole(games, game, manifest.as_ref())?;
            Ok::<_, PeerError>(Found { state: GameState::read(games.path(), game)?, whole })
        });
        looking.await
    }

    /// Which version is to be here. Peers are asked only if nothing else says it.
    async fn wanted(&self, context: &OperationContext, found: &Found) -> Result<Wanted, PeerError> {
        let OperationContext { game, options, .. } = context;
        let here = found.here();
        match &options.version {
            WantedVersion::Exactly { version } => {
                let plan = decide(here, Counts::This(version), options.form);
                if !plan.is_local() {
                    self.newer_catalog(context).await?;
                    self.check_catalog_has(game, version)?;
                }
                return Ok(Wanted::version(version.clone()));
            }
            WantedVersion::Any if found.is_something() => return Ok(Wanted::any(None)),
            WantedVersion::Any | WantedVersion::Current => {}
        }
        self.newer_catalog(context).await?;
        self.check_in_catalog(game)?;
        if let Some(version) = self.wanted_version(game) {
            return Ok(Wanted::version(version));
        }
        match self.version_of_peers(context).await {
            Ok(version) => {
                let ours = found.version();
                Ok(match ours.filter(|ours| is_newer(ours, &version)) {
                    Some(_) => Wanted::any(Some(NEWER_HERE)),
                    None => Wanted::version(version),
                })
            }
            // Nothing says that what is here is wrong.
            Err(error)
                if says_no_version(&error)
                    && found.is_something()
                    && decide(here, Counts::Any, options.form).is_local() =>
            {
                tracing::info!("{game}: its version is not compared: {error}");
                Ok(Wanted::any(Some(not_compared(&error))))
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses a version that the catalog does not name.
    fn check_catalog_has(&self, game: &GameId, version: &GameVersion) -> Result<(), PeerError> {
        self.check_in_catalog(game)?;
        match self.wanted_version(game) {
            Some(named) if named != *version => Err(PeerError::VersionNotOffered {
                game: game.clone(),
                version: version.clone(),
                why: format!("the catalog names version {named}"),
            }),
            _ => Ok(()),
        }
    }

    async fn follow_plan(
        &self,
        context: &OperationContext,
        found: &Found,
        wanted: &Wanted,
        plan: EnsurePlan,
    ) -> Result<(), PeerError> {
        let OperationContext { game, cancel, .. } = context;
        let here = found.here();
        if here.installed && plan.tree != TreeFrom::Here {
            // Checked before anything is fetched, because a refusal would make it useless.
            self.permit_replace(context).await?;
        }
        if plan.repair {
            self.permit_mend(context).await?;
            self.repair(context).await?;
        }
        let fetching = async {
            let relay = if plan.download { self.download(context).await? } else { None };
            let installed = match plan.tree {
                TreeFrom::Here => Ok(()),
                TreeFrom::Peers => self.stream_install(context, here.installed).await.map(drop),
                TreeFrom::Archives => self.install_from_archives(context, here.installed).await,
            };
            self.linger(relay, cancel).await;
            installed
        };
        fetching.await.map_err(|error| wanted.explain(error, game))
    }

    /// Refuses to repair what is damaged if that would take the place of a file of the game that the user changed. `repair` names
    /// such files and brings them back, because that is asked for, but an `ensure` may run while no person looks. Files that
    /// the user added stay in both cases.
    pub(super) async fn permit_mend(&self, context: &OperationContext) -> Result<(), PeerError> {
        if context.options.force {
            return Ok(());
        }
        let manifest = self.trusted_manifest(&context.game).await?;
        let looking = self.look_at("look", &context.game, move |games, game| {
            Ok(refuse_changed_files(games, game, manifest.as_deref())?)
        });
        looking.await
    }
}

/// What a comparison of all bytes found.
fn whole_but(damage: Damage) -> Whole {
    let (tree, download) = match damage {
        Damage::Streamed | Damage::InstalledFromArchives => (false, true),
        Damage::Downloaded | Damage::DownloadIncomplete => (true, false),
        Damage::DownloadedAndInstalled => (false, false),
    };
    Whole { tree, download }
}

/// Whether this is only about what peers say, and about nothing on this machine.
fn says_no_version(error: &PeerError) -> bool {
    matches!(
        error,
        PeerError::NoPeers { .. }
            | PeerError::NotOffered { .. }
            | PeerError::NoManifest { .. }
            | PeerError::Ambiguous { .. }
    )
}

/// Why the version was not compared: the code of the failure. Peers that were asked and did not answer offer nothing, but
/// to a person no peer was there.
fn not_compared(error: &PeerError) -> &'static str {
    match error {
        PeerError::NotOffered { .. } if error.cause().is_some() => "no-peers",
        error => error.code(),
    }
}
