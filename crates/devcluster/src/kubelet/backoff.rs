//! How long to wait before a container that ended is started again.

use std::time::Duration;

/// The delays between starts: none before the first restart, then `base`, doubling up to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The first delay.
    pub base: Duration,
    /// The longest delay.
    pub max: Duration,
    /// A container that ran so long begins anew.
    pub reset_after: Duration,
}

impl Default for BackoffConfig {
    /// What a real kubelet does.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(10),
            max: Duration::from_secs(300),
            reset_after: Duration::from_secs(600),
        }
    }
}

/// The delays of one container.
#[derive(Debug)]
pub(super) struct Backoff {
    config: BackoffConfig,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(config: BackoffConfig) -> Self {
        Self { config, next: Duration::ZERO }
    }

    /// The delay after a run that took so long.
    pub(super) fn after_run(&mut self, ran: Duration) -> Duration {
        if ran >= self.config.reset_after {
            self.next = Duration::ZERO;
        }
        let delay = self.next;
        self.next = if delay.is_zero() { self.config.base } else { (delay * 2).min(self.config.max) };
        delay
    }

    /// The delay after an image could not be had: there never is an immediate second try.
    pub(super) fn after_failed_pull(&mut self) -> Duration {
        if self.next.is_zero() {
            self.next = self.config.base;
        }
        self.after_run(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_begin_anew_after_a_long_run() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        let short = Duration::from_secs(1);
        let delays: Vec<u64> = (0..8).map(|_| backoff.after_run(short).as_secs()).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.after_run(Duration::from_secs(600)), Duration::ZERO);
        assert_eq!(backoff.after_run(short).as_secs(), 10);
    }

    #[test]
    fn pulls_wait_from_the_first_failure_on() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        assert_eq!(backoff.after_failed_pull().as_secs(), 10);
        assert_eq!(backoff.after_failed_pull().as_secs(), 20);
    }
}
