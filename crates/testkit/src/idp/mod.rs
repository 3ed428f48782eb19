//! An identity provider to test against: OpenID Connect Core and Discovery, OAuth 2.0 (RFC 6749) with PKCE (RFC 7636),
//! introspection (RFC 7662), revocation (RFC 7009), authorization server metadata (RFC 8414), resource indicators
//! (RFC 8707), issuer identification (RFC 9207) and RP-initiated logout.
//!
//! It is strict where a provider protects its users: a code is good once, PKCE is a must, a refresh token is good once and
//! its second use ends everything that came from that sign-in. It is lax where strictness would be in a test's way: it
//! signs in without a form, and registers any redirect URI unless the client names its own.

mod endpoints;
mod fault;
mod grant;
mod state;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

pub use self::fault::{Endpoint, Fault};
use self::state::State;
use crate::key::{self, SigningKey};

/// Id of the client that is registered from the start, a public one and a confidential one at the same time: whoever
/// sends its [`SECRET`] must send the right one.
pub const CLIENT_ID: &str = "no-crd";
/// The secret of that client.
pub const SECRET: &str = "the client's secret, made for tests";

/// A running identity provider. It ends when this is dropped.
///
/// It runs on a thread of its own, so that a test that blocks, or that has stopped its runtime's clock, still gets
/// answers.
pub struct Idp {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    issuer: String,
    state: Mutex<State>,
}

/// How the provider behaves when it behaves.
#[derive(Clone)]
pub struct Config {
    /// What it signs tokens with.
    pub key: SigningKey,
    /// What access tokens are.
    pub access_tokens: TokenForm,
    /// The `aud` of access tokens, a text or a list. Without it: the `resource` that was asked for, else the client's id.
    pub audience: Option<Value>,
    /// How long access tokens are good.
    pub access_lifetime: Duration,
    /// How long ID tokens are good.
    pub id_token_lifetime: Duration,
    /// How long refresh tokens are good.
    pub refresh_lifetime: Duration,
    /// Whether answers tell that, in `refresh_expires_in`, as some providers do.
    pub tells_refresh_lifetime: bool,
    /// Whether each refresh gives another refresh token, and the old one is good no more.
    pub rotates_refresh_tokens: bool,
    /// Who may ask for tokens.
    pub clients: Vec<Client>,
}

impl Default for Config {
    fn default() -> Self {
        let own = Client { optional_secret: true, ..Client::confidential(CLIENT_ID, SECRET) };
        Self {
            key: key::rs256().clone(),
            access_tokens: TokenForm::Jwt,
            audience: None,
            access_lifetime: Duration::from_secs(300),
            id_token_lifetime: Duration::from_secs(300),
            refresh_lifetime: Duration::from_secs(3600),
            tells_refresh_lifetime: false,
            rotates_refresh_tokens: true,
            clients: vec![own],
        }
    }
}

/// What an access token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// A signed JWT.
    Jwt,
    /// A text that says nothing to anybody but the provider: ask it by introspection.
    Opaque,
}

/// An OAuth client.
#[derive(Clone, Debug)]
pub struct Client {
    id: String,
    secret: Option<String>,
    optional_secret: bool,
    redirect_uris: Vec<String>,
}

impl Client {
    /// One without a secret.
    #[must_use]
    pub fn public(id: &str) -> Self {
        Self { id: id.to_owned(), secret: None, optional_secret: false, redirect_uris: Vec::new() }
    }

    /// One with a secret.
    #[must_use]
    pub fn confidential(id: &str, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..Self::public(id) }
    }

    /// Lets users be sent back to this URI, and to no other that is not named here, too.
    #[must_use]
    pub fn redirecting_to(mut self, uri: &str) -> Self {
        self.redirect_uris.push(uri.to_owned());
        self
    }
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct User {
    subject: String,
    claims: Map<String, Value>,
}

impl User {
    /// A user without any claims but the subject.
    #[must_use]
    pub fn new(subject: &str) -> Self {
        Self { subject: subject.to_owned(), claims: Map::new() }
    }

    /// With this claim in access tokens and ID tokens.
    #[must_use]
    pub fn with(mut self, claim: &str, value: Value) -> Self {
        self.claims.insert(claim.to_owned(), value);
        self
    }
}

/// What the provider was asked for so far. Requests that met a [`Fault`] count where they arrive (`requests`), and not
/// where they would have been granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// All requests, of any kind.
    pub requests: usize,
    /// Discovery documents.
    pub discovery: usize,
    /// Key sets.
    pub jwks: usize,
    /// Users sent back with a code.
    pub sign_ins: usize,
    /// Codes exchanged.
    pub code_grants: usize,
    /// Refresh tokens exchanged.
    pub refresh_grants: usize,
    /// Tokens given to clients in their own name.
    pub client_credentials: usize,
    /// Requests for tokens that were refused.
    pub refused_grants: usize,
    /// Of those: refresh tokens, or codes, that came a second time.
    pub reuses: usize,
    /// Tokens asked about.
    pub introspections: usize,
    /// Tokens revoked.
    pub revocations: usize,
    /// Users who signed out at the provider.
    pub sign_outs: usize,
}

impl Idp {
    /// Starts one on a free loopback port.
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// Starts one that behaves like this.
    #[expect(clippy::unused_async, reason = "so that its start may take time one day")]
    pub async fn with(config: Config) -> Self {
        Self::spawn(config)
    }

    /// Starts one, for tests that are not asynchronous.
    #[must_use]
    pub fn spawn(config: Config) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { issuer, state: Mutex::new(State::new(config)) });
        let router = endpoints::router(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Its issuer identifier: its URL, without a slash at the end.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// URL of a path below the issuer.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }

    /// URL of the discovery document.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        self.url("/.well-known/openid-configuration")
    }

    /// URL of the key set.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        self.url("/jwks")
    }

    /// URL of the introspection endpoint.
    #[must_use]
    pub fn introspection_endpoint(&self) -> String {
        self.url("/introspect")
    }

    /// Changes how it behaves from now on.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.state().config);
    }

    /// Whoever comes to sign in is this user, until the next call.
    pub fn sign_in_as(&self, user: User) {
        self.state().user = Some(user);
    }

    /// Nobody can sign in: the user is sent back with `access_denied`, as from the start.
    pub fn sign_in_nobody(&self) {
        self.state().user = None;
    }

    /// Makes an endpoint fail, until [`heal`](Self::heal).
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.state().faults.insert(endpoint, fault);
    }

    /// Makes all endpoints fail, until [`heal`](Self::heal).
    pub fn fail_everywhere(&self, fault: &Fault) {
        let mut state = self.state();
        state.faults.extend(Endpoint::ALL.map(|endpoint| (endpoint, fault.clone())));
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Signs with this key from now on. The ones before it stay in the key set.
    pub fn rotate_to(&self, key: &SigningKey) {
        let mut state = self.state();
        let old = std::mem::replace(&mut state.config.key, key.clone());
        state.retired.push(old);
    }

    /// Takes the keys that sign no more out of the key set.
    pub fn forget_retired_keys(&self) {
        self.state().retired.clear();
    }

    /// Ends every sign-in: refresh tokens are good no more, introspection calls every token inactive.
    pub fn end_all_sign_ins(&self) {
        self.state().end_all();
    }

    /// An access token, without any sign-in. `iss`, `sub`, `aud`, `iat`, `exp` and `jti` are what they would be, unless
    /// the claims say something else; `null` takes one away. In the form that the configuration says.
    #[must_use]
    pub fn token(&self, claims: Value) -> String {
        // Two steps: each takes the lock.
        let claims = self.complete(claims);
        self.state().access_token(claims, None).0
    }

    /// Claims as [`token`](Self::token) makes them, to sign in some other way.
    #[must_use]
    pub fn claims(&self, claims: Value) -> Value {
        self.complete(claims)
    }

    fn complete(&self, claims: Value) -> Value {
        let config = self.state().config.clone();
        let now = now();
        let mut all = json!({
            "iss": self.issuer(),
            "sub": "alice",
            "aud": config.audience.unwrap_or_else(|| json!(CLIENT_ID)),
            "iat": now,
            "exp": now + config.access_lifetime.as_secs(),
            "jti": Uuid::new_v4().simple().to_string(),
        });
        let (Some(all), Value::Object(claims)) = (all.as_object_mut(), claims) else { panic_for("claims") };
        for (name, value) in claims {
            match value {
                Value::Null => all.shift_remove(&name),
                value => all.insert(name, value),
            };
        }
        Value::Object(std::mem::take(all))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been told already.
            let _ = thread.join();
        }
    }
}

#[expect(clippy::panic, reason = "for tests only")]
fn panic_for(what: &str) -> ! {
    panic!("{what} are a JSON object")
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[cfg(test)]
mod tests;
