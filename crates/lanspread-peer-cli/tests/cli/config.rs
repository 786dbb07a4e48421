//! The config file: where it is found, what wins over it, and how a wrong one is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, Receiver, Source, finish, fixtures, make_pipe, peer};

/// A config file with this text.
fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("lanspread.toml");
    fs::write(&path, text).unwrap();
    path
}

/// `list --json`, with this text as its config file.
fn list_with(folder: &Path, text: &str) -> Command {
    let mut command = peer();
    command.args(["list", "--json"]).env("LANSPREAD_CONFIG", file(folder, text));
    command
}

fn local_games(done: &Finished) -> Vec<String> {
    done.succeeded()
        .named("local-game")
        .iter()
        .map(|game| game["game"].as_str().unwrap().to_owned())
        .collect()
}

/// The config file gives every option of an install.
#[test]
fn an_install_needs_nothing_but_the_game_on_its_command_line() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let text = format!(
        "games-dir = '{}'\nstate-dir = '{}'\npeer = ['{}']\nno-discovery = true\njson = true\n",
        receiver.games().display(),
        receiver.state().display(),
        source.address
    );
    let folder = tempfile::tempdir().unwrap();
    let mut command = peer();
    command.args(["install", "--stream", "alpha-arena", "--config"]).arg(file(folder.path(), &text));
    finish(&mut command).succeeded().one("stream-install-finished");
    assert!(receiver.local("alpha-arena").is_dir());
}

/// The order is command line, variable, file, built-in default.
#[test]
fn the_command_line_wins_then_the_variable_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("games-dir = '{}'\n", fixtures("fixture-solid").display());
    let mut command = list_with(folder.path(), &text);
    assert_eq!(local_games(&finish(&mut command)), ["cnctw"]);
    command.env("LANSPREAD_GAMES_DIR", fixtures("fixture-rar4"));
    assert_eq!(local_games(&finish(&mut command)), ["rar4-classic"]);
    command.arg("--games-dir").arg(fixtures("fixture-edge"));
    assert_eq!(local_games(&finish(&mut command)), ["edge-cases", "edge-stored"]);
    command.env_remove("LANSPREAD_GAMES_DIR");
    assert_eq!(local_games(&finish(&mut command)), ["edge-cases", "edge-stored"]);
    // The built-in default.
    let four = Source::start("four", &fixtures("fixture-solid"));
    assert_eq!(four.status()["streams_max"], lanspread_peer::limits::STREAMS_MAX_DEFAULT);
    let path = file(folder.path(), "max-streams = 2\n");
    let two = Source::start_with("two", &fixtures("fixture-solid"), ["--config", path.to_str().unwrap()]);
    assert_eq!(two.status()["streams_max"], 2);
}

/// Without `--config`, the user's own file is read if it exists. A file that is named and missing is an error.
#[test]
fn the_users_file_is_found_and_a_named_one_must_exist() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/lanspread");
    fs::create_dir_all(&folder).unwrap();
    let path = file(&folder, &format!("games-dir = '{}'\n", fixtures("fixture-solid").display()));
    let list = |home: &Path, arguments: &[&str]| {
        let mut command = peer();
        command.env_remove("LANSPREAD_CONFIG").env_remove("XDG_CONFIG_HOME").env("HOME", home);
        finish(command.args(["list", "--json"]).args(arguments))
    };
    assert_eq!(local_games(&list(home.path(), &[])), ["cnctw"]);
    assert_eq!(local_games(&list(Path::new("/nowhere"), &["--config", path.to_str().unwrap()])), ["cnctw"]);
    let without = list(home.path(), &["--config", "/dev/null"]);
    assert_eq!(local_games(&without), [""; 0], "the games directory of the file was used");
    let done = list(home.path(), &["--config", "/no/such/lanspread.toml"]);
    done.failed(2, &["/no/such/lanspread.toml", "No such file"]);
    assert_eq!(done.one("error")["code"], "config-file");
}

/// The message names the file and the line, and no value of the file is used.
#[test]
fn a_wrong_file_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let large = "#".repeat(64 * 1024 + 1);
    let table = [
        ("games-dir = '/'\nfrobnicate = 1\n", ["line 2", "frobnicate"]),
        ("max-streams = 'many'\n", ["line 1", "max-streams"]),
        ("\npeer = ['nonsense:0']\n", ["line 2", "--peer <PEER>"]),
        ("listen = '10.0.0.1'\n", ["line 1", "--listen <ADDR:PORT>"]),
        ("games-dir\n", ["line 1", "config file"]),
        (&large, ["larger than", "65536"]),
    ];
    for (text, parts) in table {
        let done = finish(&mut list_with(folder.path(), text));
        done.failed(2, &parts).failed(2, &[folder.path().to_str().unwrap()]);
        assert_eq!(done.one("error")["code"], "config-file");
    }
    let path = folder.path().join("lanspread.toml");
    fs::write(&path, b"name = 'a'\nname = '\xff'\n").unwrap();
    finish(peer().args(["list", "--config"]).arg(&path)).failed(2, &["line 2", "UTF-8"]);
    finish(peer().args(["list", "--config"]).arg(folder.path())).failed(2, &["it is a folder"]);
}

/// A file or a variable that was set long ago must not say what one command does, and says so instead of having no effect.
#[test]
fn what_one_call_does_is_said_on_its_command_line_only() {
    let folder = tempfile::tempdir().unwrap();
    let table: [(&str, &[&str]); 4] = [
        ("force", &["uninstall", "x"]),
        ("dry-run", &["install", "--stream", "x"]),
        ("stream", &["install", "x"]),
        ("follow", &["events"]),
    ];
    for (option, words) in table {
        let text = format!("quiet = true\n{option} = true\n");
        let mut command = peer();
        command.args(words).arg("--config").arg(file(folder.path(), &text));
        let given = format!("--{option} on the command line");
        finish(&mut command).failed(2, &["lanspread.toml", "line 2", &given, "remove the line"]);
        let variable = format!("LANSPREAD_{}", option.replace('-', "_").to_uppercase());
        let done = finish(peer().args(words).arg("--json").env(&variable, "true"));
        done.failed(2, &[&variable, "is for one call", &given]);
        assert_eq!(done.one("error")["code"], "usage");
    }
    finish(peer().args(["install", "--help"]).env("LANSPREAD_STREAM", "1")).succeeded();
}

/// A link is fine: the user may keep the file elsewhere. What is not a file is named and never waited for.
#[test]
fn a_config_file_may_be_a_link_but_not_a_pipe_a_device_or_huge() {
    let folder = tempfile::tempdir().unwrap();
    let list = |path: &Path| {
        let mut command = peer();
        command.args(["list", "--json", "--games-dir"]).arg(fixtures("fixture-alpha")).arg("--state-dir");
        finish(command.arg(folder.path().join("state")).arg("--config").arg(path))
    };
    let path = folder.path().join("named");
    fs::write(folder.path().join("elsewhere"), "no-daemon = true\n").unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    list(&path).succeeded();
    fs::remove_file(&path).unwrap();
    make_pipe(&path);
    list(&path).failed(2, &["named", "a pipe"]);
    list(Path::new("/dev/zero")).failed(2, &["/dev/zero", "a device"]);
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    list(&path).failed(2, &["named", "larger than"]);
}

/// A wrong file hides neither the help nor a mistake on the command line.
#[test]
fn help_needs_no_config_file() {
    let folder = tempfile::tempdir().unwrap();
    let broken = |arguments: &[&str]| {
        let path = file(folder.path(), "broken");
        finish(peer().args(arguments).env("LANSPREAD_CONFIG", path))
    };
    assert!(broken(&["serve", "--help"]).succeeded().stdout.contains("LANSPREAD_CONFIG"));
    broken(&["list", "--frobnicate"]).failed(2, &["--frobnicate"]);
    broken(&["list"]).failed(2, &["config file"]);
}
