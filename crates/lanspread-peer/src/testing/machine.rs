//! Peers of a test machine.

use lanspread_testing::machine::Machine;

use crate::peer::builder::PeerBuilder;
use crate::peer::core::Peer;

/// Makes the peers of a machine.
pub(crate) trait PeerOf {
    /// A peer of this machine, not built yet.
    fn describe(&self, name: &str) -> PeerBuilder;

    /// A peer of this machine.
    fn peer(&self, name: &str) -> Peer {
        self.describe(name).build().unwrap()
    }
}

impl PeerOf for Machine {
    fn describe(&self, name: &str) -> PeerBuilder {
        Peer::builder(self.games_dir()).state_dir(self.state_dir()).name(name.parse().unwrap())
    }
}
