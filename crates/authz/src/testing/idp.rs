//! An identity provider for tests: codes with PKCE, and refresh tokens that rotate and notice when one is used twice.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{method, path},
};

use super::TestClock;
use crate::{
    claims::ClaimPaths,
    discovery::Discovery,
    http::{Http, HttpOptions},
    policy::Policy,
    provider::{Provider, ProviderConfig},
    verify::{Audience, JwksSource, Verifier, VerifierConfig},
};

pub(crate) const CLIENT: &str = "no-crd-test";
pub(crate) const CLIENT_SECRET: &str = "client secret";
pub(crate) const ISSUER: &str = "https://idp.example";
const SECRET: &str = "the secret that signs test tokens, long enough";

/// The default paths.
pub(crate) fn paths() -> Arc<ClaimPaths> {
    Arc::new(ClaimPaths::default())
}

/// The default scopes and roles.
pub(crate) fn policy() -> Arc<Policy> {
    Arc::new(Policy::default())
}

/// How a code is to be redeemed.
struct Code {
    subject: String,
    challenge: String,
    redirect_uri: String,
    nonce: Option<String>,
}

#[derive(Default)]
struct State {
    codes: BTreeMap<String, Code>,
    /// Refresh tokens by whether they are used up.
    refresh: BTreeMap<String, (String, bool)>,
    count: usize,
    reused: bool,
    down: bool,
    /// Claims to add to, or (`null`) remove from, the next ID tokens.
    twist: Value,
    opaque: bool,
    access_twist: Value,
    /// Tokens are signed with a key that nobody can fetch.
    unknown_key: bool,
    no_refresh: bool,
    last_form: BTreeMap<String, String>,
    last_authorization: Option<String>,
}

struct Shared {
    clock: TestClock,
    state: Mutex<State>,
    grants: AtomicUsize,
    revoked: AtomicUsize,
}

pub(crate) struct Idp {
    server: MockServer,
    shared: Arc<Shared>,
    http: Arc<Http>,
    has_keys: bool,
}

impl Idp {
    /// One whose tokens are made by that clock.
    pub(crate) async fn start(clock: TestClock) -> Self {
        Self::start_with(clock, json!({})).await
    }

    /// One that publishes more about itself.
    pub(crate) async fn start_with(clock: TestClock, more: Value) -> Self {
        let server = MockServer::start().await;
        let shared = Arc::new(Shared {
            clock,
            state: Mutex::default(),
            grants: AtomicUsize::new(0),
            revoked: AtomicUsize::new(0),
        });
        Mock::given(method("POST"))
            .and(path("/token"))
            .respond_with(Token(shared.clone()))
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .and(path("/revoke"))
            .respond_with(Revoke(shared.clone()))
            .mount(&server)
            .await;
        let mut metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{}/authorize?tenant=t", server.uri()),
            "token_endpoint": format!("{}/token", server.uri()),
            "revocation_endpoint": format!("{}/revoke", server.uri()),
            "end_session_endpoint": format!("{}/end", server.uri()),
            "jwks_uri": format!("{}/none", server.uri()),
        });
        for (name, value) in more.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        Mock::given(method("GET"))
            .and(path("/.well-known/openid-configuration"))
            .respond_with(ResponseTemplate::new(200).set_body_json(metadata))
            .mount(&server)
            .await;
        let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
        Self { server, shared, http, has_keys: true }
    }

    /// One whose keys can't be fetched, so that nobody can check its tokens.
    pub(crate) async fn start_without_keys(clock: TestClock) -> Self {
        let idp = Self { has_keys: false, ..Self::start(clock).await };
        idp.shared.state.lock().unwrap().unknown_key = true;
        idp
    }

    pub(crate) fn verifier(&self) -> Arc<Verifier> {
        self.verifier_for("gate")
    }

    /// A verifier of tokens for that audience.
    pub(crate) fn verifier_for(&self, audience: &str) -> Arc<Verifier> {
        let unreachable = format!("{}/none", self.server.uri()).parse().unwrap();
        let config = VerifierConfig {
            secret: self.has_keys.then(|| SECRET.to_owned().into()),
            jwks: (!self.has_keys).then_some(JwksSource::Url(unreachable)),
            audience: Audience::These(vec![audience.into()]),
            issuer: Some(ISSUER.into()),
            ..VerifierConfig::default()
        };
        Arc::new(Verifier::new(config, self.http.clone(), self.shared.clock.clock()).unwrap())
    }

    pub(crate) fn provider(&self) -> Arc<Provider> {
        self.provider_with(|_| ())
    }

    pub(crate) fn provider_with(&self, change: impl FnOnce(&mut ProviderConfig)) -> Arc<Provider> {
        let metadata = format!("{}/.well-known/openid-configuration", self.server.uri()).parse().unwrap();
        let clock = self.shared.clock.clock();
        let discovery = Discovery::new(metadata, Some(ISSUER.into()), self.http.clone(), clock);
        let mut config = ProviderConfig {
            client_id: CLIENT.into(),
            client_secret: Some(CLIENT_SECRET.to_owned().into()),
            issuer: Some(ISSUER.into()),
            token_url: None,
            authorization_url: None,
            end_session_url: None,
            scopes: vec!["openid".into(), "profile".into()],
            discovery: Some(Arc::new(discovery)),
        };
        change(&mut config);
        Arc::new(Provider::new(config, self.http.clone()))
    }

    /// An access token for the default audience.
    pub(crate) fn token(&self, subject: &str, expires: i64) -> String {
        self.token_with(subject, expires, &["nogoo9:read", "nogoo9:write"], &["user"])
    }

    pub(crate) fn token_with(&self, subject: &str, expires: i64, scopes: &[&str], roles: &[&str]) -> String {
        sign(&access_claims(subject, expires - 60, expires, scopes, roles, 0))
    }

    /// A code that the authorization page at `location` would have sent `subject` back with.
    pub(crate) fn authorize(&self, subject: &str, location: &url::Url) -> String {
        let asked: BTreeMap<_, _> = location.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["client_id"], CLIENT);
        let mut state = self.shared.state.lock().unwrap();
        state.count += 1;
        let code = format!("code-{}", state.count);
        state.codes.insert(
            code.clone(),
            Code {
                subject: subject.to_owned(),
                challenge: asked["code_challenge"].clone(),
                redirect_uri: asked["redirect_uri"].clone(),
                nonce: asked.get("nonce").cloned(),
            },
        );
        code
    }

    pub(crate) fn refresh_token(&self, subject: &str) -> String {
        self.shared.state.lock().unwrap().new_refresh_token(subject)
    }

    /// Whether a refresh token can still be used.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.shared.state.lock().unwrap().refresh.get(token).is_some_and(|(_, used)| !used)
    }

    /// How many grants were asked for.
    pub(crate) fn grants(&self) -> usize {
        self.shared.grants.load(Ordering::SeqCst)
    }

    pub(crate) fn revoked(&self) -> usize {
        self.shared.revoked.load(Ordering::SeqCst)
    }

    /// Whether a refresh token was used twice, which ends all sign-ins.
    pub(crate) fn reused(&self) -> bool {
        self.shared.state.lock().unwrap().reused
    }

    pub(crate) fn down(&self, down: bool) {
        self.shared.state.lock().unwrap().down = down;
    }

    pub(crate) fn forget_all(&self) {
        self.shared.state.lock().unwrap().refresh.clear();
    }

    /// Changes the next ID tokens.
    pub(crate) fn twist(&self, twist: Value) {
        self.shared.state.lock().unwrap().twist = twist;
    }

    /// Changes the next access tokens.
    pub(crate) fn twist_access(&self, twist: Value) {
        self.shared.state.lock().unwrap().access_twist = twist;
    }

    /// Access tokens are no JWTs from now on.
    pub(crate) fn opaque(&self) {
        self.shared.state.lock().unwrap().opaque = true;
    }

    /// No refresh tokens from now on.
    pub(crate) fn no_refresh(&self) {
        self.shared.state.lock().unwrap().no_refresh = true;
    }

    /// The last form sent to the token endpoint, and its `Authorization`.
    pub(crate) fn last_request(&self) -> (BTreeMap<String, String>, Option<String>) {
        let state = self.shared.state.lock().unwrap();
        (state.last_form.clone(), state.last_authorization.clone())
    }
}

impl State {
    fn new_refresh_token(&mut self, subject: &str) -> String {
        self.count += 1;
        let token = format!("refresh-{}-{}", self.count, "x".repeat(40));
        self.refresh.insert(token.clone(), (subject.to_owned(), false));
        token
    }
}

struct Token(Arc<Shared>);

impl Respond for Token {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.0.grants.fetch_add(1, Ordering::SeqCst);
        let now = self.0.clock.now();
        let mut state = self.0.state.lock().unwrap();
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        let header = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        (state.last_form, state.last_authorization) = (form.clone(), header);
        // Slow enough that requests sent together meet.
        let slow = |template: ResponseTemplate| template.set_delay(Duration::from_millis(50));
        if state.down {
            return slow(ResponseTemplate::new(503));
        }
        match form["grant_type"].as_str() {
            "authorization_code" => slow(redeem(&mut state, &form, now)),
            "refresh_token" => slow(refresh(&mut state, &form, now)),
            _ => error("unsupported_grant_type"),
        }
    }
}

struct Revoke(Arc<Shared>);

impl Respond for Revoke {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.0.revoked.fetch_add(1, Ordering::SeqCst);
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        self.0.state.lock().unwrap().refresh.remove(&form["token"]);
        ResponseTemplate::new(200)
    }
}

fn error(code: &str) -> ResponseTemplate {
    ResponseTemplate::new(400).set_body_json(json!({ "error": code }))
}

fn redeem(state: &mut State, form: &BTreeMap<String, String>, now: i64) -> ResponseTemplate {
    let Some(code) = state.codes.remove(&form["code"]) else { return error("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if challenge != code.challenge || form["redirect_uri"] != code.redirect_uri {
        return error("invalid_grant");
    }
    answer(state, &code.subject, code.nonce.as_deref(), now)
}

fn refresh(state: &mut State, form: &BTreeMap<String, String>, now: i64) -> ResponseTemplate {
    let subject = match state.refresh.get_mut(&form["refresh_token"]) {
        None => return error("invalid_grant"),
        Some((subject, used @ false)) => {
            *used = true;
            subject.clone()
        }
        Some(_) => {
            state.reused = true;
            state.refresh.clear();
            return error("invalid_grant");
        }
    };
    answer(state, &subject, None, now)
}

fn answer(state: &mut State, subject: &str, nonce: Option<&str>, now: i64) -> ResponseTemplate {
    let expires = now + 300;
    state.count += 1;
    let sign = if state.unknown_key { sign_with_unknown_key } else { sign };
    let access = if state.opaque {
        format!("opaque{}", state.count)
    } else {
        let scopes = ["nogoo9:read", "nogoo9:write"];
        let mut claims = access_claims(subject, now, expires, &scopes, &["user"], state.count);
        twist(&mut claims, &state.access_twist);
        sign(&claims)
    };
    let mut id = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": subject, "exp": expires, "iat": now,
        "realm_access": { "roles": ["viewer"] },
    });
    if let Some(nonce) = nonce {
        id["nonce"] = nonce.into();
    }
    twist(&mut id, &state.twist);
    let mut body = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": sign(&id),
    });
    if !state.no_refresh {
        body["refresh_token"] = state.new_refresh_token(subject).into();
        body["refresh_expires_in"] = 3600.into();
    }
    ResponseTemplate::new(200).set_body_json(body)
}

/// Sets claims, or removes them where they are null.
fn twist(claims: &mut Value, by: &Value) {
    for (name, value) in by.as_object().into_iter().flatten() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
}

fn access_claims(
    subject: &str,
    issued: i64,
    expires: i64,
    scopes: &[&str],
    roles: &[&str],
    serial: usize,
) -> Value {
    json!({
        "iss": ISSUER, "aud": "gate", "sub": subject, "exp": expires, "iat": issued,
        "scope": scopes.join(" "), "realm_access": { "roles": roles }, "jti": serial.to_string(),
    })
}

fn sign(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

/// A token whose signature nobody gets to check.
fn sign_with_unknown_key(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&json!({"alg": "RS256", "kid": "k"})), part(claims), "A".repeat(342))
}
