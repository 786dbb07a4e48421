//! How the places of a serving peer are shared between its guests, so that one guest cannot keep the others out.
//! [`guest`] says for which guest a place is counted, [`shares`] (pure) which one gets a place, [`places`] which ones hold one,
//! [`queue`] (pure) and [`waiting`] which ones wait, and [`turns`] whose turn it is.
//!
//! Identities are only claimed: any peer can say any of them. So the share of an address holds alone, and an identity
//! counts only against those that hold places, never against a guest that asks for one.

pub(crate) mod guest;
pub(crate) mod places;
pub(crate) mod queue;
pub(crate) mod shares;
pub(crate) mod turns;
pub(crate) mod waiting;
