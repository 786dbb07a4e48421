//! What this peer says of itself to its neighbours: a connection has one hello and can live for hours, so news need another
//! one.

use std::sync::Arc;

use lanspread_proto::message::Hello;
use lanspread_types::limits;
use tokio::time::timeout;

use crate::discovery::neighbours::Neighbours;
use crate::transport::dial::dial_any;

impl Neighbours {
    /// What this peer says of itself now: another version of its catalog may be in force.
    pub(super) fn hello(&self) -> Hello {
        Hello { catalog: self.news.mark(), ..self.ours.clone() }
    }

    /// Says hello once more to each peer that answers, so that it hears of the catalog that is in force now.
    pub(crate) async fn greet_again(self: Arc<Self>) {
        let stop = self.tasks.cancel_token();
        for peer in self.known() {
            let ours = self.hello();
            let greeting = timeout(limits::HINT_ANSWER_DEADLINE, dial_any(&peer.addresses, &ours));
            match stop.run_until_cancelled(greeting).await {
                None => return,
                Some(Ok(Ok(_))) => {}
                // It hears of it when it is connected again.
                Some(_) => tracing::debug!("{} did not hear of the catalog", peer.name),
            }
        }
    }
}
