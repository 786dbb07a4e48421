//! `party`: which machines talk to each other.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Subcommand, ValueHint};

/// `party`
#[derive(Debug, Args)]
pub(crate) struct PartyArguments {
    #[command(subcommand)]
    pub(crate) command: PartyCommand,
}

/// What to do about the party of this machine
#[derive(Debug, Subcommand)]
pub(crate) enum PartyCommand {
    /// Make a party, make this machine its first member, and print the line that makes others members
    #[command(after_help = "\
Examples:
  lanspread-peer-cli party new                      make a party and print its line
  lanspread-peer-cli party new --with-catalog-key   the line also names you as the signer of the catalog
  lanspread-peer-cli party new --replace            make another one: a machine that has only the old line is out

Hand the line to the others as you would a password: everybody who has it is a member, and nothing else is \
asked of them. It is 38 characters, or 89 with the key of the catalog. On a terminal, it is also printed as \
a QR code.")]
    New(PartyNew),
    /// Make this machine a member
    #[command(after_help = "\
Examples:
  lanspread-peer-cli party join          type or paste the line
  lanspread-peer-cli party join < line   read it from a file
  ssh den lanspread-peer-cli party show --print | lanspread-peer-cli party join

Other users of this machine can see the arguments of a command, so the line is better not one of them. \
A line with a wrong or missing character is noticed, and nothing is changed then.")]
    Join(PartyJoin),
    /// Show the party of this machine
    #[command(after_help = "\
Examples:
  lanspread-peer-cli party show            the line too, on a terminal
  lanspread-peer-cli party show --print    only the line, for a script
  lanspread-peer-cli party show --qr       as a QR code, too

Two machines are of one party if they show the same four characters.")]
    Show(PartyShow),
    /// Leave the party: this machine then talks to peers of no party
    #[command(after_help = "\
Example:
  lanspread-peer-cli party leave

The line is deleted here. To become a member again, this machine needs it again.")]
    Leave,
}

/// `party new`
#[derive(Debug, Args)]
pub(crate) struct PartyNew {
    #[command(flatten)]
    pub(crate) replacing: Replacing,
    /// Put the public key that `catalog key` made into the line: members then believe your catalogs
    #[arg(long)]
    pub(crate) with_catalog_key: bool,
    /// Print no QR code
    #[arg(long, env = "LANSPREAD_NO_QR", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_qr: bool,
}

/// `party join`
#[derive(Debug, Args)]
pub(crate) struct PartyJoin {
    /// The party line; without it, or with `-`, it is read from standard input
    #[arg(value_hint = ValueHint::Other, value_name = "LINE", hide_possible_values = true)]
    pub(crate) line: Option<String>,
    #[command(flatten)]
    pub(crate) replacing: Replacing,
}

/// `party show`
#[derive(Debug, Args)]
pub(crate) struct PartyShow {
    /// Also print the line as a QR code
    #[arg(long)]
    pub(crate) qr: bool,
    /// Print the line, which is a secret, where the output is no terminal, and nothing else
    #[arg(long)]
    pub(crate) print: bool,
}

/// Consent to leave another party.
#[derive(Debug, Args)]
pub(crate) struct Replacing {
    /// Go ahead even if this machine is of another party, which it then leaves
    #[arg(long)]
    pub(crate) replace: bool,
}
