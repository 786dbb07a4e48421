//! Changing this machine: choosing sources, receiving into staging, promoting, recovering.
//!
//! One streamed install reads top to bottom: [`lock`] the game, [`recovery`] of what a crash left, [`gather`] the
//! peers' answers, [`select`] the validated ones, then per source one [`attempt`]: a [`transaction`] begins, a
//! [`stream`] is received into [`staging`], and the transaction commits or rolls back.

pub(crate) mod attempt;
pub(crate) mod games_dir;
pub(crate) mod gather;
pub(crate) mod intent;
pub(crate) mod lock;
pub(crate) mod receipt;
pub(crate) mod recovery;
pub(crate) mod select;
pub(crate) mod space;
pub(crate) mod staging;
pub(crate) mod stream;
pub(crate) mod transaction;
