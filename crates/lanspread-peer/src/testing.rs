//! Peers for this crate's own tests.

mod liars_tests;
pub(crate) mod machine;

use lanspread_types::content::GameOffer;

/// That many games, as a peer offers them.
pub(crate) fn offers(count: usize) -> Vec<GameOffer> {
    let offer = |index| GameOffer {
        game: format!("g{index}").parse().unwrap(),
        version: "1".parse().unwrap(),
        bytes: 1,
        entries: false,
    };
    (0..count).map(offer).collect()
}
