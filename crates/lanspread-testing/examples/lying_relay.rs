//! Relays of a wave that lie to their followers.
//!
//! ```text
//! lying_relay --source HOST:PORT --listen ADDR --game GAME --version VERSION --manifest SHA256 [--name NAME] --lie LIE...
//! lying_relay --list
//! ```
//!
//! Each lie gets a port of its own, counted up from that of `--listen`, a place of its own at the source, in the order of
//! the lies, and a peer name of its own, `NAME-LIE`. It prints one line of JSON for each, one when all have their places,
//! and one whenever a follower comes.

#![allow(clippy::print_stdout)] // scenarios read its output

use std::net::SocketAddr;

use lanspread_proto::packed::PackedGame;
use lanspread_testing::lying_relay::{LyingRelay, RelayLie};
use lanspread_testing::time_of_day::now;
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut source, mut listen, mut name) = (None, None, "liar".to_owned());
    let (mut game, mut version, mut manifest, mut lies) = (None, None, None, Vec::new());
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        if option == "--list" {
            for lie in RelayLie::ALL {
                println!("{}", json!({"event": "lie", "time": now(), "lie": lie.as_str()}));
            }
            return Ok(());
        }
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--source" => source = Some(value),
            "--listen" => listen = Some(value.parse::<SocketAddr>()?),
            "--name" => name = value,
            "--game" => game = Some(value.parse()?),
            "--version" => version = Some(value.parse()?),
            "--manifest" => manifest = Some(value.parse()?),
            "--lie" => {
                let lie = RelayLie::ALL.into_iter().find(|lie| lie.as_str() == value);
                lies.push(lie.ok_or_else(|| format!("there is no lie {value}"))?);
            }
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    let source = source.ok_or("--source HOST:PORT is missing")?;
    let mut address = listen.ok_or("--listen ADDR is missing")?;
    let packed = PackedGame {
        game: game.ok_or("--game GAME is missing")?,
        version: version.ok_or("--version VERSION is missing")?,
        manifest: manifest.ok_or("--manifest SHA256 is missing")?,
    };
    for lie in lies {
        let peer = format!("{name}-{}", lie.as_str());
        let relay = LyingRelay::new(lie, peer.parse()?, packed.clone());
        let listener = TcpListener::bind(address).await?;
        let port = listener.local_addr()?.port();
        let place = relay.join(&source, port).await?;
        let lie = lie.as_str();
        println!(
            "{}",
            json!({"event": "lying", "time": now(), "lie": lie, "peer": peer, "position": place.position})
        );
        tokio::spawn(relay.serve(listener, move || {
            println!("{}", json!({"event": "followed", "time": now(), "lie": lie, "peer": peer}));
        }));
        address.set_port(port + 1);
    }
    println!("{}", json!({"event": "lying-relay-ready", "time": now()}));
    // Until it is killed.
    std::future::pending().await
}
