//! Events are forgotten after an hour.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::tolerate;
use crate::{
    kind::Kind,
    object::{self, text_at},
    store::{Preconditions, Store},
};

const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) async fn run(store: Store) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        forget(&store, Timestamp::now());
    }
}

pub(super) fn forget(store: &Store, now: Timestamp) {
    for event in store.list(Kind::Event, None).items {
        let seen = [text_at(&event, &["lastTimestamp"]), text_at(&event, &["metadata", "creationTimestamp"])];
        let seen = seen.iter().find_map(|time| time.parse::<Timestamp>().ok());
        if seen.is_some_and(|seen| now.duration_since(seen) > LIFETIME) {
            let this_one = Preconditions::uid(object::uid(&event));
            let result =
                store.delete(Kind::Event, object::namespace(&event), object::name(&event), &this_one);
            tolerate(result, "forgetting an event");
        }
    }
}
