use std::time::Duration;

use futures::{FutureExt as _, future::join_all};
use http::header::COOKIE;
use nocrd_testkit::Jar;
use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    grants::LocalGrants,
    keys::SessionKeys,
    mint::Refreshable,
    policy::Action,
    refresh::RefreshTicket,
    revocation::{LocalRevocations, RevocationList},
    testing::{self, Idp, TestClock},
};

/// When each test begins.
const START: i64 = 1_800_000_000;
const TTL: i64 = 1800;
const MAX_AGE: i64 = 43_200;

/// A front door with everything a test may turn.
struct Door {
    idp: Idp,
    clock: TestClock,
    revocations: Arc<LocalRevocations>,
    store: Arc<LocalGrants>,
    keys: Arc<KeyRing>,
    front: Authenticator,
}

impl Door {
    async fn new() -> Self {
        let clock = TestClock::at(START);
        Self::with(Idp::start(clock.clone()).await, clock)
    }

    fn with(idp: Idp, clock: TestClock) -> Self {
        let revocations = Arc::new(LocalRevocations::new(clock.clock(), Lifetimes::default().sign_in));
        let (store, keys) = (Arc::new(LocalGrants::default()), Arc::new(testing::keys()));
        let front = Authenticator::new(parts(&idp, &clock, &revocations, &store, &keys));
        Self { idp, clock, revocations, store, keys, front }
    }

    /// Another replica.
    fn replica(&self) -> Authenticator {
        let revocations = Arc::new(LocalRevocations::new(self.clock.clock(), Lifetimes::default().sign_in));
        let keys = Arc::new(testing::keys());
        Authenticator::new(parts(&self.idp, &self.clock, &revocations, &self.store, &keys))
    }

    fn advance(&self, seconds: i64) {
        self.clock.set(START + seconds);
    }

    /// The cookies of a sign-in of `subject` now, with a refresh token.
    fn sign_in(&self, subject: &str) -> Jar {
        let token = self.idp.refresh_token(subject);
        self.sign_in_with(testing::identity(subject), Some(token), Some(START + 300))
    }

    /// The cookie of a sign-in of `subject` now, without a refresh token.
    fn session(&self, subject: &str) -> Jar {
        self.sign_in_with(testing::identity(subject), None, None)
    }

    fn sign_in_with(&self, identity: Identity, refresh: Option<String>, token_expires: Option<i64>) -> Jar {
        let now = self.clock.clock().now();
        let mint = &self.front.mint;
        let refresh =
            refresh.map(|token| Refreshable { token: token.into(), expires: mint.refresh_end(None, now) });
        let expires = token_expires.map(UnixTime::new);
        let minted =
            mint.mint(mint.new_sign_in(now), identity, expires, refresh, now, true).unwrap().unwrap();
        let mut jar = Jar::default();
        jar.take(&minted.cookies);
        jar
    }

    async fn get(&self, jar: &Jar) -> Result<Authenticated, Unauthenticated> {
        self.front.authenticate(&jar.headers(), GET).await
    }
}

fn parts(
    idp: &Idp,
    clock: &TestClock,
    revocations: &Arc<LocalRevocations>,
    store: &Arc<LocalGrants>,
    keys: &Arc<KeyRing>,
) -> Parts {
    Parts {
        verifier: idp.verifier(),
        paths: testing::paths(),
        policy: testing::policy(),
        keys: keys.clone(),
        provider: Some(idp.provider()),
        grants: store.clone(),
        revocations: revocations.clone(),
        cookies: CookiePath::new("").unwrap(),
        lifetimes: Lifetimes::default(),
        clock: clock.clock(),
    }
}

const GET: Context = Context { secure: true, same_origin: SameOrigin::NotNeeded };
const PAGE: Context = Context { secure: true, same_origin: SameOrigin::Proven };
const FOREIGN: Context = Context { secure: true, same_origin: SameOrigin::Missing };

fn subject(result: &Result<Authenticated, Unauthenticated>) -> &str {
    result.as_ref().unwrap().caller.subject.as_str()
}

fn cleared(cookies: &[HeaderValue]) -> Vec<String> {
    let gone = cookies.iter().map(|c| c.to_str().unwrap()).filter(|c| c.contains("Max-Age=0"));
    gone.map(|c| c.split('=').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_fresh_session_needs_no_waiting_and_sets_no_cookie() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    door.advance(899);
    let found = door.front.authenticate(&jar.headers(), GET).now_or_never().expect("at once").unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Session));
    assert!(found.cookies.is_empty());
    assert!(found.token.is_none());
    assert_eq!(door.idp.grants(), 0);
}

#[tokio::test]
async fn d49_a_session_slides_at_half_life_and_not_beyond_its_end() {
    let door = Door::new().await;
    let mut jar = door.session("alice");
    for step in 1..=(MAX_AGE / 900 - 1) {
        door.advance(step * 900);
        let found = door.get(&jar).await.unwrap();
        assert_eq!(found.via, Via::Session);
        let session = found.session.as_ref().unwrap();
        assert!(session.expires.as_secs() <= START + MAX_AGE);
        jar.take(found.cookies_for(false));
    }
    door.advance(MAX_AGE - 1);
    assert_eq!(subject(&door.get(&jar).await), "alice");
    door.advance(MAX_AGE);
    let error = door.get(&jar).await.unwrap_err();
    assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
}

#[tokio::test]
async fn t14_sessions_of_different_people_are_nobodys() {
    let door = Door::new().await;
    let (alice, mallory) = (door.session("alice"), door.session("mallory"));
    let value = |jar: &Jar| jar.0[cookies::SESSION].clone();
    let both = |first: &str, second: &str| -> HeaderMap {
        [(COOKIE, format!("nocr_sess={first}; x=y; nocr_sess={second}").parse().unwrap())]
            .into_iter()
            .collect()
    };
    for headers in [both(&value(&alice), &value(&mallory)), both(&value(&mallory), &value(&alice))] {
        let error = door.front.authenticate(&headers, GET).await.unwrap_err();
        assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
    }
    let garbage = both("2.AAAAAAAA.e30.AAAA", &value(&alice));
    assert_eq!(subject(&door.front.authenticate(&garbage, GET).await), "alice", "the valid one counts");
    let oversize = both(&"x".repeat(5000), &value(&alice));
    assert_eq!(subject(&door.front.authenticate(&oversize, GET).await), "alice");

    // However many somebody puts before it, and signing out ends the valid one.
    let junk = both(&vec!["2.AAAAAAAA.e30.AAAA"; 200].join("; nocr_sess="), &value(&alice));
    assert_eq!(subject(&door.front.authenticate(&junk, GET).await), "alice");

    door.advance(600);
    let later = door.session("alice");
    let found = door.front.authenticate(&both(&value(&alice), &value(&later)), GET).await.unwrap();
    assert_eq!(found.session.unwrap().expires.as_secs(), START + 600 + TTL);
    let out = door.front.logout(&junk, PAGE).await;
    assert_eq!(out.subject.unwrap().as_str(), "alice");
    assert!(door.front.authenticate(&junk, GET).await.is_err());
}

#[tokio::test]
async fn t14_refresh_tokens_of_different_people_are_nobodys() {
    let door = Door::new().await;
    let (alice, mallory) = (door.sign_in("alice"), door.sign_in("mallory"));
    for jars in [[&alice, &mallory], [&mallory, &alice]] {
        let headers = together(&jars.map(|jar| (cookies::REFRESH, jar)));
        let error = door.front.authenticate(&headers, GET).await.unwrap_err();
        assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
        assert!(error.cookies.is_empty(), "nothing of the user's is removed");
    }
    assert_eq!(door.idp.grants(), 0);

    // Nor does a session take another sign-in's refresh token.
    let mut mixed = alice.clone();
    mixed.0.insert(cookies::REFRESH.into(), mallory.0[cookies::REFRESH].clone());
    door.advance(1000);
    let found = door.get(&mixed).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Session));
    assert_eq!(door.idp.grants(), 0);
}

/// Cookies of several people, as a browser sends those that were set for different paths.
fn together(cookies: &[(&str, &Jar)]) -> HeaderMap {
    cookies.iter().map(|(name, jar)| (COOKIE, format!("{name}={}", jar.0[*name]).parse().unwrap())).collect()
}

#[tokio::test]
async fn t14_a_planted_session_and_refresh_token_do_not_outvote_the_users_session() {
    let door = Door::new().await;
    let (alice, mallory) = (door.sign_in("alice"), door.sign_in("mallory"));
    for jars in [[&alice, &mallory], [&mallory, &alice]] {
        for owner in [&mallory, &alice] {
            let headers = together(&[
                (cookies::SESSION, jars[0]),
                (cookies::SESSION, jars[1]),
                (cookies::REFRESH, owner),
            ]);
            for seconds in [0, 1000] {
                door.advance(seconds);
                assert!(door.front.recognise(&headers, GET).is_none());
                let error = door.front.authenticate(&headers, GET).await.unwrap_err();
                assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
                assert_eq!(error.reason.code().kind.status(), 401);
                assert!(error.cookies.is_empty(), "nothing of the user's is removed");
            }
            door.advance(0);
        }
    }
    assert_eq!(door.idp.grants(), 0, "no refresh token is looked at");

    // What has ended is nobody's claim: the other one is left.
    door.front.logout(&mallory.headers(), PAGE).await;
    let headers = together(&[(cookies::SESSION, &mallory), (cookies::SESSION, &alice)]);
    assert_eq!(subject(&door.front.authenticate(&headers, GET).await), "alice");
}

#[tokio::test]
async fn t14_a_bearer_token_beside_sessions_of_different_people_counts_and_changes_no_cookie() {
    let door = Door::new().await;
    let (alice, mallory) = (door.sign_in("alice"), door.session("mallory"));
    let mut headers =
        together(&[(cookies::SESSION, &alice), (cookies::SESSION, &mallory), (cookies::REFRESH, &alice)]);
    let token = door.idp.token("alice", START + 300);
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let found = door.front.authenticate(&headers, PAGE).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Bearer));
    assert!(found.session.is_none() && found.cookies.is_empty());
}

#[tokio::test]
async fn t14_a_session_wins_over_the_refresh_token_of_another_sign_in() {
    let door = Door::new().await;
    let (alice, again) = (door.sign_in("alice"), door.sign_in("alice"));
    let mallory = door.sign_in("mallory");
    door.advance(1000);
    for theirs in [&again, &mallory] {
        let headers = together(&[(cookies::SESSION, &alice), (cookies::REFRESH, theirs)]);
        let found = door.front.authenticate(&headers, GET).await.unwrap();
        assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Session));
        assert!(cleared(&found.cookies).is_empty());
    }
    assert_eq!(door.idp.grants(), 0);
    // Beside its own, a foreign one is skipped, too.
    let headers =
        together(&[(cookies::SESSION, &alice), (cookies::REFRESH, &mallory), (cookies::REFRESH, &alice)]);
    let found = door.front.authenticate(&headers, GET).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Refresh));
    assert!(door.idp.knows(ticket_of(&door, &mallory).token.expose_secret()));
}

fn ticket_of(door: &Door, jar: &Jar) -> RefreshTicket {
    RefreshTicket::open(&jar.0[cookies::REFRESH], &door.keys).unwrap()
}

#[tokio::test]
async fn d50_a_stale_bearer_token_does_not_hide_a_good_session() {
    let door = Door::new().await;
    let jar = door.session("alice");
    let stale = door.idp.token("alice", START - 3600);
    let found = door.front.authenticate(&jar.with_bearer(&stale), GET).await.unwrap();
    assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Session));

    let error = door.front.authenticate(&Jar::default().with_bearer(&stale), GET).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Token(TokenError::Expired)), "{error:?}");
}

#[tokio::test]
async fn without_credentials_nobody_is_there() {
    let door = Door::new().await;
    let mut basic = HeaderMap::new();
    basic.insert(AUTHORIZATION, "Basic YTpi".parse().unwrap());
    for headers in [HeaderMap::new(), basic, [(COOKIE, "theme=dark".parse().unwrap())].into_iter().collect()]
    {
        let error = door.front.authenticate(&headers, GET).await.unwrap_err();
        assert!(matches!(error.reason, Reason::NoCredentials), "{error:?}");
        assert!(error.cookies.is_empty());
    }
    let mut two = Jar::default().with_bearer(&door.idp.token("alice", START + 60));
    two.append(AUTHORIZATION, "Bearer x".parse().unwrap());
    let error = door.front.authenticate(&two, GET).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Token(TokenError::Malformed)), "{error:?}");
}

#[tokio::test]
async fn d06_a_session_is_minted_for_pages_of_this_site_and_sent_when_the_request_was_granted() {
    let door = Door::new().await;
    let token = door.idp.token("alice", START + 300);
    let program = door.front.authenticate(&Jar::default().with_bearer(&token), GET).await.unwrap();
    assert!(program.session.is_none() && program.cookies.is_empty());

    let page = door.front.authenticate(&Jar::default().with_bearer(&token), PAGE).await.unwrap();
    assert_eq!(page.via, Via::Bearer);
    assert_eq!(page.token.as_ref().unwrap().expose_secret(), token);
    assert!(page.cookies_for(false).is_empty());
    let mut jar = Jar::default();
    jar.take(page.cookies_for(true));
    let session = page.session.unwrap();
    assert_eq!(session.latest.as_secs(), START + 300 + TTL, "it outlives the token by one life");

    let again = door.front.authenticate(&jar.with_bearer(&token), PAGE).await.unwrap();
    assert!(again.cookies.is_empty(), "the session says the same already");
    assert_eq!(door.get(&jar).await.unwrap().caller, page.caller, "and the same rights");
}

#[tokio::test]
async fn d06_a_session_can_do_what_its_token_could_and_no_more() {
    let door = Door::new().await;
    let token = door.idp.token_with("alice", START + 300, &["nogoo9:read"], &["admin"]);
    let page = door.front.authenticate(&Jar::default().with_bearer(&token), PAGE).await.unwrap();
    let mut jar = Jar::default();
    jar.take(page.cookies_for(true));
    let by_session = door.get(&jar).await.unwrap().caller;
    let policy = testing::policy();
    for action in [Action::Read, Action::Write, Action::Admin] {
        assert_eq!(policy.check(&by_session, action).is_ok(), policy.check(&page.caller, action).is_ok());
    }
    assert!(policy.check(&by_session, Action::Read).is_ok());
    assert!(policy.check(&by_session, Action::Write).is_err());
    assert!(!by_session.is_admin());
}

#[tokio::test]
async fn t15_a_session_that_was_there_before_is_not_adopted() {
    let door = Door::new().await;
    let planted = door.sign_in("mallory");
    let token = door.idp.token("alice", START + 300);
    let page = door.front.authenticate(&planted.with_bearer(&token), PAGE).await.unwrap();
    assert_eq!(page.caller.subject.as_str(), "alice");
    let old = Session::verify(&planted.0[cookies::SESSION], &door.keys).unwrap();
    assert_ne!(page.session.as_ref().unwrap().sid, old.sid);
    let mut jar = planted.clone();
    jar.take(page.cookies_for(true));
    assert!(!jar.0.contains_key(cookies::REFRESH), "mallory's refresh token goes with her session");
    assert_eq!(subject(&door.get(&jar).await), "alice");
}

#[tokio::test]
async fn t23_cookies_do_not_count_without_proof_of_origin() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    let error = door.front.authenticate(&jar.headers(), FOREIGN).await.unwrap_err();
    assert!(matches!(error.reason, Reason::CrossSite), "{error:?}");
    assert_eq!(error.reason.code().kind.status(), 403);
    door.advance(TTL);
    assert!(door.front.authenticate(&jar.headers(), FOREIGN).await.is_err());
    assert_eq!(door.idp.grants(), 0, "nothing is refreshed either");

    let token = door.idp.token("alice", START + TTL + 300);
    assert_eq!(subject(&door.front.authenticate(&jar.with_bearer(&token), FOREIGN).await), "alice");
    let error = door.front.authenticate(&HeaderMap::new(), FOREIGN).await.unwrap_err();
    assert!(matches!(error.reason, Reason::NoCredentials), "{error:?}");
}

#[tokio::test]
async fn twenty_requests_with_one_refresh_cookie_make_one_grant() {
    let door = Door::new().await;
    let jar = door.sign_in("alice").without(cookies::SESSION);
    let headers = jar.headers();
    let results = join_all((0..20).map(|_| door.front.authenticate(&headers, GET))).await;
    assert_eq!(door.idp.grants(), 1);
    assert!(!door.idp.reused());
    let tokens: std::collections::BTreeSet<_> = results
        .iter()
        .map(|result| {
            let found = result.as_ref().unwrap();
            assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Refresh));
            found.token.as_ref().unwrap().expose_secret().to_owned()
        })
        .collect();
    assert_eq!(tokens.len(), 1);

    // Whoever is late with the old cookie gets the same; each of the new cookies is good for the next refresh.
    let late = door.front.authenticate(&headers, GET).await.unwrap();
    assert_eq!(door.idp.grants(), 1);
    let mut next = jar.clone();
    next.take(late.cookies_for(false));
    let session = next.without(cookies::REFRESH);
    assert_eq!(door.get(&session).await.unwrap().via, Via::Session);
    assert_eq!(door.get(&next.without(cookies::SESSION)).await.unwrap().via, Via::Refresh);
    assert_eq!(door.idp.grants(), 2);
    assert!(!door.idp.reused());
}

#[tokio::test]
async fn two_replicas_make_one_grant() {
    let door = Door::new().await;
    let headers = door.sign_in("alice").without(cookies::SESSION).headers();
    let other = door.replica();
    let all = (0..20).map(|n| if n % 2 == 0 { &door.front } else { &other }.authenticate(&headers, GET));
    for result in join_all(all).await {
        assert_eq!(subject(&result), "alice");
    }
    assert_eq!(door.idp.grants(), 1);
    assert!(!door.idp.reused());
}

#[tokio::test]
async fn a_session_in_its_second_half_is_refreshed() {
    let door = Door::new().await;
    let mut jar = door.sign_in("alice");
    door.advance(900);
    let found = door.get(&jar).await.unwrap();
    assert_eq!(found.via, Via::Refresh);
    let before = Session::verify(&jar.0[cookies::SESSION], &door.keys).unwrap();
    jar.take(found.cookies_for(false));
    let after = found.session.unwrap();
    assert_eq!((after.sid, after.auth_time), (before.sid, before.auth_time), "the same sign-in");
    assert_eq!(after.expires.as_secs(), START + 900 + TTL);
    assert_eq!(door.get(&jar).await.unwrap().via, Via::Session);
    assert_eq!(door.idp.grants(), 1);
}

#[tokio::test]
async fn t19_a_refresh_does_not_move_the_absolute_end() {
    let door = Door::new().await;
    let jar = door.sign_in("alice").without(cookies::SESSION);
    door.advance(MAX_AGE - 100);
    let found = door.get(&jar).await.unwrap();
    assert_eq!(found.session.as_ref().unwrap().expires.as_secs(), START + MAX_AGE);
    let mut next = Jar::default();
    next.take(&found.cookies);
    door.advance(MAX_AGE);
    assert!(matches!(door.get(&next).await.unwrap_err().reason, Reason::SignedOut));
    assert_eq!(door.idp.grants(), 1);
}

#[tokio::test]
async fn t19_dropping_the_refresh_cookie_does_not_stretch_a_session() {
    let door = Door::new().await;
    let mut jar = door.sign_in("alice").without(cookies::REFRESH);
    for step in [900, 1500, 1900, 2099] {
        door.advance(step);
        let found = door.get(&jar).await.unwrap();
        jar.take(&found.cookies);
    }
    door.advance(300 + TTL);
    assert!(matches!(door.get(&jar).await.unwrap_err().reason, Reason::SignedOut));
}

#[tokio::test]
async fn d35_an_identity_provider_that_is_down_costs_nobody_a_cookie() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    door.idp.down(true);

    door.advance(1000);
    for _ in 0..5 {
        let found = door.get(&jar).await.unwrap();
        assert_eq!((found.caller.subject.as_str(), found.via), ("alice", Via::Session));
        assert!(found.cookies.is_empty());
    }
    assert_eq!(door.idp.grants(), 1, "a good session does not ask again at once");

    door.advance(TTL);
    let error = door.get(&jar).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Unavailable), "{error:?}");
    assert_eq!(error.reason.code().kind.status(), 503);
    assert!(error.cookies.is_empty());

    let stale = jar.with_bearer(&door.idp.token("alice", START));
    let error = door.front.authenticate(&stale, GET).await.unwrap_err();
    assert!(
        matches!(error.reason, Reason::Unavailable),
        "a stale token changes nothing about that: {error:?}"
    );

    door.idp.down(false);
    assert_eq!(subject(&door.get(&jar).await), "alice");
}

#[tokio::test]
async fn a_refused_refresh_signs_out() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    door.idp.forget_all();

    door.advance(900);
    let found = door.get(&jar).await.unwrap();
    assert_eq!(found.via, Via::Session, "the session is good for what is left of it");
    let mut rest = jar.clone();
    rest.take(found.cookies_for(true));
    assert!(!rest.0.contains_key(cookies::REFRESH));
    door.advance(TTL - 1);
    let found = door.get(&rest).await.unwrap();
    assert!(found.cookies.is_empty(), "and is not extended");

    door.advance(TTL);
    assert!(door.get(&rest).await.is_err());
    let error = door.get(&jar).await.unwrap_err();
    assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
    assert_eq!(cleared(&error.cookies), [cookies::SESSION, cookies::REFRESH]);
}

#[tokio::test]
async fn a_refresh_token_that_yields_somebody_else_is_refused() {
    let door = Door::new().await;
    let mallorys = door.idp.refresh_token("mallory");
    let jar = door.sign_in_with(testing::identity("alice"), Some(mallorys), None).without(cookies::SESSION);
    let error = door.get(&jar).await.unwrap_err();
    assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
    assert_eq!(cleared(&error.cookies), [cookies::SESSION, cookies::REFRESH]);
}

#[tokio::test]
async fn a_used_up_refresh_token_is_replaced_even_when_the_new_access_token_cannot_be_checked_yet() {
    let door = {
        let clock = TestClock::at(START);
        Door::with(Idp::start_without_keys(clock.clone()).await, clock)
    };
    let mut jar = door.sign_in("alice").without(cookies::SESSION);
    let error = door.get(&jar).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Unavailable), "{error:?}");
    let before = jar.clone();
    jar.take(&error.cookies);
    assert_ne!(jar, before);
    let ticket = RefreshTicket::open(&jar.0[cookies::REFRESH], &door.keys).unwrap();
    assert_eq!(ticket.subject.as_str(), "alice");
    assert!(door.idp.knows(ticket.token.expose_secret()), "it is the new one");
}

#[tokio::test]
async fn t16_a_sign_out_ends_copies_of_the_cookies_too() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    let copy = jar.clone();
    let out = door.front.logout(&jar.headers(), PAGE).await;
    assert_eq!(out.subject.unwrap().as_str(), "alice");
    assert!(out.recorded);
    assert_eq!(cleared(&out.cookies), [cookies::SESSION, cookies::REFRESH]);
    assert_eq!(door.idp.grants(), 0, "a sign-out refreshes nothing");
    assert_eq!(door.idp.revoked(), 1, "and tells the identity provider");

    for part in [copy.clone(), copy.without(cookies::SESSION), copy.without(cookies::REFRESH)] {
        assert!(matches!(door.get(&part).await.unwrap_err().reason, Reason::SignedOut));
    }
    assert_eq!(door.idp.grants(), 0);

    // It holds as long as any of the cookies would.
    door.advance(MAX_AGE - 1);
    door.revocations.extend(&RevocationList::default());
    assert!(door.get(&copy.without(cookies::SESSION)).await.is_err());
    assert_eq!(door.idp.grants(), 0);
}

#[tokio::test]
async fn what_has_ended_is_not_recorded_by_signing_out() {
    let door = Door::new().await;
    let (over, jar) = (door.session("alice"), door.sign_in("alice"));
    let signed_out = async |jar: &Jar| {
        let out = door.front.logout(&jar.headers(), PAGE).await;
        assert!(out.recorded);
        assert_eq!(cleared(&out.cookies), [cookies::SESSION, cookies::REFRESH]);
        out.subject
    };
    assert!(signed_out(&jar).await.is_some());
    let recorded = door.revocations.endings();
    assert_eq!(recorded.len(), 1, "session and refresh token are of one sign-in");
    door.advance(TTL);
    assert_eq!(signed_out(&over).await, None);
    assert_eq!(signed_out(&jar).await, None);
    assert_eq!(door.revocations.endings(), recorded);
    assert_eq!(door.idp.revoked(), 1, "nor is the identity provider told again");

    // A session that is over ends with the refresh token that would carry it on.
    let waiting = door.sign_in("bob");
    door.advance(2 * TTL);
    assert!(signed_out(&waiting).await.is_some());
    assert_eq!(door.revocations.endings().len(), 2);

    door.advance(MAX_AGE + TTL);
    assert_eq!(signed_out(&waiting.without(cookies::SESSION)).await, None);
    assert!(door.revocations.endings().is_empty());
}

#[tokio::test]
async fn t16_a_sign_out_while_a_refresh_is_under_way_wins() {
    let door = Door::new().await;
    let jar = door.sign_in("alice").without(cookies::SESSION);
    let headers = jar.headers();
    let refreshing = door.front.authenticate(&headers, GET);
    let leaving = door.front.logout(&headers, PAGE);
    let (result, _) = tokio::join!(refreshing, leaving);
    assert!(matches!(result.unwrap_err().reason, Reason::SignedOut));
}

#[tokio::test]
async fn t17_keys_rotate_without_a_sign_out() {
    let door = Door::new().await;
    let mut jar = door.sign_in("alice");
    let (old, new) = (&b"a secret for tests, of 32 bytes."[..], &b"the next secret, also 32 bytes.."[..]);
    door.keys.set(SessionKeys::new(new, [old]).unwrap());
    assert_eq!(subject(&door.get(&jar).await), "alice");
    door.advance(900);
    let found = door.get(&jar).await.unwrap();
    jar.take(found.cookies_for(true));
    door.keys.set(SessionKeys::new(new, []).unwrap());
    assert_eq!(subject(&door.get(&jar).await), "alice");
    assert_eq!(subject(&door.get(&jar.without(cookies::SESSION)).await), "alice");
}

#[tokio::test]
async fn without_the_session_key_cookies_wait_and_tokens_do_not() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    let revocations = Arc::new(LocalRevocations::new(door.clock.clock(), Lifetimes::default().sign_in));
    let unknown = Arc::new(KeyRing::default());
    let front = Authenticator::new(parts(&door.idp, &door.clock, &revocations, &door.store, &unknown));
    let error = front.authenticate(&jar.headers(), GET).await.unwrap_err();
    assert!(matches!(error.reason, Reason::NotReady), "{error:?}");
    assert_eq!(error.reason.code().kind.status(), 503);
    assert!(error.cookies.is_empty());
    let token = door.idp.token("alice", START + 60);
    assert_eq!(subject(&front.authenticate(&jar.with_bearer(&token), PAGE).await), "alice");
}

#[tokio::test]
async fn an_unknown_key_signs_nobody_out() {
    let door = Door::new().await;
    let jar = door.sign_in("alice");
    door.keys.set(SessionKeys::new(&[1; 32], []).unwrap());
    let error = door.get(&jar).await.unwrap_err();
    assert!(matches!(error.reason, Reason::SignedOut), "{error:?}");
    assert!(error.cookies.is_empty());
    door.keys.wanted().await;
}

#[tokio::test]
async fn d72_a_kept_refresh_token_is_bound_to_who_brought_it_and_to_our_lifetimes() {
    let door = Door::new().await;
    let page = |subject: &str| Jar::default().with_bearer(&door.idp.token(subject, START + 300));
    let alice = door.front.authenticate(&page("alice"), PAGE).await.unwrap();
    let century = Some(Duration::from_secs(3_000_000_000));
    let token = door.idp.refresh_token("alice");
    let set = door.front.keep_refresh_token(&alice, token.into(), century, PAGE).unwrap();
    assert!(set.iter().any(|c| c.to_str().unwrap().contains(&format!("Max-Age={MAX_AGE}"))), "{set:?}");
    let mut jar = Jar::default();
    jar.take(&set);
    assert_eq!(jar.0.len(), 2);
    assert_eq!(subject(&door.get(&jar.without(cookies::SESSION)).await), "alice");

    let theirs = door.idp.refresh_token("mallory");
    let set = door.front.keep_refresh_token(&alice, theirs.into(), None, PAGE).unwrap();
    let mut jar = Jar::default();
    jar.take(&set);
    assert!(door.get(&jar.without(cookies::SESSION)).await.is_err());

    let program = door.front.authenticate(&page("alice"), GET).await.unwrap();
    assert!(door.front.keep_refresh_token(&program, "t".to_owned().into(), None, GET).is_err());
}

#[tokio::test]
async fn t08_t18_an_answer_to_a_link_is_good_once_here_and_for_a_minute() {
    let door = Door::new().await;
    let token = door.idp.token("alice", START + 300);
    let ask = async || {
        let asking = door.front.ask_about_link(&token, "/route/a/", true).await.unwrap();
        let mut jar = Jar::default();
        jar.take(&asking.cookies);
        (asking.code, jar.headers())
    };
    let (code, jar) = ask().await;
    assert_eq!(door.front.asked_about(&jar, &code).unwrap().page, "/route/a/");
    // Other browsers, other questions, other sites' pages.
    let (other, others) = ask().await;
    for (jar, code, context) in
        [(&others, &code, PAGE), (&jar, &other, PAGE), (&jar, &code, GET), (&jar, &code, FOREIGN)]
    {
        let refused = door.front.hand_over(jar, code, context).await;
        assert!(matches!(refused, Err(NotHandedOver::NotBegun)), "{refused:?}");
    }
    // The cookie is no session, and a sign-in's is no answer.
    let value = jar[COOKIE].to_str().unwrap().split_once('=').unwrap().1.to_owned();
    let as_session = [(COOKIE, format!("nocr_sess={value}").parse().unwrap())].into_iter().collect();
    assert!(door.front.authenticate(&as_session, GET).await.is_err());

    // Of several yeses one counts.
    let answers = join_all((0..10).map(|_| door.front.hand_over(&jar, &code, PAGE))).await;
    let mut good = answers.into_iter().filter_map(Result::ok);
    let handed = good.next().unwrap();
    assert!(good.next().is_none());
    let mut signed_in = Jar::default();
    signed_in.take(&handed.cookies);
    assert_eq!(door.get(&signed_in).await.unwrap().caller.subject.as_str(), "alice");

    let (code, jar) = ask().await;
    door.advance(59);
    assert!(door.front.asked_about(&jar, &code).is_some());
    door.advance(60);
    assert!(door.front.asked_about(&jar, &code).is_none());
    assert!(door.front.hand_over(&jar, &code, PAGE).await.is_err());
}

#[tokio::test]
async fn t14_a_cookie_from_elsewhere_was_made_a_moment_ago_and_not_some_day() {
    let door = Door::new().await;
    let theirs = Arc::new(KeyRing::known(SessionKeys::new(&[7; 32], []).unwrap()));
    let other = Authenticator::new(parts(&door.idp, &door.clock, &door.revocations, &door.store, &theirs));
    let headers = door.session("alice").headers();
    // A planted one would otherwise keep a browser from signing in until its time has come.
    for (seconds, is_told) in [
        (-1_000_000, false),
        (-11, false),
        (-10, true),
        (0, true),
        (60, true),
        (61, false),
        (1_000_000, false),
    ] {
        door.advance(seconds);
        assert_eq!(other.made_elsewhere(&headers).is_some(), is_told, "{seconds}");
    }
}
