//! Lines of the control socket: requests come back as they went, and a client takes exactly the lines that are replies.
#![no_main]

use std::cell::RefCell;

use lanspread_peer::{ControlClient, ControlError, ControlReply, ControlRequest, Daemon};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};

/// A false daemon.
struct Socket {
    folder: tempfile::TempDir,
    daemon: Daemon,
    listener: UnixListener,
    runtime: Runtime,
}

thread_local! {
    static SOCKET: RefCell<Socket> = RefCell::new(socket());
}

fn socket() -> Socket {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon { pid: 1, socket: folder.path().join("socket"), asking: None };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(async { UnixListener::bind(&daemon.socket) }).expect("a socket");
    Socket { folder, daemon, listener, runtime }
}

fn fuzz(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        check_request(line);
    }
    SOCKET.with_borrow(|socket| socket.runtime.block_on(check_replies(socket, input)));
}

fn check_request(line: &[u8]) {
    let Ok(request) = serde_json::from_slice::<ControlRequest>(line) else { return };
    let written = serde_json::to_vec(&request).expect("a request");
    assert!(!written.contains(&b'\n'), "one line");
    assert_eq!(serde_json::from_slice::<ControlRequest>(&written).expect("the same"), request);
}

async fn check_replies(socket: &Socket, sent: &[u8]) {
    // Its owner is who may say what is in it, so it has to be there.
    let games_dir = socket.folder.path();
    let asked = ControlClient::ask(&socket.daemon, games_dir, &ControlRequest::Status);
    let (client, accepted) = tokio::join!(asked, socket.listener.accept());
    let (mut client, (mut stream, _)) = (client.expect("a connection"), accepted.expect("a connection"));
    let daemon = async {
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await.expect("a request");
        // The client hangs up at the first bad line.
        let _ = stream.write_all(sent).await;
        drop(stream);
    };
    let reading = async move {
        let mut rest = sent;
        loop {
            let reply = client.next().await;
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                match (reply, rest.is_empty()) {
                    (Err(ControlError::DaemonGone { .. }), true) | (Err(ControlError::Broken(_)), false) => return,
                    (reply, _) => panic!("{reply:?} at the end"),
                }
            };
            match (reply, serde_json::from_slice::<ControlReply>(&rest[..end])) {
                (Ok(read), Ok(sent)) => assert_eq!(read, sent),
                (Err(ControlError::Broken(_)), Err(_)) => return,
                (reply, line) => panic!("{reply:?} is read and {line:?} was sent"),
            }
            rest = &rest[end + 1..];
        }
    };
    tokio::join!(daemon, reading);
}

fuzz_target!(|input: &[u8]| fuzz(input));
