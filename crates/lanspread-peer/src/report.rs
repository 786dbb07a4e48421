//! What a peer reports: events while it works, answers to requests, failures, and the options of operations. This
//! module is data and the channel for events; it does not know how anything is done.

pub(crate) mod answer;
pub(crate) mod built_manifest;
pub(crate) mod catalog_listing;
pub(crate) mod channel;
pub(crate) mod download;
pub(crate) mod ensured;
pub(crate) mod event;
pub(crate) mod failure;
pub(crate) mod game_pattern;
pub(crate) mod history;
pub(crate) mod machine_settings;
pub(crate) mod metrics;
pub(crate) mod offender;
pub(crate) mod operation;
pub(crate) mod operation_outcome;
pub(crate) mod operation_progress;
pub(crate) mod packed_status;
pub(crate) mod packed_stream;
pub(crate) mod packing_list;
pub(crate) mod party_line;
pub(crate) mod passed_over;
pub(crate) mod peer_trust;
pub(crate) mod planned;
pub(crate) mod queued;
pub(crate) mod repair;
pub(crate) mod reported_event;
pub(crate) mod room;
#[cfg(test)]
mod schema_tests;
pub(crate) mod script_answers;
pub(crate) mod source_share;
pub(crate) mod wanted;
pub(crate) mod wanted_operation;

/// Version of the objects that a peer reports, as a program reads them. It changes if an object loses a field or a field its
/// meaning; what is added does not change it.
pub const EVENTS_VERSION: u64 = 1;
