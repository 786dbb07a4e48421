//! The protocol in which commands ask a running daemon: a Unix socket in its state directory, which only its user may
//! open. This room does not know what the requests mean.
//!
//! ```text
//! connection = request reply* end            one JSON object a line, each way
//! request    = {"request": "operate" | "plan" | "cancel" | "operations" | "events" | "list" | "peers" | "status", ...}
//! reply      = {"reply": "accepted" | "event" | "report" | "keep-alive", ...}
//! end        = {"reply": "done"} | {"reply": "failed", "code", "message", "cause", "category"}
//! give up    = {"request": "give-up"}        the one line that may follow a request; a broken connection gives up nothing
//! ```
//!
//! Invariants: a line is bounded before it is read. A client that does not read is dropped and delays no other client. A
//! command asks only a daemon of its own user or of root, and leaves one that falls silent.
//! An operation that a client started continues without it. `daemon/answer.rs` is the one place that knows what a
//! request means: a command without a daemon uses it in its own process, so both ways give the same replies.

#[cfg(feature = "control")]
pub(crate) mod client;
pub(crate) mod error;
#[cfg(feature = "control")]
pub(crate) mod lines;
pub(crate) mod message;
#[cfg(feature = "control")]
pub(crate) mod ownership;
#[cfg(feature = "control")]
pub(crate) mod running;
#[cfg(feature = "control")]
pub(crate) mod socket_path;
