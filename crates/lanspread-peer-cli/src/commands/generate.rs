//! `completions`, `manual` and `reference` are generated from the arguments, so they are never out of date. `schema` is
//! the page that a test compares with the program.

use std::fs;
use std::io::{self, Write};

use clap::CommandFactory;
use lanspread_peer::ErrorCategory;

use crate::arguments::{Arguments, Completions, Manual};
use crate::exit::{CommandResult, Failure};
use crate::manual::pages;
use crate::{completion, reference};

/// The JSON Schema of everything that `--json` prints.
pub(crate) const EVENT_SCHEMA: &str = include_str!("../../../../docs/event-schema.json");

pub(crate) fn completions(completions: &Completions) -> CommandResult {
    let script = completion::script(completions.shell, &Arguments::command());
    print(script.as_bytes())
}

pub(crate) fn schema() -> CommandResult {
    print(EVENT_SCHEMA.as_bytes())
}

pub(crate) fn manual(manual: &Manual) -> CommandResult {
    let pages = pages(Arguments::command(), env!("CARGO_PKG_VERSION"));
    let written = fs::create_dir_all(&manual.out_dir).and_then(|()| {
        pages.iter().try_for_each(|page| fs::write(manual.out_dir.join(&page.file_name), &page.text))
    });
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
