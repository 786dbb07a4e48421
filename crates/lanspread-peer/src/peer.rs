//! The public interface of a peer, one file per operation. It joins the other rooms, and none of them but `daemon`
//! knows it.

mod absent;
mod activity;
pub(crate) mod answers;
mod asking_order;
pub(crate) mod builder;
mod catalogs;
mod choose;
pub(crate) mod client;
pub(crate) mod core;
mod download;
mod download_sources;
mod drain;
mod ensure;
mod ensure_plan;
pub(crate) mod error;
mod install;
mod join_order;
mod join_wave;
mod leftovers;
mod list_wait;
mod manifests;
mod matching;
mod metrics;
mod network_search;
mod operate;
mod operate_at;
pub(crate) mod operations;
mod outcome;
mod packed_download;
mod packed_install;
mod packed_sources;
mod packed_stream;
mod packing_lists;
mod perform;
mod plan;
mod prepared_download;
mod relaying;
mod remove;
mod repair;
mod repair_parts;
mod return_wait;
pub(crate) mod room;
mod serve;
mod servers;
pub(crate) mod stream_install;
mod stream_sources;
mod uninstall;
mod update;
mod updates;
mod verify;
#[cfg_attr(not(feature = "control"), allow(dead_code, reason = "only a daemon keeps operations"))]
mod wanted;
#[cfg_attr(not(feature = "control"), allow(dead_code, reason = "only a daemon keeps operations"))]
mod wanted_files;
mod work_for_peers;

#[cfg(test)]
mod attempt_tests;
#[cfg(test)]
mod disturbed_tests;
#[cfg(test)]
mod dropped_tests;
#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod local_tests;
#[cfg(test)]
mod operations_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod wanted_tests;
