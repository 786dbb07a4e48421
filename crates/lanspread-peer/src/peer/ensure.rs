//! `ensure`: looks what is here, decides what is missing, and takes the roads that fetch it. If nothing is missing, it
//! changes nothing, and as far as the version is known it asks no peer.

use lanspread_store::error::{Damage, StoreError};
use lanspread_store::install::replace::Replace;
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
struct Found {
    state: Option<GameState>,
    whole: Whole,
}

/// The version that counts, and what there is to say about it.
struct Wanted {
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
        let OperationContext { game, options, events, .. } = context;
        let found = self.find(context).await?;
        let wanted = self.wanted(context, &found).await?;
        let plan = decide(found.here(), wanted.counts(), options.form);
        tracing::info!("{game}: {plan:?}");
        self.follow_plan(context, &found, &wanted, plan).await?;
        let state =
            if plan.action == EnsureAction::None { found.state } else { self.game_state(game).await? };
        let version = state.and_then(|state| state.installed_version.or(state.version));
        let ensured = Ensured { note: wanted.note, ..Ensured::present(game, version, plan.action) };
        events.report(PeerEvent::Ensured(ensured.clone()));
        Ok(ensured)
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
                let ours = here.installed_version.or(here.downloaded);
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
        let OperationContext { game, options, cancel, .. } = context;
        let here = found.here();
        // What was decided for one version must not fetch another one, whatever peers say in the meantime.
        let options = OperationOptions {
            version: wanted
                .version
                .clone()
                .map_or(WantedVersion::Current, |version| WantedVersion::Exactly { version }),
            ..options.clone()
        };
        let context = &OperationContext { options, ..context.clone() };
        if here.installed && plan.tree != TreeFrom::Here {
            // Checked before anything is fetched, because a refusal would make it useless.
            let over_verified =
                context.options.accept_unverified || self.trusted_manifest(game).await?.is_some();
            let replace = Replace { allowed: true, force: context.options.force, over_verified };
            self.permit_install(context, replace).await?;
        }
        if plan.repair {
            self.mend(context).await?;
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
        fetching.await.map_err(|error| of_version(error, game, wanted.version.as_ref()))
    }

    /// Repairs what is damaged, unless the user would lose files: a repair brings back files of the game that the user has
    /// changed.
    async fn mend(&self, context: &OperationContext) -> Result<(), PeerError> {
        let replace = Replace { allowed: true, force: context.options.force, over_verified: true };
        self.permit_install(context, replace).await?;
        self.repair(context).await
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

/// If the version was asked for, peers that have another one do not have the game.
fn of_version(error: PeerError, game: &GameId, version: Option<&GameVersion>) -> PeerError {
    match (version, &error) {
        (Some(version), PeerError::NotOffered { .. }) => PeerError::VersionNotOffered {
            game: game.clone(),
            version: version.clone(),
            why: error.to_string(),
        },
        _ => error,
    }
}
