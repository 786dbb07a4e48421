//! One-time tickets for the stream of changes: a browser opens it without headers, and a token in an address would be
//! kept in logs and histories.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use lanspread_types::limits;
use tokio::time::Instant;

use crate::refusal::WebRefusal;

/// The tickets that were given and not used.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<VecDeque<(String, Instant)>>);

impl Tickets {
    /// A new ticket. Of very many that are not used, the oldest end.
    pub(crate) fn give(&self) -> Result<String, WebRefusal> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| WebRefusal::new(500, "no-random", format!("no random numbers: {error}")))?;
        let ticket = format!("{:032x}", u128::from_ne_bytes(random));
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() == limits::WEB_TICKETS_MAX {
            given.pop_front();
        }
        given.push_back((ticket.clone(), Instant::now() + limits::WEB_TICKET_LIFETIME));
        Ok(ticket)
    }

    /// Whether this ticket was given a short while ago. It is used up then.
    pub(crate) fn take(&self, ticket: &str) -> bool {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        given.retain(|(_, end)| *end > now);
        let place = given.iter().position(|(known, _)| known == ticket);
        place.and_then(|place| given.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_opens_once_and_soon() {
        let tickets = Tickets::default();
        let ticket = tickets.give().unwrap();
        assert_eq!(ticket.len(), 32);
        assert!(!tickets.take("") && !tickets.take(&ticket[1..]));
        assert!(tickets.take(&ticket));
        assert!(!tickets.take(&ticket), "once");
        let late = tickets.give().unwrap();
        tokio::time::advance(limits::WEB_TICKET_LIFETIME).await;
        assert!(!tickets.take(&late), "soon");
    }

    #[tokio::test(start_paused = true)]
    async fn of_very_many_tickets_the_oldest_end() {
        let tickets = Tickets::default();
        let first = tickets.give().unwrap();
        let second = tickets.give().unwrap();
        for _ in 0..limits::WEB_TICKETS_MAX - 1 {
            tickets.give().unwrap();
        }
        assert!(!tickets.take(&first));
        assert!(tickets.take(&second));
    }
}
