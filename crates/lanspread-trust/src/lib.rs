//! What an organiser signs and what a peer can believe because of it: keys and signatures, catalogs, manifests.
//!
//! This crate knows no sockets, no archives and no games directory. Most of it is formats: bytes in, checked values out,
//! and the way back. The only files that it opens are those of keys and manifests, and
//! what a state directory has once.
//!
//! - [`minisign`]: key pairs and signatures, in the format of the public program of that name
//! - [`catalog`]: the file that lists games
//! - [`manifest`]: what is in one version of a game, byte for byte
//! - [`identity_key`]: the key of a peer, and what it is named by
//! - [`key_file`]: keys on disk; the pair of an organiser is made once
//! - [`made_once`]: a file of a state directory that is made once, such as a key
//! - [`party`]: the key of a party, what members prove with it, and the line that they hand on
//! - [`party_file`]: the party of a state directory
//! - [`draft_file`]: a file that appears complete or not at all

pub mod catalog;
pub mod draft_file;
pub mod identity_key;
pub mod key_file;
pub mod made_once;
pub mod manifest;
pub mod minisign;
pub mod party;
pub mod party_file;
