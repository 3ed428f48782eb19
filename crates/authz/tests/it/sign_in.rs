use std::time::Duration;

use futures::future::join_all;
use nocrd_authz::{
    authenticator::{Reason, Via},
    cookies,
    login::LoginError,
};
use nocrd_testkit::{Config, Endpoint, Fault, Jar, TokenForm, idp, key};
use serde_json::json;

use crate::world::{GET, PAGE, World, sign_in_as};

fn short_tokens() -> Config {
    Config { access_lifetime: Duration::from_secs(30), tells_refresh_lifetime: true, ..Config::default() }
}

#[tokio::test]
async fn a_browser_signs_in_and_stays_in_longer_than_its_token() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    let signed_in = world.sign_in(&mut browser).await.unwrap();
    assert_eq!(signed_in.caller.subject.as_str(), "alice");
    assert_eq!(signed_in.return_to, "/gw/route/ws-1/");
    assert_eq!(browser.0.keys().collect::<Vec<_>>(), [cookies::REFRESH, cookies::SESSION]);

    world.ahead(600);
    let found = world.get(&browser).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Session));
    assert_eq!(found.caller, signed_in.caller, "with the same rights");
    assert_eq!(world.idp.counts().refresh_grants, 0);

    world.ahead(1000);
    let found = world.get(&browser).await.unwrap();
    assert_eq!((found.caller, found.via), (signed_in.caller, Via::Refresh));
    browser.take(&found.cookies);
    let session = found.session.unwrap();
    assert_eq!((session.sid, session.auth_time), (signed_in.session.sid, signed_in.session.auth_time));
    assert_eq!(world.get(&browser).await.unwrap().via, Via::Session);
}

#[tokio::test]
async fn twenty_requests_on_two_replicas_make_one_grant() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    world.sign_in(&mut browser).await.unwrap();
    world.idp.fail(Endpoint::Token, Fault::Slow(Duration::from_millis(200)));
    for round in 1..=3_u64 {
        world.ahead(round * 500);
        browser.0.remove(cookies::SESSION);
        let headers = browser.headers();
        let all = (0..20).map(|n| world.replicas[n % 2].authenticate(&headers, GET));
        let mut last = None;
        for result in join_all(all).await {
            let found = result.unwrap();
            assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Refresh));
            last = Some(found);
        }
        browser.take(&last.unwrap().cookies);
        let counts = world.idp.counts();
        assert_eq!((counts.refresh_grants, counts.reuses), (usize::try_from(round).unwrap(), 0));
    }
}

#[tokio::test]
async fn d35_a_provider_that_misbehaves_costs_nobody_their_cookies() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    world.sign_in(&mut browser).await.unwrap();
    browser.0.remove(cookies::SESSION);
    for fault in [
        Fault::Down,
        Fault::Status(500),
        Fault::Status(429),
        Fault::Answer(400, json!({"error": "invalid_client"})),
        Fault::Answer(400, json!({"error": "temporarily_unavailable"})),
        Fault::Redirect("http://127.0.0.1:9/".into()),
        Fault::Huge(4 * 1024 * 1024),
    ] {
        world.idp.fail(Endpoint::Token, fault.clone());
        let nobody = world.get(&browser).await.unwrap_err();
        assert!(matches!(nobody.reason, Reason::Unavailable), "{fault:?}: {nobody:?}");
        assert!(nobody.cookies.is_empty(), "{fault:?}");
    }
    world.idp.heal();
    assert_eq!(world.get(&browser).await.unwrap().via, Via::Refresh);
}

#[tokio::test]
async fn a_sign_in_that_the_provider_has_ended_is_over() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    world.sign_in(&mut browser).await.unwrap();
    world.idp.end_all_sign_ins();
    world.ahead(1000);
    let found = world.get(&browser).await.unwrap();
    assert_eq!(found.via, Via::Session, "for what is left of the session");
    browser.take(&found.cookies);
    assert!(!browser.0.contains_key(cookies::REFRESH));
    world.ahead(1801);
    let nobody = world.get(&browser).await.unwrap_err();
    assert!(matches!(nobody.reason, Reason::SignedOut), "{nobody:?}");
}

#[tokio::test]
async fn t16_a_sign_out_holds_on_all_replicas_and_at_the_provider() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    world.sign_in(&mut browser).await.unwrap();
    let copy = browser.clone();
    let out = world.replicas[1].logout(&browser.headers(), PAGE).await;
    browser.take(&out.cookies);
    assert!(browser.0.is_empty());
    assert_eq!(world.idp.counts().revocations, 1);
    for replica in &world.replicas {
        let nobody = replica.authenticate(&copy.headers(), GET).await.unwrap_err();
        assert!(matches!(nobody.reason, Reason::SignedOut), "{nobody:?}");
    }
    assert_eq!(world.idp.counts().refresh_grants, 0);
    let end = world.replicas[0].end_session_url(&world.site).await.unwrap();
    assert!(end.as_str().starts_with(&world.idp.url("/end-session?")), "{end}");
}

#[tokio::test]
async fn a_provider_that_changes_its_keys_signs_nobody_out() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    world.sign_in(&mut browser).await.unwrap();
    let before = browser.0[cookies::REFRESH].clone();
    // The replica that signed the user in has just read the keys, and does not read them again so soon.
    let replica = &world.replicas[1];
    world.idp.rotate_to(key::es256());
    world.ahead(1000);
    let found = replica.authenticate(&browser.headers(), GET).await.unwrap();
    assert_eq!(found.caller.subject.as_str(), "alice");
    browser.take(&found.cookies);
    assert_ne!(browser.0[cookies::REFRESH], before, "the old refresh token is used up, and replaced");
    // Had the machine been that slow, it would have read them and there would be nothing to see.
    if found.via == Via::Refresh {
        return;
    }
    // The other one reads them for the first time.
    let found = world.get(&browser).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Refresh));
    assert_eq!(world.idp.counts().reuses, 0);
}

#[tokio::test]
async fn a_sign_in_with_forged_answers_fails() {
    for (fault, at) in [
        (Fault::WrongKeys, Endpoint::Token),
        (Fault::WrongIssuer("https://evil.example".into()), Endpoint::Token),
        (Fault::WrongIssuer("https://evil.example".into()), Endpoint::Authorization),
    ] {
        let world = World::new(short_tokens()).await;
        world.idp.fail(at, fault.clone());
        let mut browser = Jar::default();
        let failed = world.sign_in(&mut browser).await.unwrap_err();
        assert!(
            matches!(failed.error, LoginError::Token(_) | LoginError::WrongIssuer),
            "{fault:?}: {:?}",
            failed.error
        );
        assert!(browser.0.is_empty(), "nothing is left behind");
    }
}

#[tokio::test]
async fn a_user_who_says_no_is_not_signed_in() {
    let world = World::new(short_tokens()).await;
    world.idp.sign_in_nobody();
    let mut browser = Jar::default();
    let failed = world.sign_in(&mut browser).await.unwrap_err();
    assert!(
        matches!(&failed.error, LoginError::Denied(code) if code == "access_denied"),
        "{:?}",
        failed.error
    );
    assert!(browser.0.is_empty());
}

#[tokio::test]
async fn t15_the_next_user_of_a_browser_has_nothing_of_the_last_one() {
    let world = World::new(short_tokens()).await;
    let mut browser = Jar::default();
    let alice = world.sign_in(&mut browser).await.unwrap();
    sign_in_as(&world.idp, "bob");
    let bob = world.sign_in(&mut browser).await.unwrap();
    assert_eq!(bob.caller.subject.as_str(), "bob");
    assert_ne!(bob.session.sid, alice.session.sid);
    world.ahead(1000);
    let found = world.get(&browser).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("bob", Via::Refresh));
}

#[tokio::test]
async fn opaque_tokens_are_asked_about() {
    let world = World::new(Config { access_tokens: TokenForm::Opaque, ..short_tokens() }).await;
    let mut browser = Jar::default();
    let signed_in = world.sign_in(&mut browser).await.unwrap();
    assert_eq!(signed_in.caller.subject.as_str(), "alice");
    assert_eq!(world.idp.counts().introspections, 1);
    world.ahead(1000);
    assert_eq!(world.get(&browser).await.unwrap().via, Via::Refresh);
}

#[tokio::test]
async fn a_session_of_a_token_that_was_asked_about_is_not_carried_on_without_asking() {
    let world = World::new(Config { access_tokens: TokenForm::Opaque, ..Config::default() }).await;
    let token = world.idp.token(json!({ "sub": "alice", "exp": idp::now() + 8 * 3600 }));
    let mut page = Jar::default();
    let found = world.page(&page.with_bearer(&token)).await.unwrap();
    page.take(found.cookies_for(true));
    world.ahead(1000);
    let waning = world.get(&page).await.unwrap();
    assert!(waning.cookies.is_empty(), "{waning:?}");
    world.ahead(1801);
    assert!(world.get(&page).await.is_err());
    // With the token it begins anew, as long as the provider says that it is good.
    assert!(!world.page(&page.with_bearer(&token)).await.unwrap().cookies.is_empty());
}
