//! How many tunnels may be open: of everybody together, and of each user.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use nocrd_model::Subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;

type Taken = Arc<Mutex<HashMap<Subject, usize>>>;

/// The places for tunnels.
#[derive(Debug)]
pub(crate) struct Seats {
    all: Arc<Semaphore>,
    each: usize,
    /// Users with open tunnels, and how many.
    taken: Taken,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _of_all: OwnedSemaphorePermit,
    _own: Option<Own>,
}

/// A place among those of one user.
#[derive(Debug)]
struct Own {
    user: Subject,
    taken: Taken,
}

impl Seats {
    /// `all` places, of which no user gets more than `each`.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))), each, taken: Taken::default() }
    }

    /// Takes a place; `None` is somebody who can't be told from others, so that only the total counts.
    ///
    /// # Errors
    /// [`Error::TunnelLimit`] or [`Error::OwnTunnelLimit`] when there is none.
    pub(crate) fn take(&self, user: Option<&Subject>) -> Result<Seat, Error> {
        let own = user.map(|user| Own::take(user, self.each, &self.taken)).transpose()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Error::TunnelLimit)?;
        Ok(Seat { _of_all: of_all, _own: own })
    }
}

impl Own {
    fn take(user: &Subject, each: usize, taken: &Taken) -> Result<Self, Error> {
        let mut counts = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let open = counts.get(user).copied().unwrap_or(0);
        if open >= each {
            return Err(Error::OwnTunnelLimit);
        }
        counts.insert(user.clone(), open + 1);
        Ok(Self { user: user.clone(), taken: Arc::clone(taken) })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut counts = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut open) = counts.entry(self.user.clone()) {
            if *open.get() > 1 {
                *open.get_mut() -= 1;
            } else {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t42_each_user_and_all_together_are_limited() {
        let (alice, bob) = (Subject::from("alice"), Subject::from("bob"));
        let seats = Seats::new(4, 2);
        let first = seats.take(Some(&alice)).unwrap();
        let second = seats.take(Some(&alice)).unwrap();
        assert!(matches!(seats.take(Some(&alice)), Err(Error::OwnTunnelLimit)));
        let third = seats.take(Some(&bob)).unwrap();
        drop(first);
        let fourth = seats.take(Some(&alice)).unwrap();
        let fifth = seats.take(None).unwrap();
        assert!(matches!(seats.take(None), Err(Error::TunnelLimit)));
        assert!(matches!(seats.take(Some(&bob)), Err(Error::TunnelLimit)));
        drop((second, third, fourth, fifth));
        assert!(seats.taken.lock().unwrap().is_empty(), "nobody is remembered who has none");
        assert_eq!(seats.all.available_permits(), 4);
    }
}
