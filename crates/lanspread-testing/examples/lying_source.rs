//! A source that offers a downloaded game as an honest one would, and lies when it streams it.
//!
//! ```text
//! lying_source --game-root DIR --list
//! lying_source --game-root DIR --listen ADDR [--name NAME] [--lie LIE]...
//! ```
//!
//! Every lie gets a port of its own, counted up from that of `--listen`, and a peer name of its own, `NAME-NNN-LIE`, so
//! that one install tries them all in this order. Without `--lie`, it tells every lie that needs no waiting and
//! no manifest to be detected. It prints
//! one line of JSON for each, with the code with which the attempt must fail.

#![allow(clippy::print_stdout)] // scenarios read its output

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_testing::liars::{Game, KnownLie};
use lanspread_testing::time_of_day::now;
use serde_json::json;

#[derive(Default)]
struct Arguments {
    game_root: Option<PathBuf>,
    list: bool,
    listen: Option<SocketAddr>,
    name: Option<String>,
    lies: Vec<String>,
}

fn arguments() -> Result<Arguments, Box<dyn std::error::Error>> {
    let mut found = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        if option == "--list" {
            found.list = true;
            continue;
        }
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--game-root" => found.game_root = Some(value.into()),
            "--listen" => found.listen = Some(value.parse()?),
            "--name" => found.name = Some(value),
            "--lie" => found.lies.push(value),
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    Ok(found)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let game_root = arguments.game_root.ok_or("--game-root DIR is missing")?;
    let game = Game::read(&game_root).await?;
    if arguments.list {
        for KnownLie { name, code, slow, listed } in game.lies() {
            let lie = json!({"event": "lie", "time": now(), "lie": name, "code": code, "slow": slow, "listed": listed});
            println!("{lie}");
        }
        return Ok(());
    }
    let mut address = arguments.listen.ok_or("--listen ADDR is missing")?;
    let prefix = arguments.name.unwrap_or_else(|| "liar".to_owned());
    for name in &arguments.lies {
        game.lies().find(|lie| lie.name == name).ok_or_else(|| format!("there is no lie {name}"))?;
    }
    let chosen = game.lies().filter(|lie| match &arguments.lies[..] {
        [] => !lie.slow && !lie.listed,
        names => names.iter().any(|name| name == lie.name),
    });
    let mut liars = Vec::new();
    for (index, KnownLie { name, code, .. }) in chosen.enumerate() {
        let peer = format!("{prefix}-{index:03}-{name}");
        let liar = game.tell(name, peer.parse()?, address).await?;
        let port = liar.address.port();
        liars.push(liar);
        println!(
            "{}",
            json!({"event": "lying", "time": now(), "lie": name, "code": code, "peer": peer, "port": port})
        );
        if port != u16::MAX && address.port() != 0 {
            address.set_port(port + 1);
        }
    }
    println!("{}", json!({"event": "lying-source-ready", "time": now(), "lies": liars.len()}));
    // Until it is killed.
    std::future::pending().await
}
