use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::*;

/// An option without a variable is for one call. No environment sets this one.
const VARIABLE: &str = "LANSPREAD_TEST_OF_SETTINGS";

/// One option of every kind, and one name whose option takes one value in one command and several in another.
fn command() -> Command {
    let text = |name: &'static str| Arg::new(name).long(name).env(VARIABLE);
    let flag = |name: &'static str| text(name).action(ArgAction::SetTrue);
    let several = text("peer").action(ArgAction::Append).value_delimiter(',');
    Command::new("root")
        .arg(text("config"))
        .arg(flag("json").global(true))
        .arg(text("verbose").action(ArgAction::Count))
        .subcommand(
            Command::new("serve")
                .arg(text("games-dir").required(true))
                .arg(flag("stream").required(true))
                .arg(text("max-streams").default_value("4").value_parser(value_parser!(u64).range(1..=64)))
                .arg(text("names").value_parser(["portable", "native"])),
        )
        .subcommand(Command::new("list").arg(several.required(true)).arg(Arg::new("GAME")))
        .subcommand(Command::new("status").arg(text("peer").required(true)))
        .subcommand(
            Command::new("party").subcommand(Command::new("new").arg(Arg::new("replace").long("replace"))),
        )
        .subcommand(Command::new("trust").arg(Arg::new("name").long("name")))
        .subcommand(Command::new("daemon").arg(text("name")))
}

fn run(text: &str, words: &[&str]) -> Result<ArgMatches, clap::Error> {
    let settings = Settings::parse(text, &command(), None).expect("a good file");
    settings.as_defaults(command()).try_get_matches_from([&["root"], words].concat())
}

fn of_subcommand(text: &str, words: &[&str], option: &str) -> Vec<String> {
    let matches = run(text, words).unwrap();
    let (_, matches) = matches.subcommand().unwrap();
    let raw = matches.get_raw(option).into_iter().flatten();
    raw.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_file_supplies_what_a_command_requires() {
    assert!(run("", &["serve"]).is_err());
    let text = "games-dir = '/srv'\nstream = true\nmax-streams = 0x10\njson = true\nverbose = 2\n";
    let matches = run(text, &["serve"]).unwrap();
    assert_eq!(matches.get_count("verbose"), 2);
    let (_, serve) = matches.subcommand().unwrap();
    assert_eq!(serve.get_one::<String>("games-dir").unwrap(), "/srv");
    assert_eq!(serve.get_one::<u64>("max-streams"), Some(&16));
    assert!(serve.get_flag("stream") && serve.get_flag("json"));
}

#[test]
fn the_command_line_wins_over_the_file() {
    let text = "games-dir = '/srv'\nstream = true\nmax-streams = 5\npeer = ['a:1', 'b:2']\n";
    let words = ["serve", "--games-dir", "/here", "--max-streams", "6"];
    assert_eq!(of_subcommand(text, &words, "games-dir"), ["/here"]);
    assert_eq!(of_subcommand(text, &words, "max-streams"), ["6"]);
    assert_eq!(
        of_subcommand(text, &["list", "--peer", "c:3"], "peer"),
        ["c:3"],
        "the command line replaces the list"
    );
}

#[test]
fn a_list_applies_to_options_that_take_one() {
    assert_eq!(of_subcommand("peer = ['a:1', 'b:2']", &["list"], "peer"), ["a:1", "b:2"]);
    assert!(run("peer = ['a:1', 'b:2']", &["status"]).is_err(), "a list of two was taken for one value");
    for one in ["peer = ['a:1']", "peer = 'a:1'"] {
        assert_eq!(of_subcommand(one, &["status"], "peer"), ["a:1"]);
        assert_eq!(of_subcommand(one, &["list"], "peer"), ["a:1"]);
    }
    assert!(run("peer = []", &["list"]).is_err(), "an empty list was taken for a value");
}

#[test]
fn a_flag_that_is_off_is_not_given() {
    let text = "games-dir = '/srv'\nstream = false\n";
    assert!(run(text, &["serve"]).is_err());
    assert!(run(text, &["serve", "--stream"]).unwrap().subcommand().unwrap().1.get_flag("stream"));
}

#[test]
fn a_wrong_file_is_refused_with_its_first_wrong_line() {
    let table = [
        ("json = true\nzeta = 1\nalpha = 1\n", "line 2: there is no option `zeta`"),
        ("games_dir = '/srv'", "line 1: there is no option `games_dir`; it is `games-dir`"),
        ("config = 'x'", "line 1: `config` chooses the file"),
        ("replace = true", "line 1: `replace` is for one call"),
        ("\n[serve]\ngames-dir = 'x'\n", "line 2: there is no option `serve`"),
        ("GAME = 'x'", "line 1: there is no option `GAME`"),
        ("help = true", "line 1: there is no option `help`"),
        ("json = 'yes'", "line 1: `json` must be true or false"),
        ("json = [true]", "line 1: `json` must be true or false"),
        ("max-streams = '4'", "line 1: `max-streams` must be a number"),
        ("max-streams = 4.5", "line 1: `max-streams` must be a number"),
        ("games-dir = 1", "line 1: `games-dir` must be a text in quotes"),
        ("games-dir = 1979-05-27", "line 1: `games-dir` must be a text in quotes"),
        ("games-dir = ['a', 'b']", "line 1: `games-dir` must be a text in quotes"),
        ("games-dir.x = 1", "line 1: `games-dir` must be a text in quotes"),
        ("peer = ['a',\n 1]", "must be a list of texts in quotes or a text in quotes"),
        (
            "\nmax-streams = 65",
            "line 2: invalid value '65' for '--max-streams <max-streams>': 65 is not in 1..=64",
        ),
        ("verbose = 256", "line 1: invalid value '256' for '--verbose"),
        ("names = 'odd'", "[possible values: portable, native]"),
        ("json = true\njson = true", "line 2: duplicate key"),
        ("json = true\njson", "line 2: "),
        ("json = \"\n", "line 1: "),
    ];
    for (text, expected) in table {
        let reason = Settings::parse(text, &command(), None).unwrap_err();
        assert!(reason.contains(expected), "{text:?}: {reason}");
    }
}

#[test]
fn a_bad_element_is_named_with_its_own_line() {
    let text = "peer = [\n  '10.0.0.5:4107',\n  'nonsense:0',\n]\n";
    let reason = Settings::parse(text, &Arguments::command(), None).unwrap_err();
    assert!(reason.starts_with("line 3: invalid value 'nonsense:0' for '--peer <PEER>'"), "{reason}");
}

/// A size is a number to the program, and a text to the person who writes it.
#[test]
fn a_number_with_a_unit_is_a_text() {
    let parse = |text: &str| {
        text.strip_suffix("GiB").unwrap_or(text).parse::<u64>().map_err(|error| error.to_string())
    };
    let size = Arg::new("size").long("size").env(VARIABLE).default_value("1GiB").value_parser(parse);
    let command = || Command::new("root").arg(size.clone());
    let settings = Settings::parse("size = '4GiB'", &command(), None).unwrap();
    let matches = settings.as_defaults(command()).try_get_matches_from(["root"]).unwrap();
    assert_eq!(matches.get_one::<u64>("size"), Some(&4));
    let reason = Settings::parse("size = 4", &command(), None).unwrap_err();
    assert!(reason.contains("`size` must be a text in quotes"), "{reason}");
}

/// A shell replaces `~/` on the command line, but reads no config file.
#[test]
fn a_leading_tilde_in_a_path_is_the_home_folder() {
    let command = || {
        let path =
            |name: &'static str| Arg::new(name).long(name).env(VARIABLE).value_parser(value_parser!(PathBuf));
        Command::new("root").arg(path("games-dir")).arg(Arg::new("name").long("name").env(VARIABLE))
    };
    let text = |value: &str, home: Option<&str>| {
        let text = format!("games-dir = '{value}'\nname = '~/party'\n");
        let settings = Settings::parse(&text, &command(), home.map(Path::new))?;
        let matches = settings.as_defaults(command()).try_get_matches_from(["root"]).unwrap();
        assert_eq!(matches.get_one::<String>("name").unwrap(), "~/party", "no path");
        Ok::<_, String>(matches.get_one::<PathBuf>("games-dir").unwrap().display().to_string())
    };
    assert_eq!(text("~/games", Some("/home/me")).unwrap(), "/home/me/games");
    assert_eq!(text("~/games", Some("/home/me/")).unwrap(), "/home/me/games");
    for kept in ["~", "~you/games", "/srv/~/games", "games/~/x"] {
        assert_eq!(text(kept, Some("/home/me")).unwrap(), kept);
    }
    let reason = text("~/games", None).unwrap_err();
    assert!(reason.starts_with("line 1: ") && reason.contains("HOME"), "{reason}");
}

/// The name of a peer that is trusted is not the name of this one.
#[test]
fn a_setting_is_no_default_of_an_option_for_one_call() {
    assert_eq!(of_subcommand("name = 'den'", &["daemon"], "name"), ["den"]);
    assert_eq!(of_subcommand("name = 'den'", &["trust"], "name"), [""; 0]);
}

/// A file that was written long ago must not take away a protection.
#[test]
fn consent_is_given_on_the_command_line_only() {
    for key in [
        "force",
        "dry-run",
        "stream",
        "follow",
        "all",
        "detach",
        "yes",
        "repair",
        "check",
        "replace",
        "print",
        "qr",
        "accept-unverified",
        "clear",
        "out",
        "out-dir",
        "key",
    ] {
        let reason = Settings::parse(&format!("{key} = true"), &Arguments::command(), None).unwrap_err();
        assert_eq!(reason, format!("line 1: `{key}` is for one call: give --{key} on the command line"));
    }
}

/// A new option with a variable becomes a key without a change here.
#[test]
fn every_option_with_a_variable_is_a_key() {
    fn visit(command: &Command, root: &Command) {
        for option in command.get_arguments().filter(|option| !option.is_positional()) {
            let long = option.get_long().expect("a long name");
            // Its key has another name.
            let long = if long == "from" { "sources" } else { long };
            let text = match option.get_action() {
                ArgAction::Help | ArgAction::Version => continue,
                _ if long == "config" || option.get_env().is_none() => continue,
                ArgAction::Count => format!("{long} = 1"),
                // This suits a flag. For other options the value is refused, but not the key.
                _ => format!("{long} = true"),
            };
            let reason = Settings::parse(&text, root, None).err().unwrap_or_default();
            assert!(reason.is_empty() || reason.contains(&format!("`{long}` must be")), "{text}: {reason}");
        }
        command.get_subcommands().for_each(|subcommand| visit(subcommand, root));
    }
    visit(&Arguments::command(), &Arguments::command());
}

#[test]
fn the_users_file_is_tried_before_the_machines() {
    let paths = |config_home: Option<&str>, home: Option<&str>| {
        let paths = default_paths(config_home.map(Into::into), home.map(Into::into));
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    let system = "/etc/lanspread/lanspread.toml";
    assert_eq!(paths(Some("/x"), Some("/home/me")), ["/x/lanspread/lanspread.toml", system]);
    assert_eq!(paths(None, Some("/home/me")), ["/home/me/.config/lanspread/lanspread.toml", system]);
    assert_eq!(
        paths(Some("relative"), Some("/home/me")),
        ["/home/me/.config/lanspread/lanspread.toml", system]
    );
    assert_eq!(paths(None, None), [system]);
}
