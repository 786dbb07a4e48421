//! Members of a group command a daemon of another user, or only ask it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{
    DEADLINE, Finished, POWERLESS_USER, Running, copy_tree, finish, fixtures, is_root, peer, program_for_all,
};

const COMMANDING: u32 = 44_801;
const ASKING: u32 = 44_802;
const OTHER: u32 = 44_803;

/// A command of a user who is of this group alone.
fn of_group(folder: &Path, group: u32, words: &[&str]) -> Finished {
    let mut command = Command::new(folder.join("peer"));
    for (name, value) in peer().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(words).args(["--json", "--games-dir"]).arg(folder.join("games"));
    command.arg("--state-dir").arg(folder.join(format!("state-of-{group}")));
    finish(command.uid(POWERLESS_USER).gid(group).current_dir("/"))
}

#[test]
fn members_of_a_group_command_a_daemon_and_those_of_another_one_only_ask_it() {
    if !is_root() {
        println!("only root can be another user: not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(folder.path(), 0o777);
    copy_tree(&fixtures("fixture-solid"), &folder.path().join("games"));
    program_for_all(folder.path());
    let runtime = folder.path().join("run");
    fs::create_dir(&runtime).unwrap();
    open(&runtime, 0o755);
    let mut command = peer();
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--games-dir"])
        .arg(folder.path().join("games"));
    command.arg("--state-dir").arg(folder.path().join("state")).env("RUNTIME_DIRECTORY", &runtime);
    command.args(["--socket-group", &COMMANDING.to_string(), "--socket-read-group", &ASKING.to_string()]);
    let mut daemon = Running::start(&mut command);
    daemon.wait_for("peer-ready");
    let mode = |name| fs::metadata(runtime.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("control.sock"), mode("ask.sock")), (0o660, 0o660));
    assert_eq!(fs::read_dir(&runtime).unwrap().count(), 2, "nothing else is left there");

    for group in [COMMANDING, ASKING] {
        of_group(folder.path(), group, &["status"]).succeeded().one("peer-status");
        of_group(folder.path(), group, &["operations"]).succeeded();
        of_group(folder.path(), group, &["events"]).succeeded();
        of_group(folder.path(), group, &["list"]).succeeded().one("local-game");
    }
    of_group(folder.path(), COMMANDING, &["install", "cnctw"]).succeeded();
    of_group(folder.path(), COMMANDING, &["cancel", "cnctw"]).failed(5, &["no operation"]);
    for words in [&["uninstall", "cnctw"][..], &["cancel", "cnctw"]] {
        let refused = of_group(folder.path(), ASKING, words);
        refused.failed(5, &["may not command the daemon"]);
        assert_eq!(refused.one("error")["code"], "not-permitted");
    }
    assert!(folder.path().join("games/cnctw/local").is_dir());
    of_group(folder.path(), OTHER, &["status"]).failed(3, &["ask.sock", "Permission denied"]);
    daemon.signal("TERM");
    daemon.finish().succeeded();
    assert_eq!(fs::read_dir(&runtime).unwrap().count(), 0, "the sockets go with the daemon");
}

/// The socket itself refuses: a program that does not ask the command gets no further.
#[test]
fn the_socket_for_questions_takes_no_commands() {
    use std::io::{BufRead, BufReader, Write};
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("games")).unwrap();
    let runtime = folder.path().join("run");
    fs::create_dir(&runtime).unwrap();
    let own = fs::metadata(folder.path()).unwrap();
    let group = std::os::unix::fs::MetadataExt::gid(&own).to_string();
    let mut command = peer();
    command.args([
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--socket-read-group",
        &group,
        "--games-dir",
    ]);
    command.arg(folder.path().join("games")).arg("--state-dir").arg(folder.path().join("state"));
    let mut daemon = Running::start(command.env("RUNTIME_DIRECTORY", &runtime));
    daemon.wait_for("peer-ready");
    for (request, reply) in [
        ("{\"request\":\"operations\"}", "done"),
        ("{\"request\":\"cancel\",\"game\":\"g\"}", "not-permitted"),
        ("{\"request\":\"operate\",\"kind\":\"remove\",\"game\":\"g\"}", "not-permitted"),
        ("{\"request\":\"penalties\",\"clear\":\"all\"}", "not-permitted"),
        ("{\"request\":\"limits\",\"up\":\"1MiB\"}", "failed"),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(runtime.join("ask.sock")).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains(reply), "{request}: {line}");
    }
    daemon.signal("TERM");
    daemon.finish().succeeded();
}
