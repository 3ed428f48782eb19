//! How many connections one client may have, so that nobody takes all there are.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

type Taken<K> = Arc<Mutex<HashMap<K, usize>>>;

/// The connections of each client, who is told from others by a `K`. It holds no more entries than there are connections.
pub(crate) struct Seats<K> {
    of_each: usize,
    taken: Taken<K>,
}

/// The right to one connection, until it is dropped.
pub(crate) struct Seat<K: Copy + Eq + Hash> {
    key: K,
    taken: Taken<K>,
}

impl<K: Copy + Eq + Hash> Seats<K> {
    pub(crate) fn new(of_each: usize) -> Self {
        Self { of_each, taken: Taken::default() }
    }

    /// A seat for a client; `None` when it has as many as one may have.
    pub(crate) fn take(&self, key: K) -> Option<Seat<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= self.of_each {
            return None;
        }
        *count += 1;
        Some(Seat { key, taken: Arc::clone(&self.taken) })
    }
}

impl<K: Copy + Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = taken.entry(self.key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Key;

    #[test]
    fn t41_one_address_has_so_many_connections() {
        let seats = Seats::new(2);
        let take = |ip: &str| seats.take(Key::of_address(ip.parse().unwrap()));
        let (first, second) = (take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap());
        assert!(take("2001:db8::3").is_none() && take("192.0.2.1").is_some());
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop(second);
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
