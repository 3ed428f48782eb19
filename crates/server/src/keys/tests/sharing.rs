//! Refreshes and sign-outs that replicas share.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use nocrd_authz::{
    clock::{Clock, UnixTime},
    grants::{Claim, GrantStore as _},
    revocation::{Ending, NotStored, Revocations as _, SignInId},
    session::Sid,
};
use nocrd_devcluster::{access::Rule, kind::Kind};
use nocrd_model::keys::{REFRESH_SECRET_PREFIX, REVOCATIONS_CONFIG_MAP};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::{Log, NAMESPACE, World, eventually};
use crate::keys::{grants::SharedGrants, revocations::SharedRevocations};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

const DAY: Duration = Duration::from_secs(86_400);

/// Ends a sign-in of alice, begun long ago.
async fn end(list: &SharedRevocations, sid: Sid, until: UnixTime) -> Result<(), NotStored> {
    list.revoke(&[Ending { sid, subject: "alice".into(), at: Clock::system().now(), until }]).await
}

fn is_ended(list: &SharedRevocations, sid: Sid) -> bool {
    list.is_revoked(SignInId { sid, subject: &"alice".into(), auth_time: UnixTime::new(1) })
}

impl World {
    async fn grants(&self) -> (Arc<SharedGrants>, AbortOnDropHandle<()>) {
        let (grants, work) = SharedGrants::new(self.cluster().await);
        (grants, crate::keys::spawn(work))
    }

    async fn revocations(&self, clock: Clock) -> (Arc<SharedRevocations>, AbortOnDropHandle<()>) {
        let (list, work) = SharedRevocations::new(self.cluster().await, clock, DAY);
        (list, crate::keys::spawn(work))
    }

    fn refresh_secrets(&self) -> Vec<String> {
        let all = self.dev.store().list(Kind::Secret, Some(NAMESPACE));
        let names = all.items.iter().map(|secret| secret["metadata"]["name"].as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with(REFRESH_SECRET_PREFIX)).collect()
    }

    fn ended(&self) -> Value {
        self.ended_map()["data"].clone()
    }

    fn ended_map(&self) -> Value {
        self.dev
            .store()
            .get(Kind::ConfigMap, NAMESPACE, REVOCATIONS_CONFIG_MAP)
            .map_or(Value::Null, |map| Value::clone(&map))
    }
}

#[tokio::test]
async fn of_many_claims_one_wins_and_the_others_get_its_outcome() {
    let world = World::start().await;
    let (one, two) = (world.grants().await, world.grants().await);
    let stores = [&one.0, &two.0];
    let claims = join_all((0..8).map(|n| stores[n % 2].claim(KEY))).await;
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Won).count(), 1, "{claims:?}");
    assert_eq!(one.0.result(KEY).await, None);
    one.0.publish(KEY, b"sealed").await;
    assert_eq!(two.0.result(KEY).await.as_deref(), Some(&b"sealed"[..]));
    assert_eq!(two.0.claim(KEY).await, Claim::Lost);
    let other = KEY.replace('0', "1");
    assert_eq!(two.0.claim(&other).await, Claim::Won);
    assert_eq!(one.0.result(&other).await, None);
}

#[tokio::test]
async fn a_claim_that_is_given_back_may_be_made_again() {
    let world = World::start().await;
    let (one, two) = (world.grants().await, world.grants().await);
    assert_eq!(one.0.claim(KEY).await, Claim::Won);
    assert_eq!(two.0.claim(KEY).await, Claim::Lost);
    one.0.release(KEY).await;
    assert_eq!(two.0.claim(KEY).await, Claim::Won);
}

#[tokio::test(start_paused = true)]
async fn what_was_shared_is_removed_after_a_minute() {
    let world = World::start().await;
    let (grants, _task) = world.grants().await;
    grants.claim(KEY).await;
    grants.publish(KEY, b"sealed").await;
    assert_eq!(world.refresh_secrets().len(), 2);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(world.refresh_secrets().len(), 2);
    eventually("removal", || world.refresh_secrets().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn without_rights_or_an_api_server_a_refresh_is_not_shared_and_goes_on() {
    let (log, _guard) = Log::start();
    let world = World::start().await;
    let (grants, _task) = world.grants().await;
    world.dev.access().set(vec![Rule::deny("create", "secrets")]);
    assert_eq!((grants.claim(KEY).await, grants.claim(KEY).await), (Claim::Won, Claim::Won));
    assert_eq!(log.text().matches("refreshes of sign-ins are not shared").count(), 1, "{}", log.text());
    grants.publish(KEY, b"sealed").await;
    assert_eq!(grants.result(KEY).await, None);
    world.set_away(true);
    assert_eq!(grants.claim(KEY).await, Claim::Won);
}

#[tokio::test]
async fn t16_a_sign_out_is_known_to_all_replicas() {
    let world = World::start().await;
    let (one, two) = (world.revocations(Clock::system()).await, world.revocations(Clock::system()).await);
    let until = Clock::system().now().plus(Duration::from_secs(600));
    let ended: Vec<Sid> = (0..10).map(|_| Sid::random()).collect();
    let lists = [&one.0, &two.0];
    // At the same time from both: nothing is lost to a conflict.
    let stored = join_all(ended.iter().enumerate().map(|(n, sid)| end(lists[n % 2], *sid, until))).await;
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    eventually("all are known to both", || {
        ended.iter().all(|sid| is_ended(&one.0, *sid) && is_ended(&two.0, *sid))
    })
    .await;
    assert!(!is_ended(&one.0, Sid::random()));
    assert_eq!(world.ended().as_object().unwrap().len(), 10);
    // And to one that starts later.
    let late = world.revocations(Clock::system()).await;
    eventually("a late one knows", || ended.iter().all(|sid| is_ended(&late.0, *sid))).await;
}

#[tokio::test(start_paused = true)]
async fn t42_many_sign_outs_are_few_writes() {
    let world = World::start().await;
    let (list, _task) = world.revocations(Clock::system()).await;
    let until = Clock::system().now().plus(Duration::from_secs(600));
    let sids: Vec<_> = (0..200).map(|_| Sid::random()).collect();
    let one_each = sids.iter().enumerate().map(|(n, sid)| {
        let subject = format!("user-{n}").as_str().into();
        let list = &list;
        async move { list.revoke(&[Ending { sid: *sid, subject, at: Clock::system().now(), until }]).await }
    });
    let began = tokio::time::Instant::now();
    assert!(join_all(one_each).await.iter().all(Result::is_ok));
    assert_eq!(world.ended().as_object().unwrap().len(), 200);
    let version = |map: Value| map["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let first = version(world.ended_map());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // One person's are one entry, however many, and nobody else's goes for it.
    let own: Vec<_> = (0..40)
        .map(|_| Ending { sid: Sid::random(), subject: "mallory".into(), at: Clock::system().now(), until })
        .collect();
    list.revoke(&own).await.unwrap();
    assert_eq!(world.ended().as_object().unwrap().len(), 201);
    assert_eq!(version(world.ended_map()), first + 1);
}

#[tokio::test]
async fn what_is_over_leaves_the_list() {
    let world = World::start().await;
    let now = Clock::system().now();
    let (list, _task) = world.revocations(Clock::system()).await;
    let over = Sid::random();
    end(&list, over, now.plus(Duration::from_secs(2))).await.unwrap();
    let later = Clock::new(move || now.plus(Duration::from_secs(100)));
    let (other, _task) = world.revocations(later).await;
    let fresh = Sid::random();
    end(&other, fresh, UnixTime::new(now.as_secs() + 1000)).await.unwrap();
    let data = world.ended();
    assert_eq!(data.as_object().unwrap().keys().collect::<Vec<_>>(), [&fresh.to_string()]);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_a_sign_out_counts_here_and_is_told() {
    let (log, _guard) = Log::start();
    let world = World::start().await;
    world.dev.access().set(vec![Rule::deny("create", "configmaps")]);
    let (list, _task) = world.revocations(Clock::system()).await;
    let sid = Sid::random();
    let until = Clock::system().now().plus(Duration::from_secs(600));
    assert!(end(&list, sid, until).await.is_err());
    assert!(is_ended(&list, sid));
    assert!(log.text().contains("sign-outs count on this replica only"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn t16_a_sign_out_during_an_outage_is_told_to_others_afterwards() {
    let world = World::start().await;
    let (one, two) = (world.revocations(Clock::system()).await, world.revocations(Clock::system()).await);
    world.set_away(true);
    let sid = Sid::random();
    let until = Clock::system().now().plus(Duration::from_secs(600));
    assert!(end(&one.0, sid, until).await.is_err());
    assert!(is_ended(&one.0, sid) && !is_ended(&two.0, sid));
    world.set_away(false);
    eventually("the other knows", || is_ended(&two.0, sid)).await;
}

#[tokio::test(start_paused = true)]
async fn t16_deleting_the_list_brings_nobody_back() {
    let world = World::start().await;
    let (list, _task) = world.revocations(Clock::system()).await;
    let sid = Sid::random();
    end(&list, sid, Clock::system().now().plus(Duration::from_secs(600))).await.unwrap();
    let none = nocrd_devcluster::store::Preconditions::none();
    world.dev.store().delete(Kind::ConfigMap, NAMESPACE, REVOCATIONS_CONFIG_MAP, &none).unwrap();
    eventually("it is there again", || world.ended().get(sid.to_string()).is_some()).await;
    assert!(is_ended(&list, sid));
}

#[tokio::test(start_paused = true)]
async fn t16_the_list_is_known_once_it_was_read_or_can_not_be() {
    let world = World::start().await;
    world.set_away(true);
    let (list, _task) = world.revocations(Clock::system()).await;
    let mut known = list.changes();
    // What is ended here tells nothing of what others ended.
    let until = Clock::system().now().plus(Duration::from_secs(600));
    assert!(end(&list, Sid::random(), until).await.is_err());
    assert!(!*known.borrow());
    world.set_away(false);
    known.wait_for(|known| *known).await.unwrap();

    let (log, _guard) = Log::start();
    world.dev.access().set(vec![Rule::deny("list", "configmaps"), Rule::deny("watch", "configmaps")]);
    let (denied, _task) = world.revocations(Clock::system()).await;
    denied.changes().wait_for(|known| *known).await.unwrap();
    assert!(log.text().contains("sign-outs count on this replica only"), "{}", log.text());
}
