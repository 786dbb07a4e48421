//! Peers for this crate's own tests.

mod liars_tests;
pub(crate) mod machine;
