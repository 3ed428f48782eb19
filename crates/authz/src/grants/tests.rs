use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;
use crate::testing;

/// Counts grants and answers when told.
#[derive(Default)]
struct Idp {
    asked: AtomicUsize,
    answer: tokio::sync::Notify,
}

impl Idp {
    async fn grant(self: Arc<Self>, answer: Answer) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer.notified().await;
        answer
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn renewed(token: &str) -> Outcome {
    Outcome::Renewed(Renewed {
        token: token.to_owned().into(),
        verified: Some((testing::identity("alice"), UnixTime::new(300))),
        refresh_token: "next".to_owned().into(),
        refresh_expires: Some(UnixTime::new(900)),
    })
}

fn token_of(answer: &Answer) -> &str {
    match answer {
        Ok(Outcome::Renewed(renewed)) => renewed.token.expose_secret(),
        other => panic!("{other:?}"),
    }
}

fn grants(store: Arc<dyn GrantStore>) -> Arc<Grants> {
    Grants::new(store, Arc::new(testing::keys()))
}

fn local() -> Arc<LocalGrants> {
    Arc::new(LocalGrants::default())
}

#[tokio::test(start_paused = true)]
async fn twenty_at_once_ask_once_and_latecomers_get_the_same() {
    let (idp, grants, token) = (Arc::new(Idp::default()), grants(local()), SecretString::from("old"));
    idp.answer.notify_one();
    let ask = |n: usize| {
        grants.once(&token, {
            let idp = idp.clone();
            move || idp.grant(Ok(renewed(&n.to_string())))
        })
    };
    let answers = join_all((0..20).map(ask)).await;
    assert_eq!(idp.asked(), 1);
    assert!(answers.iter().all(|answer| token_of(answer) == "0"), "{answers:?}");

    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(token_of(&ask(99).await), "0");
    assert_eq!(idp.asked(), 1);

    tokio::time::sleep(Duration::from_secs(2)).await;
    idp.answer.notify_one();
    assert_eq!(token_of(&ask(7).await), "7");
    assert_eq!(idp.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_replicas_with_one_store_ask_once() {
    let (idp, store, token) = (Arc::new(Idp::default()), local(), SecretString::from("old"));
    let replicas = [grants(store.clone()), grants(store)];
    idp.answer.notify_one();
    let all = (0..20).map(|n| {
        let (replica, idp) = (&replicas[n % 2], idp.clone());
        replica.once(&token, move || idp.grant(Ok(renewed(&n.to_string()))))
    });
    let answers = join_all(all).await;
    assert_eq!(idp.asked(), 1);
    assert!(answers.iter().all(|answer| token_of(answer) == token_of(&answers[0])), "{answers:?}");
    match &answers[1] {
        Ok(Outcome::Renewed(renewed)) => {
            assert_eq!(renewed.verified, Some((testing::identity("alice"), UnixTime::new(300))));
            assert_eq!(renewed.refresh_token.expose_secret(), "next");
            assert_eq!(renewed.refresh_expires, Some(UnixTime::new(900)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_does_not_stop_the_grant() {
    let (idp, grants, token) = (Arc::new(Idp::default()), grants(local()), SecretString::from("old"));
    let first = tokio::spawn({
        let (idp, grants, token) = (idp.clone(), grants.clone(), token.clone());
        async move { grants.once(&token, || idp.grant(Ok(renewed("first")))).await }
    });
    while idp.asked() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    idp.answer.notify_one();
    let second = grants.once(&token, Idp::default_grant).await;
    assert_eq!(token_of(&second), "first");
}

#[tokio::test(start_paused = true)]
async fn d35_a_grant_that_came_to_nothing_may_be_tried_again_at_once() {
    let store = local();
    let (idp, grants, token) = (Arc::new(Idp::default()), grants(store), SecretString::from("old"));
    idp.answer.notify_one();
    let down = || Err(Unavailable("down".into()));
    assert!(
        grants
            .once(&token, {
                let idp = idp.clone();
                || idp.grant(down())
            })
            .await
            .is_err()
    );
    idp.answer.notify_one();
    assert_eq!(
        token_of(
            &grants
                .once(&token, {
                    let idp = idp.clone();
                    || idp.grant(Ok(renewed("up")))
                })
                .await
        ),
        "up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_shared_too() {
    let (idp, store, token) = (Arc::new(Idp::default()), local(), SecretString::from("old"));
    idp.answer.notify_one();
    let refused = || Ok(Outcome::Refused("invalid_grant".into()));
    let one = grants(store.clone())
        .once(&token, {
            let idp = idp.clone();
            || idp.grant(refused())
        })
        .await;
    let two = grants(store)
        .once(&token, {
            let idp = idp.clone();
            || idp.grant(refused())
        })
        .await;
    assert!(matches!((one, two), (Ok(Outcome::Refused(_)), Ok(Outcome::Refused(_)))));
    assert_eq!(idp.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_died_with_a_claim_blocks_nobody_for_ever() {
    let (store, token) = (local(), SecretString::from("old"));
    assert_eq!(store.claim(&key_of(&token)).await, Claim::Won);
    let grants = grants(store);
    assert!(grants.once(&token, Idp::default_grant).await.is_err(), "not now");
    tokio::time::sleep(KEPT).await;
    assert_eq!(token_of(&grants.once(&token, Idp::default_grant).await), "default");
}

#[tokio::test]
async fn t18_an_outcome_is_bound_to_its_grant() {
    let store = local();
    let grants = grants(store.clone());
    grants.publish("a", &renewed("x")).await;
    let sealed = store.result("a").await.unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("next"));
    store.publish("b", &sealed).await;
    assert!(grants.published("a").await.is_some());
    assert!(grants.published("b").await.is_none());
    store.publish("b", b"nonsense").await;
    assert!(grants.published("b").await.is_none());
}

impl Idp {
    async fn default_grant() -> Answer {
        Ok(renewed("default"))
    }
}
