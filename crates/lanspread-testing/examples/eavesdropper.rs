//! Reports every packet that this machine hears or sends, as a line of JSON with the frame in hexadecimal digits.
//!
//! ```text
//! eavesdropper
//! ```
//!
//! It takes no part in what it hears. It needs the right to open a packet socket (`CAP_NET_RAW`).

#![allow(clippy::print_stdout)] // scenarios read its output

use std::fmt::Write as _;
use std::io::Read;

use lanspread_testing::time_of_day::now;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

/// `ETH_P_ALL`: the frames of all protocols.
const ALL_PROTOCOLS: u16 = 3;

/// The kernel cuts a stream into frames as late as it can: these are much longer than those on a wire.
const FRAME_BYTES_MAX: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protocol = Protocol::from(i32::from(ALL_PROTOCOLS.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
    println!("{}", json!({"event": "eavesdropping", "time": now()}));
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    // Until it is killed.
    loop {
        let length = socket.read(&mut buffer)?;
        let mut frame = String::with_capacity(2 * length);
        for byte in &buffer[..length] {
            write!(frame, "{byte:02x}")?;
        }
        println!("{}", json!({"event": "heard", "time": now(), "frame": frame}));
    }
}
