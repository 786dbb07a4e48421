//! `completions`, `manual` and `reference`: they are generated from the arguments, so they are never out of date.

use std::fs;
use std::io::{self, Write};

use clap::CommandFactory;
use lanspread_peer::ErrorCategory;

use crate::arguments::{Arguments, Completions, Manual};
use crate::exit::{CommandResult, Failure};
use crate::reference;

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
        Failure::new("local-io", None, message, ErrorCategory::Local)
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
