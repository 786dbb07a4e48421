//! `peers`: who is saved, trusted, denied and penalised.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Finished, Receiver, Source, dead_address, finish, fixtures, peer};

#[expect(clippy::disallowed_methods, reason = "a time of day, which the files of a peer have")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An id of no peer here.
const STRANGER: &str = "peer1l5gs6vqa9urhmc2pfw8enazpky8nndga";

/// The user of one state directory.
struct User(Receiver);

impl User {
    fn new() -> Self {
        Self(Receiver::new())
    }

    fn peers(&self, arguments: &[&str]) -> Finished {
        finish(peer().arg("--state-dir").arg(self.0.state()).arg("peers").args(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Finished {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        self.peers(&arguments)
    }

    /// Writes penalties for a lie that began now.
    fn penalise(&self, offenders: &[Value]) {
        let now = unix_seconds();
        let line = |offender: &Value| {
            let penalty = json!({
                "offender": offender, "offence": "lied", "given_at_s": now - 30, "length_s": 600, "what": "data/maps.big",
            });
            penalty.to_string() + "\n"
        };
        fs::create_dir_all(self.0.state()).unwrap();
        let lines: String = offenders.iter().map(line).collect();
        fs::write(self.0.state().join("penalties.jsonl"), lines).unwrap();
    }
}

fn id(source: &Source) -> String {
    source.ready["peer"].as_str().unwrap().to_owned()
}

fn short(id: &str) -> &str {
    &id[5..13]
}

/// `peers add` asks who is there. A peer that does not answer is saved without an id, and that is said.
#[test]
fn a_peer_is_saved_with_the_id_that_answers() {
    let source = Source::start("den", &fixtures("fixture-alpha"));
    let (user, dead, den) = (User::new(), dead_address(), id(&source));
    let done = user.json(&["add", &source.address]);
    let saved = done.succeeded().one("saved-peer");
    assert_eq!((&saved["peer"], &saved["id"]), (&json!(source.address), &json!(den)));
    assert_eq!((&saved["name"], &saved["saved"]), (&json!("den"), &json!(true)));
    let done = user.json(&["add", &dead]);
    assert_eq!(done.succeeded().one("saved-peer")["id"], Value::Null);
    assert!(done.stderr.contains(&dead) && done.stderr.contains("saved without its id"), "{}", done.stderr);
    let listed = user.peers(&["list"]).succeeded().stdout.clone();
    assert_eq!(listed, format!("{}  den  {den}\n{dead}\n", source.address));
    let found = user.json(&["show"]);
    assert_eq!(found.succeeded().one("peer")["trust"], "saved");
    user.peers(&["remove", &dead]).succeeded();
    user.peers(&["forget", short(&den)]).succeeded();
    assert_eq!(user.peers(&["list"]).succeeded().stdout, format!("{}\n", source.address), "only its id");
    user.peers(&["forget", &source.address]).succeeded();
    user.peers(&["forget", &source.address]).failed(5, &[&source.address, "peers list"]);
    assert_eq!(user.peers(&["list"]).succeeded().stdout, "");
}

/// The machine at a saved address was set up again, or another one has the address.
#[test]
fn a_saved_address_that_answers_with_another_id_is_an_error_with_both() {
    let source = Source::start("den", &fixtures("fixture-alpha"));
    let (user, den) = (User::new(), id(&source));
    user.peers(&["add", &source.address]).succeeded();
    let path = user.0.state().join("peers.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace(&den, STRANGER)).unwrap();
    user.peers(&["show"]).failed(3, &[&source.address, &den, STRANGER, "peers add"]);
    user.0.run("alpha-arena", &[&source]).failed(3, &[&den, STRANGER]);
    assert!(!user.0.local("alpha-arena").exists());
    user.peers(&["add", &source.address]).succeeded();
    user.0.run("alpha-arena", &[&source]).succeeded();
}

/// A list of addresses of an earlier version is kept, and written again with the next peer.
#[test]
fn addresses_of_an_earlier_version_stay_saved() {
    let (user, dead) = (User::new(), dead_address());
    fs::create_dir_all(user.0.state()).unwrap();
    fs::write(user.0.state().join("peers.toml"), "peers = [\n    \"10.0.0.5:4100\",\n]\n").unwrap();
    user.peers(&["add", &dead]).succeeded();
    assert_eq!(user.peers(&["list"]).succeeded().stdout, format!("10.0.0.5:4100\n{dead}\n"));
    let text = fs::read_to_string(user.0.state().join("peers.toml")).unwrap();
    assert!(text.starts_with("[[peers]]\naddress = \"10.0.0.5:4100\"\n"), "{text}");
}

#[test]
fn a_peer_is_trusted_or_denied_by_its_whole_id_only() {
    let user = User::new();
    user.peers(&["trust", STRANGER, "--name", "den"]).succeeded();
    assert_eq!(user.peers(&["list"]).succeeded().stdout, format!("{STRANGER}  den  trusted\n"));
    user.peers(&["deny", STRANGER, "--reason", "sends wrong files"]).succeeded();
    assert_eq!(user.peers(&["list"]).succeeded().stdout, format!("{STRANGER}  denied: sends wrong files\n"));
    let changed = STRANGER.replace("l5gs", "l5gt");
    for command in ["trust", "deny"] {
        user.peers(&[command, short(STRANGER)]).failed(2, &["peer1"]);
        user.peers(&[command, &changed]).failed(2, &["a character is wrong or missing"]);
    }
    let option = |option: &str, id: &str| {
        let mut command = user.0.install("cnctw", &[]);
        finish(command.args([option, id]))
    };
    option("--deny-peer", short(STRANGER)).failed(2, &["--deny-peer"]);
    option("--allow-peer", short(STRANGER)).failed(2, &["--allow-peer"]);
    user.peers(&["forget", "00000000"]).failed(5, &["00000000", "0 fit"]);
    user.peers(&["forget", short(STRANGER)]).succeeded();
    user.peers(&["forget", STRANGER]).failed(5, &[STRANGER]);
}

/// By `peers deny` and by an option, also of a daemon that was already running.
#[test]
fn a_denied_source_is_not_asked() {
    let source = Source::start("den", &fixtures("fixture-alpha"));
    let user = User::new();
    let install = |options: &[&str]| finish(user.0.install("alpha-arena", &[&source]).args(options));
    let den = id(&source);
    install(&["--deny-peer", &den]).failed(3, &["is denied on this machine"]);
    install(&["--only-trusted"]).failed(3, &["is denied on this machine"]);
    install(&["--allow-peer", STRANGER]).failed(3, &["is denied on this machine"]);
    user.peers(&["deny", &den]).succeeded();
    install(&[]).failed(3, &["is denied on this machine"]);
    install(&["--allow-peer", &den]).failed(3, &["is denied on this machine"]);
    user.peers(&["trust", &den]).succeeded();
    install(&["--only-trusted"]).succeeded();
}

/// The name alone does not say who it is.
#[test]
fn a_name_that_two_peers_have_or_whose_id_changed_is_shown_with_a_warning() {
    let games = fixtures("fixture-alpha");
    let (one, other) = (Source::start("den", &games), Source::start("den", &games));
    let user = User::new();
    let show = |sources: &[&Source]| {
        let arguments: Vec<&str> = sources.iter().flat_map(|source| ["--peer", &source.address]).collect();
        user.json(&arguments).succeeded().named("peer")
    };
    let both = show(&[&one, &other]);
    assert!(both.iter().all(|peer| peer["name_warning"] == "same-name"), "{both:?}");
    assert_eq!(show(&[&one])[0]["name_warning"], Value::Null);
    user.peers(&["trust", &id(&one), "--name", "den"]).succeeded();
    assert_eq!(show(&[&other])[0]["name_warning"], "other-key");
    let text = user.peers(&["--peer", &other.address]).succeeded().stdout.clone();
    assert!(text.contains(short(&id(&other))) && text.contains("has another id"), "{text}");
}

#[test]
fn penalties_are_shown_and_cleared() {
    let source = Source::start("den", &fixtures("fixture-alpha"));
    let (user, den) = (User::new(), id(&source));
    assert_eq!(user.peers(&["penalties"]).succeeded().stdout, "");
    user.penalise(&[json!({"peer": den}), json!({"address": "10.0.0.5"}), json!({"peer": STRANGER})]);
    let shown = user.json(&["penalties"]);
    let shown = shown.succeeded().named("penalty");
    assert_eq!(shown[1]["addr"], "10.0.0.5");
    assert_eq!((&shown[0]["peer"], &shown[0]["offence"]), (&json!(den), &json!("lied")));
    let text = user.peers(&["penalties"]).succeeded().stdout.clone();
    assert!(text.contains("10.0.0.5  for 9 min") && text.contains("data/maps.big"), "{text}");
    let found = user.json(&["--peer", &source.address]);
    assert_eq!(found.succeeded().one("peer")["offence"], "lied");
    user.0.run("alpha-arena", &[&source]).failed(3, &["den: it is not believed for 10 minutes"]);
    user.peers(&["penalties", "--clear", "10.0.0.6"]).failed(5, &["10.0.0.6 is not penalised"]);
    user.peers(&["penalties", "--clear", "10.0.0.5"]).succeeded();
    let cleared = user.peers(&["penalties", "--clear", short(&den)]).succeeded().stdout.clone();
    assert_eq!(cleared, format!("{den} is believed again\n"));
    user.0.run("alpha-arena", &[&source]).succeeded();
    assert_eq!(user.json(&["penalties", "--clear", "all"]).succeeded().named("penalty").len(), 1);
    assert_eq!(user.peers(&["penalties"]).succeeded().stdout, "");
}

/// A daemon and a command share what they know, whichever of them changes it.
#[test]
fn a_daemon_and_a_command_agree_about_penalties() {
    let daemon = Source::start("daemon", &fixtures("fixture-alpha"));
    let asked = |arguments: &[&str]| {
        let mut command = peer();
        command.args(["peers", "penalties", "--json"]).env("LANSPREAD_GAMES_DIR", daemon.games());
        finish(command.args(arguments)).succeeded().named("penalty").len()
    };
    assert_eq!(asked(&[]), 0);
    let now = unix_seconds();
    let line = json!({
        "offender": {"peer": STRANGER}, "offence": "lied", "given_at_s": now, "length_s": 600, "what": "x",
    });
    fs::write(daemon.state().join("penalties.jsonl"), line.to_string() + "\n").unwrap();
    assert_eq!(asked(&[]), 1, "another program wrote it");
    assert_eq!(asked(&["--clear", "all"]), 1);
    let done = finish(peer().arg("--state-dir").arg(daemon.state()).args([
        "peers",
        "penalties",
        "--json",
        "--no-daemon",
    ]));
    assert_eq!(done.succeeded().stdout, "", "the daemon wrote it");
}
