//! One limit: a bucket of `max` requests for each caller, which fills up again within the window.

use std::{
    num::NonZeroU32,
    sync::Mutex,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use super::{Key, MAX_KEYS, period};

pub(super) struct Limiter {
    cells: RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>,
    max: NonZeroU32,
    window: Duration,
    max_keys: usize,
    /// When there was last so little room that callers were forgotten at once.
    pressed: Mutex<Option<Instant>>,
}

/// Shortest time between two such moments.
const PRESSED: Duration = Duration::from_secs(1);

/// How somebody stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) max: u32,
    pub(super) window: Duration,
    pub(super) remaining: u32,
    /// When the request would have been served; `None` for one that is.
    pub(super) wait: Option<Duration>,
}

impl Standing {
    /// When all of it can be used again.
    pub(super) fn full_after(&self) -> Duration {
        let used = self.max.saturating_sub(self.remaining);
        self.window.mul_f64(f64::from(used) / f64::from(self.max.max(1)))
    }
}

impl Limiter {
    pub(super) fn new(max: NonZeroU32, window: Duration) -> Self {
        Self::with_room(max, window, MAX_KEYS)
    }

    pub(super) fn with_room(max: NonZeroU32, window: Duration, max_keys: usize) -> Self {
        // A period of more than nothing is a quota.
        let quota = Quota::with_period(period(max, window)).unwrap_or_else(|| Quota::per_second(max));
        let cells = RateLimiter::dashmap(quota.allow_burst(max)).with_middleware();
        Self { cells, max, window, max_keys, pressed: Mutex::default() }
    }

    /// Counts a request.
    pub(super) fn count(&self, key: Key) -> Standing {
        let standing =
            |remaining, wait| Standing { max: self.max.get(), window: self.window, remaining, wait };
        match self.cells.check_key(&self.place(key)) {
            Ok(snapshot) => standing(snapshot.remaining_burst_capacity(), None),
            Err(until) => standing(0, Some(until.wait_time_from(self.cells.clock().now()))),
        }
    }

    /// The place of a caller. When there are too many addresses, they have to share: those that came before as well, for
    /// nobody can tell them apart without remembering more. Users are fewer than addresses, and have room when those have
    /// none.
    fn place(&self, key: Key) -> Key {
        let room = match key {
            Key::Subject(_) => self.max_keys * 2,
            _ => self.max_keys,
        };
        if self.cells.len() < room {
            return key;
        }
        self.make_room();
        if self.cells.len() < room { key } else { key.shared() }
    }

    /// Forgets whom it can, unless it has just done so.
    fn make_room(&self) {
        let Ok(mut pressed) = self.pressed.try_lock() else { return };
        if pressed.is_none_or(|last| last.elapsed() >= PRESSED) {
            *pressed = Some(Instant::now());
            self.cells.retain_recent();
        }
    }

    pub(super) fn tidy(&self) {
        self.cells.retain_recent();
        self.cells.shrink_to_fit();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.cells.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn limiter(max: u32, window: Duration, keys: usize) -> Limiter {
        Limiter::with_room(NonZeroU32::new(max).unwrap(), window, keys)
    }

    fn address(number: u32) -> Key {
        Key::V4(number.to_be_bytes())
    }

    #[test]
    fn t44_each_caller_has_so_many_requests() {
        let limiter = limiter(3, HOUR, 100);
        for remaining in [2, 1, 0] {
            let standing = limiter.count(address(1));
            assert_eq!((standing.remaining, standing.wait), (remaining, None));
        }
        let standing = limiter.count(address(1));
        let wait = standing.wait.unwrap();
        assert!(wait > HOUR / 4 && wait <= HOUR / 3, "{wait:?}");
        assert_eq!(standing.full_after(), HOUR);
        assert_eq!(limiter.count(address(2)).remaining, 2);
    }

    #[tokio::test]
    async fn who_waits_is_served_again() {
        let limiter = limiter(1, Duration::from_millis(20), 100);
        assert_eq!(limiter.count(address(1)).wait, None);
        while limiter.count(address(1)).wait.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn t44_a_limit_keeps_no_more_than_its_room() {
        let limiter = limiter(3, HOUR, 1000);
        for number in 0..10_000 {
            limiter.count(address(number));
        }
        assert!(limiter.len() <= 1000 + 256, "{}", limiter.len());
        // Those who share are limited too, and users don't share with addresses.
        assert!((0..10_000).all(|number| limiter.count(address(number)).wait.is_some()));
        assert_eq!(limiter.count(Key::Subject([1; 16])).remaining, 2);
    }

    #[test]
    fn t44_a_full_limit_forgets_whom_it_can() {
        let limiter = limiter(1, Duration::from_millis(1), 100);
        for number in 0..100 {
            limiter.count(address(number));
        }
        while limiter.place(address(100)) != address(100) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[tokio::test]
    async fn t44_who_has_not_asked_for_long_is_forgotten() {
        let limiter = limiter(1, Duration::from_millis(1), 100);
        for number in 0..50 {
            limiter.count(address(number));
        }
        while limiter.len() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            limiter.tidy();
        }
    }
}
