//! Relays connections between two peers and disturbs what passes.
//!
//! ```text
//! fault_proxy --listen ADDR --to HOST:PORT --fault FAULT [--direction to-client|to-server] [--after-connections N]
//! ```
//!
//! FAULT is one of `delay=MS`, `cut=N`, `stall=N`, `flip=N:BIT` and `trickle=BYTES:MS`; N counts the bytes of one
//! connection in the disturbed direction, by default to the client. The first N connections of `--after-connections`
//! pass undisturbed. It prints one line of JSON when it is ready, and one when a fault first takes effect on a
//! connection.

#![allow(clippy::print_stdout)] // scenarios read its output

use std::net::SocketAddr;

use lanspread_testing::fault_pipe::{Fault, FaultPipe};
use lanspread_testing::time_of_day::now;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

struct Arguments {
    listen: SocketAddr,
    to: String,
    fault: Fault,
    to_client: bool,
    after_connections: usize,
}

fn arguments() -> Result<Arguments, Box<dyn std::error::Error>> {
    let (mut listen, mut to, mut fault) = (None, None, None);
    let (mut to_client, mut after_connections) = (true, 0);
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match (option.as_str(), value.as_str()) {
            ("--listen", address) => listen = Some(address.parse()?),
            ("--to", _) => to = Some(value),
            ("--fault", text) => fault = Some(text.parse()?),
            ("--direction", "to-client") => to_client = true,
            ("--direction", "to-server") => to_client = false,
            ("--after-connections", number) => after_connections = number.parse()?,
            _ => return Err(format!("there is no option {option} {value}").into()),
        }
    }
    Ok(Arguments {
        listen: listen.ok_or("--listen ADDR is missing")?,
        to: to.ok_or("--to HOST:PORT is missing")?,
        fault: fault.ok_or("--fault FAULT is missing")?,
        to_client,
        after_connections,
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { listen, to, fault, to_client, after_connections } = arguments()?;
    let listener = TcpListener::bind(listen).await?;
    println!(
        "{}",
        json!({"event": "fault-proxy-ready", "time": now(), "port": listener.local_addr()?.port()})
    );
    for connection in 1_usize.. {
        let (client, _) = listener.accept().await?;
        let fault = if connection > after_connections { fault } else { Fault::None };
        let to = to.clone();
        tokio::spawn(async move {
            // Either side may close at any time, and the other side sees it.
            let Ok(mut server) = TcpStream::connect(to).await else { return };
            let _ = client.set_nodelay(true).and(server.set_nodelay(true));
            let felt = move || {
                println!("{}", json!({"event": "fault-felt", "time": now(), "connection": connection}));
            };
            let mut client = if to_client {
                FaultPipe::on_writes(client, fault)
            } else {
                FaultPipe::on_reads(client, fault)
            }
            .when_felt(felt);
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
    Ok(())
}
