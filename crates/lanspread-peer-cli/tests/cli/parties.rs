//! `party new|join|show|leave`: a party of three machines, what each slip is called, and where the line is shown.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Finished, Running, Source, Tree, copy_tree, finish, fixtures, make_pipe, peer};
use crate::terminal::Terminal;

/// A machine: its home, with the default state directory.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A command of its user, not started.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = peer();
        command.args(words).env("HOME", self.home.path()).current_dir(self.home.path());
        command
    }

    fn run(&self, words: &[&str]) -> Finished {
        finish(&mut self.command(words))
    }

    /// Runs a command that reads this.
    fn run_with(&self, words: &[&str], input: &[u8]) -> Finished {
        let mut process = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        // A command that fails early reads nothing.
        let _ = process.stdin.take().unwrap().write_all(input);
        let output = process.wait_with_output().unwrap();
        Finished {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join(".local/state/lanspread/party")
    }

    /// Makes a party. Returns its line.
    fn make(&self) -> String {
        let made = self.run(&["party", "new", "--json"]).succeeded().one("party");
        made["line"].as_str().unwrap().to_owned()
    }

    /// The four characters of its party.
    fn name(&self) -> String {
        let shown = self.run(&["party", "show", "--json"]).succeeded().one("party");
        shown["party"].as_str().unwrap().to_owned()
    }

    /// Checks that a command with this input fails in one line that names these parts, does not quote the input, and
    /// changes nothing.
    #[track_caller]
    fn refused(&self, words: &[&str], input: &[u8], status: i32, parts: &[&str]) {
        let before = Tree::read(self.home.path());
        let failed = self.run_with(words, input);
        failed.failed(status, parts);
        let quoted = String::from_utf8_lossy(input).trim().to_owned();
        assert!(quoted.is_empty() || !failed.stderr.contains(&quoted), "{}", failed.stderr);
        assert_eq!(Tree::read(self.home.path()), before, "nothing is changed");
    }
}

#[test]
fn a_newcomer_makes_a_party_of_three_machines() {
    let (one, two, three) = (Machine::new(), Machine::new(), Machine::new());
    let made = one.run(&["party", "new"]);
    let line = made.succeeded().stdout.lines().find(|line| line.starts_with("party1")).unwrap().to_owned();
    assert_eq!(line.len(), 38);
    assert!(!made.stdout.contains('█'), "no QR code where no person looks: {}", made.stdout);
    assert_eq!(fs::read_to_string(one.file()).unwrap(), format!("{line}\n"));
    assert_eq!(fs::metadata(one.file()).unwrap().mode() & 0o777, 0o600);

    let printed = one.run(&["party", "show", "--print"]);
    assert_eq!(printed.succeeded().stdout, format!("{line}\n"));
    let joined = two.run_with(&["party", "join", "--json"], printed.stdout.as_bytes());
    let joined = joined.succeeded().one("party");
    assert_eq!((&joined["change"], &joined["line"]), (&"joined".into(), &serde_json::Value::Null));
    three.run(&["party", "join", &line.to_ascii_uppercase()]).succeeded();
    assert_eq!((one.name(), one.name()), (two.name(), three.name()));
    assert_eq!(fs::read(three.file()).unwrap(), fs::read(one.file()).unwrap());

    let again = two.run_with(&["party", "join", "-", "--json"], line.as_bytes());
    assert_eq!(again.succeeded().one("party")["change"], "unchanged");
    let left = three.run(&["party", "leave", "--json"]).succeeded().one("party");
    assert_eq!((&left["change"], left["party"].as_str()), (&"left".into(), Some(one.name().as_str())));
    assert!(!three.file().exists());
    three.refused(&["party", "show"], b"", 5, &["of no party", "party new", "party join"]);
    three.refused(&["party", "leave"], b"", 5, &["of no party"]);
}

#[test]
fn a_party_is_replaced_only_if_the_user_says_so() {
    let (one, two) = (Machine::new(), Machine::new());
    let (first, name) = (one.make(), one.name());
    let other = two.make();
    assert_ne!(first, other);
    for words in [&["party", "new"][..], &["party", "join"]] {
        one.refused(words, other.as_bytes(), 5, &["of a party already", &name, "--replace"]);
    }
    let joined = one.run_with(&["party", "join", "--replace", "--json"], other.as_bytes());
    assert_eq!(joined.succeeded().one("party")["change"], "replaced");
    assert_eq!(one.name(), two.name());
    let made = one.run(&["party", "new", "--replace", "--json"]).succeeded().one("party");
    assert_eq!(made["change"], "replaced");
    assert_ne!(one.name(), two.name());
    assert_eq!(fs::metadata(one.file()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_line_with_a_slip_changes_nothing() {
    let (one, two) = (Machine::new(), Machine::new());
    let line = one.make();
    let replaced = |at: usize, with: &str| {
        let mut other = line.clone();
        other.replace_range(at..=at, with);
        other
    };
    let character = if &line[20..21] == "q" { "p" } else { "q" };
    let twice = format!("{line}{line}");
    let mixed = format!("{}{}", &line[..20], line[20..].to_ascii_uppercase());
    for (input, parts) in [
        (replaced(20, character), &["wrong or missing (38 or 89 characters are expected, 38 came)"][..]),
        (line[..37].to_owned(), &["38 or 89 characters are expected, 37 came"]),
        (twice, &["76 came"]),
        (mixed, &["mixes capitals and small letters"]),
        ("peer1l5gs6vqa9urhmc2pfw8enazpky8nndga".to_owned(), &["does not begin with `party1`"]),
        ("hello".to_owned(), &["does not begin with `party1`"]),
        ("\n".to_owned(), &["does not begin with `party1`"]),
        (String::new(), &["from standard input", "there is none"]),
        ("x".repeat(100_000), &["does not begin with `party1`"]),
    ] {
        two.refused(&["party", "join"], input.as_bytes(), 2, parts);
    }
    two.refused(&["party", "join"], &[0xff; 38], 2, &["it is no text"]);
    two.refused(&["party", "join", "party1"], b"", 2, &["this is no party line", "party show"]);
    // White space around the line is no slip.
    two.run_with(&["party", "join"], format!("  {line}\r\nmore\n").as_bytes()).succeeded();
    assert_eq!(one.name(), two.name());
}

#[test]
fn a_damaged_file_is_reported_and_repaired_by_the_line() {
    let one = Machine::new();
    let line = one.make();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--games-dir", "games"];
    fs::create_dir(one.home.path().join("games")).unwrap();
    for content in [&b""[..], b"nonsense\n", &line.as_bytes()[..37], b"\xff"] {
        fs::write(one.file(), content).unwrap();
        for words in [&["party", "show"][..], &["party", "new"], &["party", "join", &line], &serve] {
            one.refused(words, b"", 2, &["holds no party line", "/party", "--replace"]);
        }
    }
    one.run(&["party", "join", &line, "--replace"]).succeeded();
    fs::write(one.file(), "nonsense").unwrap();
    one.run(&["party", "leave"]).succeeded();
    assert!(!one.file().exists());
    make_pipe(&one.file());
    for words in [&["party", "show"][..], &["party", "new", "--replace"], &["party", "leave"]] {
        one.run(words).failed(5, &["/party"]);
    }
    assert!(!fs::symlink_metadata(one.file()).unwrap().is_file(), "what is not ours is left alone");
}

/// The line is printed for a user who asks for it, on a terminal, and for a script that says so; and nowhere else.
#[test]
fn the_line_is_shown_where_it_was_asked_for_and_nowhere_else() {
    let one = Machine::new();
    let line = one.make();
    for words in [
        &["party", "show"][..],
        &["party", "show", "--qr"],
        &["party", "show", "--json"],
        &["party", "join", "--json", "--verbose", "--verbose"],
        &["party", "leave", "--json", "-vv"],
    ] {
        let shown = one.run_with(words, line.as_bytes());
        shown.succeeded();
        let output = format!("{}{}", shown.stdout, shown.stderr);
        assert!(!output.contains(&line[6..]) && !output.contains('█'), "{words:?}: {output}");
    }
    one.run(&["party", "join", &line]).succeeded();
    let asked = one.run(&["party", "show", "--print", "--json"]).succeeded().one("party");
    assert_eq!(asked["line"], line.as_str());
    let mut terminal = Terminal::start(&one.command(&["party", "show", "--qr"]), 80, 40);
    assert!(terminal.finish().success());
    let screen = terminal.screen();
    assert!(screen.contains(&line) && screen.matches('█').count() > 100, "{screen}");
    let mut terminal = Terminal::start(&one.command(&["party", "show"]), 80, 40);
    assert!(terminal.finish().success());
    assert!(terminal.screen().contains(&line) && !terminal.screen().contains('█'), "{}", terminal.screen());
    for (words, has_code) in
        [(&["party", "new", "--replace"][..], true), (&["party", "new", "--replace", "--no-qr"], false)]
    {
        let mut terminal = Terminal::start(&one.command(words), 80, 40);
        assert!(terminal.finish().success());
        assert_eq!(terminal.screen().contains('█'), has_code, "{}", terminal.screen());
    }
}

#[test]
fn the_line_can_name_the_signer_of_the_catalog() {
    let (one, two) = (Machine::new(), Machine::new());
    let new = ["party", "new", "--with-catalog-key", "--json"];
    one.refused(&new, b"", 2, &["no key", "catalog key"]);
    one.run(&["catalog", "key"]).succeeded();
    let made = one.run(&new).succeeded().one("party");
    let line = made["line"].as_str().unwrap();
    assert_eq!((line.len(), made["catalog_signer"].as_str().unwrap().len()), (89, 64));
    let joined = two.run_with(&["party", "join", "--json"], line.as_bytes()).succeeded().one("party");
    assert_eq!((&joined["catalog_signer"], &joined["party"]), (&made["catalog_signer"], &made["party"]));
}

#[test]
fn a_container_is_given_the_line_as_a_file() {
    let (one, container) = (Machine::new(), Machine::new());
    let line = one.make();
    let secret = container.home.path().join("secret");
    fs::write(&secret, &line).unwrap();
    let with_file =
        |words: &[&str], file: &Path| finish(container.command(words).env("LANSPREAD_PARTY_FILE", file));
    let shown = with_file(&["party", "show", "--json"], &secret).succeeded().one("party");
    assert_eq!(shown["party"], one.name().as_str());
    for words in [&["party", "new", "--replace"][..], &["party", "join", &line], &["party", "leave"]] {
        with_file(words, &secret).failed(2, &["secret", "LANSPREAD_PARTY_FILE"]);
    }
    assert!(!container.file().exists());
    let serve = ["serve", "--listen", "127.0.0.1:0", "--games-dir", "games", "--json"];
    fs::create_dir(container.home.path().join("games")).unwrap();
    // A machine that is to be a member never serves everybody because its line is missing.
    let failed = with_file(&serve, Path::new("missing"));
    assert_eq!((failed.status.code(), failed.named("peer-ready").len()), (Some(2), 0));
    let mut daemon = Running::start(container.command(&serve).env("LANSPREAD_PARTY_FILE", &secret));
    assert_eq!(daemon.wait_for("party-entered")["party"], one.name().as_str());
}

#[test]
fn serve_says_whom_it_serves_and_a_running_daemon_keeps_its_party() {
    let one = Machine::new();
    fs::create_dir(one.home.path().join("games")).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--games-dir", "games", "--json"];
    let mut daemon = Running::start(&mut one.command(&serve));
    daemon.wait_for("network-open");
    let made = one.run(&["party", "new", "--json"]).succeeded().one("party");
    let games = one.home.path().join("games");
    assert_eq!(made["daemons_to_restart"], serde_json::json!([games.to_str().unwrap()]));
    let told = one.run(&["party", "new", "--replace"]);
    assert!(told.succeeded().stdout.contains("restart the daemon of"), "{}", told.stdout);
    daemon.signal("TERM");
    daemon.wait_for_end();
    let mut daemon = Running::start(&mut one.command(&serve));
    assert_eq!(daemon.wait_for("party-entered")["party"], one.name().as_str());
    daemon.signal("TERM");
    let ended = daemon.finish();
    let line = fs::read_to_string(one.file()).unwrap();
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(&line.trim()[6..]));
    one.run(&["party", "leave"]).succeeded();
    let mut words = serve.to_vec();
    words.pop();
    let mut daemon = Running::start(&mut one.command(&words));
    let mut open = String::new();
    while !open.starts_with("open: everybody on this network may list and install") {
        open = daemon.next_on_stderr().expect("it said nothing");
    }
    assert!(open.contains("party new"), "{open}");
}

/// A machine without the line and one with another line learn nothing and get nothing; a member installs.
#[test]
fn outsiders_neither_list_nor_install() {
    let (member, open, other) = (Machine::new(), Machine::new(), Machine::new());
    member.make();
    other.make();
    let file = member.file();
    let source =
        Source::start_with("den", &fixtures("fixture-alpha"), ["--party-file", file.to_str().unwrap()]);
    let games = |machine: &Machine| machine.home.path().join("games");
    let install = |machine: &Machine| {
        let peer = ["--peer", &source.address, "--no-discovery"];
        machine.run(
            &[&["install", "--stream", "alpha-arena", "--games-dir", "games", "--json"][..], &peer].concat(),
        )
    };
    for (machine, part) in
        [(&open, "this machine is of none"), (&other, "is not of the party of this machine")]
    {
        fs::create_dir(games(machine)).unwrap();
        let refused = machine.run(&["status", "--peer", &source.address, "--json"]);
        assert_eq!(refused.status.code(), Some(3), "{}", refused.stderr);
        assert!(
            refused.stdout.contains("other-party") && refused.stdout.contains(part),
            "{}",
            refused.stdout
        );
        let refused = install(machine);
        assert_eq!(refused.status.code(), Some(3), "{}", refused.stdout);
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!told.contains("den") && !told.contains("bravo"), "{told}");
        assert_eq!(fs::read_dir(games(machine).join("alpha-arena")).map_or(0, Iterator::count), 0);
    }
    fs::create_dir(games(&member)).unwrap();
    install(&member).succeeded();
    assert!(games(&member).join("alpha-arena/local").is_dir());
}

/// `party --help` is all that they have read. Without the catalog of its party, a member installs nothing: it would not
/// notice what the signer did not list.
#[test]
fn a_newcomer_makes_a_party_with_a_signed_catalog() {
    let (one, two, three) = (Machine::new(), Machine::new(), Machine::new());
    copy_tree(&fixtures("fixture-solid"), &one.home.path().join("games"));
    one.run(&["catalog", "build", "--games-dir", "games", "--out", "party"]).succeeded();
    one.run(&["catalog", "key"]).succeeded();
    one.run(&["catalog", "sign", "party/catalog.toml"]).succeeded();
    let made = one.run(&["party", "new", "--with-catalog-key", "--json"]).succeeded().one("party");
    for machine in [&two, &three] {
        let joined = machine.run_with(&["party", "join"], made["line"].as_str().unwrap().as_bytes());
        assert!(joined.succeeded().stdout.contains("--catalog-from-peers"), "{}", joined.stdout);
    }
    let serve = |machine: &Machine, words: &[&str]| {
        let serve = ["serve", "--json", "--listen", "127.0.0.1:0", "--games-dir", "games"];
        let mut daemon = Running::start(&mut machine.command(&[&serve[..], words].concat()));
        let address = daemon.wait_for("peer-ready")["addr"].as_str().unwrap().to_owned();
        (daemon, address)
    };
    let (_first, first) = serve(&one, &["--catalog", "party/catalog.toml"]);
    let (mut second, second_address) = serve(&two, &["--catalog-from-peers", "--peer", &first]);
    second.wait_for("catalog-updated");
    two.run(&["install", "cnctw"]).succeeded();

    // The third asks the second only: the catalog, the manifest and the game come from there.
    let install =
        ["install", "--stream", "cnctw", "--json", "--games-dir", "games", "--peer", &second_address];
    let refused = three.run(&install);
    refused.failed_after_notes(3, &["no catalog", "--catalog-from-peers"]);
    assert_eq!(refused.one("error")["code"], "no-catalog");
    assert!(!three.home.path().join("games/cnctw/local").exists());
    let installed = three.run(&[&install[..], &["--catalog-from-peers"]].concat());
    assert_eq!(installed.succeeded().one("stream-install-finished")["trust"], "verified");

    // What it has taken stays in force.
    three.run(&["uninstall", "cnctw", "--games-dir", "games"]).succeeded();
    let again = three.run(&install);
    assert_eq!(again.succeeded().one("stream-install-finished")["trust"], "verified");
    let list = |machine: &Machine| machine.run(&["list", "--games-dir", "games"]).succeeded().stdout.clone();
    assert!(list(&three).contains("installed, not shareable, verified"), "{}", list(&three));
    assert!(list(&two).contains("downloaded and installed, verified"), "{}", list(&two));
}
