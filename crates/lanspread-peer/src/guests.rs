//! How the places of a serving peer are shared between its guests, so that one guest cannot keep the others out.
//! Whom places are counted for ([`guest`]), who gets one ([`shares`], pure), who holds one ([`places`]), who waits for one
//! ([`queue`], pure, and [`waiting`]), and whose turn it is ([`turns`]).
//!
//! Identities are only claimed: any peer can say any of them. So the share of an address holds alone, and an identity
//! counts only against those that hold places, never against a guest that asks for one.

pub(crate) mod guest;
pub(crate) mod places;
pub(crate) mod queue;
pub(crate) mod shares;
pub(crate) mod turns;
pub(crate) mod waiting;
