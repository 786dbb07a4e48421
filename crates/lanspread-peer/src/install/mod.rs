//! Changing this machine: choosing sources, receiving into staging, promoting, recovering.
//!
//! One streamed install reads top to bottom: [`lock`] the game, [`recovery`] of what a crash left, [`gather`] the
//! peers' answers, [`select`] the validated ones, then per source one [`attempt`]: a [`transaction`] begins, a
//! [`stream`] is received into [`staging`], and the transaction commits or rolls back. An install from archives that are
//! here ([`local`]) stages and commits the same way. [`replace`] says when an installed tree may be lost, [`verify`]
//! compares it with its [`receipt`].
//!
//! What operations change on disk, and in which order, stands in [`steps`].

pub(crate) mod attempt;
pub(crate) mod games_dir;
pub(crate) mod gather;
pub(crate) mod intent;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod receipt;
pub(crate) mod recover_recorded;
pub(crate) mod recovery;
pub(crate) mod replace;
pub(crate) mod select;
pub(crate) mod space;
pub(crate) mod staging;
pub(crate) mod steps;
pub(crate) mod stream;
pub(crate) mod transaction;
pub(crate) mod tree;
pub(crate) mod verify;
