//! What a peer reports: events while it works, answers to questions, failures, and the options of operations. Data, and
//! the channel on which events travel; nothing here knows how anything is done.

pub(crate) mod answer;
pub(crate) mod channel;
pub(crate) mod event;
pub(crate) mod failure;
pub(crate) mod operation;
#[cfg(test)]
mod schema_tests;
