//! The vocabulary of lanspread: what things are called, which values are good, and how much of anything is allowed.
//!
//! Every value from outside is checked once, at the edge, into one of these types, so that the code behind the edge
//! cannot hold a bad one. This crate knows no sockets, no runtime and no files: it depends on nothing of ours, and
//! everything of ours depends on it.
//!
//! - [`ids`]: games, versions, peers and their addresses as checked words
//! - [`entry_path`]: paths of entries inside an archive, and which names are refused
//! - [`checksum`]: the checksum of bytes
//! - [`content`]: what archives and games hold: entries, totals, root files, offers
//! - [`layout`]: names of files and folders on disk
//! - [`limits`]: every bound, with its reason
//! - [`fault`]: whose fault a failure is: the source's content or this machine
//! - [`text`]: text from outside, made safe to show

pub mod checksum;
pub mod content;
pub mod entry_path;
pub mod fault;
pub mod ids;
pub mod layout;
pub mod limits;
pub mod text;
