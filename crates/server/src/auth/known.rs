//! Tokens that were good when they were last looked at.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

/// Most of them that are remembered; the first ones go first.
const MOST: usize = 8192;

type Print = [u8; 32];

/// Remembers tokens by their SHA-256. That one is here does not make it good: it is looked at all the same.
#[derive(Default)]
pub(super) struct Known(Mutex<Prints>);

#[derive(Default)]
struct Prints {
    all: HashSet<Print>,
    /// In the order in which they came, and those that have been removed since.
    order: VecDeque<Print>,
}

impl Known {
    pub(super) fn contains(&self, headers: &HeaderMap) -> bool {
        print(headers).is_some_and(|print| self.lock().all.contains(&print))
    }

    pub(super) fn insert(&self, headers: &HeaderMap) {
        let Some(print) = print(headers) else { return };
        let mut prints = self.lock();
        if !prints.all.insert(print) {
            return;
        }
        prints.order.push_back(print);
        while prints.order.len() > MOST {
            let Some(first) = prints.order.pop_front() else { return };
            prints.all.remove(&first);
        }
    }

    pub(super) fn remove(&self, headers: &HeaderMap) {
        if let Some(print) = print(headers) {
            self.lock().all.remove(&print);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Prints> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token of a request that has one.
fn print(headers: &HeaderMap) -> Option<Print> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Some(Sha256::digest(value.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(token: usize) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
    }

    #[test]
    fn the_last_ones_are_remembered_until_they_are_refused() {
        let known = Known::default();
        for token in 0..=MOST {
            known.insert(&bearer(token));
        }
        assert!(!known.contains(&bearer(0)) && known.contains(&bearer(1)) && known.contains(&bearer(MOST)));
        known.remove(&bearer(MOST));
        assert!(!known.contains(&bearer(MOST)));
        assert!(known.lock().order.len() <= MOST);
    }
}
