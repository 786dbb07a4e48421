//! How the newest operation on each game ended. Pure.

use lanspread_types::limits;

use crate::report::operation_outcome::EndedOperation;

/// The newest outcome of each game, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Outcomes(Vec<EndedOperation>);

impl Outcomes {
    /// Remembers an outcome, instead of an earlier one of the same game.
    pub(super) fn ended(&mut self, ended: EndedOperation) {
        self.0.retain(|other| other.game != ended.game);
        if self.0.len() >= limits::OUTCOMES_MAX {
            self.0.remove(0);
        }
        self.0.push(ended);
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<EndedOperation> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::operation::OperationKind;

    #[test]
    fn the_newest_outcome_of_each_game_is_remembered_and_their_number_is_bounded() {
        let mut outcomes = Outcomes::default();
        let ended = |operation, game: &str| {
            EndedOperation::now(operation, OperationKind::Verify, game.parse().unwrap(), None)
        };
        outcomes.ended(ended(1, "a"));
        outcomes.ended(ended(2, "b"));
        outcomes.ended(ended(3, "a"));
        let numbers =
            |outcomes: &Outcomes| outcomes.0.iter().map(|ended| ended.operation).collect::<Vec<_>>();
        assert_eq!(numbers(&outcomes), [2, 3]);
        for number in 0..limits::OUTCOMES_MAX as u64 {
            outcomes.ended(ended(10 + number, &format!("g{number}")));
        }
        assert_eq!(outcomes.0.len(), limits::OUTCOMES_MAX);
        assert_eq!(numbers(&outcomes)[0], 10);
    }
}
