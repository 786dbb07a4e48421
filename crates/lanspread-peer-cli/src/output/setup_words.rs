//! `init` and `config` in words. Nothing here does I/O.

use lanspread_peer::{Answer, MachineSetUp, OptionSetting, printable};

use super::table::aligned;

/// The longest value that a table shows.
const VALUE_CHARS_MAX: usize = 200;

/// One object of an answer; nothing for what is not of these commands.
pub(super) fn report(report: &Answer) -> Option<String> {
    Some(match report {
        Answer::MachineSetUp(set_up) => self::set_up(set_up),
        Answer::OptionSetting(setting) => settings(std::slice::from_ref(setting)).join("\n"),
        Answer::ConfigFile(file) => file.path.clone(),
        _ => return None,
    })
}

fn set_up(set_up: &MachineSetUp) -> String {
    let MachineSetUp { config_file, old_config_file, games_dir, games_dir_created, name, party } = set_up;
    let kept = old_config_file.as_ref().map(|old| format!("; a copy of the old one is {old}"));
    let mut text = format!("{config_file} is written{}\n", kept.unwrap_or_default());
    let created = if *games_dir_created { ", created now" } else { "" };
    let party = party.as_ref().map_or_else(
        || "none: everybody on this network may list and install what you serve".to_owned(),
        |party| format!("{party}: its members may list and install what you serve, and no other peer"),
    );
    let row = |name: &str, value: String| [format!("  {name}"), value];
    let rows = [
        row("games folder", format!("{games_dir}{created}")),
        row("name", name.as_ref().map_or("that of this machine".to_owned(), ToString::to_string)),
        row("party", party),
    ];
    text += &aligned(&rows).join("\n");
    text += "\nnext: `lanspread-peer-cli peers` finds peers, `list` shows what they offer, `install --stream GAME` installs, `serve` shares";
    text
}

/// A table with one line for each setting.
pub(super) fn settings(settings: &[OptionSetting]) -> Vec<String> {
    let row = |setting: &OptionSetting| {
        let OptionSetting { key, values, origin, variable, path, line } = setting;
        let origin = match (variable, path) {
            (Some(variable), _) => format!("variable {variable}"),
            (None, Some(path)) => format!("{path}:{}", line.unwrap_or_default()),
            (None, None) => origin.replace('-', " "),
        };
        let value = if values.is_empty() { "-".to_owned() } else { values.join(", ") };
        [key.clone(), printable(&value, VALUE_CHARS_MAX), origin]
    };
    let header = ["OPTION", "VALUE", "FROM"].map(str::to_owned);
    let rows: Vec<[String; 3]> = [header].into_iter().chain(settings.iter().map(row)).collect();
    aligned(&rows)
}
