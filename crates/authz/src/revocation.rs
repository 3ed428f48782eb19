//! Sign-ins that were ended before their time: logout takes effect everywhere, also for copies of the cookies.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::{
    clock::{Clock, UnixTime},
    session::Sid,
};

/// A revocation could not be recorded where the other replicas see it.
#[derive(Debug, thiserror::Error)]
#[error("the revocation could not be stored: {0}")]
pub struct NotStored(pub String);

/// The list of revoked sign-ins, as a server keeps it.
#[async_trait]
pub trait Revocations: Send + Sync + 'static {
    /// Tells whether the sign-in was ended. It is asked for each request: it must not wait for anything.
    fn is_revoked(&self, sid: &Sid) -> bool;

    /// Ends the sign-in. `until` is when the last of its cookies would have expired: the entry may go then.
    async fn revoke(&self, sid: Sid, until: UnixTime) -> Result<(), NotStored>;
}

/// How many revocations a process keeps. The ones that would have expired first make room.
const MAX_ENTRIES: usize = 65_536;

/// A list in this process alone.
#[derive(Debug, Default)]
pub struct LocalRevocations {
    // Copied on write: reading, which each request does, takes no lock.
    ended: ArcSwap<HashMap<Sid, UnixTime>>,
    clock: Clock,
}

impl LocalRevocations {
    /// An empty list.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { ended: ArcSwap::default(), clock }
    }

    /// Adds entries, as another replica made them, and forgets what is over.
    pub fn extend(&self, entries: impl IntoIterator<Item = (Sid, UnixTime)>) {
        let entries: Vec<_> = entries.into_iter().collect();
        let now = self.clock.now();
        self.ended.rcu(|ended| {
            let mut next: HashMap<Sid, UnixTime> = ended
                .iter()
                .chain(entries.iter().map(|(sid, until)| (sid, until)))
                .map(|(sid, until)| (*sid, *until))
                .filter(|(_, until)| *until > now)
                .collect();
            if next.len() > MAX_ENTRIES {
                let mut ends: Vec<UnixTime> = next.values().copied().collect();
                let surplus = next.len() - MAX_ENTRIES;
                let (_, limit, _) = ends.select_nth_unstable(surplus - 1);
                let limit = *limit;
                next.retain(|_, until| *until > limit);
            }
            Arc::new(next)
        });
    }

    /// The entries still in force.
    #[must_use]
    pub fn entries(&self) -> Vec<(Sid, UnixTime)> {
        let now = self.clock.now();
        self.ended
            .load()
            .iter()
            .filter(|(_, until)| **until > now)
            .map(|(sid, until)| (*sid, *until))
            .collect()
    }
}

#[async_trait]
impl Revocations for LocalRevocations {
    fn is_revoked(&self, sid: &Sid) -> bool {
        self.ended.load().contains_key(sid)
    }

    async fn revoke(&self, sid: Sid, until: UnixTime) -> Result<(), NotStored> {
        self.extend([(sid, until)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestClock;

    #[tokio::test]
    async fn t16_a_revoked_sign_in_stays_revoked_until_its_cookies_are_over() {
        let clock = TestClock::at(1000);
        let list = LocalRevocations::new(clock.clock());
        let (gone, other) = (Sid::random(), Sid::random());
        list.revoke(gone, UnixTime::new(2000)).await.unwrap();
        assert!(list.is_revoked(&gone) && !list.is_revoked(&other));
        clock.set(1999);
        list.revoke(other, UnixTime::new(3000)).await.unwrap();
        assert!(list.is_revoked(&gone));
        assert_eq!(list.entries().len(), 2);
        clock.set(2000);
        list.extend([]);
        assert_eq!(list.entries(), [(other, UnixTime::new(3000))]);
    }

    #[test]
    fn the_list_is_bounded() {
        let clock = TestClock::at(0);
        let list = LocalRevocations::new(clock.clock());
        let all: Vec<_> =
            (0..MAX_ENTRIES as i64 + 10).map(|n| (Sid::random(), UnixTime::new(n + 1))).collect();
        list.extend(all.iter().copied());
        assert_eq!(list.entries().len(), MAX_ENTRIES);
        assert!(!list.is_revoked(&all[0].0) && list.is_revoked(&all.last().unwrap().0));
    }
}
