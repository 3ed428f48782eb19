use std::collections::BTreeMap;

use http::header::COOKIE;
use serde_json::json;

use super::*;
use crate::{
    cookies::CookiePath,
    mint::Lifetimes,
    testing::{self, Idp, TestClock},
};

/// When each test begins.
const START: i64 = 1_800_000_000;

/// A browser, a site and an identity provider.
struct World {
    idp: Idp,
    clock: TestClock,
    login: Login,
    site: Site,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut crate::provider::ProviderConfig)) -> Self {
        Self::with_metadata(json!({}), change).await
    }

    async fn with_metadata(
        more: serde_json::Value,
        change: impl FnOnce(&mut crate::provider::ProviderConfig),
    ) -> Self {
        let clock = TestClock::at(START);
        let idp = Idp::start_with(clock.clone(), more).await;
        let login = Login {
            provider: idp.provider_with(change),
            verifier: idp.verifier(),
            paths: testing::paths(),
            policy: testing::policy(),
            mint: Mint {
                keys: Arc::new(testing::keys()),
                path: CookiePath::new("/gw").unwrap(),
                lifetimes: Lifetimes::default(),
            },
            tokens: Arc::default(),
            clock: clock.clock(),
        };
        let site = Site { origin: "https://gate.example".into(), base: "/gw".into() };
        Self { idp, clock, login, site }
    }

    /// Goes to the identity provider and signs in there: the browser's cookies and the callback's query.
    async fn go(&self, return_to: Option<&str>) -> (HeaderMap, Query) {
        let begun = self.login.begin(&HeaderMap::new(), &self.site, return_to).await.unwrap();
        let code = self.idp.authorize("alice", &begun.location);
        let state = asked(&begun.location)["state"].clone();
        (sent(&begun.cookies), Query(vec![("state".into(), state), ("code".into(), code)]))
    }

    async fn finish(&self, headers: &HeaderMap, query: &Query) -> Result<SignedIn, FailedLogin> {
        self.login.finish(&query.text(), headers, &self.site).await
    }
}

#[derive(Clone)]
struct Query(Vec<(String, String)>);

impl Query {
    fn text(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    fn and(&self, name: &str, value: &str) -> Self {
        let mut pairs = self.0.clone();
        pairs.push((name.into(), value.into()));
        Self(pairs)
    }

    fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(n, _)| n != name).cloned().collect())
    }
}

fn asked(location: &Url) -> BTreeMap<String, String> {
    location.query_pairs().into_owned().collect()
}

/// The `Cookie` headers of a browser that was sent these `Set-Cookie`s.
fn sent(cookies: &[HeaderValue]) -> HeaderMap {
    let live = cookies.iter().map(|c| c.to_str().unwrap()).filter(|c| !c.contains("Max-Age=0"));
    live.map(|c| (COOKIE, c.split(';').next().unwrap().parse().unwrap())).collect()
}

fn error(result: Result<SignedIn, FailedLogin>) -> LoginError {
    result.unwrap_err().error
}

#[tokio::test]
async fn a_browser_signs_in() {
    let world = World::new().await;
    let begun = world.login.begin(&HeaderMap::new(), &world.site, Some("/gw/route/ws-1/?a=b")).await.unwrap();
    let asked = asked(&begun.location);
    assert_eq!(asked["tenant"], "t", "the endpoint's own parameters stay");
    assert_eq!(asked["redirect_uri"], "https://gate.example/gw/auth/callback");
    assert_eq!(asked["scope"], "openid profile");
    assert!(asked["state"].len() >= 43 && asked["nonce"].len() >= 43);
    assert_ne!(asked["state"], asked["nonce"]);
    let cookie = begun.cookies[0].to_str().unwrap();
    assert!(cookie.starts_with("nocr_login_"), "{cookie}");
    for part in ["; Path=/gw/auth;", "; Max-Age=600;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }

    let (headers, query) = world.go(Some("/gw/route/ws-1/?a=b")).await;
    let signed_in = world.finish(&headers, &query).await.unwrap();
    assert_eq!(signed_in.caller.subject.as_str(), "alice");
    assert_eq!(signed_in.return_to, "/gw/route/ws-1/?a=b");
    assert_eq!(signed_in.session.auth_time.as_secs(), START);
    let texts: Vec<&str> = signed_in.cookies.iter().map(|c| c.to_str().unwrap()).collect();
    assert!(texts.iter().any(|c| c.starts_with("nocr_sess=2.") && c.contains("Path=/gw;")), "{texts:?}");
    assert!(
        texts.iter().any(|c| c.starts_with("nocr_refresh=2.") && c.contains("Max-Age=3600")),
        "{texts:?}"
    );
    assert!(texts.iter().any(|c| c.starts_with("nocr_login_") && c.contains("Max-Age=0")), "{texts:?}");

    let (form, header) = world.idp.last_request();
    assert_eq!(
        (form["client_id"].as_str(), form["client_secret"].as_str()),
        ("no-crd-test", "client secret")
    );
    assert!(form["code_verifier"].len() >= 43);
    assert_eq!(header, None);
}

#[tokio::test]
async fn t26_a_foreign_page_to_return_to_becomes_the_first_page() {
    let world = World::new().await;
    for target in [None, Some("//evil.example"), Some("https://evil.example/"), Some("/outside")] {
        let (headers, query) = world.go(target).await;
        assert_eq!(world.finish(&headers, &query).await.unwrap().return_to, "/gw/");
    }
}

#[tokio::test]
async fn t15_only_the_browser_that_began_finishes() {
    let world = World::new().await;
    let (alices, query) = world.go(None).await;
    let (mallorys, foreign) = world.go(None).await;

    let without = world.finish(&HeaderMap::new(), &query).await;
    assert!(matches!(error(without), LoginError::NotBegun));
    let other = world.finish(&mallorys, &query).await;
    assert!(matches!(error(other), LoginError::NotBegun));
    // Mallory's answer, code and all, in alice's browser: login CSRF.
    let planted = world.finish(&alices, &foreign).await;
    assert!(matches!(error(planted), LoginError::NotBegun));
    // The same cookie under the name of another state.
    let state = query.0[0].1.clone();
    let renamed = mallorys[COOKIE].to_str().unwrap().split_once('=').unwrap().1.to_owned();
    let renamed: HeaderMap =
        [(COOKIE, format!("{}={renamed}", cookie_name(&state)).parse().unwrap())].into_iter().collect();
    assert!(matches!(error(world.finish(&renamed, &query).await), LoginError::NotBegun));

    assert_eq!(world.idp.grants(), 0, "no code was spent on any of this");
    assert!(world.finish(&alices, &query).await.is_ok());
}

#[tokio::test]
async fn t15_a_session_that_was_there_before_is_not_adopted() {
    let world = World::new().await;
    let now = world.clock.clock().now();
    let planted = world
        .login
        .mint
        .mint(world.login.mint.new_sign_in(now), testing::identity("alice"), None, None, now, true)
        .unwrap()
        .unwrap();
    let (mut headers, query) = world.go(None).await;
    for (_, value) in sent(&planted.cookies) {
        headers.append(COOKIE, value);
    }
    let signed_in = world.finish(&headers, &query).await.unwrap();
    assert_ne!(signed_in.session.sid, planted.session.sid);
}

#[tokio::test]
async fn a_sign_in_takes_ten_minutes_at_most() {
    let world = World::new().await;
    let (headers, query) = world.go(None).await;
    world.clock.set(START + 600);
    assert!(matches!(error(world.finish(&headers, &query).await), LoginError::NotBegun));
    world.clock.set(START + 599);
    assert!(world.finish(&headers, &query).await.is_ok());
}

#[tokio::test]
async fn several_tabs_sign_in_at_once_and_old_tries_are_dropped() {
    let world = World::new().await;
    let (mut headers, first) = world.go(None).await;
    let (more, second) = world.go(None).await;
    headers.append(COOKIE, more[COOKIE].clone());
    assert!(world.finish(&headers, &second).await.is_ok());
    assert!(world.finish(&headers, &first).await.is_ok());

    let many: HeaderMap = (0..5).map(|n| (COOKIE, format!("nocr_login_{n}=x").parse().unwrap())).collect();
    let begun = world.login.begin(&many, &world.site, None).await.unwrap();
    let dropped = begun.cookies.iter().filter(|c| c.to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(dropped.count(), 5);
}

#[tokio::test]
async fn a_refusal_is_told_by_its_code_only() {
    let world = World::new().await;
    let (headers, query) = world.go(Some("/gw/x")).await;
    let denied = query.without("code").and("error", "access_denied").and("error_description", "<script>");
    let failed = world.finish(&headers, &denied).await.unwrap_err();
    assert!(matches!(&failed.error, LoginError::Denied(code) if code == "access_denied"), "{failed:?}");
    assert_eq!(failed.return_to.as_deref(), Some("/gw/x"));
    assert_eq!(failed.description.as_deref(), Some("<script>"), "the log may know");
    assert!(!failed.error.to_string().contains("script"));
    assert!(!failed.cookies.is_empty(), "the cookie is used up");
    let (headers, query) = world.go(None).await;
    let odd = query.without("code").and("error", "<script>alert(1)</script>");
    assert!(matches!(error(world.finish(&headers, &odd).await), LoginError::Denied(code) if code == "error"));
}

#[tokio::test]
async fn whose_fault_a_refusal_is_shows_in_its_kind() {
    let world = World::new().await;
    for (code, status) in [
        ("access_denied", 403),
        ("login_required", 403),
        ("server_error", 503),
        ("temporarily_unavailable", 503),
        ("invalid_scope", 503),
        ("unauthorized_client", 503),
    ] {
        let (headers, query) = world.go(None).await;
        let refused = error(world.finish(&headers, &query.without("code").and("error", code)).await);
        assert_eq!(refused.code().kind.status(), status, "{code}");
        let ours =
            matches!(&refused, LoginError::Exchange(ProviderError::Misconfigured(told)) if told == code);
        assert_eq!(ours, code.starts_with("invalid") || code.starts_with("unauth"), "{code}");
    }
}

#[tokio::test]
async fn an_ambiguous_answer_is_refused() {
    let world = World::new().await;
    let (headers, query) = world.go(None).await;
    for odd in [
        query.and("code", "another"),
        query.and("state", "another"),
        query.and("error", "access_denied"),
        query.without("code"),
        query.without("state"),
        query.without("state").and("state", ""),
    ] {
        assert!(matches!(error(world.finish(&headers, &odd).await), LoginError::Malformed), "{}", odd.text());
    }
}

#[tokio::test]
async fn the_issuer_of_the_answer_is_the_one_that_was_asked() {
    let world = World::new().await;
    let (headers, query) = world.go(None).await;
    let foreign = query.and("iss", "https://evil.example");
    assert!(matches!(error(world.finish(&headers, &foreign).await), LoginError::WrongIssuer));
    assert_eq!(world.idp.grants(), 0, "the code is not given away");
    let own = query.and("iss", testing::ISSUER);
    assert!(world.finish(&headers, &own).await.is_ok());
}

#[tokio::test]
async fn a_provider_that_names_itself_always_must_do_so() {
    let more = json!({ "authorization_response_iss_parameter_supported": true });
    let world = World::with_metadata(more, |_| ()).await;
    let (headers, query) = world.go(None).await;
    assert!(matches!(error(world.finish(&headers, &query).await), LoginError::WrongIssuer));
    let named = query.and("iss", testing::ISSUER);
    assert!(world.finish(&headers, &named).await.is_ok());
}

#[tokio::test]
async fn a_provider_that_takes_basic_credentials_only_gets_them() {
    let more = json!({ "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"] });
    let world = World::with_metadata(more, |_| ()).await;
    let (headers, query) = world.go(None).await;
    assert!(world.finish(&headers, &query).await.is_ok());
    let (form, header) = world.idp.last_request();
    assert!(!form.contains_key("client_id") && !form.contains_key("client_secret"), "{form:?}");
    // `no-crd-test:client+secret`
    assert_eq!(header.as_deref(), Some("Basic bm8tY3JkLXRlc3Q6Y2xpZW50K3NlY3JldA=="));
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_sign_in_is_refused() {
    for twist in [
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"azp": "another-client"}),
        json!({"aud": ["no-crd-test", "another"]}),
        json!({"aud": "another"}),
        json!({"iss": "https://evil.example"}),
        json!({"exp": 1000}),
        json!({"sub": "mallory"}),
        json!({"at_hash": "AAAA"}),
        json!({"at_hash": 5}),
    ] {
        let world = World::new().await;
        world.idp.twist(twist.clone());
        let (headers, query) = world.go(None).await;
        let error = error(world.finish(&headers, &query).await);
        assert!(matches!(error, LoginError::IdToken(_) | LoginError::Token(_)), "{twist}: {error}");
    }
    let world = World::new().await;
    world.idp.twist(json!({"aud": ["no-crd-test", "another"], "azp": "no-crd-test"}));
    let (headers, query) = world.go(None).await;
    assert!(world.finish(&headers, &query).await.is_ok());
}

#[test]
fn at_hash_follows_the_algorithm_of_the_id_token() {
    // OpenID Connect Core, appendix A.3.
    let header = |alg: &str| format!("{}.e30.x", URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string()));
    let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    assert_eq!(access_token_hash(&header("RS256"), token).as_deref(), Some("77QmUPtjPfzWtF2AnpK9RQ"));
    assert_eq!(access_token_hash(&header("ES384"), token).map(|h| h.len()), Some(32));
    assert_eq!(access_token_hash(&header("EdDSA"), token).map(|h| h.len()), Some(43));
    for odd in ["none", "", "x"] {
        assert_eq!(access_token_hash(&header(odd), token), None);
    }
    assert_eq!(access_token_hash("", token), None);
}

#[tokio::test]
async fn an_opaque_access_token_leaves_the_id_token_to_tell() {
    let world = World::new().await;
    world.idp.opaque();
    let (headers, query) = world.go(None).await;
    let signed_in = world.finish(&headers, &query).await.unwrap();
    assert_eq!(signed_in.caller.subject.as_str(), "alice");
    assert_eq!(signed_in.session.identity.roles, ["viewer".to_owned()].into());
}

#[tokio::test]
async fn an_access_token_for_others_leaves_the_id_token_to_tell_where_that_one_is_for_us() {
    for twist in [
        json!({"aud": "account"}),
        json!({"aud": null}),
        json!({"iss": "https://graph.example"}),
        json!({"typ": "refresh"}),
    ] {
        let mut world = World::new().await;
        world.idp.twist_access(twist.clone());
        // The client's id is no audience that was asked for: the ID token proves nothing more.
        let (headers, query) = world.go(None).await;
        let error = error(world.finish(&headers, &query).await);
        assert!(matches!(error, LoginError::Token(_)), "{twist}: {error}");

        world.login.verifier = world.idp.verifier_for(testing::idp::CLIENT);
        let (headers, query) = world.go(None).await;
        let signed_in = world.finish(&headers, &query).await.unwrap();
        assert_eq!(signed_in.caller.subject.as_str(), "alice");
        assert_eq!(signed_in.session.identity.roles, ["viewer".to_owned()].into(), "{twist}");
    }
    // One that is over, or of somebody else, is no token for others.
    for twist in [json!({"exp": 1000}), json!({"aud": testing::idp::CLIENT, "sub": "mallory"})] {
        let mut world = World::new().await;
        world.login.verifier = world.idp.verifier_for(testing::idp::CLIENT);
        world.idp.twist_access(twist.clone());
        let (headers, query) = world.go(None).await;
        assert!(world.finish(&headers, &query).await.is_err(), "{twist}");
    }
}

#[tokio::test]
async fn without_a_refresh_token_the_session_is_ours_to_end_and_an_old_refresh_token_goes() {
    let world = World::new().await;
    world.idp.no_refresh();
    let (headers, query) = world.go(None).await;
    let signed_in = world.finish(&headers, &query).await.unwrap();
    assert_eq!(signed_in.session.latest.as_secs(), START + 43_200);
    let texts: Vec<&str> = signed_in.cookies.iter().map(|c| c.to_str().unwrap()).collect();
    assert!(texts.iter().any(|c| c.starts_with("nocr_refresh=; ") && c.contains("Max-Age=0")), "{texts:?}");
}

#[tokio::test]
async fn a_code_works_once_and_a_dead_provider_is_told_apart() {
    let world = World::new().await;
    let (headers, query) = world.go(None).await;
    assert!(world.finish(&headers, &query).await.is_ok());
    let again = error(world.finish(&headers, &query).await);
    assert!(matches!(again, LoginError::Exchange(ProviderError::Refused(_))), "{again:?}");
    let (headers, query) = world.go(None).await;
    world.idp.down(true);
    let down = error(world.finish(&headers, &query).await);
    assert!(matches!(down, LoginError::Exchange(ProviderError::Unavailable(_))), "{down:?}");
    assert_eq!(down.code().kind.status(), 503);
}

#[tokio::test]
async fn a_public_client_sends_its_id_alone() {
    let world = World::with(|config| config.client_secret = None).await;
    let (headers, query) = world.go(None).await;
    assert!(world.finish(&headers, &query).await.is_ok());
    let (form, header) = world.idp.last_request();
    assert_eq!(form["client_id"], "no-crd-test");
    assert!(!form.contains_key("client_secret") && header.is_none());
}

#[tokio::test]
async fn a_sign_out_ends_at_the_identity_provider_and_comes_back() {
    let world = World::new().await;
    let url = world.login.provider.end_session_url("https://gate.example/gw/").await.unwrap();
    assert!(url.as_str().contains("/end?"), "{url}");
    let asked = asked(&url);
    assert_eq!(asked["client_id"], "no-crd-test");
    assert_eq!(asked["post_logout_redirect_uri"], "https://gate.example/gw/");
}
