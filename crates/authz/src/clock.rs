//! Time as tokens and cookies count it: whole seconds, handed to the code that decides by it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Whole seconds since the Unix epoch (a `NumericDate` of RFC 7519 without its fraction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(i64);

impl UnixTime {
    /// A point in time by its seconds.
    #[must_use]
    pub const fn new(seconds: i64) -> Self {
        Self(seconds)
    }

    /// The seconds.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// The point that many whole seconds later; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long it is from here to `later`; nothing when that lies in the past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_secs(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// The middle of the span from here to `later`, rounded down.
    #[must_use]
    pub(crate) fn midway(self, later: Self) -> Self {
        self.plus(self.until(later) / 2)
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs());
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// Where the time comes from: the system in production, a value under test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| SystemTime::now().into())
    }

    /// A clock that asks `source`.
    pub fn new(source: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_saturate_instead_of_wrapping() {
        let now = UnixTime::new(100);
        assert_eq!(now.plus(Duration::MAX), UnixTime::new(i64::MAX));
        assert_eq!(now.until(UnixTime::new(40)), Duration::ZERO);
        assert_eq!(
            UnixTime::new(i64::MIN).until(UnixTime::new(i64::MAX)),
            Duration::from_secs(i64::MAX as u64)
        );
        assert_eq!(now.midway(UnixTime::new(103)), UnixTime::new(101));
    }
}
