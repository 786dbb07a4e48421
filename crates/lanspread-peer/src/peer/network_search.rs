//! Whether this program can search the network.

use crate::discovery::multicast;
use crate::peer::error::PeerError;

/// Refuses to search the network, or to announce a peer there, in a program that was built without that: what a user
/// asked for is not left out without a word.
pub(super) fn check_discovery(is_asked_for: bool) -> Result<(), PeerError> {
    if is_asked_for && !multicast::IS_BUILT { Err(PeerError::DiscoveryNotBuilt) } else { Ok(()) }
}
