use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::*;

const VERIFIER: &str = "a verifier of forty-three characters or more";
const BACK: &str = "http://app.test/callback";

/// A client program and the browser of its user.
struct Caller {
    http: reqwest::Client,
    idp: Idp,
}

impl Caller {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect).build().unwrap();
        let idp = Idp::start().await;
        idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
        Self { http, idp }
    }

    /// What the browser is sent back with.
    async fn authorize(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut fields: BTreeMap<&str, &str> = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", BACK),
            ("scope", "openid offline_access nogoo9:read"),
            ("state", "the state"),
            ("nonce", "the nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        fields.extend(more.iter().copied());
        let url = Url::parse_with_params(&self.idp.url("/authorize"), fields).unwrap();
        let answer = self.http.get(url).send().await.unwrap();
        let location = answer.headers().get("location").unwrap().to_str().unwrap();
        Url::parse(location).unwrap().query_pairs().into_owned().collect()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self.http.post(self.idp.url(path)).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn exchange(&self, code: &str, verifier: &str) -> (u16, Value) {
        self.post(
            "/token",
            &[
                ("grant_type", "authorization_code"),
                ("client_id", CLIENT_ID),
                ("code", code),
                ("redirect_uri", BACK),
                ("code_verifier", verifier),
            ],
        )
        .await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        let token = token.as_str().unwrap();
        self.post(
            "/token",
            &[("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token)],
        )
        .await
    }

    async fn introspect(&self, token: &str) -> (u16, Value) {
        let fields = [("client_id", CLIENT_ID), ("client_secret", SECRET), ("token", token)];
        self.post("/introspect", &fields).await
    }

    async fn signed_in(&self) -> Value {
        let back = self.authorize(&[]).await;
        let (status, tokens) = self.exchange(&back["code"], VERIFIER).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

fn payload(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_user_signs_in_by_code_and_pkce() {
    let caller = Caller::new().await;
    let back = caller.authorize(&[]).await;
    assert_eq!((&back["state"][..], &back["iss"][..]), ("the state", caller.idp.issuer()));
    let (status, tokens) = caller.exchange(&back["code"], VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    let (access, id) = (payload(&tokens["access_token"]), payload(&tokens["id_token"]));
    assert_eq!(access["roles"], json!(["user"]));
    assert_eq!((&access["sub"], &id["sub"]), (&json!("alice"), &json!("alice")));
    assert_eq!((&id["nonce"], &id["aud"]), (&json!("the nonce"), &json!(CLIENT_ID)));
    let counts = caller.idp.counts();
    assert_eq!((counts.sign_ins, counts.code_grants, counts.refused_grants), (1, 1, 0));
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_its_verifier() {
    let caller = Caller::new().await;
    let code = caller.authorize(&[]).await["code"].clone();
    assert_eq!(caller.exchange(&code, "wrong").await.1["error"], "invalid_grant");
    let code = caller.authorize(&[]).await["code"].clone();
    let (_, tokens) = caller.exchange(&code, VERIFIER).await;
    assert_eq!(caller.exchange(&code, VERIFIER).await.1["error"], "invalid_grant");
    // And what the first exchange gave is gone with it.
    assert_eq!(caller.refresh(&tokens["refresh_token"]).await.1["error"], "invalid_grant");
    let (_, answer) = caller.introspect(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(answer, json!({ "active": false }));
}

#[tokio::test]
async fn without_pkce_or_a_user_there_is_no_code() {
    let caller = Caller::new().await;
    assert_eq!(caller.authorize(&[("code_challenge_method", "plain")]).await["error"], "invalid_request");
    caller.idp.sign_in_nobody();
    assert_eq!(caller.authorize(&[]).await["error"], "access_denied");
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_the_sign_in() {
    let caller = Caller::new().await;
    let first = caller.signed_in().await;
    let (status, second) = caller.refresh(&first["refresh_token"]).await;
    assert_eq!(status, 200, "{second}");
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(caller.refresh(&first["refresh_token"]).await.1["error"], "invalid_grant");
    assert_eq!(caller.refresh(&second["refresh_token"]).await.1["error"], "invalid_grant");
    let counts = caller.idp.counts();
    assert_eq!((counts.refresh_grants, counts.reuses, counts.refused_grants), (1, 1, 2));
}

#[tokio::test]
async fn opaque_tokens_are_introspected_by_those_with_the_secret() {
    let caller = Caller::new().await;
    caller.idp.configure(|config| config.access_tokens = TokenForm::Opaque);
    let token = caller.idp.token(json!({ "sub": "bob", "scope": "nogoo9:read" }));
    assert!(!token.contains('.'));
    let (_, answer) = caller.introspect(&token).await;
    assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("bob")));
    let without = caller.post("/introspect", &[("client_id", CLIENT_ID), ("token", &token)]).await;
    assert_eq!(without.0, 401);
    let fields = [("client_id", CLIENT_ID), ("token", &token)];
    assert_eq!(caller.post("/revoke", &fields).await.0, 200);
    assert_eq!(caller.introspect(&token).await.1, json!({ "active": false }));
    let (_, expired) = caller.introspect(&caller.idp.token(json!({ "exp": 1 }))).await;
    assert_eq!(expired, json!({ "active": false }));
}

#[tokio::test]
async fn clients_get_tokens_in_their_own_name() {
    let caller = Caller::new().await;
    let basic = |secret: &str| {
        caller
            .http
            .post(caller.idp.url("/token"))
            .basic_auth(
                CLIENT_ID,
                Some(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()),
            )
            .body("grant_type=client_credentials&scope=a+b&resource=https%3A%2F%2Fapi.test")
            .send()
    };
    let tokens: Value = basic(SECRET).await.unwrap().json().await.unwrap();
    let claims = payload(&tokens["access_token"]);
    assert_eq!(
        (&claims["sub"], &claims["scope"], &claims["aud"]),
        (&json!(CLIENT_ID), &json!("a b"), &json!("https://api.test"))
    );
    assert_eq!(basic("wrong").await.unwrap().status(), 401);
}

#[tokio::test]
async fn keys_rotate() {
    let caller = Caller::new().await;
    let kids = async || -> Vec<String> {
        let set: Value = caller.http.get(caller.idp.jwks_uri()).send().await.unwrap().json().await.unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let (old, new) = (key::rs256(), key::es256());
    assert_eq!(kids().await, [&old.kid[..]]);
    caller.idp.rotate_to(new);
    assert_eq!(kids().await, [&new.kid[..], &old.kid]);
    caller.idp.forget_retired_keys();
    assert_eq!(kids().await, [&new.kid[..]]);
    caller.idp.fail(Endpoint::Jwks, Fault::WrongKeys);
    assert_eq!(kids().await, [&new.kid[..]]);
}

#[tokio::test]
async fn claims_are_completed_and_taken_away() {
    let caller = Caller::new().await;
    let claims = caller.idp.claims(json!({ "aud": "other", "exp": null, "n": 1 }));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(caller.idp.issuer()), &json!("other")));
    assert_eq!((claims.get("exp"), &claims["n"]), (None, &json!(1)));
}

#[tokio::test]
async fn it_fails_as_it_is_told() {
    let caller = Caller::new().await;
    let get = |path: &str| caller.http.get(caller.idp.url(path)).timeout(Duration::from_millis(500)).send();
    let discovery = "/.well-known/openid-configuration";

    caller.idp.fail_everywhere(&Fault::Down);
    assert!(get("/jwks").await.is_err() && get(discovery).await.is_err());
    caller.idp.heal();
    caller.idp.fail(Endpoint::Jwks, Fault::Slow(Duration::from_secs(60)));
    assert!(get("/jwks").await.unwrap_err().is_timeout());
    caller.idp.fail(Endpoint::Jwks, Fault::Stalled);
    assert!(get("/jwks").await.unwrap().bytes().await.is_err());
    assert_eq!(get(discovery).await.unwrap().status(), 200);
    caller.idp.fail(Endpoint::Jwks, Fault::Status(503));
    assert_eq!(get("/jwks").await.unwrap().status(), 503);
    caller.idp.fail(Endpoint::Jwks, Fault::Huge(2 << 20));
    assert!(get("/jwks").await.unwrap().bytes().await.unwrap().len() > 2 << 20);
    caller.idp.fail(Endpoint::Jwks, Fault::Redirect("http://169.254.169.254/".to_owned()));
    assert_eq!(get("/jwks").await.unwrap().status(), 302);
    caller.idp.fail(Endpoint::Token, Fault::Answer(400, json!({ "error": "invalid_grant" })));
    assert_eq!(caller.exchange("x", "y").await, (400, json!({ "error": "invalid_grant" })));
    caller.idp.fail(Endpoint::Discovery, Fault::WrongIssuer("http://evil.test".to_owned()));
    let document: Value = get(discovery).await.unwrap().json().await.unwrap();
    assert_eq!(document["issuer"], "http://evil.test");
    caller.idp.heal();
    let document: Value = get(discovery).await.unwrap().json().await.unwrap();
    assert_eq!(document["issuer"], caller.idp.issuer());
}
