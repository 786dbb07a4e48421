//! A machine that does everything at once which one machine may try against a room: it floods the peers that it is
//! given, and offers their game as several sources that waste the time of the peers that ask.
//!
//! ```text
//! hostile_neighbour --game-root DIR --listen IP:PORT --target ADDR [--target ADDR]...
//! ```
//!
//! Its hosts listen on ports from that of `--listen` on: one for each manner, then one that calls itself like each
//! target. It announces all of them by multicast DNS, and besides them hosts that do not exist, some at addresses of
//! other networks. It prints one line of JSON when all of this runs, and ends when it is killed.

#![allow(clippy::print_stdout)] // scenarios read its output

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lanspread_proto::message::{Hello, PROTOCOL_VERSION};
use lanspread_testing::hostile::guest::Target;
use lanspread_testing::hostile::host::{HostileHost, Manner, hello_of};
use lanspread_testing::story;
use lanspread_testing::time_of_day::now;
use lanspread_types::ids::PeerId;
use mdns_sd::{ServiceDaemon, ServiceInfo};
use serde_json::json;
use tokio::net::{TcpListener, lookup_host};

/// Announcements of hosts that do not exist.
const GHOSTS: u8 = 100;

#[derive(Default)]
struct Arguments {
    game_root: Option<PathBuf>,
    listen: Option<SocketAddr>,
    targets: Vec<String>,
}

fn arguments() -> Result<Arguments, Box<dyn std::error::Error>> {
    let mut found = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--game-root" => found.game_root = Some(value.into()),
            "--listen" => found.listen = Some(value.parse()?),
            "--target" => found.targets.push(value),
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    Ok(found)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let game_root = arguments.game_root.ok_or("--game-root DIR is missing")?;
    let (offered, steps) = story::steps_of_game_root(&game_root).await?;
    let listen = arguments.listen.ok_or("--listen IP:PORT is missing")?;
    let multicast = ServiceDaemon::new()?;
    let mut running = tokio::task::JoinSet::new();

    let mut targets = Vec::new();
    for name in &arguments.targets {
        let address = lookup_host(name).await?.next().ok_or_else(|| format!("{name} has no address"))?;
        targets.push((address, hello_of(address).await?));
    }
    let host = |manner, port| HostileHost::new(manner, offered.clone(), steps.clone(), port);
    let mut port = listen.port();
    let mut hosts = Vec::new();
    for manner in Manner::ALL {
        hosts.push(host(manner, port));
        port += 1;
    }
    for (_, hello) in &targets {
        hosts.push(host(Manner::Trickle, port).as_copy_of(hello));
        port += 1;
    }
    for (host, port) in hosts.into_iter().zip(listen.port()..) {
        let listener = TcpListener::bind(SocketAddr::new(listen.ip(), port)).await?;
        announce(&multicast, &service(host.identity.peer_id(), &host.hello, (), port)?.enable_addr_auto())
            .await?;
        running.spawn(host.serve(listener));
    }
    for number in 0..GHOSTS {
        let name = format!("ghost-{number}").parse()?;
        let ghost = Hello { name, listen_port: Some(9), instance: 1, catalog: None };
        // Half of them at an address of documentation (RFC 5737), half at this machine's loopback.
        let last = number % 50 + 1;
        let address =
            if number % 2 == 0 { Ipv4Addr::new(192, 0, 2, last) } else { Ipv4Addr::new(127, 0, 0, last) };
        announce(&multicast, &service(PeerId::random()?, &ghost, IpAddr::V4(address), 9)?).await?;
    }
    let count = targets.len();
    for (address, _) in targets {
        let target = Target { address, game: offered.game.clone(), version: offered.version.clone() };
        running.spawn(async move {
            target.attack().await;
            Ok(())
        });
    }
    println!("{}", json!({"event": "hostile-neighbour-ready", "time": now(), "targets": count}));
    // Until it is killed; a host that ends by itself is a fault of this program.
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// Announces a host as soon as there is room for it.
async fn announce(multicast: &ServiceDaemon, service: &ServiceInfo) -> mdns_sd::Result<()> {
    loop {
        match multicast.register(service.clone()) {
            Err(mdns_sd::Error::Again) => tokio::time::sleep(Duration::from_millis(10)).await,
            other => return other,
        }
    }
}

fn service(
    id: PeerId,
    hello: &Hello,
    address: impl mdns_sd::AsIpAddrs,
    port: u16,
) -> mdns_sd::Result<ServiceInfo> {
    let text = [
        ("proto", PROTOCOL_VERSION.to_string()),
        ("id", id.to_string()),
        ("inst", format!("{:x}", hello.instance)),
        ("name", hello.name.to_string()),
        ("rev", "1".to_owned()),
    ];
    let instance = format!("{id}-{:016x}", hello.instance);
    let mut service = ServiceInfo::new(
        "_lanspread._tcp.local.",
        &instance,
        &format!("{instance}.local."),
        address,
        port,
        &text[..],
    )?;
    service.set_requires_probe(false);
    Ok(service)
}
