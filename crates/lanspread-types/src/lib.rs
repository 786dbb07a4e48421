//! The vocabulary of lanspread: what things are called, which values are valid, and how much of anything is allowed.
//!
//! Every value from outside is checked once, at the edge, into one of these types, so that the code inside the edge
//! cannot hold a bad one. This crate knows no sockets and no runtime, and of files only how to open one. It depends on no
//! other crate of this project, and all of them depend on it.
//!
//! - [`ids`]: games, versions, peers and their addresses as checked words
//! - [`entry_path`]: paths of entries inside an archive, and which names are refused
//! - [`checksum`]: checksums of bytes
//! - [`content`]: what archives and games hold: entries, totals, root files, offers
//! - [`layout`]: names of files and folders in a games directory
//! - [`limits`]: every bound, with its reason
//! - [`fault`]: errors by whose fault they are: the source's content or this machine
//! - [`rate_limit`]: a limit for bytes per second, as users write it
//! - [`regular_file`]: the one way to open a file whose name lanspread knows
//! - [`source_url`]: servers that have games, as URLs with places for the names of a game and a file
//! - [`text`]: text from outside, made safe to show
//! - [`text_form`]: bytes as words that people copy, with check characters
//! - [`web_url`]: URLs of HTTP servers

pub mod checksum;
pub mod content;
pub mod entry_path;
pub mod fault;
pub mod ids;
pub mod layout;
pub mod limits;
pub mod rate_limit;
pub mod regular_file;
pub mod source_url;
pub mod text;
pub mod text_form;
pub mod web_url;
