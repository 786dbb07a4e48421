//! Downloads a game from another peer into a folder of games, and prints what happened as JSON lines.
//!
//! ```text
//! cargo run --example download -- GAMES_DIR STATE_DIR GAME HOST:PORT...
//! ```

#![allow(clippy::print_stdout)] // an example shows what happens

use lanspread_peer::{CancellationToken, OperationOptions, Peer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("which {what}?"));
    let peer = Peer::builder(next("games folder")?).state_dir(next("state folder")?).build()?;
    let game = next("game")?.parse()?;
    let peers = arguments.map(|peer| peer.parse()).collect::<Result<_, _>>()?;

    let mut events = peer.events();
    let options = OperationOptions { peers, ..Default::default() };
    let downloaded = peer.download_game(&game, &options, CancellationToken::new()).await;
    while let Some(event) = events.try_next() {
        println!("{}", serde_json::to_string(&event)?);
    }
    Ok(downloaded?)
}
