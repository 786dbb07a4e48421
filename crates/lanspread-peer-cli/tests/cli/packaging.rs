//! What a package relies on: `serve` notifies the service manager, and the shipped config file is valid.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;

use crate::support::{DEADLINE, Running, copy_tree, finish, fixtures, peer, project};

fn notified(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    // A signal for this process, such as that a child has ended, interrupts the wait.
    let received = loop {
        match socket.recv(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => break received,
        }
    };
    let length = received.expect("a message before the deadline");
    String::from_utf8(buffer[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// It reports *ready* when peers can connect and *stopping* when it begins to stop, over both kinds of socket that systemd
/// uses.
#[test]
fn serve_notifies_the_service_manager() {
    let folder = tempfile::tempdir().unwrap();
    // A daemon owns its games directory, and other tests serve the fixtures too.
    let games = folder.path().join("games");
    copy_tree(&fixtures("fixture-solid"), &games);
    let path = folder.path().join("notify");
    let name = format!("lanspread-test-{}", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
    for (socket, variable) in [
        (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{name}")),
    ] {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut command = peer();
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--no-discovery", "--games-dir"])
            .arg(&games);
        command.arg("--state-dir").arg(folder.path().join("state")).env("NOTIFY_SOCKET", variable);
        let mut running = Running::start(command.stderr(Stdio::piped()));
        let ready = notified(&socket);
        let address = running.wait_for("peer-ready")["addr"].as_str().unwrap().to_owned();
        assert_eq!(ready, ["READY=1".to_owned(), format!("STATUS=Serving {} on {address}", games.display())]);
        std::net::TcpStream::connect(address).expect("it is ready");
        running.signal("TERM");
        assert_eq!(notified(&socket)[0], "STOPPING=1");
        running.finish().succeeded();
    }
}

#[test]
fn serve_continues_without_its_service_manager() {
    let folder = tempfile::tempdir().unwrap();
    let games = folder.path().join("games");
    copy_tree(&fixtures("fixture-solid"), &games);
    let mut command = peer();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--no-discovery", "--games-dir"]);
    command.arg(&games).arg("--state-dir").arg(folder.path().join("state"));
    let mut running = Running::start(command.env("NOTIFY_SOCKET", folder.path().join("gone")));
    running.wait_for("peer-ready");
    running.signal("TERM");
    let done = running.finish();
    assert!(done.succeeded().stderr.contains("gone"), "{}", done.stderr);
}

/// Whether a line is an example from which an operator can remove the mark: `# key = value`.
fn is_example(line: &str) -> bool {
    let key = line.strip_prefix("# ").and_then(|line| line.split_once(" = "));
    key.is_some_and(|(key, _)| !key.contains(' '))
}

/// Every line of the shipped file, and every example in it, is accepted.
#[test]
fn the_shipped_config_file_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string(project().join("packaging/lanspread.toml")).unwrap();
    let examples = shipped.lines().filter(|line| is_example(line)).count();
    assert!(examples > 3, "{shipped}");
    let unmarked = shipped.lines().map(|line| if is_example(line) { &line[2..] } else { line });
    for text in [unmarked.collect::<Vec<_>>().join("\n"), shipped.clone()] {
        let path = folder.path().join("lanspread.toml");
        fs::write(&path, text).unwrap();
        let mut command = peer();
        command.args(["status", "--peer", "127.0.0.1:1", "--config"]).arg(&path);
        // No peer listens there, but the whole file has been read.
        finish(command.arg("--state-dir").arg(folder.path())).failed(3, &["127.0.0.1:1"]);
    }
}
