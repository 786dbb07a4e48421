//! The process itself: signals, limits of the system, panics, and the control socket as a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{
    Finished, POWERLESS_USER, Receiver, Running, Source, Tree, big_games, copy_tree, decoded_at_source,
    finish, fixtures, is_root, peer, program_for_all, unrar_tree,
};

/// `peer()` under a shell that first runs `setup`.
fn under_shell(setup: &str, program: &Path, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")]).arg(program).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// A daemon of a fixture, with its folders below `folder`, not started.
fn serve(folder: &Path, state_dir: &Path) -> Command {
    let games = folder.join("games");
    if !games.exists() {
        copy_tree(&fixtures("fixture-solid"), &games);
    }
    let mut command = peer();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--games-dir"]).arg(games);
    command.arg("--state-dir").arg(state_dir);
    command
}

fn ask_daemon(folder: &Path, words: &[&str]) -> Finished {
    finish(peer().args(words).args(["--json", "--games-dir"]).arg(folder.join("games")))
}

/// An install that is hung up ends as one that is interrupted, with the status that shells give to a hang-up.
#[test]
fn a_hang_up_ends_a_command_after_clean_up() {
    let source = Source::slow("only");
    let receiver = Receiver::new();
    for (signal, status) in [("HUP", 129), ("TERM", 130)] {
        let mut command = Running::start(decoded_at_source(&mut receiver.install("big", &[&source])));
        command.wait_for("stream-progress");
        command.signal(signal);
        let done = command.finish();
        done.failed(status, &["cancelled"]);
        assert_eq!(done.one("error")["exit_status"], status);
        receiver.assert_untouched();
        source.assert_idle();
    }
}

#[test]
fn a_hang_up_ends_a_daemon_unless_it_was_told_to_survive_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut daemon = Running::start(&mut serve(folder.path(), &state));
    daemon.wait_for("peer-ready");
    daemon.signal("HUP");
    assert_eq!(daemon.finish().status.code(), Some(129));
    assert!(!state.join("control.sock").exists() && !state.join("daemon.json").exists());

    let program = Path::new(env!("CARGO_BIN_EXE_lanspread-peer-cli"));
    let mut daemon = Running::start(&mut under_shell("trap '' HUP", program, &serve(folder.path(), &state)));
    daemon.wait_for("peer-ready");
    daemon.signal("HUP");
    ask_daemon(folder.path(), &["status"]).succeeded();
    daemon.signal("TERM");
    daemon.finish().succeeded();
}

/// Neither a panic nor a hang: one line and an exit, whatever the limit.
#[test]
fn a_process_without_threads_or_files_says_so_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = program_for_all(folder.path());
    // No other process runs as this user, so that the limits below count the threads of the command alone.
    let limited = |setup: &str, command: &Command| {
        let mut shell = under_shell(setup, &program, command);
        if is_root() && setup.contains("--nproc") {
            shell.uid(44_771).gid(44_771);
        }
        finish(shell.current_dir("/"))
    };
    let games = folder.path().join("games");
    copy_tree(&fixtures("fixture-solid"), &games);
    let command = |words: &[&str]| {
        let mut command = peer();
        command
            .args(words)
            .arg("--games-dir")
            .arg(&games)
            .arg("--state-dir")
            .arg(folder.path().join("state"));
        command
    };
    let install = command(&["install", "--stream", "cnctw", "--peer", "127.0.0.1:1"]);
    let serve = command(&["serve", "--listen", "127.0.0.1:0"]);
    for command in [&install, &serve, &command(&["list"])] {
        for threads in 1..6 {
            let done = limited(&format!("exec prlimit --nproc={threads} \"$0\" \"$@\""), command);
            done.failed(7, &["more threads, and needs", "ulimit -u", "TasksMax="]);
        }
        for files in [6, 10, 20, 40] {
            let done = limited(&format!("ulimit -n {files}"), command);
            done.failed(7, &[&format!("may open {files} files"), "ulimit -n"]);
        }
    }
}

/// A soft limit is not the end: the system lets the program raise it.
#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_lanspread-peer-cli"));
    let command = serve(folder.path(), &folder.path().join("state"));
    let mut daemon = Running::start(&mut under_shell("ulimit -S -n 20", program, &command));
    daemon.wait_for("peer-ready");
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert!(soft.split_whitespace().next().unwrap().parse::<u64>().unwrap() > 64, "{soft}");
    daemon.signal("TERM");
    daemon.finish().succeeded();
}

/// The address of a socket is shorter than the path of a folder may be.
#[test]
fn a_daemon_with_a_long_state_directory_takes_commands() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tempfile::tempdir().unwrap();
    let state = folder.path().join("d".repeat(150));
    let mut daemon = Running::start(serve(folder.path(), &state).env("XDG_RUNTIME_DIR", runtime.path()));
    daemon.wait_for("peer-ready");
    let named: serde_json::Value =
        serde_json::from_slice(&fs::read(state.join("daemon.json")).unwrap()).unwrap();
    let socket = Path::new(named["socket"].as_str().unwrap()).to_owned();
    assert!(socket.starts_with(runtime.path()), "{}", socket.display());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    ask_daemon(folder.path(), &["status"]).succeeded().one("peer-status");
    daemon.signal("TERM");
    daemon.finish().succeeded();
    assert!(!socket.exists());
}

/// A program of another user that poses as the daemon would decide what the command believes. Only root can start one
/// here; which users are trusted is also a test of the library.
#[test]
fn a_daemon_of_another_user_is_not_trusted() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    open(folder.path());
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    open(&state);
    let prepared = serve(folder.path(), &state);
    open(&folder.path().join("games"));
    let program = program_for_all(folder.path());
    let mut daemon = under_shell("true", &program, &prepared);
    let mut daemon = Running::start(daemon.uid(POWERLESS_USER).gid(POWERLESS_USER).current_dir("/"));
    daemon.wait_for("peer-ready");
    for words in [&["list"][..], &["install", "--stream", "cnctw"], &["operations"]] {
        let done = ask_daemon(folder.path(), words);
        done.failed(5, &["control.sock", &format!("user {POWERLESS_USER}"), "--no-daemon"]);
        assert_eq!(done.one("error")["code"], "daemon-untrusted");
    }
    // The file of the socket alone is reason enough.
    let other = tempfile::tempdir().unwrap();
    let state = other.path().join("state");
    let mut daemon = Running::start(&mut serve(other.path(), &state));
    daemon.wait_for("peer-ready");
    ask_daemon(other.path(), &["operations"]).succeeded();
    chown(state.join("control.sock"), Some(POWERLESS_USER), None).unwrap();
    ask_daemon(other.path(), &["operations"]).failed(5, &[&format!("user {POWERLESS_USER}")]);
}

/// A fault of ours ends a command with status 1, and the next command goes on from there. A daemon leaves no socket and
/// no lock.
#[test]
fn a_panic_ends_the_process_with_status_1() {
    let source = Source::start("only", &big_games());
    let receiver = Receiver::new();
    let done = finish(receiver.install("big", &[&source]).env("LANSPREAD_TEST_PANIC", "progress"));
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    let error = done.one("error");
    assert_eq!((&error["code"], &error["exit_status"]), (&"internal".into(), &1.into()));
    assert_eq!(
        done.stderr.matches("a test wanted a panic").count(),
        2,
        "where, and the error: {}",
        done.stderr
    );
    source.assert_idle();
    // The panic is in what reports the install. If that had ended by then, the game is there; else it is not, and the
    // next command installs it.
    let next = receiver.run("big", &[&source]);
    if next.status.code() != Some(0) {
        assert_eq!(next.one("error")["code"], "already-installed");
    }
    assert_eq!(Tree::read(&receiver.local("big")), unrar_tree(&big_games().join("big")));

    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let done = finish(serve(folder.path(), &state).env("LANSPREAD_TEST_PANIC", "serve"));
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    for left in ["control.sock", "daemon.json"] {
        assert!(!state.join(left).exists(), "{left} is left");
    }
    assert!(!folder.path().join("games/.lanspread/daemon.json").exists());
}
