//! A party line, which is a secret, in an answer to its user.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A party line in an answer of a command to its user. Nothing but that output holds it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartyLineShown(pub String);

impl fmt::Debug for PartyLineShown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PartyLineShown")
    }
}
