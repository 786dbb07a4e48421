//! The protocol: how two peers talk over one connection.
//!
//! Everything runs over any `AsyncRead + AsyncWrite`: this crate opens no sockets, reads no files and knows no games
//! directory. It checks what arrives and passes on checked values.
//!
//! - [`handshake`]: the proofs of the party
//! - [`connection`]: proofs, hellos, messages with deadlines
//! - [`message`]: requests, replies, and the messages of a stream; [`refusal`]: why not
//! - [`entry`]: the content of archives as messages, and back
//! - [`grammar`]: which message of a stream may follow which
//! - [`chunk`]: the chunks of a download
//! - [`packed`]: archives as they are, from sources and relays
//! - [`activity`]: what a peer tells others about what it is doing
//! - [`queued`]: waiting for a place; [`pace`]: how often a peer may repeat a word
//! - [`frame`], [`codec`]: how a message becomes bytes
//! - [`batch`], [`inflow`]: many frames of a stream in one buffer, as they are sent and as they arrive
//! - [`error`]: what can go wrong
//!
//! Goals: bounds are checked before anything is allocated, the grammar is simple, bulk bytes are never re-encoded.
//! Not goals: compatibility with other versions (only the current one exists), encryption (the layer below has it).
//!
//! ```text
//! connection  = preamble proof  hello  (request reply)*  [ stream-install stream | download download-ready+ chunks |
//!                                                     follow following packed ]
//!                                                                                 each side sends preamble, proof, hello
//! preamble    = "LANSPRD\n"  u16 protocol version                                 outside the codec, so that an error
//!                                                                                 can name both versions
//! proof       = 32 bytes, sent at once; checked before the hello is sent
//! frame       = u32 payload length  u8 kind  payload                              integers are big endian
//! kind 0      = control, at most 64 KiB of bincode            kind 1 = data, 1 byte to 1 MiB of raw content
//! stream      = begin (archive-begin (directory | copy | file-begin data* file-end)* archive-end)* complete
//!               with keep-alive between any two frames, and failed instead of any control frame
//! chunks      = receiver: chunk-request*, sent ahead          source, in their order: (data+ end)*
//!               with keep-alive between any two frames of the source, and failed, the last one, instead of end
//! packed      = receiver: ask* (resume ask*)* done            upstream, in the order of what counts: (data | gone)*
//!               with alive between any two frames of the upstream, and leave or failed, the last one, instead of an answer
//! ```
//!
//! A connection carries one request at a time. After a stream the source closes the connection; a download continues
//! until the receiver closes it.

pub mod activity;
pub mod batch;
pub mod chunk;
pub mod codec;
pub mod connection;
pub mod entry;
pub mod error;
pub mod frame;
pub mod grammar;
pub mod handshake;
pub mod inflow;
pub mod message;
pub mod pace;
pub mod packed;
pub mod planned;
pub mod queued;
pub mod refusal;

pub use error::WireError;
