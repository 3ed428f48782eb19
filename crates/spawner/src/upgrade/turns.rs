//! Of many upgrades a few start their pods at a time, and no owner's take all the places.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use nocrd_model::Subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of new pods that may be starting.
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// How many of them one owner may have.
    each: usize,
    /// Those of owners who have one or wait for one.
    by_owner: Mutex<HashMap<Subject, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(crate) struct Turn {
    _all: OwnedSemaphorePermit,
    _owner: OwnedSemaphorePermit,
}

impl Turns {
    /// With so many places in all, but at least one.
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(at_once.max(1))),
            each: (at_once / 2).max(1),
            by_owner: Mutex::default(),
        }
    }

    /// Waits for a place, first among the owner's own and then among everybody's, each time behind those who came before.
    /// `None` never comes: nobody closes the places.
    pub(crate) async fn next(&self, owner: &Subject) -> Option<Turn> {
        let owners = self.owners(owner);
        let owner = owners.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _all: all, _owner: owner })
    }

    fn owners(&self, owner: &Subject) -> Arc<Semaphore> {
        let mut by_owner = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has a place or waits for one holds on to it.
        by_owner.retain(|_, places| Arc::strong_count(places) > 1);
        let new = || Arc::new(Semaphore::new(self.each));
        Arc::clone(by_owner.entry(owner.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll<F: Future<Output = Option<Turn>>>(waiting: &mut Pin<&mut F>) -> Option<Turn> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn t53_one_owner_has_half_of_the_places_at_most() {
        let (ada, bob, eve) = (Subject::new("ada"), Subject::new("bob"), Subject::new("eve"));
        for (at_once, each) in [(0, 1), (1, 1), (2, 1), (3, 1), (8, 4)] {
            let turns = Turns::new(at_once);
            let mut adas: Vec<_> = (0..each).map(|_| poll(&mut pin!(turns.next(&ada))).unwrap()).collect();
            let (mut second, mut third) = (pin!(turns.next(&ada)), pin!(turns.next(&ada)));
            assert!(poll(&mut second).is_none() && poll(&mut third).is_none(), "{at_once}");
            let bobs: Vec<_> = (0..each).filter_map(|_| poll(&mut pin!(turns.next(&bob)))).collect();
            assert_eq!(bobs.len(), if at_once < 2 { 0 } else { each }, "{at_once}");
            assert_eq!(poll(&mut pin!(turns.next(&eve))).is_some(), at_once == 3, "{at_once}");
            // One that is given back is the next one's in the order in which they came.
            adas.pop();
            assert!(poll(&mut third).is_none(), "{at_once}");
            assert!(poll(&mut second).is_some(), "{at_once}");
            drop(bobs);
        }
    }

    #[test]
    fn nothing_is_kept_of_owners_who_are_gone() {
        let turns = Turns::new(2);
        for name in ["a", "b", "c"] {
            assert!(poll(&mut pin!(turns.next(&Subject::new(name)))).is_some());
        }
        let held = poll(&mut pin!(turns.next(&Subject::new("d")))).unwrap();
        let other = poll(&mut pin!(turns.next(&Subject::new("e")))).unwrap();
        assert_eq!(turns.by_owner.lock().unwrap().len(), 2);
        drop((held, other));
    }
}
