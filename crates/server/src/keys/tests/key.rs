//! Where the key comes from, without peers.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::join_all;
use nocrd_authz::keys::{KeyRing, Purpose, SessionKeys};
use nocrd_config::Settings;
use nocrd_devcluster::{access::Rule, kind::Kind, store::Preconditions};
use nocrd_model::keys::SESSION_KEY_SECRET;
use serde_json::{Value, json};

use super::{Log, NAMESPACE, Replica, World, eventually};
use crate::keys::configured;

const OLD: &str = "the first secret of the sessions, long enough";
const NEW: &str = "the second secret of the sessions, long enough";

fn settings(env: &[(&str, &str)]) -> Settings {
    let env: BTreeMap<String, String> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::from_env(&env).unwrap()
}

fn ring(env: &[(&str, &str)]) -> KeyRing {
    KeyRing::known(configured::keys(&settings(env)).unwrap().unwrap())
}

impl World {
    fn write_secret(&self, data: Value) {
        let store = self.dev.store();
        let _ = store.delete(Kind::Secret, NAMESPACE, SESSION_KEY_SECRET, &Preconditions::none());
        let meta = json!({ "name": SESSION_KEY_SECRET, "namespace": NAMESPACE });
        store.create(Kind::Secret, json!({ "metadata": meta, "data": data })).unwrap();
    }
}

fn entry(text: &str) -> String {
    STANDARD.encode(text)
}

#[test]
fn d57_an_empty_setting_is_none_and_leaves_the_next_source() {
    let derived = ring(&[("PROXY_SESSION_SECRET", ""), ("JWT_SECRET", OLD)]);
    assert_eq!(derived.current_id(), ring(&[("JWT_SECRET", OLD)]).current_id());
    assert!(configured::keys(&settings(&[("PROXY_SESSION_SECRET", "")])).is_none());
}

#[test]
fn d58_t18_the_secret_of_tokens_is_never_the_key_of_cookies() {
    let derived = ring(&[("JWT_SECRET", OLD)]);
    let verbatim = KeyRing::known(SessionKeys::new(OLD.as_bytes(), []).unwrap());
    assert_ne!(derived.current_id(), verbatim.current_id());
    let both = ring(&[("PROXY_SESSION_SECRET", NEW), ("JWT_SECRET", OLD)]);
    assert_eq!(both.current_id(), ring(&[("PROXY_SESSION_SECRET", NEW)]).current_id());
}

#[test]
fn t17_a_configured_key_is_rotated_with_the_one_before() {
    let before = ring(&[("PROXY_SESSION_SECRET", OLD)]);
    let cookie = before.sign(Purpose::Session, b"alice").unwrap();
    let after = ring(&[("PROXY_SESSION_SECRET", NEW), ("PROXY_SESSION_SECRET_PREVIOUS", OLD)]);
    assert!(after.verify(Purpose::Session, &cookie).is_ok());
    assert_eq!(after.current_id(), ring(&[("PROXY_SESSION_SECRET", NEW)]).current_id());
    assert!(ring(&[("PROXY_SESSION_SECRET", NEW)]).verify(Purpose::Session, &cookie).is_err());
}

#[tokio::test]
async fn d53_replicas_that_race_for_the_secret_end_with_one_key() {
    let world = World::start().await;
    let replicas: Vec<Replica> = join_all((0..6).map(|_| world.replica())).await;
    let ids = join_all(replicas.iter().map(Replica::known)).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let stored = STANDARD.decode(world.secret().unwrap()["key"].as_str().unwrap()).unwrap();
    assert_eq!(stored.len(), 64);
    assert!(stored.iter().all(u8::is_ascii_hexdigit));
    assert!(replicas[1].accepts(&replicas[0].sign()));
    // And one that comes later.
    assert_eq!(world.replica().await.known().await, ids[0]);
}

#[tokio::test(start_paused = true)]
async fn t17_a_rotated_secret_is_taken_over_and_old_cookies_go_on() {
    let world = World::start().await;
    world.write_secret(json!({ "key": entry(&format!("{OLD}\n")) }));
    let (one, two) = (world.replica().await, world.replica().await);
    let id = KeyRing::known(SessionKeys::new(OLD.as_bytes(), []).unwrap()).current_id().unwrap();
    assert_eq!(one.known().await, id.as_str());
    assert_eq!(two.known().await, id.as_str());
    let old = one.sign();

    world.write_secret(json!({ "key": entry(NEW), "previous": entry(OLD) }));
    let rotated = KeyRing::known(SessionKeys::new(NEW.as_bytes(), []).unwrap());
    let new = rotated.sign(Purpose::Session, b"alice").unwrap();
    // The first to be shown a cookie of the new key looks at once; the other within half a minute.
    let before = tokio::time::Instant::now();
    eventually("the new key", || one.accepts(&new)).await;
    assert!(before.elapsed() < super::super::keeper::PERIOD / 2, "{:?}", before.elapsed());
    two.knows(rotated.current_id().unwrap().as_str()).await;
    assert!(one.accepts(&old) && two.accepts(&old) && two.accepts(&one.sign()));

    // Without the one before, what it made ends.
    world.write_secret(json!({ "key": entry(NEW) }));
    eventually("the cut-off", || !one.accepts(&old) && !two.accepts(&old)).await;
    assert!(one.accepts(&new));
}

#[tokio::test(start_paused = true)]
async fn cookies_of_unknown_keys_cause_few_looks() {
    let world = World::start().await;
    let (cluster, ring) = (world.cluster().await, std::sync::Arc::new(KeyRing::default()));
    cluster.synced().await;
    let held = tokio::sync::watch::Sender::new(None);
    let mut known = held.subscribe();
    let keeper = super::Keeper::new(cluster.clone(), ring.clone(), None, held, std::sync::Arc::default());
    let _task = super::super::spawn(keeper.run());
    known.wait_for(Option::is_some).await.unwrap();
    let foreign = KeyRing::known(SessionKeys::new(NEW.as_bytes(), []).unwrap());
    let cookie = foreign.sign(Purpose::Session, b"mallory").unwrap();
    let (before, began) = (cluster.api_calls(), tokio::time::Instant::now());
    while began.elapsed() < std::time::Duration::from_secs(20) {
        assert!(ring.verify(Purpose::Session, &cookie).is_err());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let looks = cluster.api_calls() - before;
    assert!((2..=6).contains(&looks), "{looks}");
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_the_known_key_stays() {
    let world = World::start().await;
    let replica = world.replica().await;
    let id = replica.known().await;
    let cookie = replica.sign();
    world.set_away(true);
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert_eq!(replica.ring.current_id().unwrap().as_str(), id);
    assert!(replica.accepts(&cookie));

    // One that starts meanwhile waits, rather than make up a key of its own.
    let late = world.replica_away().await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert!(!late.ring.is_known());
    world.set_away(false);
    assert_eq!(late.known().await, id);
}

impl World {
    /// A replica that starts while the API server is away.
    async fn replica_away(&self) -> Replica {
        self.replica().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_made_up_for_want_of_rights_is_told_and_shared_when_they_come() {
    let (log, _guard) = Log::start();
    let world = World::start().await;
    world.dev.access().set(vec![Rule::deny("*", "secrets")]);
    let (one, two) = (world.replica().await, world.replica().await);
    let ids = [one.known().await, two.known().await];
    assert_ne!(ids[0], ids[1]);
    assert!(
        log.text().contains("WARN") && log.text().contains("made up by this replica alone"),
        "{}",
        log.text()
    );
    assert!(log.text().contains("PROXY_SESSION_SECRET"), "{}", log.text());

    let cookies = [one.sign(), two.sign()];
    world.dev.access().set(Vec::new());
    eventually("one key", || one.ring.current_id() == two.ring.current_id()).await;
    assert!(one.accepts(&two.sign()) && two.accepts(&one.sign()));
    // Nobody is signed out by that.
    assert!(one.accepts(&cookies[0]) && two.accepts(&cookies[1]));
    let stored = world.secret().unwrap()["key"].as_str().unwrap().to_owned();
    assert!(
        !log.text().contains(&stored)
            && !log.text().contains(&String::from_utf8(STANDARD.decode(&stored).unwrap()).unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn the_right_to_read_without_the_one_to_create_is_enough_when_there_is_a_secret() {
    let world = World::start().await;
    world.dev.access().set(vec![Rule::deny("create", "secrets")]);
    let without = world.replica().await;
    without.known().await;
    world.write_secret(json!({ "key": entry(OLD) }));
    let with = world.replica().await;
    let id = with.known().await;
    without.knows(&id).await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_create_the_secret_waits_for_who_may() {
    let (log, _guard) = Log::start();
    let world = World::start().await;
    world.dev.access().set(vec![Rule::deny("create", "secrets")]);
    let reader = world.replica().await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert!(!reader.ring.is_known());
    world.write_secret(json!({ "key": entry(OLD) }));
    let id = reader.known().await;
    world.dev.access().set(Vec::new());
    assert_eq!(world.replica().await.known().await, id);
    let text = log.text();
    assert_eq!(text.matches("this replica may not make it").count(), 1, "{text}");
    assert!(!text.contains("made up by this replica alone"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn t17_deleting_the_secret_ends_all_sessions() {
    let world = World::start().await;
    let (one, two) = (world.replica().await, world.replica().await);
    let id = one.known().await;
    two.known().await;
    let cookie = one.sign();
    world.dev.store().delete(Kind::Secret, NAMESPACE, SESSION_KEY_SECRET, &Preconditions::none()).unwrap();
    let is_new = |replica: &Replica| replica.ring.current_id().unwrap().as_str() != id;
    eventually("a new key", || is_new(&one) && is_new(&two)).await;
    assert_eq!(one.ring.current_id(), two.ring.current_id());
    assert!(!one.accepts(&cookie) && !two.accepts(&cookie));
}

#[tokio::test(start_paused = true)]
async fn t11_a_secret_that_is_too_short_is_not_used_and_told() {
    let (log, _guard) = Log::start();
    let world = World::start().await;
    world.write_secret(json!({ "key": entry("too short") }));
    let replica = world.replica().await;
    eventually("a complaint", || log.text().contains("unusable")).await;
    assert!(!replica.ring.is_known());
    world.write_secret(json!({ "key": entry(OLD) }));
    replica.known().await;
}
