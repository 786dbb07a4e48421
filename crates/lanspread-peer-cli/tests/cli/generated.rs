//! The pages and scripts that are generated from the arguments: completions, manual, reference.

use std::fs;
use std::process::Command;

use crate::support::{finish, peer, project};

const AGAIN: &str = "cargo run --quiet --package lanspread-peer-cli -- reference > docs/commands.md";

/// The page in `docs/` is what the program prints, whatever the terminal and the variables.
#[test]
fn the_reference_in_docs_is_true() {
    let reference = |width: &str| {
        let mut command = peer();
        command.arg("reference").env("COLUMNS", width).env("LANSPREAD_LISTEN", "127.0.0.1:1");
        finish(&mut command).succeeded().stdout.clone()
    };
    let printed = reference("40");
    assert_eq!(printed, reference("400"), "it depends on the terminal");
    let kept = fs::read_to_string(project().join("docs/commands.md")).unwrap_or_default();
    let different = kept.lines().zip(printed.lines()).find(|(kept, printed)| kept != printed);
    assert!(
        kept == printed,
        "docs/commands.md is not what the program prints: {different:?}\nGenerate it again: {AGAIN}"
    );
}

/// The commands as `--help` lists them.
fn commands() -> Vec<String> {
    let help = finish(peer().arg("--help")).succeeded().stdout.clone();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> =
        names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(names.len() > 5 && names.iter().any(|name| name == "serve"), "{help}");
    names.into_iter().filter(|name| name != "help").collect()
}

/// The script of every shell completes every command.
#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = finish(peer().args(["completions", shell])).succeeded().stdout.clone();
        for command in commands() {
            assert!(script.contains(&command), "{shell} does not complete {command}");
        }
        assert!(script.contains("games-dir"), "{shell} does not complete options");
    }
    finish(peer().args(["completions", "tcsh"])).failed(2, &["tcsh", "bash"]);
}

/// Each page has options and variables. A folder that cannot be written is named.
#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("a/man1");
    finish(peer().args(["manual", "--out-dir"]).arg(&pages)).succeeded();
    assert!(pages.join("lanspread-peer-cli.1").is_file());
    for command in commands() {
        let page = pages.join(format!("lanspread-peer-cli-{command}.1"));
        assert!(page.is_file(), "{}", page.display());
    }
    let serve = fs::read_to_string(pages.join("lanspread-peer-cli-serve.1")).unwrap();
    assert!(serve.contains("games\\-dir") && serve.contains("LANSPREAD_GAMES_DIR"), "{serve}");
    finish(peer().args(["manual", "--out-dir", "/proc/nowhere"])).failed(7, &["/proc/nowhere"]);
}

/// Every page can be shown, has the sections that people look for, and names only pages that exist.
#[test]
fn the_pages_are_what_man_expects() {
    let folder = tempfile::tempdir().unwrap();
    finish(peer().args(["manual", "--out-dir"]).arg(folder.path())).succeeded();
    let has_groff = Command::new("groff").arg("--version").output().is_ok();
    if !has_groff {
        println!("groff is not installed: the manual pages are NOT shown");
    }
    let paths: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(paths.len() > 30, "{}", paths.len());
    for path in paths {
        let page = fs::read_to_string(&path).unwrap();
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]
        {
            let heading = format!("\n.SH \"{section}\"\n");
            assert_eq!(page.matches(&heading).count(), 1, "{section} in {}", path.display());
        }
        let (_, see_also) = page.split_once("\n.SH \"SEE ALSO\"\n").unwrap();
        for name in see_also.lines().next().unwrap().split(", ") {
            let name = name.trim_start_matches("\\fB").trim_end_matches("\\fR(1)").replace('\\', "");
            assert!(folder.path().join(format!("{name}.1")).is_file(), "{name} in {}", path.display());
        }
        if has_groff {
            // With all warnings; `-z` shows nothing else.
            let shown = finish(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-z"]).arg(&path));
            assert_eq!(shown.succeeded().stderr, "", "{}", path.display());
        }
    }
    let install = fs::read_to_string(folder.path().join("lanspread-peer-cli-install.1")).unwrap();
    assert!(install.contains("[\\fB\\-\\-stream\\fR]") && install.contains("\\fIGAME\\fR...\n"), "{install}");
}
