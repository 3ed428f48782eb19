use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::*;
use crate::{http::FetchError, testing::TestClock};

const FRESH: Duration = Duration::from_secs(300);
const STALE: Duration = Duration::from_secs(3600);
const DOWN: Error = Error::Fetch { what: "it", at: None, source: FetchError::Unreachable };

/// A document that is the number of the attempt that loaded it.
struct Fixture {
    cached: Arc<Cached<u32>>,
    clock: TestClock,
    loads: Arc<AtomicU32>,
    down: Arc<std::sync::atomic::AtomicBool>,
    /// One permit lets one load end, when `held`.
    go: Arc<Notify>,
}

fn fixture(held: bool) -> Fixture {
    let clock = TestClock::at(1000);
    let (loads, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let down = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let cached = Cached::new("it", FRESH, STALE, clock.clock(), {
        let (loads, go, down) = (loads.clone(), go.clone(), down.clone());
        move || {
            let (loads, go, down) = (loads.clone(), go.clone(), down.clone());
            async move {
                let number = loads.fetch_add(1, Ordering::SeqCst) + 1;
                if held {
                    go.notified().await;
                }
                if down.load(Ordering::SeqCst) { Err(DOWN) } else { Ok(number) }
            }
            .boxed()
        }
    });
    Fixture { cached: Arc::new(cached), clock, loads, down, go }
}

impl Fixture {
    async fn get(&self) -> Result<u32, Error> {
        self.cached.get().await.map(|number| *number)
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    fn is_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn it_is_loaded_when_it_is_wanted_and_again_when_its_time_is_over() {
    let it = fixture(false);
    assert_eq!((it.loads(), it.cached.peek()), (0, None));
    assert_eq!(it.get().await, Ok(1));
    it.clock.set(1299);
    assert_eq!(it.get().await, Ok(1));
    it.clock.set(1300);
    assert_eq!(it.get().await, Ok(2));
}

#[tokio::test]
async fn t05_an_old_document_serves_for_a_while_and_then_nothing_does() {
    let it = fixture(false);
    assert_eq!(it.get().await, Ok(1));
    it.is_down(true);
    it.clock.set(1000 + 3599);
    assert_eq!(it.get().await, Ok(1));
    assert_eq!(it.cached.failure(), Some(DOWN));
    it.clock.set(1000 + 3600);
    assert_eq!((it.get().await, it.cached.peek()), (Err(DOWN), None));
    it.is_down(false);
    assert_eq!(it.get().await, Err(DOWN), "not before the next attempt is due");
    it.clock.set(1000 + 3610);
    assert!(it.get().await.is_ok());
    assert_eq!(it.cached.failure(), None);
}

#[tokio::test]
async fn t04_attempts_are_ten_seconds_apart_whatever_is_asked() {
    let it = fixture(false);
    for _ in 0..100 {
        assert!(it.cached.reload().await.is_ok());
    }
    assert_eq!(it.loads(), 1);
    it.clock.set(1010);
    it.is_down(true);
    for _ in 0..100 {
        assert_eq!(it.cached.reload().await.as_deref(), Ok(&1));
    }
    assert_eq!(it.loads(), 2);
}

#[tokio::test]
async fn t04_everybody_waits_for_one_attempt() {
    let it = fixture(true);
    let wanting: Vec<_> = (0..50)
        .map(|_| {
            let cached = it.cached.clone();
            tokio::spawn(async move { cached.get().await.map(|number| *number) })
        })
        .collect();
    it.go.notify_one();
    for wanted in wanting {
        assert_eq!(wanted.await.unwrap(), Ok(1));
    }
    assert_eq!(it.loads(), 1);
}

#[tokio::test]
async fn t04_who_hangs_up_does_not_end_the_attempt() {
    let it = fixture(true);
    // Polled until it waits for the load, then dropped.
    assert!(it.cached.get().now_or_never().is_none());
    while it.loads() == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn({
        let cached = it.cached.clone();
        async move { cached.get().await.map(|number| *number) }
    });
    it.go.notify_one();
    assert_eq!(waiting.await.unwrap(), Ok(1));
    assert_eq!(it.loads(), 1);
}

#[tokio::test]
async fn others_get_the_old_one_while_one_waits_for_the_new_one() {
    let it = fixture(true);
    it.go.notify_one();
    assert_eq!(it.get().await, Ok(1));
    it.clock.set(1300);
    let first = tokio::spawn({
        let cached = it.cached.clone();
        async move { cached.get().await.map(|number| *number) }
    });
    while it.loads() == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(it.get().await, Ok(1));
    it.go.notify_one();
    assert_eq!(first.await.unwrap(), Ok(2));
    assert_eq!(it.get().await, Ok(2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_younger() {
    let it = fixture(false);
    assert_eq!(it.get().await, Ok(1));
    it.clock.set(500);
    assert_eq!(it.get().await, Ok(2));
}
