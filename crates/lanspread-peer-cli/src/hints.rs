//! What a user can do about a failure, by its stable code.
//!
//! Hints name commands and options, so they belong to the command: a program that embeds the library cannot follow them.

use std::borrow::Cow;

use lanspread_peer::{Answer, GameId};

/// A hint, and the failures that it helps with.
struct Row {
    codes: &'static [&'static str],
    /// What the code alone does not say. A row without a cause holds for every cause that has no row of its own.
    cause: Option<&'static str>,
    hint: &'static str,
}

const fn row(codes: &'static [&'static str], hint: &'static str) -> Row {
    Row { codes, cause: None, hint }
}

const fn row_of_cause(codes: &'static [&'static str], cause: &'static str, hint: &'static str) -> Row {
    Row { codes, cause: Some(cause), hint }
}

/// The config file is readable, but a key or value in it is not one of an option.
pub(crate) const WRONG_SETTING: &str = "wrong-setting";

/// There is no folder for the files of a user.
pub(crate) const NO_HOME: &str = "no-home";

const NO_SOURCE: &[&str] = &["no-peers", "not-offered"];
const SAME_PARTY: &str =
    "all machines must join with the same line: `lanspread-peer-cli party show` prints it";
const JOIN_PARTY: &str = "get the line from a member, and give it to `lanspread-peer-cli party join`";
const SET_UP_AGAIN: &str = "if that machine was set up again, run: lanspread-peer-cli peers add HOST:PORT";
const SAME_RELEASE: &str = "use the same release on all machines";

const HINTS: &[Row] = &[
    // The request.
    row(&["usage"], "see --help"),
    row_of_cause(
        &["config-file"],
        WRONG_SETTING,
        "correct or remove the line; keys are long names of options, see --help",
    ),
    row_of_cause(&["config-file"], NO_HOME, "name the file with --config FILE"),
    row(&["config-exists"], "edit it, or give --replace: a copy of it stays beside it"),
    row(&["no-answers"], "give --yes, and an option for each answer that is not the default"),
    row(&["not-in-catalog"], "check the spelling, or add the game to the catalog"),
    row(&["web-token"], "write one line of at least 16 characters into it, or leave --web-token-file out"),
    row(&["web-page"], "choose another address with --web"),
    row(&["room-file"], "docs/room-file.md describes its format"),
    row(&["not-saved"], "`lanspread-peer-cli peers list` shows what is known"),
    row(&["not-one-peer"], "give the whole id, which `lanspread-peer-cli peers` shows"),
    row(&["no-such-seat"], "`lanspread-peer-cli room` shows the machines that answer"),
    row(
        &["no-seats"],
        "a machine accepts if its daemon runs with `--accept-from ID`, and ID is the id of this one",
    ),
    row(
        &["not-permitted"],
        "its daemon has to run with `--accept-from ID`, and ID is the id of this machine",
    ),
    row(
        &["all-sources-failed"],
        "start it again when a source answers; `lanspread-peer-cli peers penalties` shows which one sent wrong data",
    ),
    // What is odd in a room.
    row(&["no-word"], "look whether it is switched on, at its cable, and whether its daemon runs"),
    row(
        &["slow-link"],
        "11 MiB a second is what a port or cable of 100 Mbit/s carries: change it; at another rate, look what else the \
         machine does",
    ),
    row(&["low-disk"], "free some space there, or uninstall a game"),
    row(&["other-version"], SAME_RELEASE),
    row(&["duplicate-identity"], "stop one of the two, delete its state directory, and start it again"),
    row(&["not-penalised"], "`lanspread-peer-cli peers penalties` shows who is"),
    // Catalogs.
    row(
        &["no-key"],
        "make one with `lanspread-peer-cli catalog key`, or name the file of another one with --key",
    ),
    row(&["other-file"], "choose another name with --out, or move that file away"),
    row(
        &["not-signed"],
        "get FILE.minisig from its author, or sign it with `lanspread-peer-cli catalog sign`",
    ),
    row(&["signed-twice"], "raise its version, or build it again"),
    row(&["signature-refused"], "get the catalog and its signature again from their author"),
    row_of_cause(&["signature-refused"], "legacy", "sign it again, without the option -l of minisign"),
    row(
        &["manifest-refused", "manifest-unusable"],
        "get it again from the author of the catalog, or build it again",
    ),
    row(&["catalog-unusable"], "correct it, or get it again from its author"),
    row(
        &["catalog-older"],
        "use the newer file; if its signer had to begin again: `lanspread-peer-cli catalog forget KEY`",
    ),
    row(&["catalog-signed-twice"], "ask their author which of them counts"),
    row(
        &["no-catalog"],
        "take it from a peer that has it with --catalog-from-peers, or name the file with --catalog",
    ),
    row(&["too-many-signers"], "forget one with `lanspread-peer-cli catalog forget KEY`"),
    row(&["key-unusable"], "give the file of a public key of minisign, such as key.pub, or its second line"),
    row(&["no-manifest"], "get it from the author of the catalog"),
    // Parties.
    row(&["party-line"], "copy the whole line again: `lanspread-peer-cli party show` prints it on a member"),
    row(
        &["party-unusable"],
        "give the line again: `lanspread-peer-cli party join --replace`, or correct the file that was named",
    ),
    row(&["in-a-party"], "to leave that party for the other one, pass --replace"),
    row(&["no-party"], "make one with `lanspread-peer-cli party new`, or join one with `party join`"),
    row(&["party-from-file"], "change that file, or leave out --party-file and LANSPREAD_PARTY_FILE"),
    // Finding peers.
    row_of_cause(
        NO_SOURCE,
        "no-answer",
        "check that they run, and that their firewalls allow TCP on the ports they listen on",
    ),
    row_of_cause(
        NO_SOURCE,
        "nobody-named",
        "name a peer with --peer HOST:PORT, or save one with `peers add HOST:PORT`",
    ),
    row_of_cause(
        NO_SOURCE,
        "nobody-heard",
        "the network may block multicast: name a peer with --peer HOST:PORT, or save one with `peers add HOST:PORT`",
    ),
    row_of_cause(NO_SOURCE, "other-version", SAME_RELEASE),
    row_of_cause(NO_SOURCE, "other-party", SAME_PARTY),
    row_of_cause(NO_SOURCE, "party", JOIN_PARTY),
    row_of_cause(NO_SOURCE, "other-peer", SET_UP_AGAIN),
    row(&["not-offered"], "`lanspread-peer-cli list` shows what is offered"),
    row(&["no-game"], "`lanspread-peer-cli list` shows the games here and those that are offered"),
    row(&["no-such-peer"], "`lanspread-peer-cli peers` shows the peers that answer"),
    row(
        &["version-not-offered"],
        "`lanspread-peer-cli list` shows what is offered; GAME@any is content with the version that is here",
    ),
    row(
        &["no-server-manifest"],
        "check the URL; put manifest.lsm beside the files (`lanspread-peer-cli manifest GAME` writes it), or use a catalog \
         that lists them",
    ),
    row(&["ambiguous-metadata"], "name the peers you trust: --no-discovery --peer HOST:PORT"),
    row(&["no-place"], "try again later; without --no-wait and --wait, the command waits for its turn"),
    // Asking one peer.
    row(
        &["unreachable", "timeout", "connection-lost", "not-lanspread"],
        "check that the peer runs, its address and port, and its firewall",
    ),
    row(&["protocol-version"], SAME_RELEASE),
    row(&["encryption-failed"], "check that a lanspread peer has this address and port"),
    row(&["other-peer"], SET_UP_AGAIN),
    row(&["other-party"], "both machines must be of the same party, or both of none"),
    row(&["turned-away"], "try again later, or ask the user of that peer whether it may talk to this one"),
    row(&["self-connect"], "two peers on one machine need a --state-dir each"),
    // The game as it is on this machine.
    row(
        &["already-installed"],
        "`update` installs a newer version; to install this one again, `uninstall` it first",
    ),
    row(
        &["already-downloaded"],
        "`update` fetches a newer version, `verify` checks this one, `remove` deletes it",
    ),
    row(
        &["verified-here"],
        "get the catalog and its manifests from their author, or pass --accept-unverified to replace it anyway",
    ),
    row(
        &["not-as-listed"],
        "if the catalog is right, download them again: `lanspread-peer-cli remove GAME`, then \
         `lanspread-peer-cli install GAME`; if they are right, its author builds it again with `catalog build`",
    ),
    row(&["user-files"], "move them elsewhere, or pass --force to lose them"),
    row(&["differences"], "to repair it: `lanspread-peer-cli repair GAME`"),
    row(
        &["other-files-offered"],
        "if theirs are right, fetch them all: `lanspread-peer-cli remove GAME`, then `lanspread-peer-cli download GAME`",
    ),
    row(&["in-the-way"], "move them elsewhere"),
    row(&["no-games-dir"], "create it with mkdir -p, or choose another one with --games-dir"),
    row_of_cause(&["no-games-dir"], "no-home", "give --games-dir DIR"),
    row(&["in-progress"], "wait for it to end, or stop that process"),
    row(&["foreign-state"], "look at it, then move it away yourself"),
    row(&["folder-name"], "rename it: letters, digits, `.`, `_` and `-`, at most 64"),
    row(&["no-sentinel"], "add a version.ini whose first line is the version"),
    row(&["sentinel-name"], "rename it to version.ini"),
    row(&["sentinel-unusable"], "its first line must be the version: text of at most 64 bytes"),
    row(&["folder-unreadable"], "check that the files exist and that this user may read them"),
    row(
        &["no-locks"],
        "mount it with locks (NFS: a running lock service, or the option local_lock=flock), or choose another --games-dir",
    ),
    row(&["disk-full"], "`uninstall` and `remove` free space without needing any"),
    row(&["not-enough-space"], "free some space, or choose another --games-dir"),
    row(&["not-enough-inodes"], "remove files that are not needed, or choose another --games-dir"),
    row(&["unfinished"], "check the disk; the next command on the game completes the rest"),
    row_of_cause(
        &["entry-name-refused", "archive-refused", "all-sources-failed"],
        "not-portable",
        "pass --names native if the tree is not meant for Windows",
    ),
    // This process.
    row_of_cause(
        &["process-limit"],
        "threads",
        "raise the limit: ulimit -u, TasksMax= of a service, pids-limit of a container",
    ),
    row_of_cause(&["process-limit"], "descriptors", "raise the limit: ulimit -n, LimitNOFILE= of a service"),
    // Archives on this machine.
    row_of_cause(
        &["archive-refused"],
        "dictionary-too-large",
        "if this machine has the memory, allow it with --max-dictionary SIZE, of `serve` if a daemon runs",
    ),
    row_of_cause(
        &["archive-refused"],
        "archives-clash",
        "unpack them one over the other, and pack the result as one archive",
    ),
    row_of_cause(
        &["entry-name-refused", "archive-refused"],
        "not-for-a-manifest",
        "pack the game again with names that every system can hold",
    ),
    row_of_cause(&["archive-refused"], "links", "pack the game again without links: leave out -ol of rar"),
    row_of_cause(
        &["archive-refused"],
        "not-unicode",
        "unpack it where its names are readable, and pack it again as RAR 5",
    ),
    // Daemons.
    row_of_cause(&["cancelled"], "others-follow", "`lanspread-peer-cli cancel GAME` ends it for all"),
    row(&["no-daemon"], "start one with `lanspread-peer-cli serve --games-dir DIR`"),
    row(&["several-daemons"], "name one of them with --games-dir DIR"),
    row(&["daemon-running"], "to use that daemon, run commands with the same --games-dir"),
    row(
        &["daemon-unreachable"],
        "run the command as the daemon's user, or pass --no-daemon to work beside it",
    ),
    row(&["daemon-untrusted"], "run the command as that user, or pass --no-daemon to work beside it"),
    row(&["daemon-silent"], "look whether that process hangs; --no-daemon works beside it"),
    row(&["daemon-gone"], "start it again: it repairs what was interrupted"),
];

/// The hint for a failure with this code, if there is one.
pub(crate) fn hint(code: &str, cause: Option<&str>) -> Option<&'static str> {
    let rows = || HINTS.iter().filter(|row| row.codes.contains(&code));
    let exact = cause.and_then(|cause| rows().find(|row| row.cause == Some(cause)));
    exact.or_else(|| rows().find(|row| row.cause.is_none())).map(|row| row.hint)
}

/// The hint for a report that something failed.
pub(crate) fn of_report(report: &Answer) -> Option<Cow<'static, str>> {
    match report {
        Answer::PeerUnavailable { code, .. } => hint(code, None).map(Cow::from),
        Answer::NobodyFound { cause, .. } => hint("no-peers", cause.as_deref()).map(Cow::from),
        Answer::EndedOperation(ended) => {
            hint(&ended.outcome, ended.cause.as_deref()).map(|hint| for_game(hint, &ended.game).into())
        }
        _ => None,
    }
}

/// A hint about a failure of one game, with the game in the places that are left for it.
pub(crate) fn for_game(hint: &str, game: &GameId) -> String {
    hint.replace("GAME", game.as_str())
}

/// A message for people with its hint, if it has one: what failed and where, then what to do.
pub(crate) fn with_hint(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message} ({hint})"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory};

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn a_cause_chooses_among_the_hints_of_a_code() {
        for (code, cause, part) in [
            ("no-peers", Some("no-answer"), "firewall"),
            ("no-peers", Some("nobody-named"), "`peers add HOST:PORT`"),
            ("no-peers", Some("nobody-heard"), "multicast"),
            ("no-peers", Some("other-version"), "same release"),
            ("not-offered", Some("no-answer"), "firewall"),
            ("not-offered", Some("other-peer"), "peers add HOST:PORT"),
            ("not-offered", None, "list"),
            ("not-offered", Some("a-cause-of-a-newer-daemon"), "list"),
            ("entry-name-refused", Some("not-portable"), "--names native"),
            ("all-sources-failed", Some("not-portable"), "--names native"),
            ("all-sources-failed", None, "peers penalties"),
            ("in-progress", Some("anything"), "wait"),
            ("protocol-version", None, "same release"),
            ("self-connect", None, "--state-dir"),
            ("other-peer", None, "peers add HOST:PORT"),
            ("other-party", None, "same party"),
            ("differences", Some("streamed"), "repair GAME"),
            ("differences", Some("downloaded-and-installed"), "repair GAME"),
            ("cancelled", Some("others-follow"), "cancel GAME"),
        ] {
            let hint = hint(code, cause);
            assert!(hint.is_some_and(|hint| hint.contains(part)), "{code} {cause:?}: {hint:?}");
        }
    }

    #[test]
    fn a_failure_without_advice_has_no_hint() {
        for (code, cause) in [
            ("no-such-code", None),
            ("cancelled", None),
            ("no-peers", None),
            ("archive-refused", Some("no-answer")),
            ("config-file", None),
        ] {
            assert_eq!(hint(code, cause), None, "{code} {cause:?}");
        }
    }

    #[test]
    fn a_peer_that_does_not_answer_is_reported_with_a_hint() {
        let report = Answer::PeerUnavailable {
            peer: "10.0.0.5:4107".to_owned(),
            code: "unreachable".into(),
            message: "cannot connect".to_owned(),
        };
        assert!(of_report(&report).is_some_and(|hint| hint.contains("firewall")));
        assert_eq!(with_hint("cannot connect", Some("try again")), "cannot connect (try again)");
        assert_eq!(with_hint("cannot connect", None), "cannot connect");
    }

    /// Otherwise one of the two could never be shown.
    #[test]
    fn no_two_rows_are_for_the_same_failure() {
        let mut seen = BTreeSet::new();
        for row in HINTS {
            for code in row.codes {
                assert!(seen.insert((code, row.cause)), "{code} {:?} has two rows", row.cause);
            }
        }
    }

    /// A hint for a code that does not exist, or was renamed, would never be shown.
    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../../docs/events.md");
        for code in HINTS.iter().flat_map(|row| row.codes) {
            assert!(page.contains(&format!("`{code}`")), "docs/events.md does not list {code}");
        }
    }

    fn names(command: &Command, commands: &mut BTreeSet<String>, options: &mut BTreeSet<String>) {
        options
            .extend(command.get_arguments().filter_map(|option| Some(format!("--{}", option.get_long()?))));
        for subcommand in command.get_subcommands() {
            commands.insert(subcommand.get_name().to_owned());
            names(subcommand, commands, options);
        }
    }

    /// The commands that a hint names in backticks, with their subcommands: `lanspread-peer-cli peers list`.
    fn commands_in(hint: &str) -> impl Iterator<Item = &str> {
        let quoted = hint.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
        quoted.filter(|word| *word != "lanspread-peer-cli" && word.chars().all(|c| c.is_ascii_lowercase()))
    }

    #[test]
    fn every_command_and_option_in_a_hint_exists() {
        let mut command = Arguments::command();
        command.build();
        let (mut commands, mut options) = (BTreeSet::new(), BTreeSet::new());
        names(&command, &mut commands, &mut options);
        for Row { hint, .. } in HINTS {
            let words = hint.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(options.contains(option), "`{option}` in: {hint}");
            }
            for word in commands_in(hint) {
                assert!(commands.contains(word), "`{word}` in: {hint}");
            }
        }
    }
}
