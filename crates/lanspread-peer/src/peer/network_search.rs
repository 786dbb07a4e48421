//! Whether this program can search the network.

use crate::discovery::multicast;
use crate::peer::error::PeerError;

/// Refuses to search the network, or to announce a peer there, in a program that was built without that: what a user
/// asked for is not left out without a word.
pub(super) fn check_discovery(is_asked_for: bool) -> Result<(), PeerError> {
    permit(is_asked_for, multicast::IS_BUILT)
}

fn permit(is_asked_for: bool, is_built: bool) -> Result<(), PeerError> {
    if is_asked_for && !is_built { Err(PeerError::DiscoveryNotBuilt) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers that are named are reached in every build.
    #[test]
    fn only_what_was_asked_for_and_is_not_built_is_refused() {
        let refused = permit(true, false).unwrap_err();
        assert_eq!(refused.code(), "discovery-not-built");
        for (is_asked_for, is_built) in [(true, true), (false, true), (false, false)] {
            permit(is_asked_for, is_built).unwrap();
        }
    }
}
