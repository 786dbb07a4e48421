//! How far one game is.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use lanspread_types::ids::GameId;
use lanspread_types::limits::PROGRESS_INTERVAL;

use crate::catalog_build::observer::BuildObserver;
use crate::report::event::PeerEvent;

/// Counts the bytes that were read and decoded, and tells now and then. The sink of a decoder holds one end.
#[derive(Clone)]
pub(super) struct Progress(Rc<RefCell<Counted>>);

struct Counted {
    game: GameId,
    bytes: u64,
    bytes_total: u64,
    told: Option<Instant>,
    observer: Arc<dyn BuildObserver>,
}

impl Progress {
    pub(super) fn new(game: &GameId, bytes_total: u64, observer: &Arc<dyn BuildObserver>) -> Self {
        let (game, observer) = (game.clone(), Arc::clone(observer));
        Self(Rc::new(RefCell::new(Counted { game, bytes: 0, bytes_total, told: None, observer })))
    }

    pub(super) fn add(&self, more: u64) {
        let mut counted = self.0.borrow_mut();
        counted.bytes = counted.bytes.saturating_add(more);
        if counted.told.is_some_and(|told| told.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        counted.told = Some(Instant::now());
        let (bytes, bytes_total) = (counted.bytes, counted.bytes_total);
        let event = PeerEvent::CatalogBuildProgress { game: counted.game.clone(), bytes, bytes_total };
        counted.observer.event(event);
    }
}
