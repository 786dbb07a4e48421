//! Events and reports in words. Nothing here does I/O.

#[cfg(test)]
mod tests;

use lanspread_peer::{
    Answer, DownloadBegin, DownloadFinished, GameId, PartyLineShown, PassedOverFolder, PeerEvent, PeerName,
    ProvedLie, QueuedAt, ServerLie, SourceShare,
};

use super::catalog_words;
use super::ensure_words;
use super::game_words::{self, trust_words};
use super::operation_words;
use super::packed_words;
use super::peer_words;
use super::peer_words::listening;
use super::plan_words;
use super::quantities::{bytes, count as counted, duration, limit, rate_in_both};
use super::repair_words;
use super::setup_words;
use super::status_words;
use crate::exit::Summary;
use crate::hints;

/// Whether an event ends what the bar of its game shows.
pub(super) fn ends_progress(event: &PeerEvent) -> bool {
    matches!(
        event,
        PeerEvent::StreamAttemptFailed { .. }
            | PeerEvent::StreamInstallFinished { .. }
            | PeerEvent::StreamInstallFailed { .. }
            | PeerEvent::DownloadFinished(_)
            | PeerEvent::DownloadFailed { .. }
            | PeerEvent::InstallFinished { .. }
            | PeerEvent::InstallFailed { .. }
            | PeerEvent::VerifyFinished(_)
            | PeerEvent::RepairBegin(_)
            | PeerEvent::RepairFinished(_)
            | PeerEvent::RepairFailed(_)
            | PeerEvent::CatalogGameBuilt(_)
    )
}

fn download_begins(begin: &DownloadBegin) -> String {
    let DownloadBegin { game, version, sources, files, bytes_total, bytes_kept } = begin;
    let kept =
        if *bytes_kept > 0 { format!(", {} already fetched", bytes(*bytes_kept)) } else { String::new() };
    let files = counted(*files, "file");
    format!("{game} {version}: {files}, {}{kept}; from {}", bytes(*bytes_total), names(sources))
}

/// One line about an event; nothing for an event that people need no line about.
pub(super) fn event(event: &PeerEvent) -> Option<String> {
    Some(match event {
        PeerEvent::PeerReady { addr, name, .. } => format!("{name} listens on {}", listening(*addr)),
        PeerEvent::NetworkOpen {} => {
            "open: everybody on this network may list and install what is served here; `party new` changes that"
                .to_owned()
        }
        PeerEvent::PartyEntered { party } => {
            format!("party {party}: its members may list and install what is served here, and no other peer")
        }
        PeerEvent::GameRecovered { game, action } => {
            format!("{game}: an earlier operation was interrupted; {action}")
        }
        PeerEvent::StreamInstallBegin { game, version, sources } => {
            format!("{game} {version}: sources in order: {}", names(sources))
        }
        PeerEvent::StreamAttemptBegin { game, peer, addr, attempt, .. } => {
            format!("{game}: attempt {attempt} from {peer} ({addr})")
        }
        PeerEvent::StreamAttemptFailed { game, peer, code, message, .. } => {
            source_ended(game, peer, code, message, "")
        }
        PeerEvent::DownloadSourceFailed { game, peer, code, message, retry_ms, sources_left } => {
            source_ended(game, peer, code, message, &what_follows(*retry_ms, *sources_left))
        }
        PeerEvent::StreamInstallFinished { .. } | PeerEvent::DownloadFinished(_) => arrived(event),
        PeerEvent::DownloadBegin(begin) => download_begins(begin),
        PeerEvent::DownloadFailed { game, bytes_kept, .. } if *bytes_kept > 0 => {
            format!("{game}: {} are kept for the next download", bytes(*bytes_kept))
        }
        PeerEvent::InstallFinished { game, version, files, bytes: count, trust, duration_ms } => {
            format!(
                "{game} {version} installed, {}: {}, {} in {}",
                trust_words(*trust),
                counted(*files, "file"),
                bytes(*count),
                duration(*duration_ms)
            )
        }
        PeerEvent::AlreadyCurrent { game, version, differences: 0 } => {
            format!("{game} is already at version {version}")
        }
        PeerEvent::Ensured(ensured) => ensure_words::ensured(ensured),
        PeerEvent::AlreadyCurrent { game, version, differences } => {
            let files = counted(*differences, "file");
            let what =
                if *differences == 1 { "is missing or has" } else { "are missing or have" };
            format!(
                "{game} is already at version {version}, but {files} {what} another size: \
                 `verify {game}` names them, `repair {game}` brings them back"
            )
        }
        PeerEvent::Queued(queued) => waiting(queued),
        PeerEvent::UninstallFinished { game } => format!("{game} is uninstalled"),
        PeerEvent::RemoveFinished { game, files, bytes: count } => {
            format!("{game}: {} removed, {} freed", counted(*files, "downloaded file"), bytes(*count))
        }
        PeerEvent::VerifyDifference { game, part, path, problem } => {
            format!("{game}: {part} {path}: {}", problem_words(problem))
        }
        PeerEvent::PeerLied(ProvedLie { peer, id, game, path, position, expected, got }) => {
            let place = path.as_deref().map_or_else(String::new, |path| format!(" for {path}"));
            let place = position.map_or(place.clone(), |position| format!("{place} from byte {position}"));
            format!(
                "{game}: {peer} ({id}) sent something else than the catalog lists{place}: {expected} expected, got {got}"
            )
        }
        PeerEvent::ServerLied(lie) => server_lied(lie),
        PeerEvent::VerifyFinished(_) | PeerEvent::RepairBegin(_) | PeerEvent::RepairFinished(_) => {
            return repair_words::repair(event);
        }
        PeerEvent::CatalogGameBuilt(_) => return catalog_words::built(event),
        PeerEvent::FolderPassedOver(passed) => passed_over(passed),
        PeerEvent::LibraryChanged { revision, games, .. } => {
            format!("{} offered (revision {revision})", counted(*games, "game"))
        }
        PeerEvent::PeerFound { name, addr, .. } => format!("found {name} at {addr}"),
        PeerEvent::PeerLibraryChanged { name, games, .. } => {
            format!("{name} offers {}", counted(*games, "game"))
        }
        PeerEvent::PeerPenalised(_) => return peer_words::penalised(event),
        PeerEvent::PeerLost { name, reason, .. } => format!("lost {name}: {reason}"),
        PeerEvent::DuplicateIdentity { .. } => duplicate_identity(event),
        PeerEvent::TransferBegin { game, peer, .. } => format!("{game} is being sent to {peer}"),
        PeerEvent::TransferEnd { game, peer, outcome, bytes: count } => {
            format!("{game} to {peer}: {outcome}, {} sent", bytes(*count))
        }
        PeerEvent::OperationBegin { kind, game, .. } => format!("{kind} {game} begins"),
        PeerEvent::OperationEnd { kind, game, outcome, .. } => format!("{kind} {game}: {outcome}"),
        PeerEvent::EventsLost { count } => {
            format!("{} lost: they arrived too fast", counted(*count, "event"))
        }
        _ => {
            return packed_words::event(event)
                .or_else(|| operation_words::event(event))
                .or_else(|| catalog_words::news(event));
        }
    })
}

/// Whether an event is about operations as such. A command that runs operations does not show these.
pub(super) fn is_about_operations(event: &PeerEvent) -> bool {
    matches!(
        event,
        PeerEvent::OperationQueued(_) | PeerEvent::OperationBegin { .. } | PeerEvent::OperationEnd { .. }
    )
}

/// Where an operation waits for its turn.
pub(super) fn waiting(queued: &QueuedAt) -> String {
    let QueuedAt { game, peer, ahead, in_ms, receivers, .. } = queued;
    let about = in_ms.map(|in_ms| format!(", about {}", duration(in_ms.into()))).unwrap_or_default();
    match receivers {
        Some(receivers) => {
            let receivers = counted(u64::from(*receivers), "receiver");
            format!("{game}: waiting for the next chain of {peer}{about} ({receivers})")
        }
        None => format!("{game}: waiting for {peer}: {ahead} before you{about}"),
    }
}

fn server_lied(lie: &ServerLie) -> String {
    let ServerLie { server, game, path, position, expected, got } = lie;
    format!(
        "{game}: {server} sent something else than the manifest lists for {path} from byte {position}: {expected} expected, got {got}"
    )
}

/// Why nothing more comes from a source, and what follows. A user who cancels, and a full disk, are not
/// the fault of the source.
fn source_ended(game: &GameId, peer: &PeerName, code: &str, message: &str, follows: &str) -> String {
    match code {
        "cancelled" => format!("{game}: receiving from {peer} was cancelled"),
        "not-enough-space" => format!("{game}: what {peer} has does not fit: {message}{follows}"),
        "busy" => format!("{game}: {peer} is busy: {message}{follows}"),
        _ => format!("{game}: {peer} failed: {message}{follows}"),
    }
}

/// What became of a request for several games.
pub(super) fn summary(summary: &Summary) -> String {
    let Summary { done, failed, is_interrupted, .. } = summary;
    let games = (done.len() + failed.len()) as u64;
    if failed.is_empty() {
        return format!("all {} done", counted(games, "game"));
    }
    let failed: Vec<&str> = failed.iter().map(GameId::as_str).collect();
    let ended = if *is_interrupted { "interrupted" } else { "failed" };
    format!("{} of {} done, {ended}: {}", done.len(), counted(games, "game"), failed.join(", "))
}

/// Two running peers with one identity.
fn duplicate_identity(event: &PeerEvent) -> String {
    let PeerEvent::DuplicateIdentity { peer, names: peers, addrs } = event else { return String::new() };
    let addresses: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    format!(
        "two running peers have the identity {peer}: {} at {}; a state directory was copied, so remove identity.pem from one of them",
        names(peers),
        addresses.join(" and ")
    )
}

fn names(peers: &[PeerName]) -> String {
    let names: Vec<&str> = peers.iter().map(PeerName::as_str).collect();
    names.join(", ")
}

fn shares(sources: &[SourceShare]) -> String {
    if sources.is_empty() {
        return "an earlier attempt".to_owned();
    }
    let shares: Vec<String> =
        sources.iter().map(|share| format!("{} ({})", share.peer, bytes(share.bytes))).collect();
    shares.join(", ")
}

/// A game that has arrived from other peers: how long that took, and how long it took before to find them.
fn arrived(event: &PeerEvent) -> String {
    let (what, count, duration_ms, waited_ms, after) = match event {
        PeerEvent::StreamInstallFinished {
            game,
            version,
            peer,
            files,
            bytes,
            trust,
            waited_ms,
            duration_ms,
        } => {
            let (trust, files) = (trust_words(*trust), counted(*files, "file"));
            let what = format!("{game} {version} installed from {peer}, {trust}: {files}, ");
            (what, bytes, duration_ms, waited_ms, String::new())
        }
        PeerEvent::DownloadFinished(DownloadFinished {
            game,
            version,
            bytes_fetched,
            sources,
            waited_ms,
            duration_ms,
            trust,
            ..
        }) => {
            let what = format!("{game} {version} downloaded, {}: ", trust_words(*trust));
            (what, bytes_fetched, duration_ms, waited_ms, format!(" from {}", shares(sources)))
        }
        _ => return String::new(),
    };
    let (time, rate) = (duration(*duration_ms), rate_in_both(*count, *duration_ms));
    format!("{what}{} in {time} ({rate}){after}{}", bytes(*count), waited(*waited_ms))
}

/// What follows the failure of one source of a download; nothing if it was the last one.
fn what_follows(retry_ms: Option<u64>, sources_left: u64) -> String {
    let others = match sources_left {
        0 => None,
        1 => Some("the other source takes over".to_owned()),
        _ => Some("the others take over".to_owned()),
    };
    let again = retry_ms.map(|retry_ms| format!("it is tried again in {}", duration(retry_ms)));
    let follows: Vec<String> = others.into_iter().chain(again).collect();
    if follows.is_empty() { String::new() } else { format!("; {}", follows.join(", ")) }
}

/// The search for peers, if it took long enough to be noticed.
fn waited(waited_ms: u64) -> String {
    const NOTICED_MS: u64 = 500;
    if waited_ms < NOTICED_MS { String::new() } else { format!(", found after {}", duration(waited_ms)) }
}

fn problem_words(problem: &str) -> &str {
    match problem {
        "missing" => "is missing",
        "size" => "has a different size",
        "content" => "has different content",
        "executable" => "is executable and should not be, or the other way round",
        "unlisted" => "was installed and is not in the catalog",
        "added" => "is not part of the game",
        other => other,
    }
}

/// A report in words.
pub(super) fn report(report: &Answer) -> String {
    match report {
        Answer::GameUpdate(update) => ensure_words::update(update),
        Answer::DetachedOperation(started) => ensure_words::detached(started),
        Answer::MatchedGame(matched) => matched.game.to_string(),
        Answer::FolderPassedOver(passed) => passed_over(passed),
        Answer::PeerUnavailable { peer, message, .. } => {
            format!("{peer}: {}", hints::with_hint(message, hints::of_report(report).as_deref()))
        }
        Answer::NobodyFound { message, .. } => hints::with_hint(message, hints::of_report(report).as_deref()),
        // The output ends each object with a new line.
        Answer::Metrics { text } => text.trim_end().to_owned(),
        Answer::Limits { up_bytes_per_second: up, down_bytes_per_second: down } => {
            format!("up: {}, down: {}", limit(*up), limit(*down))
        }
        Answer::PeerStatus { .. } => status_words::status(report),
        Answer::Operation { operation, kind, game, running, followers, progress, resumed } => {
            let state = operation_words::state(*kind, *running, progress);
            let resumed = if *resumed { "  from before the restart" } else { "" };
            format!("{operation}  {kind} {game}  {state}  {}{resumed}", counted(*followers, "follower"))
        }
        Answer::EndedOperation(ended) => operation_words::ended(ended, hints::of_report(report).as_deref()),
        Answer::SeatAccepted { name, kind, game, operation, .. } => {
            format!("{name}: {kind} {game} is operation {operation} there")
        }
        Answer::SeatPlanned(plan) => plan_words::seat_plan(plan),
        Answer::SeatRefused { name, game, message, .. } => format!("{name}: {game}: {message}"),
        Answer::PageReady { url, token_file: None } => format!("the room page is at {url}"),
        Answer::PageReady { url, token_file: Some(file) } => {
            format!("the room page is at {url}, and its token in {file}")
        }
        Answer::OperationsCancelled { game, count } => {
            format!("{game}: {} cancelled", counted(*count, "operation"))
        }
        Answer::OperationPlan(plan) => plan_words::plan(plan),
        Answer::Party { .. } => party(report),
        other => peer_words::report(other)
            .or_else(|| game_words::report(other))
            .or_else(|| setup_words::report(other))
            .or_else(|| catalog_words::report(other))
            .unwrap_or_else(|| format!("{other:?}")),
    }
}

/// A folder that is not served although it looks like a game, why, and what to do.
fn passed_over(passed: &PassedOverFolder) -> String {
    let PassedOverFolder { folder, code, message, suggestion } = passed;
    let rename = suggestion.as_ref().map(|id| format!("rename it, for example to {id}"));
    let hint = rename.as_deref().or_else(|| hints::hint(code, None));
    format!("{folder} is passed over: {}", hints::with_hint(message, hint))
}

fn party(report: &Answer) -> String {
    let Answer::Party { party, change, path, catalog_signer, line, daemons_to_restart } = report else {
        return String::new();
    };
    let mut text = match &**change {
        "made" => format!("party {party} is made, and this machine is its first member: {path}"),
        "replaced" => {
            format!("this machine is of the party {party} now, and no longer of another one: {path}")
        }
        "unchanged" => format!("this machine is of the party {party} already: {path}"),
        "left" if party.is_empty() => format!("{path} held no party line and is removed"),
        "left" => format!("this machine has left the party {party} and is of none"),
        "shown" => format!("party {party}: {path}"),
        _ => format!("this machine is of the party {party} now: {path}"),
    };
    if let Some(signer) = catalog_signer {
        text += &format!("\n  the signer of its catalog has the key {signer}");
        if &**change == "joined" || &**change == "replaced" {
            text += "\n  --catalog-from-peers takes that catalog from the other members";
        }
    }
    if let Some(PartyLineShown(line)) = line {
        text += &format!("\n  the line that makes others members, to be kept from everybody else:\n{line}");
    }
    for games_dir in daemons_to_restart {
        text +=
            &format!("\n  restart the daemon of {games_dir}: it keeps the party that it was started with");
    }
    text
}
