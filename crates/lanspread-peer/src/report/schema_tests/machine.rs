//! Samples of what `init` and `config` print.

use super::name;
use crate::report::answer::Answer;
use crate::report::machine_settings::{ConfigFilePath, MachineSetUp, OptionSetting};

pub(super) fn answers() -> Vec<Answer> {
    let text = || "x".to_owned();
    let set_up = |given: Option<String>| {
        Answer::MachineSetUp(MachineSetUp {
            config_file: text(),
            old_config_file: given.clone(),
            games_dir: text(),
            games_dir_created: true,
            name: given.as_ref().map(|_| name()),
            party: given,
        })
    };
    let setting = |given: Option<String>| {
        Answer::OptionSetting(OptionSetting {
            key: text(),
            values: vec![text()],
            origin: "file".into(),
            variable: given.clone(),
            line: given.as_ref().map(|_| 1),
            path: given,
        })
    };
    vec![
        set_up(None),
        set_up(Some(text())),
        setting(None),
        setting(Some(text())),
        Answer::ConfigFile(ConfigFilePath { path: text(), exists: true }),
    ]
}
