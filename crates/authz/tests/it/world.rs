//! A server's front door, an identity provider, and a browser between them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use nocrd_authz::{
    authenticator::{Authenticated, Authenticator, Context, Parts, SameOrigin, Unauthenticated},
    claims::ClaimPaths,
    clock::{Clock, UnixTime},
    cookies::CookiePath,
    discovery::Discovery,
    grants::LocalGrants,
    http::{Http, HttpOptions},
    keys::{KeyRing, SessionKeys},
    login::{FailedLogin, SignedIn},
    mint::Lifetimes,
    policy::Policy,
    provider::{Provider, ProviderConfig},
    return_to::Site,
    revocation::LocalRevocations,
    verify::{Audience, IntrospectionConfig, JwksSource, Verifier, VerifierConfig},
};
use nocrd_testkit::{Config, Idp, Jar, TokenForm, User, idp};
use serde_json::json;

pub(crate) const GET: Context = Context { secure: true, same_origin: SameOrigin::NotNeeded };
pub(crate) const PAGE: Context = Context { secure: true, same_origin: SameOrigin::Proven };

/// Everything around a browser. Sessions live by a clock that can be put forward; the provider, by the real one.
pub(crate) struct World {
    pub(crate) idp: Idp,
    pub(crate) replicas: [Authenticator; 2],
    pub(crate) site: Site,
    ahead: Arc<AtomicU64>,
}

impl World {
    pub(crate) async fn new(config: Config) -> Self {
        let idp = Idp::with(config).await;
        sign_in_as(&idp, "alice");
        let ahead = Arc::new(AtomicU64::new(0));
        let clock = {
            let ahead = ahead.clone();
            Clock::new(move || {
                UnixTime::from(SystemTime::now()).plus(Duration::from_secs(ahead.load(Ordering::SeqCst)))
            })
        };
        // What replicas share: the session key, and what they tell each other.
        let grants = Arc::new(LocalGrants::default());
        let revocations = Arc::new(LocalRevocations::new(clock.clone(), Lifetimes::default().sign_in));
        let replica = || {
            let keys = SessionKeys::new(b"the secret that replicas share..", []).unwrap();
            Authenticator::new(Parts {
                verifier: verifier(&idp),
                paths: Arc::new(ClaimPaths::default()),
                policy: Arc::new(Policy::default()),
                keys: Arc::new(KeyRing::known(keys)),
                provider: Some(provider(&idp)),
                grants: grants.clone(),
                revocations: revocations.clone(),
                cookies: CookiePath::new("/gw").unwrap(),
                lifetimes: Lifetimes::default(),
                clock: clock.clone(),
            })
        };
        let replicas = [replica(), replica()];
        let site = Site { origin: "https://gate.example".into(), base: "/gw".into() };
        Self { idp, replicas, site, ahead }
    }

    /// Puts our own clock forward, to so many seconds ahead of the real one.
    pub(crate) fn ahead(&self, seconds: u64) {
        self.ahead.store(seconds, Ordering::SeqCst);
    }

    /// Signs a browser in, as far as that goes.
    pub(crate) async fn sign_in(&self, browser: &mut Jar) -> Result<SignedIn, FailedLogin> {
        let login = self.replicas[0].login().unwrap();
        let begun = login.begin(&browser.headers(), &self.site, Some("/gw/route/ws-1/")).await.unwrap();
        browser.take(&begun.cookies);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let page = client.get(begun.location).send().await.unwrap();
        let back = page.headers()["location"].to_str().unwrap();
        assert!(back.starts_with("https://gate.example/gw/auth/callback?"), "{back}");
        // The other replica answers.
        let login = self.replicas[1].login().unwrap();
        let query = back.split_once('?').unwrap().1;
        let result = login.finish(query, &browser.headers(), &self.site).await;
        browser.take(result.as_ref().map_or_else(|failed| &failed.cookies, |done| &done.cookies));
        result
    }

    pub(crate) async fn get(&self, browser: &Jar) -> Result<Authenticated, Unauthenticated> {
        self.replicas[0].authenticate(&browser.headers(), GET).await
    }

    /// A page of the site asks.
    pub(crate) async fn page(&self, headers: &HeaderMap) -> Result<Authenticated, Unauthenticated> {
        self.replicas[0].authenticate(headers, PAGE).await
    }
}

pub(crate) fn sign_in_as(idp: &Idp, subject: &str) {
    let roles = json!({ "roles": ["user"] });
    idp.sign_in_as(User::new(subject).with("realm_access", roles).with("scope", json!("nogoo9:read")));
}

fn verifier(idp: &Idp) -> Arc<Verifier> {
    let mut opaque = false;
    idp.configure(|config| opaque = config.access_tokens == TokenForm::Opaque);
    let introspection = opaque.then(|| IntrospectionConfig {
        url: idp.introspection_endpoint().parse().unwrap(),
        client_id: Some(idp::CLIENT_ID.into()),
        client_secret: Some(idp::SECRET.to_owned().into()),
    });
    let config = VerifierConfig {
        jwks: Some(JwksSource::Url(idp.jwks_uri().parse().unwrap())),
        introspection,
        audience: Audience::These(vec![idp::CLIENT_ID.into()]),
        issuer: Some(idp.issuer().to_owned()),
        ..VerifierConfig::default()
    };
    Arc::new(Verifier::new(config, http(), Clock::system()).unwrap())
}

fn provider(idp: &Idp) -> Arc<Provider> {
    let url = idp.discovery_url().parse().unwrap();
    let discovery = Discovery::new(url, Some(idp.issuer().to_owned()), http(), Clock::system());
    let config = ProviderConfig {
        client_id: idp::CLIENT_ID.into(),
        client_secret: Some(idp::SECRET.to_owned().into()),
        issuer: Some(idp.issuer().to_owned()),
        token_url: None,
        authorization_url: None,
        end_session_url: None,
        scopes: vec!["openid".into(), "offline_access".into()],
        discovery: Some(Arc::new(discovery)),
    };
    Arc::new(Provider::new(config, http()))
}

fn http() -> Arc<Http> {
    Arc::new(Http::new(&HttpOptions::default()).unwrap())
}
