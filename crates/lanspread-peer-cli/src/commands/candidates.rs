//! `candidates`: the words that a shell can offer at the end of a command line. The completion scripts run it.
//!
//! A person waits for the tab key: what takes longer than a moment is left out, and so is every failure. Nothing is
//! created, and no peer is asked except the daemon of this user, which knows the others.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use lanspread_peer::limits::{CANDIDATES_DEADLINE, GAMES_MAX};
use lanspread_peer::{
    Answer, AskOptions, CancellationToken, Catalog, ControlReply, ControlRequest, DiscoveryMode, GameId,
    GameState, SavedPeers, find_daemon,
};

use crate::arguments::{Arguments, Candidates, Global};
use crate::backend::Backend;
use crate::completion::position::{Completed, Position, position};
use crate::exit::CommandResult;
use crate::games_dir::ChosenGamesDir;

/// What can be offered, each with a few words about it.
type Offered = BTreeMap<String, String>;

pub(crate) async fn run(global: &Global, candidates: Candidates) -> CommandResult {
    let mut command = Arguments::command();
    command.build();
    let Some(position) = position(&command, &candidates.words) else { return Ok(()) };
    let mut offered = Offered::new();
    let place = Place::of(global, &candidates, &position);
    on_this_machine(&place, position.wanted, &mut offered);
    // What has arrived by then is offered.
    let _ = tokio::time::timeout(CANDIDATES_DEADLINE, of_daemon(&place, position.wanted, &mut offered)).await;
    let mut stdout = io::stdout().lock();
    for (word, about) in offered.iter().filter(|(word, _)| !position.beside.contains(word)) {
        writeln!(stdout, "{word}\t{about}")?;
    }
    Ok(stdout.flush()?)
}

/// Where to look.
struct Place {
    games_dir: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    catalog: Option<PathBuf>,
}

impl Place {
    /// The line that is completed wins over variables and the config file.
    fn of(global: &Global, candidates: &Candidates, position: &Position) -> Self {
        let given = |name: &str| {
            let options = position.options.iter().rev();
            options.clone().find(|(option, _)| option == name).map(|(_, value)| PathBuf::from(value))
        };
        let chosen = ChosenGamesDir::to_use(global, candidates.games.games_dir.as_deref()).ok();
        Self {
            games_dir: given("games-dir").or_else(|| chosen.map(|chosen| chosen.path)),
            state_dir: given("state-dir").or_else(|| global.state_dir.clone()),
            catalog: given("catalog").or_else(|| candidates.catalog.catalog.clone()),
        }
    }
}

fn on_this_machine(place: &Place, wanted: Completed, offered: &mut Offered) {
    match wanted {
        Completed::AnyGame => {
            local_games(place.games_dir.as_deref(), offered);
            let catalog = place.catalog.as_deref().and_then(|path| Catalog::load(path).ok());
            for (game, listed) in catalog.iter().flat_map(|catalog| &catalog.content().games) {
                offered.insert(game.to_string(), listed.name.clone());
            }
        }
        Completed::LocalGame => local_games(place.games_dir.as_deref(), offered),
        Completed::BusyGame => {}
        Completed::PeerAddress | Completed::PeerId => saved_peers(place, wanted, offered),
    }
}

fn local_games(games_dir: Option<&Path>, offered: &mut Offered) {
    let Some(games_dir) = games_dir else { return };
    let names = std::fs::read_dir(games_dir).into_iter().flatten().flatten().take(GAMES_MAX);
    for name in names.map(|entry| entry.file_name()) {
        let Some(game) = name.to_str().and_then(|name| name.parse::<GameId>().ok()) else { continue };
        let Ok(Some(state)) = GameState::read(games_dir, &game) else { continue };
        let about = match (state.downloaded(), state.installed) {
            (true, true) => "downloaded, installed",
            (true, false) => "downloaded",
            (false, true) => "installed",
            (false, false) => continue,
        };
        offered.insert(game.to_string(), about.to_owned());
    }
}

fn saved_peers(place: &Place, wanted: Completed, offered: &mut Offered) {
    let Ok(decisions) = SavedPeers::of(place.state_dir.clone()).and_then(|saved| saved.decisions()) else {
        return;
    };
    for peer in &decisions.saved {
        let name = peer.name.as_ref().map(ToString::to_string).unwrap_or_default();
        match wanted {
            Completed::PeerId => offered.extend(peer.id.map(|id| (id.to_string(), name))),
            _ => offered.extend([(peer.address.to_string(), name)]),
        }
    }
    if wanted == Completed::PeerId {
        let trusted = decisions.trusted.iter().map(|peer| (peer.id, peer.name.as_ref()));
        let denied = decisions.denied.iter().map(|peer| (peer.id, None));
        for (id, name) in trusted.chain(denied) {
            offered.insert(id.to_string(), name.map(ToString::to_string).unwrap_or_default());
        }
    }
}

/// What the daemon of the games directory knows.
async fn of_daemon(place: &Place, wanted: Completed, offered: &mut Offered) -> CommandResult {
    let Some(games_dir) = &place.games_dir else { return Ok(()) };
    let Some(daemon) = find_daemon(games_dir).ok().flatten() else { return Ok(()) };
    let options = AskOptions::default().with_discovery(DiscoveryMode::Off);
    let request = match wanted {
        Completed::AnyGame => ControlRequest::List(options),
        Completed::BusyGame => ControlRequest::Operations { ended: false },
        Completed::PeerAddress | Completed::PeerId => ControlRequest::Peers(options),
        Completed::LocalGame => return Ok(()),
    };
    let replies = Backend::Daemon { daemon, games_dir }.ask(request).await?;
    replies
        .each(&CancellationToken::new(), async |reply| {
            if let ControlReply::Report { report } = reply {
                offered.extend(offer(&report, wanted));
            }
            Ok(())
        })
        .await
}

fn offer(report: &Answer, wanted: Completed) -> Option<(String, String)> {
    match (report, wanted) {
        (Answer::OfferedGame { game, title, version, .. }, Completed::AnyGame) => {
            Some((game.to_string(), title.clone().unwrap_or_else(|| format!("version {version}"))))
        }
        (Answer::Operation { game, kind, .. }, Completed::BusyGame) => {
            Some((game.to_string(), kind.to_string()))
        }
        (Answer::Peer { name, addr, .. }, Completed::PeerAddress) => {
            Some((addr.to_string(), name.to_string()))
        }
        (Answer::Peer { peer, name, .. }, Completed::PeerId) => Some((peer.to_string(), name.to_string())),
        _ => None,
    }
}
