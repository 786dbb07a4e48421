//! Embeds lanspread: serves a games directory and, if a source and a game are given, installs the game from it.
//!
//! ```text
//! cargo run --example embed -- GAMES_DIR                       serves
//! cargo run --example embed -- GAMES_DIR HOST:PORT GAME        serves and installs
//! ```

#![allow(clippy::print_stdout)] // an example shows what happens

use lanspread_peer::{CancellationToken, OperationOptions, Peer, PeerEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let peer = Peer::builder(arguments.next().ok_or("which folder?")?).build()?;

    let mut events = peer.events();
    let printing = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                PeerEvent::PeerReady { addr, .. } => println!("serving at {addr}"),
                other => println!("{other:?}"),
            }
        }
    });

    peer.serve("0.0.0.0:0".parse()?).await?;
    if let (Some(source), Some(game)) = (arguments.next(), arguments.next()) {
        let options = OperationOptions::default().with_peers(vec![source.parse()?]);
        let report = peer.stream_install_game(&game.parse()?, &options, CancellationToken::new()).await?;
        println!("{} files, {} bytes from {}", report.totals.files, report.totals.bytes, report.source.name);
    }
    printing.await?;
    Ok(())
}
