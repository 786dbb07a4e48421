//! `install --stream`: all steps from the request to the report, in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lanspread_proto::queued::QueuePosition;
use lanspread_store::install::replace::{Replace, permit};
use lanspread_store::state::booking;
use lanspread_store::state::booking::Estimate;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_trust::manifest::Deviation;
use lanspread_types::content::{InstallTrust, Totals};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::outcome::{milliseconds, reported};
use crate::receive::attempt::{AttemptContext, attempt};
use crate::receive::attempt_order::{AttemptOrder, NextAttempt};
use crate::receive::error::AttemptError;
use crate::receive::patience::Patience;
use crate::report::event::PeerEvent;
use crate::report::failure::{AttemptFailure, PeerAnswer};
use crate::report::offender::ProvedLie;
use crate::report::operation::OperationOptions;
use crate::transport::dial::dial;
use crate::trust::select::{PeerOffer, Selection};

/// The source of an installed game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePeer {
    /// Its name.
    pub name: PeerName,
    /// Its identity.
    pub id: PeerId,
    /// Its address.
    pub address: SocketAddr,
}

/// A finished install.
#[derive(Debug, Clone)]
pub struct StreamInstallReport {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// The peer that sent it.
    pub source: SourcePeer,
    /// The failed attempts before it, with their reasons.
    pub attempts: Vec<AttemptFailure>,
    /// What was installed.
    pub totals: Totals,
    /// Whether each byte was compared with a manifest.
    pub trust: InstallTrust,
    /// From the request to the first attempt: the search for peers and their answers.
    pub waited: Duration,
    /// From the first attempt to the end of the last step, when the install is durable.
    pub duration: Duration,
}

/// What the attempts of one install came to so far.
#[derive(Default)]
struct Attempts {
    begun: Option<Instant>,
    failures: Vec<AttemptFailure>,
    /// The sources that had no place, with their queues.
    queued: Vec<AttemptFailure>,
    count: usize,
}

/// How one attempt ended, if that does not end the install.
enum Attempted {
    Installed(Totals),
    Failed,
    /// It is left for another source, and may have another turn.
    Slow,
    /// It has no place, and this is its queue.
    NoPlace(QueuePosition),
    /// What it announced or sent does not fit on this machine.
    Unfit(LocalError),
}

/// What a streamed install would do.
#[derive(Debug, Clone)]
pub struct StreamInstallPlan {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// The validated peers, in the order in which they would be tried.
    pub sources: Vec<SourcePeer>,
    /// The other peers, and why they are not sources.
    pub dropped: Vec<PeerAnswer>,
    /// What the first source that answers would stream.
    pub totals: Totals,
    /// Bytes that the install needs, with room for names and a margin.
    pub needed_bytes: u64,
    /// Bytes that may still be written below the games directory.
    pub free_bytes: u64,
    /// Files and folders that the install needs, with a margin.
    pub needed_inodes: u64,
    /// Files and folders that may still be created there; `None` if the file system does not say.
    pub free_inodes: Option<u64>,
    /// The games directory.
    pub games_dir: PathBuf,
}

/// The event that names a source whose content is not what the manifest lists.
fn lied(game: &GameId, source: &PeerOffer, deviation: Deviation) -> PeerEvent {
    let Deviation { path, position, expected, got } = deviation;
    let (peer, id, game) = (source.name.clone(), source.id, game.clone());
    PeerEvent::PeerLied(ProvedLie { peer, id, game, path, position, expected, got })
}

impl StreamInstallPlan {
    /// The error with which the install would end, if it does not fit.
    pub(crate) fn missing_space(&self) -> Option<LocalError> {
        let path = self.games_dir.clone();
        let Self { needed_bytes, free_bytes, needed_inodes, free_inodes, .. } = *self;
        if free_bytes < needed_bytes {
            return Some(LocalError::NotEnoughSpace { path, needed_bytes, free_bytes, booked_bytes: 0 });
        }
        let free_inodes = free_inodes.filter(|free_inodes| *free_inodes < needed_inodes)?;
        Some(LocalError::NotEnoughInodes { path, needed_inodes, free_inodes, booked_inodes: 0 })
    }
}

impl From<&PeerOffer> for SourcePeer {
    fn from(offer: &PeerOffer) -> Self {
        Self { name: offer.name.clone(), id: offer.id, address: offer.address }
    }
}

impl Peer {
    /// Installs a game by streaming it from the first validated peer that delivers the whole game.
    ///
    /// On success, `local/` was promoted in one rename and is durable. On failure, the machine is as it was, except after
    /// [`LocalError::Unfinished`]: the game is then installed, and the next command on it completes the rest. You can end
    /// an install by cancelling `cancel`, and then wait for the end, or by dropping the future. A dropped install is
    /// cancelled and undone in the background, and reports its end as an event; the next operation on the game waits for
    /// that.
    ///
    /// # Errors
    /// Every variant of [`PeerError`] that is not about serving. Its category is the kind of failure.
    pub async fn stream_install_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<StreamInstallReport, PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move {
            peer.stream_install(&context, false).await
        })
        .await
    }

    /// Runs the streamed install as part of an operation. With `replace`, it may replace an installed tree.
    pub(super) async fn stream_install(
        &self,
        context: &OperationContext,
        replace: bool,
    ) -> Result<StreamInstallReport, PeerError> {
        let requested = Instant::now();
        let game = &context.game;
        let mut attempts = Attempts::default();
        // Boxed, because it is by far the largest part of every operation that streams.
        let streaming = Box::pin(self.stream_from_sources(context, replace, &mut attempts));
        let streamed = self.contain(context, streaming).await;
        let ended = Instant::now();
        let begun = attempts.begun.unwrap_or(ended);
        let (waited, duration) = (begun - requested, ended - begun);
        let failures = attempts.failures.clone();
        let (version, source, totals, trust) = reported(
            &context.events,
            streamed,
            |(version, source, totals, trust)| PeerEvent::StreamInstallFinished {
                game: game.clone(),
                version: version.clone(),
                peer: source.name.clone(),
                files: totals.files,
                bytes: totals.bytes,
                trust: *trust,
                waited_ms: milliseconds(waited),
                duration_ms: milliseconds(duration),
            },
            |code, message| PeerEvent::StreamInstallFailed {
                game: game.clone(),
                code,
                message,
                attempts: failures,
            },
        )?;
        let attempts = attempts.failures;
        let game = game.clone();
        Ok(StreamInstallReport { game, version, source, attempts, totals, trust, waited, duration })
    }

    async fn stream_from_sources(
        &self,
        operation: &OperationContext,
        replace: bool,
        attempts: &mut Attempts,
    ) -> Result<(GameVersion, SourcePeer, Totals, InstallTrust), PeerError> {
        let OperationContext { game, options, events, cancel } = operation;
        self.newer_catalog(operation).await?;
        self.check_in_catalog(game)?;
        let manifest = self.trusted_manifest(game).await?;
        let over_verified = options.accept_unverified || manifest.is_some();
        let replace = Replace { allowed: replace, force: options.force, over_verified };
        let (locked, replaces) = self.prepare(operation, replace).await?;
        let manifest = match manifest {
            Some(manifest) => Some(manifest),
            None => self.obtain_manifest(operation).await?,
        };
        let selection = self.choose_by(manifest.clone(), game, options, cancel).await?;
        let trust = if manifest.is_some() { InstallTrust::Verified } else { InstallTrust::Unverified };
        events.report(PeerEvent::StreamInstallBegin {
            game: game.clone(),
            version: selection.version.clone(),
            sources: selection.sources.iter().map(|source| source.name.clone()).collect(),
        });
        let context = AttemptContext {
            locked,
            version: selection.version,
            policy: options.names,
            manifest,
            replaces,
            force: options.force,
            ours: self.endpoint(),
            idle_timeout: self.inner.idle_timeout,
            patience: Patience::new(options.wait),
            dictionary_bytes_max: self.inner.dictionary_bytes_max,
            events: events.clone(),
            cancel: cancel.clone(),
        };
        attempts.begun = Some(Instant::now());
        let mut unfit = Vec::new();
        let mut order = AttemptOrder::new(selection.sources.len());
        while let Some(next) = order.next() {
            let source = &selection.sources[next.source];
            match self.attempt(&context, source, next, attempts).await? {
                Attempted::Installed(totals) => {
                    return Ok((context.version, source.into(), totals, trust));
                }
                Attempted::Failed => {}
                Attempted::Slow => order.left(next.source),
                Attempted::NoPlace(_) if context.patience.is_over() => {}
                Attempted::NoPlace(position) => order.queued(next.source, position),
                Attempted::Unfit(error) => unfit.push(error),
            }
        }
        if !attempts.queued.is_empty() {
            let attempts = [&attempts.queued[..], &attempts.failures].concat();
            return Err(PeerError::NoPlace { game: game.clone(), attempts });
        }
        // If nothing else went wrong, it is this machine that needs attention.
        let only_unfit = unfit.len() == attempts.failures.len();
        match unfit.into_iter().next() {
            Some(error) if only_unfit => Err(error.into()),
            _ => Err(PeerError::AllSourcesFailed { game: game.clone(), attempts: attempts.failures.clone() }),
        }
    }

    /// Makes one attempt, and reports it if the source failed. Cancelling and faults of this machine end the install.
    async fn attempt(
        &self,
        context: &AttemptContext,
        source: &PeerOffer,
        next: NextAttempt,
        attempts: &mut Attempts,
    ) -> Result<Attempted, PeerError> {
        attempts.count += 1;
        let number = attempts.count;
        context.events.report(PeerEvent::StreamAttemptBegin {
            game: context.locked.game().clone(),
            attempt: number,
            peer: source.name.clone(),
            addr: source.address,
        });
        let error = match attempt(context, source, next).await {
            Ok(totals) => return Ok(Attempted::Installed(totals)),
            Err(error) => error,
        };
        self.offences(context.locked.game(), &context.events).after_attempt(source, &error).await;
        let failure = AttemptFailure {
            cause: error.cause().map(Into::into),
            ..AttemptFailure::new(&source.name, error.code(), error.to_string())
        };
        attempts.queued.retain(|queued| queued.peer != source.name);
        let attempted = match error {
            AttemptError::NoPlace(position) => {
                attempts.queued.push(failure);
                return Ok(Attempted::NoPlace(position));
            }
            AttemptError::Local(error) => return Err(error.into()),
            AttemptError::Refused(error) => return Err(error.into()),
            AttemptError::Cancelled => return Err(PeerError::Cancelled),
            AttemptError::StagingStopped => return Err(PeerError::Internal(error.to_string())),
            AttemptError::Lied(deviation) => {
                context.events.report(lied(context.locked.game(), source, *deviation));
                Attempted::Failed
            }
            AttemptError::Wire(_) | AttemptError::Content(_) | AttemptError::Archive(_) => Attempted::Failed,
            AttemptError::TooSlow => Attempted::Slow,
            AttemptError::Unfit(error) => Attempted::Unfit(error),
        };
        context.events.report(PeerEvent::StreamAttemptFailed {
            game: context.locked.game().clone(),
            attempt: number,
            peer: failure.peer.clone(),
            code: failure.code.clone(),
            message: failure.message.clone(),
        });
        attempts.failures.push(failure);
        Ok(attempted)
    }

    /// Locks the game, repairs what a crash left, and refuses if the game is already installed or the user would lose
    /// files. Returns whether the install replaces an installed tree.
    async fn prepare(
        &self,
        operation: &OperationContext,
        replace: Replace,
    ) -> Result<(LockedGame, bool), PeerError> {
        let locked = self.lock_and_recover(operation).await?;
        let permitted =
            locked.run("prepare", move |games, game, _| Ok::<_, PeerError>(permit(games, game, replace)?));
        let replaces = permitted.await?;
        Ok((locked, replaces))
    }

    /// Returns what [`Self::stream_install_game`] would do, and changes nothing.
    ///
    /// # Errors
    /// As for the install itself, except that too little space is not an error but shows in the plan.
    pub async fn plan_stream_install(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: &CancellationToken,
    ) -> Result<StreamInstallPlan, PeerError> {
        self.check_in_catalog(game)?;
        let (games_dir, wanted) = (self.inner.games_dir.clone(), game.clone());
        let games = self
            .blocking("plan", move || {
                let games = GamesDir::open(&games_dir)?;
                let new = Replace { allowed: false, force: false, over_verified: false };
                permit(&games, &wanted, new)?;
                Ok(games)
            })
            .await?;
        let selection = self.choose(game, options, cancel).await?;
        let totals = self.totals(game, &selection).await?;
        let Estimate { needed_bytes, free_bytes, needed_inodes, free_inodes } =
            booking::estimate(&games, totals)?;
        Ok(StreamInstallPlan {
            game: game.clone(),
            version: selection.version,
            sources: selection.sources.iter().map(SourcePeer::from).collect(),
            dropped: selection.dropped,
            totals,
            needed_bytes,
            free_bytes,
            needed_inodes,
            free_inodes,
            games_dir: self.inner.games_dir.clone(),
        })
    }

    /// Asks the validated peers in order until one answers with the totals of its stream.
    async fn totals(&self, game: &GameId, selection: &Selection) -> Result<Totals, PeerError> {
        let mut attempts = Vec::new();
        let listed = self.trusted_manifest(game).await?;
        for source in &selection.sources {
            // What they are is known without asking.
            if let Some(listed) = listed.as_ref().filter(|listed| source.entries == Some(listed.digest())) {
                return Ok(listed.manifest().entries.totals());
            }
            let ask = async {
                let mut dialled = dial(&source.address.into(), &self.endpoint(), Some(source.id)).await?;
                dialled.totals(game, &selection.version).await
            };
            match ask.await {
                Ok((_archives, totals)) => return Ok(totals),
                Err(error) => {
                    attempts.push(AttemptFailure::new(&source.name, error.code(), error.to_string()));
                }
            }
        }
        Err(PeerError::AllSourcesFailed { game: game.clone(), attempts })
    }
}
