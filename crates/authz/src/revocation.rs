//! Sign-ins that were ended before their time: logout takes effect everywhere, also for copies of the cookies.
//!
//! Anybody who may sign in may sign out as often as they like, so nobody may fill the list: of somebody with many entries
//! one is kept that ends all sign-ins they have begun until then.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nocrd_model::Subject;
use sha2::{Digest as _, Sha256};

use crate::{
    clock::{Clock, UnixTime},
    session::Sid,
};

/// A revocation could not be recorded where the other replicas see it.
#[derive(Debug, thiserror::Error)]
#[error("the revocation could not be stored: {0}")]
pub struct NotStored(pub String);

/// A sign-in that may have been ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInId<'a> {
    /// Its name.
    pub sid: Sid,
    /// Whose it is.
    pub subject: &'a Subject,
    /// When it was begun.
    pub auth_time: UnixTime,
}

/// The end of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Which one.
    pub sid: Sid,
    /// Whose it is.
    pub subject: Subject,
    /// When it was ended.
    pub at: UnixTime,
    /// When the last of its cookies would have expired: it may be forgotten then.
    pub until: UnixTime,
}

/// The list of ended sign-ins, as a server keeps it.
#[async_trait]
pub trait Revocations: Send + Sync + 'static {
    /// Tells whether the sign-in was ended. It is asked for each request: it must not wait for anything.
    fn is_revoked(&self, sign_in: SignInId<'_>) -> bool;

    /// Ends sign-ins, all at once.
    async fn revoke(&self, endings: &[Ending]) -> Result<(), NotStored>;
}

/// How many sign-ins of one person are listed one by one.
const MOST_OF_ONE: usize = 16;
/// Most entries. The ones that would have expired first make room; it takes the sign-outs of hundreds of people to get
/// there. As text the list stays well below the megabyte that a ConfigMap holds, and with what Kubernetes notes about each
/// of its keys below what etcd takes.
pub const MAX_ENTRIES: usize = 8192;
/// What the keys of entries for all sign-ins of somebody begin with. No [`Sid`] as text has a dot.
const ALL_OF: &str = "all.";

/// Stands for a subject. It is too short to be anybody's name, and long enough that nobody finds another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Whose([u8; 12]);

impl Whose {
    fn of(subject: &Subject) -> Self {
        let digest: [u8; 32] = Sha256::digest(subject.as_str()).into();
        let mut short = [0; 12];
        short.copy_from_slice(digest.split_at(12).0);
        Self(short)
    }

    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 12];
        (URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? == 12).then_some(Self(bytes))
    }
}

/// One sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct One {
    whose: Whose,
    at: UnixTime,
    until: UnixTime,
}

/// All sign-ins of somebody that began until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct All {
    begun: UnixTime,
    until: UnixTime,
}

/// Which sign-ins were ended: what replicas tell each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationList {
    ones: HashMap<Sid, One>,
    alls: HashMap<Whose, All>,
}

impl RevocationList {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ones.is_empty() && self.alls.is_empty()
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ones.len() + self.alls.len()
    }

    /// Adds an ending.
    pub fn insert(&mut self, ending: &Ending) {
        self.add_one(
            ending.sid,
            One { whose: Whose::of(&ending.subject), at: ending.at, until: ending.until },
        );
    }

    /// Adds what the other says.
    pub fn merge(&mut self, other: &Self) {
        other.ones.iter().for_each(|(sid, one)| self.add_one(*sid, *one));
        other.alls.iter().for_each(|(whose, all)| self.add_all(*whose, *all));
    }

    fn add_one(&mut self, sid: Sid, one: One) {
        let known = self.ones.entry(sid).or_insert(one);
        known.at = known.at.min(one.at);
        known.until = known.until.max(one.until);
    }

    fn add_all(&mut self, whose: Whose, all: All) {
        let known = self.alls.entry(whose).or_insert(all);
        known.begun = known.begun.max(all.begun);
        known.until = known.until.max(all.until);
    }

    /// Whether the sign-in was ended.
    #[must_use]
    pub fn contains(&self, sign_in: SignInId<'_>) -> bool {
        self.ones.contains_key(&sign_in.sid)
            // Few ever have such an entry, so that the hash is hardly ever computed.
            || !self.alls.is_empty()
                && self.alls.get(&Whose::of(sign_in.subject)).is_some_and(|all| sign_in.auth_time <= all.begun)
    }

    /// Removes what the other says as well.
    pub fn remove(&mut self, other: &Self) {
        self.ones.retain(|sid, one| other.ones.get(sid) != Some(one));
        self.alls.retain(|whose, all| other.alls.get(whose) != Some(all));
    }

    /// Forgets what is over at `now`, and makes one entry of the many of one person: for all that they began until now,
    /// of which none lasts longer than `longest`.
    pub fn tidy(&mut self, now: UnixTime, longest: Duration) {
        self.ones.retain(|_, one| one.until > now);
        self.alls.retain(|_, all| all.until > now);
        // What one entry stands for already must not count again, or another replica would end later sign-ins as well.
        let alls = &self.alls;
        self.ones.retain(|_, one| alls.get(&one.whose).is_none_or(|all| one.at > all.begun));
        let mut counts: HashMap<Whose, usize> = HashMap::new();
        for one in self.ones.values() {
            *counts.entry(one.whose).or_default() += 1;
        }
        counts.retain(|_, count| *count > MOST_OF_ONE);
        if !counts.is_empty() {
            let mut last = now.plus(longest);
            self.ones.retain(|_, one| {
                let goes = counts.contains_key(&one.whose);
                if goes {
                    last = last.max(one.until);
                }
                !goes
            });
            for whose in counts.into_keys() {
                self.add_all(whose, All { begun: now, until: last });
            }
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        let Some(surplus) = self.len().checked_sub(MAX_ENTRIES).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut ends: Vec<(UnixTime, Sid)> = self.ones.iter().map(|(sid, one)| (one.until, *sid)).collect();
        ends.sort_unstable();
        for (_, sid) in ends.into_iter().take(surplus) {
            self.ones.remove(&sid);
        }
        if self.alls.len() > MAX_ENTRIES {
            let mut ends: Vec<UnixTime> = self.alls.values().map(|all| all.until).collect();
            ends.sort_unstable();
            let limit = ends.get(ends.len() - MAX_ENTRIES).copied();
            self.alls.retain(|_, all| limit.is_some_and(|limit| all.until >= limit));
        }
    }

    /// The list as names and values, as a ConfigMap can hold them.
    #[must_use]
    pub fn to_texts(&self) -> BTreeMap<String, String> {
        let ones = self.ones.iter().map(|(sid, one)| {
            let (until, at) = (one.until.as_secs(), one.at.as_secs());
            (sid.to_string(), format!("{until}.{at}.{}", one.whose.text()))
        });
        let alls = self.alls.iter().map(|(whose, all)| {
            let until = all.until.as_secs();
            (format!("{ALL_OF}{}", whose.text()), format!("{until}.{}", all.begun.as_secs()))
        });
        ones.chain(alls).collect()
    }

    /// Reads what [`Self::to_texts`] has written, and skips what it can't read.
    #[must_use]
    pub fn from_texts(texts: &BTreeMap<String, String>) -> Self {
        let mut list = Self::default();
        let time = |text: &str| text.parse().ok().map(UnixTime::new);
        for (name, value) in texts {
            let Some((until, rest)) = value.split_once('.') else { continue };
            let Some(until) = time(until) else { continue };
            if let Some(whose) = name.strip_prefix(ALL_OF) {
                if let (Some(whose), Some(begun)) = (Whose::parse(whose), time(rest)) {
                    list.add_all(whose, All { begun, until });
                }
            } else if let (Ok(sid), Some((at, whose))) = (name.parse(), rest.split_once('.'))
                && let (Some(at), Some(whose)) = (time(at), Whose::parse(whose))
            {
                list.add_one(sid, One { whose, at, until });
            }
        }
        list
    }
}

/// A list in this process alone.
#[derive(Debug, Default)]
pub struct LocalRevocations {
    // Copied on write: reading, which each request does, takes no lock.
    ended: ArcSwap<RevocationList>,
    clock: Clock,
    longest: Duration,
}

impl LocalRevocations {
    /// An empty list. No sign-in lasts longer than `longest`.
    #[must_use]
    pub fn new(clock: Clock, longest: Duration) -> Self {
        Self { ended: ArcSwap::default(), clock, longest }
    }

    /// Adds what another replica says, and forgets what is over.
    pub fn extend(&self, more: &RevocationList) {
        let now = self.clock.now();
        self.ended.rcu(|ended| {
            let mut next = RevocationList::clone(ended);
            next.merge(more);
            next.tidy(now, self.longest);
            next
        });
    }

    /// What is still in force.
    #[must_use]
    pub fn endings(&self) -> RevocationList {
        let mut ended = RevocationList::clone(&self.ended.load());
        ended.tidy(self.clock.now(), self.longest);
        ended
    }
}

#[async_trait]
impl Revocations for LocalRevocations {
    fn is_revoked(&self, sign_in: SignInId<'_>) -> bool {
        self.ended.load().contains(sign_in)
    }

    async fn revoke(&self, endings: &[Ending]) -> Result<(), NotStored> {
        let mut more = RevocationList::default();
        endings.iter().for_each(|ending| more.insert(ending));
        self.extend(&more);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestClock;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A sign-in, and what it takes to ask for it.
    #[derive(Clone)]
    struct Begun {
        sid: Sid,
        subject: Subject,
        auth_time: UnixTime,
    }

    impl Begun {
        fn id(&self) -> SignInId<'_> {
            SignInId { sid: self.sid, subject: &self.subject, auth_time: self.auth_time }
        }
    }

    fn sign_in(subject: &str, auth_time: i64) -> Begun {
        Begun { sid: Sid::random(), subject: subject.into(), auth_time: UnixTime::new(auth_time) }
    }

    fn ending(begun: &Begun, until: i64) -> Ending {
        let at = begun.auth_time;
        Ending { sid: begun.sid, subject: begun.subject.clone(), at, until: UnixTime::new(until) }
    }

    fn list(endings: impl IntoIterator<Item = Ending>) -> RevocationList {
        let mut list = RevocationList::default();
        endings.into_iter().for_each(|ending| list.insert(&ending));
        list
    }

    #[tokio::test]
    async fn t16_a_revoked_sign_in_stays_revoked_until_its_cookies_are_over() {
        let clock = TestClock::at(1000);
        let list = LocalRevocations::new(clock.clock(), DAY);
        let (gone, other) = (sign_in("alice", 900), sign_in("alice", 900));
        list.revoke(&[ending(&gone, 2000)]).await.unwrap();
        assert!(list.is_revoked(gone.id()) && !list.is_revoked(other.id()));
        clock.set(1999);
        list.revoke(&[ending(&other, 3000)]).await.unwrap();
        assert!(list.is_revoked(gone.id()));
        assert_eq!(list.endings().len(), 2);
        clock.set(2000);
        assert_eq!(list.endings(), self::list([ending(&other, 3000)]));
    }

    #[test]
    fn t16_nobody_s_sign_outs_push_out_those_of_others() {
        let now = UnixTime::new(1000);
        let alice = sign_in("alice", 900);
        let mallory: Vec<_> = (0..100_000).map(|_| sign_in("mallory", 950)).collect();
        let mut list = list([ending(&alice, 1001)]);
        for some in mallory.chunks(1000) {
            some.iter().for_each(|one| list.insert(&ending(one, 5000)));
            list.tidy(now, DAY);
        }
        assert!(list.contains(alice.id()) && mallory.iter().all(|one| list.contains(one.id())));
        assert_eq!(list.len(), 2);
        // Who has so many loses all they have begun before, and what they begin afterwards is good.
        assert!(
            list.contains(sign_in("mallory", 1000).id()) && !list.contains(sign_in("mallory", 1001).id())
        );
        assert!(!list.contains(sign_in("bob", 950).id()));
        list.tidy(UnixTime::new(999 + 86_400), DAY);
        assert!(list.contains(mallory[0].id()), "as long as one of them could last");
        list.tidy(UnixTime::new(1000 + 86_400), DAY);
        assert!(list.is_empty());
    }

    #[test]
    fn the_list_is_bounded_and_fits_into_a_config_map() {
        let people: Vec<_> = (0..MAX_ENTRIES + 10).map(|n| sign_in(&format!("user-{n}"), 900)).collect();
        let ends = |n: usize| 4_000_000_000 + i64::try_from(n).unwrap();
        let mut list = list(people.iter().enumerate().map(|(n, one)| ending(one, ends(n))));
        list.tidy(UnixTime::new(1000), DAY);
        assert_eq!(list.len(), MAX_ENTRIES);
        assert!(!list.contains(people[9].id()) && list.contains(people[10].id()));
        let texts = list.to_texts();
        // With quotes and punctuation, and with `"f:…":{},` in the managed fields.
        let bytes: usize = texts.iter().map(|(name, value)| 2 * name.len() + value.len() + 16).sum();
        assert!(bytes < 1 << 20, "{bytes}");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut list = list((0..20).map(|_| ending(&sign_in("mallory", 1), 5000)));
        list.tidy(UnixTime::new(100), DAY);
        list.insert(&ending(&sign_in("alice", 50), 3000));
        let mut texts = list.to_texts();
        assert_eq!(texts.len(), 2);
        assert_eq!(RevocationList::from_texts(&texts), list);
        for (name, value) in
            [("", ""), ("x", "1.y"), ("all.", "1.1"), ("all.AAAAAAAAAAAAAAAA", "1"), ("a", "b")]
        {
            texts.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!(RevocationList::from_texts(&texts), list);
    }

    #[test]
    fn t16_many_sign_outs_of_one_end_nothing_later_whoever_puts_them_together() {
        let mallory: Vec<_> = (0..17).map(|n| sign_in("mallory", 900 + n)).collect();
        let known = list(mallory.iter().take(16).map(|one| ending(one, 5000)));
        let mut stored = list(mallory.iter().map(|one| ending(one, 5000)));
        stored.tidy(UnixTime::new(1000), DAY);
        // Another replica knows the sixteen, and learns of the one entry; then there is one more sign-out.
        let mut other = known;
        other.merge(&stored);
        other.insert(&ending(&sign_in("mallory", 1100), 5000));
        other.tidy(UnixTime::new(1200), DAY);
        assert_eq!(other.len(), 2);
        assert!(other.contains(mallory[3].id()) && !other.contains(sign_in("mallory", 1150).id()));
    }

    #[test]
    fn lists_of_several_replicas_add_up_in_any_order() {
        let (alice, bob) = (sign_in("alice", 1), sign_in("bob", 1));
        let one = list([ending(&alice, 3000), ending(&bob, 2000)]);
        let mut other = list([ending(&alice, 2000)]);
        (0..20).for_each(|_| other.insert(&ending(&sign_in("bob", 1), 2500)));
        other.tidy(UnixTime::new(10), DAY);
        let (mut left, mut right) = (one.clone(), other.clone());
        left.merge(&other);
        right.merge(&one);
        assert_eq!(left, right);
        left.remove(&other);
        assert!(left.contains(alice.id()), "it lasts longer in the first");
        left.remove(&one);
        assert!(left.is_empty(), "{left:?}");
    }
}
