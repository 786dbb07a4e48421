//! HTTP servers that have the files of games: a client that asks for ranges and believes nothing.
//!
//! A server is any program that answers ranges: nginx, an object store, a cache in between. It is no peer: it has no
//! identity, takes no part in any vote, and what it sends counts only if a manifest lists it.
//!
//! - `client`: connections, proxies, encryption; the one file that names the HTTP library
//! - [`get`]: one request, with the redirects that it follows
//! - [`head`]: whether an answer is the range that was asked for (pure)
//! - [`server`]: one server of one game: ranges of its files
//! - [`upstream`]: chunks of a packed stream, asked for ahead, answered in order
//! - [`manifest`]: the manifest beside the files
//! - `object_store`: signed URLs of object stores (pure); `store_reason`: why they refuse one (pure)
//!
//! Invariants: at most [`HTTP_HEAD_BYTES_MAX`](lanspread_types::limits::HTTP_HEAD_BYTES_MAX) more than a range are taken
//! from the network. Every wait has a deadline. No text that is made here has credentials in it.

#[cfg(feature = "http")]
pub(crate) mod client;
pub(crate) mod error;
mod get;
mod head;
pub(crate) mod manifest;
#[cfg(not(feature = "http"))]
pub(crate) mod no_client;
#[cfg(not(feature = "s3"))]
mod no_object_store;
#[cfg(feature = "s3")]
mod object_store;
pub(crate) mod server;
mod store_reason;
pub(crate) mod upstream;

#[cfg(not(feature = "http"))]
pub(crate) use self::no_client as client;
#[cfg(not(feature = "s3"))]
use self::no_object_store as object_store;

#[cfg(test)]
#[cfg(feature = "http")]
pub(crate) mod tests;
