//! `install --stream`: all steps from the request to the report, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lanspread_proto::queued::QueuePosition;
use lanspread_store::install::replace::{Replace, permit};
use lanspread_store::install::tree_repair::TreeRepair;
use lanspread_trust::manifest::{Deviation, ManifestFile};
use lanspread_types::content::{InstallTrust, Totals};
use lanspread_types::entry_path::NamePolicy;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::locked_game::LockedGame;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::outcome::{milliseconds, reported};
use crate::peer::packed_install::PackedInstalled;
use crate::peer::packed_sources::PackedSources;
use crate::peer::packed_stream::offer_of;
use crate::peer::relaying::Relaying;
use crate::peer::repair::{of_version, same_version};
use crate::peer::stream_sources::StreamSources;
use crate::receive::attempt::attempt;
use crate::receive::attempt_order::{AttemptOrder, NextAttempt};
use crate::receive::error::AttemptError;
use crate::receive::patience::Patience;
use crate::receive::staged_attempt::{AttemptContext, TreeInRepair};
use crate::report::event::PeerEvent;
use crate::report::failure::AttemptFailure;
use crate::report::offender::ProvedLie;
use crate::report::operation::OperationOptions;
use crate::trust::select::PeerOffer;

/// The source of an installed game.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
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
    /// What a finished install still passes on.
    relay: Option<Relaying>,
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

/// How the attempt at a packed stream ended.
enum PackedAttempted {
    Installed(SourcePeer, Totals),
    Not(Attempted),
}

/// The event that names a source whose content is not what the manifest lists.
fn lied(game: &GameId, source: &PeerOffer, deviation: Deviation) -> PeerEvent {
    let Deviation { path, position, expected, got } = deviation;
    let (peer, id, game) = (source.name.clone(), source.id, game.clone());
    PeerEvent::PeerLied(ProvedLie { peer, id, game, path, position, expected, got })
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
        self.linger(attempts.relay.take(), &context.cancel).await;
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
            None => self.obtain_manifest(operation, &self.servers(operation)).await?,
        };
        let mut sources = self.stream_sources(operation, manifest.as_ref()).await?;
        let trust = if manifest.is_some() { InstallTrust::Verified } else { InstallTrust::Unverified };
        events.report(PeerEvent::StreamInstallBegin {
            game: game.clone(),
            version: sources.version.clone(),
            sources: sources.names(),
        });
        let context = AttemptContext {
            locked,
            version: sources.version.clone(),
            policy: options.names,
            manifest,
            replaces,
            force: options.force,
            repair: None,
            ours: self.endpoint(),
            idle_timeout: self.inner.idle_timeout,
            patience: Patience::new(options.wait),
            downlink: self.inner.source.traffic.downlink(),
            dictionary_bytes_max: self.inner.dictionary_bytes_max,
            events: events.clone(),
            cancel: cancel.clone(),
        };
        attempts.begun = Some(Instant::now());
        let (source, totals) = self.attempt_all(operation, &context, &mut sources, attempts).await?;
        Ok((context.version, source, totals, trust))
    }

    /// Repairs an installed tree from a stream of the whole game, of which only what is wanted is written. Returns what was
    /// written, and how many bytes of content came.
    pub(super) async fn stream_repair(
        &self,
        operation: &OperationContext,
        locked: &LockedGame,
        tree: &Arc<TreeRepair>,
    ) -> Result<(Totals, u64), PeerError> {
        let operation = &of_version(operation, tree.version());
        let OperationContext { game, options, events, cancel } = operation;
        let manifest = self.obtain_manifest(operation, &self.servers(operation)).await?;
        let manifest = manifest.filter(|manifest| manifest.manifest().version == *tree.version());
        let sources = self.stream_sources(operation, manifest.as_ref()).await;
        let mut sources = sources.map_err(|error| error.about_version(game, tree.version()))?;
        same_version(game, tree.version(), &sources.version)?;
        let came_bytes = Arc::new(AtomicU64::new(0));
        // Peers may be reading the installed files.
        let quiesce = self.inner.source.readers.quiesce(game, limits::QUIESCE_DEADLINE);
        let _quiet = cancel.run_until_cancelled(quiesce).await.ok_or(PeerError::Cancelled)?;
        let context = AttemptContext {
            locked: locked.clone(),
            version: sources.version.clone(),
            policy: NamePolicy::Native,
            manifest,
            replaces: false,
            force: true,
            repair: Some(TreeInRepair { tree: Arc::clone(tree), came_bytes: Arc::clone(&came_bytes) }),
            ours: self.endpoint(),
            idle_timeout: self.inner.idle_timeout,
            downlink: self.inner.source.traffic.downlink(),
            patience: Patience::new(options.wait),
            dictionary_bytes_max: self.inner.dictionary_bytes_max,
            events: events.clone(),
            cancel: cancel.clone(),
        };
        let mut attempts = Attempts::default();
        let streaming = Box::pin(self.attempt_all(operation, &context, &mut sources, &mut attempts));
        let (_, totals) = streaming.await?;
        self.linger(attempts.relay.take(), cancel).await;
        Ok((totals, came_bytes.load(Ordering::Relaxed)))
    }

    /// Tries the packed stream, and then each source, until one attempt succeeds.
    async fn attempt_all(
        &self,
        operation: &OperationContext,
        context: &AttemptContext,
        sources: &mut StreamSources,
        attempts: &mut Attempts,
    ) -> Result<(SourcePeer, Totals), PeerError> {
        let game = &operation.game;
        let mut unfit = Vec::new();
        if let Some((packed, listed)) = sources.packed.take() {
            match self.attempt_packed(operation, context, packed, listed, attempts).await? {
                PackedAttempted::Installed(source, totals) => return Ok((source, totals)),
                PackedAttempted::Not(Attempted::Unfit(error)) => unfit.push(error),
                PackedAttempted::Not(_) => {}
            }
        }
        // What could not be decoded here, or whose upstreams are all gone, is tried as a whole from each source.
        let mut order = AttemptOrder::new(sources.peers.len());
        while let Some(next) = order.next() {
            let source = &sources.peers[next.source];
            match self.attempt(context, source, next, attempts).await? {
                Attempted::Installed(totals) => return Ok((source.into(), totals)),
                Attempted::Failed => {}
                Attempted::Slow => order.left(next.source),
                Attempted::NoPlace(_) if context.patience.is_over() => {}
                Attempted::NoPlace(position) => order.queued(next, position),
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
        let number = Self::attempt_begins(context, source, attempts);
        match attempt(context, source, next).await {
            Ok(totals) => Ok(Attempted::Installed(totals)),
            Err(error) => self.attempt_failed(context, source, error, number, attempts).await,
        }
    }

    /// Makes the attempt at a packed stream, which spans all its upstreams.
    async fn attempt_packed(
        &self,
        operation: &OperationContext,
        context: &AttemptContext,
        sources: PackedSources,
        listed: Arc<ManifestFile>,
        attempts: &mut Attempts,
    ) -> Result<PackedAttempted, PeerError> {
        let of_server = || sources.servers.first().map(|server| offer_of(server, &context.version));
        let Some(source) = sources.peers.first().cloned().or_else(of_server) else {
            return Ok(PackedAttempted::Not(Attempted::Failed));
        };
        let number = Self::attempt_begins(context, &source, attempts);
        // Boxed, because it is large, and most of the time waits.
        match Box::pin(self.install_packed(operation, context, sources, listed)).await {
            Ok(PackedInstalled { totals, source, relay }) => {
                attempts.relay = relay;
                Ok(PackedAttempted::Installed((&source).into(), totals))
            }
            Err(error) => {
                let attempted = self.attempt_failed(context, &source, error, number, attempts).await?;
                Ok(PackedAttempted::Not(attempted))
            }
        }
    }

    /// Reports an attempt, and returns its number.
    fn attempt_begins(context: &AttemptContext, source: &PeerOffer, attempts: &mut Attempts) -> usize {
        attempts.count += 1;
        context.events.report(PeerEvent::StreamAttemptBegin {
            game: context.locked.game().clone(),
            attempt: attempts.count,
            peer: source.name.clone(),
            peer_id: source.id,
            addr: source.address,
        });
        attempts.count
    }

    /// Reports a failed attempt. Cancelling and faults of this machine end the install.
    async fn attempt_failed(
        &self,
        context: &AttemptContext,
        source: &PeerOffer,
        error: AttemptError,
        number: usize,
        attempts: &mut Attempts,
    ) -> Result<Attempted, PeerError> {
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
            AttemptError::ThreadStopped => return Err(PeerError::Internal(error.to_string())),
            AttemptError::Lied(deviation) => {
                context.events.report(lied(context.locked.game(), source, *deviation));
                Attempted::Failed
            }
            AttemptError::Wire(_)
            | AttemptError::NoUpstream(_)
            | AttemptError::Content(_)
            | AttemptError::Archive(_) => Attempted::Failed,
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
}
