//! The games of `list`, in words: one row for each, or all that is known of those that were named. Nothing here does I/O.

use std::collections::BTreeMap;

use lanspread_peer::{
    Answer, CatalogListing, GameId, GameVersion, InstallTrust, OperationKind, OperationProgress, PeerName,
};

use super::operation_words::step;
use super::quantities::{bytes, count};
use super::table::aligned;

/// Names of sources in one row.
const SOURCES_SHOWN: usize = 3;
/// What stands for a value that is not known.
const UNKNOWN: &str = "-";

/// A game that is reported to be here, or to be offered.
pub(super) fn report(report: &Answer) -> Option<String> {
    Some(match report {
        Answer::LocalGame { game, title, .. } => {
            let local = Local::of(report)?;
            let version = local.version().map_or(UNKNOWN, GameVersion::as_str);
            format!("{game}  {version}  {}{}", local.state(), titled(title.as_deref()))
        }
        Answer::OfferedGame { game, title, version, bytes: count, peers, .. } => format!(
            "{game}  {version}  offered by {}  {}{}",
            names(peers, usize::MAX),
            bytes(*count),
            titled(title.as_deref())
        ),
        _ => return None,
    })
}

/// Whether it belongs into the table.
pub(super) fn is_of_a_game(report: &Answer) -> bool {
    matches!(report, Answer::LocalGame { .. } | Answer::OfferedGame { .. } | Answer::Operation { .. })
}

/// The table, one line for each game that is here or offered.
pub(super) fn table(reports: &[Answer], with_header: bool) -> Vec<String> {
    let games = Game::all(reports);
    let header = ["GAME", "VERSION", "STATE", "PACKED", "UNPACKED", "SOURCES", "TITLE"].map(str::to_owned);
    let rows =
        with_header.then_some(header).into_iter().chain(games.iter().map(|(game, known)| known.row(game)));
    aligned(&rows.collect::<Vec<_>>())
}

/// All that is known of each game.
pub(super) fn details(reports: &[Answer]) -> Vec<String> {
    let games = Game::all(reports);
    games.iter().flat_map(|(game, known)| known.details(game)).collect()
}

/// What this machine has of a game.
struct Local<'a> {
    version: Option<&'a GameVersion>,
    installed_version: Option<&'a GameVersion>,
    trust: Option<InstallTrust>,
    downloaded: bool,
    downloaded_trust: Option<InstallTrust>,
    installed: bool,
    bytes: u64,
    shares_entries: bool,
}

impl<'a> Local<'a> {
    fn of(report: &'a Answer) -> Option<Self> {
        let Answer::LocalGame {
            version,
            installed_version,
            trust,
            downloaded,
            downloaded_trust,
            installed,
            bytes,
            shares_entries,
            ..
        } = report
        else {
            return None;
        };
        Some(Self {
            version: version.as_ref(),
            installed_version: installed_version.as_ref(),
            trust: *trust,
            downloaded: *downloaded,
            downloaded_trust: *downloaded_trust,
            installed: *installed,
            bytes: *bytes,
            shares_entries: *shares_entries,
        })
    }

    fn version(&self) -> Option<&'a GameVersion> {
        self.version.or(self.installed_version)
    }

    fn state(&self) -> String {
        let (downloaded, installed) = (self.downloaded_trust, self.trust);
        match (self.downloaded, self.installed) {
            (true, true) if downloaded == installed => trusted("downloaded and installed", installed),
            (true, true) => {
                format!("{}; {}", trusted("downloaded", downloaded), trusted("installed", installed))
            }
            (true, false) => trusted("downloaded", downloaded),
            (false, true) if self.shares_entries => trusted("installed, shareable by entries", installed),
            (false, true) => trusted("installed, not shareable", installed),
            (false, false) => "incomplete".to_owned(),
        }
    }

    /// Whether anything of it has another version than is wanted.
    fn is_outdated(&self, wanted: &GameVersion) -> bool {
        let of_files = self.version.filter(|_| self.downloaded);
        let of_tree = self.installed_version.filter(|_| self.installed);
        of_files.into_iter().chain(of_tree).any(|version| version != wanted)
    }
}

/// A version that peers offer.
struct Offer<'a> {
    version: &'a GameVersion,
    bytes: u64,
    peers: &'a [PeerName],
}

/// All that the reports say of one game.
#[derive(Default)]
struct Game<'a> {
    title: Option<&'a str>,
    listed: Option<&'a CatalogListing>,
    local: Option<Local<'a>>,
    offers: Vec<Offer<'a>>,
    operation: Option<(OperationKind, bool, &'a OperationProgress)>,
}

impl<'a> Game<'a> {
    fn all(reports: &'a [Answer]) -> BTreeMap<&'a GameId, Self> {
        let mut games: BTreeMap<&GameId, Self> = BTreeMap::new();
        for report in reports {
            match report {
                Answer::LocalGame { game, title, listed, .. } => {
                    let known = games.entry(game).or_default();
                    known.is_listed(title.as_deref(), listed);
                    known.local = Local::of(report);
                }
                Answer::OfferedGame { game, title, version, bytes, peers, listed, .. } => {
                    let known = games.entry(game).or_default();
                    known.is_listed(title.as_deref(), listed);
                    known.offers.push(Offer { version, bytes: *bytes, peers });
                }
                Answer::Operation { game, kind, running, progress, .. } => {
                    let known = games.entry(game).or_default();
                    // The first one that runs says what happens now.
                    if known.operation.is_none_or(|(_, before, _)| *running && !before) {
                        known.operation = Some((*kind, *running, progress));
                    }
                }
                _ => {}
            }
        }
        games
    }

    fn is_listed(&mut self, title: Option<&'a str>, listed: &'a CatalogListing) {
        self.title = self.title.or(title);
        self.listed = self.listed.filter(|listed| listed.listed_version.is_some()).or(Some(listed));
    }

    /// The version that `update` would bring: that of the catalog, or else the one that most peers offer.
    fn wanted(&self) -> Option<&'a GameVersion> {
        let listed = self.listed.and_then(|listed| listed.listed_version.as_ref());
        let most = self.offers.iter().map(|offer| offer.peers.len()).max();
        let mut of_most = self.offers.iter().filter(|offer| Some(offer.peers.len()) == most);
        // Two equally large sides have no majority.
        let majority = of_most.next().filter(|_| of_most.next().is_none());
        listed.or(majority.map(|offer| offer.version))
    }

    fn update(&self) -> Option<&'a GameVersion> {
        let wanted = self.wanted()?;
        let is_offered = self.offers.iter().any(|offer| offer.version == wanted);
        let is_outdated = self.local.as_ref().is_some_and(|local| local.is_outdated(wanted));
        (is_offered && is_outdated).then_some(wanted)
    }

    fn state(&self) -> String {
        if let Some((kind, running, progress)) = self.operation {
            return if running { step(kind, progress) } else { "waiting for its turn".to_owned() };
        }
        match (&self.local, self.update()) {
            (Some(local), Some(version)) => format!("{}, update to {version}", local.state()),
            (Some(local), None) => local.state(),
            (None, _) => "not here".to_owned(),
        }
    }

    /// The offers of the wanted version, or else all.
    fn shown_offers(&self) -> Vec<&Offer<'a>> {
        let wanted = self.wanted();
        let of_wanted: Vec<_> = self.offers.iter().filter(|offer| Some(offer.version) == wanted).collect();
        if of_wanted.is_empty() { self.offers.iter().collect() } else { of_wanted }
    }

    fn packed_bytes(&self) -> Option<u64> {
        let here = self.local.as_ref().map(|local| local.bytes).filter(|bytes| *bytes > 0);
        here.or_else(|| self.shown_offers().iter().map(|offer| offer.bytes).max())
    }

    fn sizes(&self) -> [String; 2] {
        let unpacked = self.listed.and_then(|listed| listed.unpacked_bytes);
        [self.packed_bytes(), unpacked].map(|size| size.map_or(UNKNOWN.to_owned(), bytes))
    }

    fn row(&self, game: &GameId) -> [String; 7] {
        let here = self.local.as_ref().and_then(Local::version).map(ToString::to_string);
        let offered = || {
            let versions: Vec<&str> =
                self.shown_offers().iter().map(|offer| offer.version.as_str()).collect();
            if versions.is_empty() { UNKNOWN.to_owned() } else { versions.join(", ") }
        };
        let mut peers: Vec<&PeerName> = self.shown_offers().iter().flat_map(|offer| offer.peers).collect();
        peers.sort();
        peers.dedup();
        let [packed, unpacked] = self.sizes();
        let title = self.title.unwrap_or_default().to_owned();
        [
            game.to_string(),
            here.unwrap_or_else(offered),
            self.state(),
            packed,
            unpacked,
            names(peers, SOURCES_SHOWN),
            title,
        ]
    }

    fn details(&self, game: &GameId) -> Vec<String> {
        let row = |name: &str, value: String| [format!("  {name}"), value];
        let [packed, unpacked] = self.sizes();
        let mut rows = vec![row("state", self.state())];
        if let Some(local) = &self.local {
            let version = |version: Option<&GameVersion>| {
                version.map_or("of no known version", GameVersion::as_str).to_owned()
            };
            if local.downloaded {
                rows.push(row("downloaded", trusted(&version(local.version), local.downloaded_trust)));
            }
            if local.installed {
                rows.push(row("installed", trusted(&version(local.installed_version), local.trust)));
            }
        }
        if let Some(listed) = self.listed.and_then(|listed| listed.listed_version.as_ref()) {
            rows.push(row("in the catalog", listed.to_string()));
        }
        rows.push(row("packed", packed));
        rows.push(row("unpacked", unpacked));
        for offer in &self.offers {
            let peers = names(offer.peers, usize::MAX);
            rows.push(row("offered", format!("{}, {}, by {peers}", offer.version, bytes(offer.bytes))));
        }
        if self.offers.is_empty() {
            rows.push(row("offered", "by no peer that answered".to_owned()));
        }
        let head = format!("{game}{}", titled(self.title));
        [head].into_iter().chain(aligned(&rows)).collect()
    }
}

fn names<'a>(peers: impl IntoIterator<Item = &'a PeerName>, shown: usize) -> String {
    let peers: Vec<&str> = peers.into_iter().map(PeerName::as_str).collect();
    let (first, rest) = peers.split_at(peers.len().min(shown));
    match (first.is_empty(), rest.len()) {
        (true, _) => UNKNOWN.to_owned(),
        (false, 0) => first.join(", "),
        (false, more) => format!("{} and {}", first.join(", "), count(more as u64, "other")),
    }
}

pub(super) fn trust_words(trust: InstallTrust) -> &'static str {
    match trust {
        InstallTrust::Verified => "verified",
        InstallTrust::Unverified => "unverified",
    }
}

/// The title of a game, to stand after everything else.
fn titled(title: Option<&str>) -> String {
    title.map(|title| format!("  {title}")).unwrap_or_default()
}

/// What is here, and whether it is verified, if anything is recorded about that.
fn trusted(state: &str, trust: Option<InstallTrust>) -> String {
    match trust {
        Some(trust) => format!("{state}, {}", trust_words(trust)),
        None => state.to_owned(),
    }
}

#[cfg(test)]
mod tests;
