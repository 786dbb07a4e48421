//! Lying sources of any downloaded game, each on a port of its own. `examples/lying_source.rs` runs them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use lanspread_types::ids::{GameId, PeerName};

use crate::lying_source::{Listening, LyingSource};
use crate::story::{Offered, Story};
use crate::{lies, story};

/// A downloaded game and the lies about it.
#[derive(Debug)]
pub struct Game {
    offered: Offered,
    lies: Vec<lies::Lie>,
    slow: Vec<&'static str>,
    listed: Vec<&'static str>,
}

/// A lie that can be chosen by its name.
#[derive(Debug, Clone, Copy)]
pub struct KnownLie {
    /// Its name.
    pub name: &'static str,
    /// Code with which the attempt must fail.
    pub code: &'static str,
    /// Whether this takes as long as the idle deadline.
    pub slow: bool,
    /// Whether only a receiver with a manifest detects it.
    pub listed: bool,
}

/// A lying source that listens until it is dropped.
pub struct Liar {
    /// Where it listens.
    pub address: SocketAddr,
    _listening: Listening,
}

impl Game {
    /// The id of the game.
    pub fn game(&self) -> &GameId {
        &self.offered.game
    }

    /// Decodes the game in a game root; errors are texts for people.
    pub async fn read(game_root: &Path) -> Result<Self, String> {
        let (offered, story): (Offered, Story) = story::of_game_root(game_root).await?;
        let slow = lies::slow(&story);
        let listed = lies::against_a_manifest(&story);
        let names = |lies: &[lies::Lie]| lies.iter().map(|lie| lie.name).collect();
        let (slow_names, listed_names) = (names(&slow), names(&listed));
        let lies = [lies::all(&story), slow, listed].concat();
        Ok(Self { offered, lies, slow: slow_names, listed: listed_names })
    }

    /// Every lie, in a fixed order.
    pub fn lies(&self) -> impl Iterator<Item = KnownLie> {
        self.lies.iter().map(|lie| KnownLie {
            name: lie.name,
            code: lie.code,
            slow: self.slow.contains(&lie.name),
            listed: self.listed.contains(&lie.name),
        })
    }

    /// Starts a source of this name that tells a lie at this address. A lie about its identity begins with its second
    /// connection, because the first one asks what it offers.
    ///
    /// # Errors
    /// If it cannot listen, or there is no such lie.
    pub async fn tell(&self, lie: &str, name: PeerName, address: SocketAddr) -> io::Result<Liar> {
        let lie = self.lies.iter().find(|known| known.name == lie).ok_or(io::ErrorKind::NotFound)?;
        let source = LyingSource::of(name, self.offered.clone(), lie.stream.clone());
        let listening = LyingSource { greeting: lie.greeting, ..source }.listen_at(address).await?;
        Ok(Liar { address: listening.address, _listening: listening })
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::machine::Machine;

    fn any_port() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    async fn solid_game() -> Game {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        Game::read(&fixtures.join("fixture-solid/cnctw")).await.unwrap()
    }

    /// Lies are chosen by name, so no two may share one.
    #[tokio::test]
    async fn every_lie_has_a_name_of_its_own() {
        let game = solid_game().await;
        let names: std::collections::BTreeSet<_> = game.lies().map(|lie| lie.name).collect();
        assert_eq!(names.len(), game.lies().count());
        assert!(names.len() > 80, "{names:?}");
    }

    #[tokio::test]
    async fn an_unknown_lie_is_not_told() {
        let told = solid_game().await.tell("truth", "liar".parse().unwrap(), any_port()).await;
        assert_eq!(told.err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_a_downloaded_game_is_refused() {
        let machine = Machine::new();
        let root = machine.games_dir().join("g");
        assert!(Game::read(&root).await.unwrap_err().contains("no such folder"));
        std::fs::create_dir(&root).unwrap();
        assert!(Game::read(&root).await.unwrap_err().contains("not downloaded"));
        std::fs::write(root.join("version.ini"), "1").unwrap();
        assert!(Game::read(&root).await.unwrap_err().contains("to lie about it"));
    }
}
