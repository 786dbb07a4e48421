//! `completions`, `manual`, `reference`: what is made of the arguments themselves, so that none of it can be out of date.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::exit::{CommandResult, Failure};
use crate::reference;

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// `manual`
#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Folder for the pages; made if it is not there
    #[arg(long, env = "LANSPREAD_OUT_DIR", value_name = "DIR")]
    out_dir: PathBuf,
}

pub(crate) fn completions(completions: &Completions) -> CommandResult {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    // Into memory first: the generator panics when its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut command, name, &mut script);
    print(&script)
}

pub(crate) fn manual(manual: &Manual) -> CommandResult {
    let written = fs::create_dir_all(&manual.out_dir)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), &manual.out_dir));
    written.map_err(|error| {
        let message = format!("cannot write the pages to {}: {error}", manual.out_dir.display());
        Failure { code: "local-io".into(), message, hint: None, status: 7 }
    })
}

pub(crate) fn reference() -> CommandResult {
    print(reference::markdown(Arguments::command()).as_bytes())
}

fn print(bytes: &[u8]) -> CommandResult {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}
