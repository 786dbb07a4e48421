//! Questions: `list`, `peers`, `status`, `metrics`, `limits`, `operations`, `events`.

use std::path::Path;

use lanspread_peer::{Answer, AskOptions, ControlReply, ControlRequest};
use lanspread_peer::{CancellationToken, DiscoveryMode, Peer, PeerClient, PeerError};

use super::{given_peers, listing, saved, updates};
use crate::arguments::{
    CatalogFile, DiscoveryChoice, Events, GivenPeer, Global, LimitsArguments, List, OfDaemon,
    OperationsArguments, PeerList, Peers, PeersCommand, PeersPenalties, Status,
};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::output::{Looking, Output};
use crate::signals::cancel_on_signal_or_panic;

pub(crate) async fn list(global: &Global, output: Output, list: List) -> CommandResult {
    let games_dir = ChosenGamesDir::to_use(global, list.games.games_dir.as_deref())?;
    games_dir.open(output, false)?;
    let backend = backend(global, &games_dir.path, Some(&list.catalog))?;
    let options = options(&backend, &list.peers, &list.discovery).await?;
    if list.updates {
        return outdated(backend, output, options).await;
    }
    listing::show(backend, output, options, &list.games_wanted).await
}

pub(crate) async fn peers(global: &Global, output: Output, peers: Peers) -> CommandResult {
    let show = match peers.command {
        None => peers.show,
        Some(PeersCommand::Show(show)) => show,
        Some(PeersCommand::Penalties(penalties)) => return penalised(global, output, penalties).await,
        Some(PeersCommand::Decide(command)) => return saved::run(global, output, command).await,
    };
    if let Some(games_dir) = ChosenGamesDir::known(global, show.games.games_dir.as_deref()) {
        let backend = backend(global, &games_dir.path, None)?;
        let options = options(&backend, &show.named, &show.discovery).await?;
        let looking = output.looking();
        return answer_after(looking, backend, output, ControlRequest::Peers(options)).await;
    }
    let client = PeerClient::new(global.state_dir.clone(), global.party_file.as_deref())?;
    let discovery = (&show.discovery).into();
    let looking = output.looking();
    let named = given_peers::addresses_of(&client, &show.named.peers, discovery).await?;
    let options = AskOptions::default().with_peers(named).with_discovery(discovery);
    let reports = client.peers(&options).await;
    drop(looking);
    for report in reports? {
        output.report(&report)?;
    }
    Ok(())
}

/// A daemon knows more than the file: what happened to it since it started.
async fn penalised(global: &Global, output: Output, penalties: PeersPenalties) -> CommandResult {
    let PeersPenalties { clear, games } = penalties;
    if let Some(games_dir) = ChosenGamesDir::known(global, games.games_dir.as_deref()) {
        let request = ControlRequest::Penalties { clear };
        return answer(backend(global, &games_dir.path, None)?, output, request).await;
    }
    for report in PeerClient::new(global.state_dir.clone(), global.party_file.as_deref())?
        .penalties(clear.as_deref())?
    {
        output.report(&report)?;
    }
    Ok(())
}

pub(crate) async fn status(global: &Global, output: Output, status: Status) -> CommandResult {
    if !status.named.peers.is_empty() {
        return status_of_peers(global, output, &status.named.peers).await;
    }
    let games_dir = ChosenGamesDir::of_daemon(global, status.games.games_dir.as_deref())?;
    answer(Backend::daemon(&games_dir.path)?, output, ControlRequest::Status).await
}

/// Asks the named peers at once, and reports each when it is its turn.
async fn status_of_peers(global: &Global, output: Output, named: &[GivenPeer]) -> CommandResult {
    let client = PeerClient::new(global.state_dir.clone(), global.party_file.as_deref())?;
    let peers =
        given_peers::addresses_of(&client, named, DiscoveryMode::On { timeout_ms: LOOK_UP_MS }).await?;
    let answers = futures_util::future::join_all(peers.iter().map(|peer| client.status(peer))).await;
    let mut failures = Vec::new();
    for (peer, answer) in peers.iter().zip(answers) {
        match answer {
            Ok(status) => output.report(&status.into())?,
            // The failure of this command says it all.
            Err(error) if peers.len() == 1 => return Err(error.into()),
            Err(error) => {
                let failure = Failure::from(error);
                let (code, message) = (failure.code.clone(), failure.message.clone());
                output.report(&Answer::PeerUnavailable { peer: peer.to_string(), code, message })?;
                failures.push(failure);
            }
        }
    }
    let message = format!("{} of {} peers did not answer", failures.len(), peers.len());
    match failures.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(Failure { message, hint: None, ..first }),
    }
}

pub(crate) async fn limits(global: &Global, output: Output, limits: LimitsArguments) -> CommandResult {
    let LimitsArguments { up, down, games } = limits;
    let games_dir = ChosenGamesDir::of_daemon(global, games.games_dir.as_deref())?;
    answer(Backend::daemon(&games_dir.path)?, output, ControlRequest::Limits { up, down }).await
}

pub(crate) async fn metrics(global: &Global, output: Output, of: OfDaemon) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, of.games.games_dir.as_deref())?;
    answer(Backend::daemon(&games_dir.path)?, output, ControlRequest::Metrics).await
}

pub(crate) async fn operations(global: &Global, output: Output, of: OperationsArguments) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, of.games.games_dir.as_deref())?;
    let request = ControlRequest::Operations { ended: of.ended };
    answer(Backend::daemon(&games_dir.path)?, output, request).await
}

pub(crate) async fn events(global: &Global, output: Output, events: Events) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, events.games.games_dir.as_deref())?;
    let request = ControlRequest::Events { follow: events.follow };
    match answer(Backend::daemon(&games_dir.path)?, output, request).await {
        // Ctrl-C is how a user stops following.
        Err(failure) if failure.code == "cancelled" => Ok(()),
        other => other,
    }
}

/// How long `status` looks for a peer that was named and not addressed.
const LOOK_UP_MS: u64 = 3_000;

/// The games on this machine that an update would change.
async fn outdated(backend: Backend<'_>, output: Output, options: AskOptions) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let shown = updates::show(&backend, output, Vec::new(), options, true, &cancel).await;
    let closed = backend.close().await;
    shown?;
    Ok(closed?)
}

async fn options(
    backend: &Backend<'_>,
    peers: &PeerList,
    discovery: &DiscoveryChoice,
) -> Result<AskOptions, Failure> {
    let named = given_peers::addresses_for(backend, &peers.peers, discovery.into()).await?;
    Ok(AskOptions::default().with_peers(named).with_discovery(discovery.into()))
}

/// The daemon of the games directory, or else a peer of this process that only asks.
fn backend<'a>(
    global: &Global,
    games_dir: &'a Path,
    catalog: Option<&CatalogFile>,
) -> Result<Backend<'a>, PeerError> {
    Backend::open(games_dir, global.no_daemon, || {
        let mut builder = Peer::builder(games_dir);
        if let Some(state_dir) = &global.state_dir {
            builder = builder.state_dir(state_dir);
        }
        if let Some(catalog) = catalog {
            builder = super::with_catalog(builder, catalog)?;
        }
        builder.build()
    })
}

async fn answer(backend: Backend<'_>, output: Output, request: ControlRequest) -> CommandResult {
    answer_after(None, backend, output, request).await
}

/// What says that the command waits ends with the first reply.
async fn answer_after(
    mut waits: Option<Looking>,
    backend: Backend<'_>,
    output: Output,
    request: ControlRequest,
) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let mut reporter = output.answering();
    let replies = backend.ask(request).await?;
    let answered = replies
        .each(&cancel, async |reply| {
            waits.take();
            match reply {
                ControlReply::Event(event) => reporter.event(&event)?,
                ControlReply::Report { report } => output.report(&report)?,
                _ => {}
            }
            Ok(())
        })
        .await;
    drop(reporter);
    let closed = backend.close().await;
    answered?;
    Ok(closed?)
}
