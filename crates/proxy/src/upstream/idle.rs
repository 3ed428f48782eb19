//! A time limit that costs nothing while things move.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// The longest time between two events. The timer is made when the first event has to be waited for, and is not reset
/// by each event: when it fires, it is looked up when the last one was.
#[derive(Debug)]
pub(crate) struct IdleLimit {
    limit: Option<Duration>,
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Timer {
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl IdleLimit {
    /// `None` is no limit.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, timer: None }
    }

    /// Something happened.
    pub(crate) fn moved(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.last = Instant::now();
        }
    }

    /// Ready when nothing has happened for too long.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let timer =
            self.timer.get_or_insert_with(|| Timer { last: Instant::now(), sleep: Box::pin(sleep(limit)) });
        loop {
            ready!(timer.sleep.as_mut().poll(cx));
            let deadline = timer.last + limit;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, pause, timeout};

    use super::*;

    #[tokio::test]
    async fn t41_expires_after_the_last_event() {
        pause();
        let second = Duration::from_secs(1);
        let mut idle = IdleLimit::new(Some(5 * second));
        assert!(timeout(4 * second, poll_fn(|cx| idle.poll_expired(cx))).await.is_err());
        idle.moved();
        assert!(timeout(4 * second, poll_fn(|cx| idle.poll_expired(cx))).await.is_err());
        advance(second).await;
        poll_fn(|cx| idle.poll_expired(cx)).await;
        let mut none = IdleLimit::new(None);
        assert!(timeout(100 * second, poll_fn(|cx| none.poll_expired(cx))).await.is_err());
    }
}
