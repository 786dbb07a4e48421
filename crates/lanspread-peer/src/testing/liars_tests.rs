//! Every lie about a real game, told to a peer.

use std::path::Path;

use lanspread_testing::liars::Game;
use lanspread_testing::machine::{Machine, Tree};
use tokio_util::sync::CancellationToken;

use crate::peer::error::PeerError;
use crate::report::operation::OperationOptions;
use crate::testing::machine::PeerOf;

/// A lie about a real archive has the same result as one about the small game, and nothing is left.
#[tokio::test]
async fn every_lie_about_a_real_game_is_detected() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let game = Game::read(&fixtures.join("fixture-solid/cnctw")).await.unwrap();
    for lie in game.lies().filter(|lie| !lie.slow && !lie.listed) {
        let machine = Machine::new();
        let liar = game.tell(lie.name, "liar".parse().unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let options = OperationOptions { peers: vec![liar.address.into()], ..Default::default() };
        let result = machine
            .peer("receiver")
            .stream_install_game(game.game(), &options, CancellationToken::new())
            .await;
        let Err(PeerError::AllSourcesFailed { attempts, .. }) = result else {
            panic!("{}: {result:?}", lie.name)
        };
        let codes: Vec<_> = attempts.iter().map(|attempt| attempt.code.clone()).collect();
        assert_eq!(codes, [lie.code], "{}: {attempts:?}", lie.name);
        assert_eq!(machine.everything(), Tree::new(), "{}", lie.name);
    }
}
