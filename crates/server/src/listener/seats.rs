//! How many connections one client may have, so that nobody takes all there are.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::rate::Key;

/// The connections of each address. It holds no more entries than there are connections.
pub(super) struct Seats {
    of_each: usize,
    taken: Arc<Mutex<HashMap<Key, usize>>>,
}

/// The right to one connection, until it is dropped.
pub(super) struct Seat {
    key: Key,
    taken: Arc<Mutex<HashMap<Key, usize>>>,
}

impl Seats {
    pub(super) fn new(of_each: usize) -> Self {
        Self { of_each, taken: Arc::default() }
    }

    /// A seat for a client; `None` when it has as many as one may have.
    pub(super) fn take(&self, ip: IpAddr) -> Option<Seat> {
        let key = Key::of_address(ip);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= self.of_each {
            return None;
        }
        *count += 1;
        Some(Seat { key, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Seat {
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

    #[test]
    fn t41_one_address_has_so_many_connections() {
        let seats = Seats::new(2);
        let take = |ip: &str| seats.take(ip.parse().unwrap());
        let (first, second) = (take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap());
        assert!(take("2001:db8::3").is_none() && take("192.0.2.1").is_some());
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop(second);
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
