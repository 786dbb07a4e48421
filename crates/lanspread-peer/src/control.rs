//! Telling a running peer what to do: a Unix socket in its state directory, which only its user may open.
//!
//! ```text
//! connection = request reply* end            one JSON object a line, each way
//! request    = {"request": "operate" | "plan" | "cancel" | "operations" | "events" | "list" | "peers" | "status", ...}
//! reply      = {"reply": "accepted" | "event" | "report", ...}
//! end        = {"reply": "done"} | {"reply": "failed", "code", "message", "cause", "category"}
//! give up    = {"request": "give-up"}        the one line that may follow a request; a broken connection gives up nothing
//! ```
//!
//! Invariants: a line is bounded before it is read, a client that does not read is dropped and hinders nobody, and what
//! a client has started goes on without it. `answer` is the one place that knows what a request means: commands
//! without a daemon go through it in their own process, so that both ways say the same.

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod lines;
pub(crate) mod message;
pub(crate) mod ownership;
