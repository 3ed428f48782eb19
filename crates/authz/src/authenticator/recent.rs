//! Sessions whose cookies were verified a moment ago. A browser sends the same cookie with every request, and checking its
//! signature anew each time would cost more than all else that is decided about the request.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use nocrd_model::Caller;

use crate::session::Session;

/// Most cookies that are remembered, of each generation.
const MOST: usize = 1024;
/// Into how many parts they are split, so that threads hardly ever wait for each other.
const SHARDS: usize = 8;

/// A session with a good signature, and whom it makes its user.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) session: Arc<Session>,
    pub(super) caller: Caller,
}

/// What was verified. An entry says that the signature is good and what the cookie says, and not that the session still is:
/// it may have expired or been ended since.
///
/// It is found by the whole text of its cookie. How long a search takes tells nothing of that: texts are compared only where
/// the keyed hashes are the same.
#[derive(Debug, Default)]
pub(super) struct Recent([Mutex<Shard>; SHARDS]);

/// When a generation is full it becomes the old one, of which stays what is still asked for.
#[derive(Debug, Default)]
struct Shard {
    /// What the entries were verified with.
    epoch: u64,
    young: HashMap<Box<str>, Known>,
    old: HashMap<Box<str>, Known>,
}

impl Shard {
    /// Forgets what was verified with other keys than these.
    fn at(&mut self, epoch: u64) -> &mut Self {
        if self.epoch != epoch {
            self.young.clear();
            self.old.clear();
            self.epoch = epoch;
        }
        self
    }

    fn insert(&mut self, text: Box<str>, known: Known) {
        if self.young.len() >= MOST / SHARDS {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(text, known);
    }
}

impl Recent {
    /// What a cookie says that was verified in the same epoch.
    pub(super) fn get(&self, text: &str, epoch: u64) -> Option<Known> {
        let mut shard = self.shard(text)?.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = shard.at(epoch);
        if let Some(known) = shard.young.get(text) {
            return Some(known.clone());
        }
        let (text, known) = shard.old.remove_entry(text)?;
        shard.insert(text, known.clone());
        Some(known)
    }

    /// Remembers what a cookie says that was verified in this epoch.
    pub(super) fn put(&self, text: &str, epoch: u64, known: &Known) {
        if let Some(shard) = self.shard(text) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // What an earlier one left is of no use to those that follow.
            if shard.epoch <= epoch {
                shard.at(epoch).insert(text.into(), known.clone());
            }
        }
    }

    fn shard(&self, text: &str) -> Option<&Mutex<Shard>> {
        // A cookie ends with its signature, of which one character but the last is as good as any hash, and costs none.
        let character = text.bytes().rev().nth(1).unwrap_or_default();
        self.0.get(usize::from(character) % SHARDS)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nocrd_model::Role;

    use super::*;
    use crate::{clock::UnixTime, session::Sid, testing};

    fn known(subject: &str) -> Known {
        let at = UnixTime::new;
        let life = Duration::from_secs(60);
        let identity = testing::identity(subject);
        let session = Session::begin(Sid::random(), identity, at(0), at(0), life, at(60)).unwrap();
        Known { session: session.into(), caller: Caller::verified(subject.into(), Role::User) }
    }

    #[test]
    fn what_was_verified_with_other_keys_is_forgotten() {
        let recent = Recent::default();
        recent.put("a", 1, &known("alice"));
        assert_eq!(recent.get("a", 1).unwrap().caller.subject.as_str(), "alice");
        assert!(recent.get("b", 1).is_none());
        assert!(recent.get("a", 2).is_none());
        recent.put("a", 1, &known("alice"));
        assert!(recent.get("a", 2).is_none(), "a check that began before the keys were changed");
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_makes_room() {
        let recent = Recent::default();
        recent.put("mine", 1, &known("alice"));
        for number in 0..10 * MOST {
            recent.put(&number.to_string(), 1, &known("bob"));
            assert!(recent.get("mine", 1).is_some(), "{number}");
        }
        let kept = (0..10 * MOST).filter(|number| recent.get(&number.to_string(), 1).is_some()).count();
        assert!((1..=2 * MOST).contains(&kept), "{kept}");
    }
}
