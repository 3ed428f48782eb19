use std::sync::atomic::{AtomicI64, Ordering};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use nocrd_authz::{clock::UnixTime, keys::SessionKeys};
use nocrd_cluster::{Config, Scope};
use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_model::{Namespace, Role, keys::PENDING_CONTEXT_PREFIX};

use super::*;

const BASE: &str = "https://gw.example/gw";

/// A clock that is set by hand.
fn clock() -> (Arc<AtomicI64>, Clock) {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let told = Arc::clone(&now);
    (now, Clock::new(move || UnixTime::new(told.load(Ordering::Relaxed))))
}

fn ada() -> Caller {
    Caller::verified("ada".into(), Role::User)
}

fn names() -> Vec<String> {
    ["TOKEN", "KEY", "TOKEN"].map(str::to_owned).into()
}

async fn open(forms: &Forms, caller: &Caller) -> Option<Opened> {
    let names = names();
    let wanted = Wanted { caller, title: "Spawn", template: Some("t".into()), name: None, names: &names };
    forms.open(&wanted).await
}

fn handle(opened: &Opened) -> &str {
    opened.url.strip_prefix("https://gw.example/gw/context/").unwrap()
}

fn values() -> BTreeMap<String, String> {
    [("TOKEN", "hunter2"), ("KEY", "k")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

async fn give(forms: &Forms, opened: &Opened, caller: &Caller) -> bool {
    match forms.page(handle(opened), caller).await.unwrap() {
        Some(found) => forms.give(&found, &values()).await.unwrap(),
        None => false,
    }
}

fn given() -> Taken {
    Taken::Given(values().into_iter().collect())
}

/// Replicas over one cluster, with one key.
async fn replicas() -> (DevCluster, [Forms; 2], Arc<AtomicI64>) {
    let dev = DevCluster::start(DevConfig { run_pods: false, ..DevConfig::default() }).await.unwrap();
    let mut config = Config::new(Scope::Cluster, Namespace::parse("nogoo9").unwrap());
    config.check_permissions = false;
    let cluster = Cluster::start(kube::Client::new(dev.router(), "nogoo9"), config).await.unwrap();
    cluster.synced().await;
    let (now, clock) = clock();
    let forms = [(), ()].map(|()| {
        let keys = Arc::new(KeyRing::known(SessionKeys::new(&[7; 32], []).unwrap()));
        Forms::over(BASE, Some(Shared::new(cluster.clone(), keys, LIFETIME)), clock.clone())
    });
    (dev, forms, now)
}

fn secrets(dev: &DevCluster) -> Vec<String> {
    let all = dev.store().list(Kind::Secret, Some("nogoo9")).items;
    let all = all.iter().map(|secret| secret.to_string());
    all.filter(|secret| secret.contains(PENDING_CONTEXT_PREFIX)).collect()
}

#[tokio::test]
async fn t54_values_are_for_one_caller_once() {
    let (_, clock) = clock();
    let forms = Forms::over(BASE, None, clock);
    let opened = open(&forms, &ada()).await.unwrap();
    assert_eq!(handle(&opened).len(), 43);
    assert!(!opened.url.contains(&opened.id) && !opened.id.contains(handle(&opened)));
    assert_eq!(forms.take(&opened.id, &ada()).await, Taken::NotYet);
    let bob = Caller::verified("bob".into(), Role::Admin);
    // Another user of that name, who has not signed in.
    let local = Caller { trust: Trust::Local, ..ada() };
    for other in [&bob, &local] {
        assert!(forms.page(handle(&opened), other).await.unwrap().is_none());
        assert_eq!(forms.take(&opened.id, other).await, Taken::Gone);
    }
    // What the call knows of the page does not open it.
    for text in ["", "x", &opened.id, &handle(&opened)[1..], &format!("{}=", handle(&opened))] {
        assert!(forms.page(text, &ada()).await.unwrap().is_none(), "{text}");
    }
    assert!(give(&forms, &opened, &ada()).await);
    assert!(!give(&forms, &opened, &ada()).await, "twice");
    forms.wait(&opened.id).await;
    assert_eq!(forms.take(&opened.id, &bob).await, Taken::Gone);
    assert_eq!(forms.take(&opened.id, &ada()).await, given());
    assert_eq!(forms.take(&opened.id, &ada()).await, Taken::Gone);
    assert!(!format!("{forms:?}").contains("hunter2"));
}

#[tokio::test]
async fn pages_are_over_after_their_time() {
    let (dev, [forms, _], now) = replicas().await;
    let local = Forms::over(BASE, None, forms.clock.clone());
    for forms in [&forms, &local] {
        let (early, late) = (open(forms, &ada()).await.unwrap(), open(forms, &ada()).await.unwrap());
        let found = forms.page(handle(&early), &ada()).await.unwrap().unwrap();
        assert!(forms.give(&found, &values()).await.unwrap());
        now.fetch_add(599, Ordering::Relaxed);
        assert!(forms.page(handle(&late), &ada()).await.unwrap().is_some());
        now.fetch_add(1, Ordering::Relaxed);
        assert!(!give(forms, &late, &ada()).await);
        // Also what was given in time.
        assert_eq!(forms.take(&early.id, &ada()).await, Taken::Gone);
        forms.wait(&late.id).await;
    }
    local.memory.sweep().await;
    assert_eq!(format!("{:?}", local.memory), "Memory { pages: 0, .. }");
    dev.shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_opens_pages_without_end() {
    let (now, clock) = clock();
    let forms = Forms::over(BASE, None, clock);
    for _ in 0..MAX_EACH {
        assert!(open(&forms, &ada()).await.is_some());
    }
    assert!(open(&forms, &ada()).await.is_none());
    assert!(open(&forms, &Caller::verified("bob".into(), Role::User)).await.is_some());
    now.fetch_add(600 + 600 + 59, Ordering::Relaxed);
    assert!(forms.has_opened(), "an answer may be left");
    now.fetch_add(1, Ordering::Relaxed);
    assert!(!forms.has_opened());
    for _ in 0..MAX_EACH {
        assert!(open(&forms, &ada()).await.is_some());
    }
    now.fetch_add(600, Ordering::Relaxed);
    assert!(open(&forms, &ada()).await.is_some());
    let (caller, title) = (&ada(), "Spawn");
    for names in [&["A\0B".to_owned()][..], &[], &["A".to_owned()]] {
        let wanted = Wanted { caller, title, template: None, name: None, names };
        assert_eq!(forms.open(&wanted).await.is_some(), names == ["A"], "{names:?}");
    }
}

#[tokio::test]
async fn t54_replicas_share_pages_sealed() {
    let (dev, [one, other], _) = replicas().await;
    let opened = open(&one, &ada()).await.unwrap();
    assert!(give(&other, &opened, &ada()).await);
    assert!(!give(&one, &opened, &ada()).await, "twice");
    let kept = secrets(&dev);
    assert_eq!(kept.len(), 2, "{kept:?}");
    for secret in &kept {
        let sealed = serde_json::from_str::<serde_json::Value>(secret).unwrap()["data"]["sealed"].clone();
        let sealed = BASE64_STANDARD.decode(sealed.as_str().unwrap()).unwrap();
        let text = format!("{secret} {}", String::from_utf8(sealed).unwrap());
        for part in ["hunter2", "TOKEN", "\"ada\"", handle(&opened)] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }
    one.wait(&opened.id).await;
    assert_eq!(one.take(&opened.id, &ada()).await, given());
    assert_eq!(secrets(&dev), [""; 0]);

    // Nobody is left to wait for it.
    let opened = open(&one, &ada()).await.unwrap();
    assert!(give(&other, &opened, &ada()).await);
    one.close(&opened.id).await;
    assert_eq!(secrets(&dev), [""; 0]);
    // The user at standard input signs in nowhere.
    assert!(open(&one, &Caller::local()).await.is_none());
    dev.shutdown().await.unwrap();
}

#[tokio::test]
async fn t54_an_answer_is_no_other_page_s() {
    let (dev, [forms, _], _) = replicas().await;
    let (ada, bob) = (ada(), Caller::verified("bob".into(), Role::User));
    let (of_ada, of_bob) = (open(&forms, &ada).await.unwrap(), open(&forms, &bob).await.unwrap());
    assert!(give(&forms, &of_ada, &ada).await);
    // Somebody who may write Secrets copies it.
    let name = |opened: &Opened| format!("{PENDING_CONTEXT_PREFIX}{}-answer", opened.id);
    let all = dev.store().list(Kind::Secret, Some("nogoo9")).items;
    let secret = all.iter().find(|secret| secret["metadata"]["name"] == name(&of_ada)).unwrap();
    let copy = serde_json::json!({
        "metadata": { "name": name(&of_bob), "namespace": "nogoo9" }, "data": secret["data"],
    });
    dev.store().create(Kind::Secret, copy).unwrap();
    assert_eq!(forms.take(&of_bob.id, &bob).await, Taken::NotYet);
    dev.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_replicas_left_is_swept() {
    let (dev, [forms, _], _) = replicas().await;
    let keys = Arc::new(KeyRing::of_this_process());
    let old = Shared::new(forms.shared.as_ref().unwrap().cluster().clone(), keys, Duration::ZERO);
    open(&forms, &ada()).await.unwrap();
    forms.shared.as_ref().unwrap().sweep().await;
    assert_eq!(secrets(&dev).len(), 1);
    old.sweep().await;
    assert_eq!(secrets(&dev), [""; 0]);
    dev.shutdown().await.unwrap();
}

#[tokio::test]
async fn without_a_key_or_rights_pages_work_at_one_replica() {
    let (dev, [forms, other], _) = replicas().await;
    let cluster = forms.shared.as_ref().unwrap().cluster().clone();
    let forms = Forms::over(BASE, Some(Shared::new(cluster, Arc::default(), LIFETIME)), forms.clock.clone());
    let opened = open(&forms, &ada()).await.unwrap();
    assert!(other.page(handle(&opened), &ada()).await.unwrap().is_none());
    assert!(give(&forms, &opened, &ada()).await);
    assert_eq!((forms.take(&opened.id, &ada()).await, secrets(&dev).len()), (given(), 0));
    dev.shutdown().await.unwrap();
}

#[test]
fn logs_don_t_name_handles() {
    let handle = Handle::new().text();
    for base in ["", "/gw"] {
        assert_eq!(unnamed(&format!("{base}/context/{handle}")), format!("{base}/context/…"));
    }
    for path in ["/", "/context/x", "/mcp", &format!("/route/w/{handle}")] {
        assert_eq!(unnamed(path), path);
    }
}
