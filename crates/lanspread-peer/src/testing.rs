//! Peers for this crate's own tests.

mod liars_tests;
pub(crate) mod machine;
mod manifest_tests;

use lanspread_types::content::GameOffer;

/// That many games, as a peer offers them.
pub(crate) fn offers(count: usize) -> Vec<GameOffer> {
    let offer = |index| GameOffer {
        game: format!("g{index}").parse().unwrap(),
        version: "1".parse().unwrap(),
        bytes: 1,
    };
    (0..count).map(offer).collect()
}
