//! Who has sent too many tokens that were refused.
//!
//! A token can't be guessed, but each attempt costs a check, and with introspection a request to the identity provider.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Key, MAX_KEYS, limiter::Limiter};
use crate::metrics::Metrics;

pub(crate) struct Failures {
    counted: Limiter,
    /// Until when nothing is looked at. It has no more entries than the limit keeps callers.
    blocked: Mutex<HashMap<Key, Instant>>,
    metrics: Option<Arc<Metrics>>,
}

impl Failures {
    pub(crate) fn new(max: NonZeroU32, window: Duration, metrics: Option<Arc<Metrics>>) -> Self {
        Self { counted: Limiter::new(max, window), blocked: Mutex::default(), metrics }
    }

    /// How long no token of this address is looked at.
    pub(crate) fn blocked(&self, ip: IpAddr) -> Option<Duration> {
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked.is_empty() {
            return None;
        }
        let until = *blocked.get(&Key::of_address(ip))?;
        let wait = until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())?;
        if let Some(metrics) = &self.metrics {
            metrics.rate_limited("refused-tokens");
        }
        Some(wait)
    }

    /// Notes that a token of this address was refused.
    pub(crate) fn note(&self, ip: IpAddr) {
        let key = Key::of_address(ip);
        let standing = self.counted.count(key);
        if standing.remaining > 0 {
            return;
        }
        let period = super::period(NonZeroU32::new(standing.max).unwrap_or(NonZeroU32::MIN), standing.window);
        let until = Instant::now() + standing.wait.unwrap_or(period);
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked.len() < MAX_KEYS || blocked.contains_key(&key) {
            blocked.insert(key, until);
        }
    }

    pub(super) fn tidy(&self) {
        self.counted.tidy();
        let now = Instant::now();
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        blocked.retain(|_, until| *until > now);
        blocked.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t44_an_address_with_many_bad_tokens_has_to_wait() {
        let failures = Failures::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(3600), None);
        let ip = |text: &str| text.parse().unwrap();
        for _ in 0..3 {
            assert_eq!(failures.blocked(ip("192.0.2.1")), None);
            failures.note(ip("192.0.2.1"));
        }
        let wait = failures.blocked(ip("192.0.2.1")).unwrap();
        assert!(wait > Duration::from_secs(600) && wait <= Duration::from_secs(1200), "{wait:?}");
        assert_eq!(failures.blocked(ip("192.0.2.2")), None);
        failures.tidy();
        assert!(failures.blocked(ip("192.0.2.1")).is_some());
    }

    #[tokio::test]
    async fn the_wait_ends() {
        let failures = Failures::new(NonZeroU32::MIN, Duration::from_millis(20), None);
        let ip = "2001:db8::1".parse().unwrap();
        failures.note(ip);
        while failures.blocked(ip).is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        failures.tidy();
        assert!(failures.blocked.lock().unwrap().is_empty());
    }
}
