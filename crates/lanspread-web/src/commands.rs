//! What the page may have done. Its owner says how far it goes at most, the room whether another machine accepts anything.

use lanspread_peer::PeerId;
use serde::Serialize;

use crate::refusal::WebRefusal;

/// Why a page that only shows has no buttons.
pub(crate) const NONE: &str = "This page only shows the room: its daemon runs with `--web-commands none`.";
/// Why a page for one machine does nothing on others.
pub(crate) const OWN_ONLY: &str = "this page commands its own machine only (`--web-commands own`)";
/// Why a page that may do everything does nothing on others.
const NO_OTHER_ACCEPTS: &str = "No other machine accepts installs from this one (`serve --accept-from ID`).";

/// What the page may have done at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Commands {
    /// Nothing: it only shows.
    None,
    /// Everything that its daemon can do on its own machine.
    Own,
    /// That, and what other machines accept from its daemon.
    #[default]
    Room,
}

impl Commands {
    /// Refuses what goes further than this.
    pub(crate) fn check(self, own: PeerId, peers: &[PeerId]) -> Result<(), WebRefusal> {
        let message = match self {
            Self::None => NONE,
            Self::Own if peers.iter().any(|peer| *peer != own) => OWN_ONLY,
            Self::Own | Self::Room => return Ok(()),
        };
        let hint = "its owner can allow more with --web-commands".to_owned();
        Err(WebRefusal::new(403, "not-permitted", message).with_hint(Some(hint)))
    }

    /// How far it goes in a room, and why no further.
    pub(crate) fn in_room(self, others_accept: bool) -> (Self, Option<&'static str>) {
        match self {
            Self::None => (self, Some(NONE)),
            Self::Own => (self, Some(OWN_ONLY)),
            Self::Room if others_accept => (self, None),
            Self::Room => (Self::Own, Some(NO_OTHER_ACCEPTS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_goes_as_far_as_its_owner_and_the_others_allow_and_says_why_no_further() {
        for (allowed, others_accept, expected) in [
            (Commands::Room, true, (Commands::Room, false)),
            (Commands::Room, false, (Commands::Own, true)),
            (Commands::Own, true, (Commands::Own, true)),
            (Commands::None, true, (Commands::None, true)),
        ] {
            let (goes, reason) = allowed.in_room(others_accept);
            assert_eq!((goes, reason.is_some()), expected, "{allowed:?}");
        }
    }

    #[test]
    fn a_request_that_goes_further_is_refused() {
        let (own, other) = (PeerId::random().unwrap(), PeerId::random().unwrap());
        let may = |allowed: Commands, peers: &[PeerId]| allowed.check(own, peers).is_ok();
        assert!(may(Commands::Room, &[own, other]) && may(Commands::Own, &[own]));
        assert!(
            !may(Commands::Own, &[own, other]) && !may(Commands::None, &[own]) && !may(Commands::None, &[])
        );
    }
}
