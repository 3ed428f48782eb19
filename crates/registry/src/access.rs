//! What the registry is shown to let us in: a name and password, or tokens from a server that it names.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::{Origin, Url};

use crate::{
    Reason,
    challenge::{self, Challenge},
    http::{Answer, Http},
};

/// How long a token is good when its server does not say.
const LIFETIME: Duration = Duration::from_secs(60);
/// Longest time that one is used, whatever its server says.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// How long before its end it is used no more.
const MARGIN: Duration = Duration::from_secs(5);
/// Most tokens that are kept.
const MAX_TOKENS: usize = 1000;

/// Who reads the registry.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Without `:`.
    pub username: String,
    /// Password, or what the registry takes for one.
    pub password: SecretString,
}

impl Credentials {
    /// Basic credentials (RFC 7617).
    fn basic(&self) -> Option<HeaderValue> {
        let pair = format!("{}:{}", self.username, self.password.expose_secret());
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()
    }
}

pub(crate) struct Access {
    registry: Origin,
    basic: Option<HeaderValue>,
    /// Whether the registry has asked for the password itself.
    wants_basic: AtomicBool,
    /// By what they are for.
    tokens: Mutex<HashMap<String, Token>>,
}

struct Token {
    header: HeaderValue,
    good_until: Instant,
}

impl Access {
    pub(crate) fn new(registry: Origin, credentials: Option<&Credentials>) -> Self {
        Self {
            registry,
            basic: credentials.and_then(Credentials::basic),
            wants_basic: AtomicBool::new(false),
            tokens: Mutex::default(),
        }
    }

    /// What a request about `resource` is sent with when nothing has been asked for yet: what was asked for last time.
    pub(crate) fn known(&self, resource: &str) -> Option<HeaderValue> {
        if self.wants_basic.load(Ordering::Relaxed) {
            return self.basic.clone();
        }
        let tokens = self.tokens();
        let token = tokens.get(resource).filter(|token| token.good_until > Instant::now());
        token.map(|token| token.header.clone())
    }

    /// What a refused answer about `resource` asks for.
    pub(crate) async fn obtain(
        &self,
        http: &Http,
        resource: &str,
        refused: &Answer,
    ) -> Result<HeaderValue, Reason> {
        match challenge::of(&refused.headers) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                self.wants_basic.store(false, Ordering::Relaxed);
                let token = self.ask(http, &realm, service.as_deref(), scope.as_deref()).await?;
                let header = token.header.clone();
                self.keep(resource, token);
                Ok(header)
            }
            Some(Challenge::Basic) => {
                let basic = self.basic.clone();
                self.wants_basic.store(basic.is_some(), Ordering::Relaxed);
                basic.ok_or(Reason::Denied(refused.status.as_u16()))
            }
            None => Err(Reason::Denied(refused.status.as_u16())),
        }
    }

    /// Forgets what did not help.
    pub(crate) fn forget(&self, resource: &str) {
        self.tokens().remove(resource);
    }

    async fn ask(
        &self,
        http: &Http,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Token, Reason> {
        let mut url = self.token_server(realm).ok_or(Reason::TokenServer)?;
        if service.is_some() || scope.is_some() {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(service.map(|service| ("service", service)));
            query.extend_pairs(
                scope.into_iter().flat_map(|scopes| scopes.split(' ')).map(|one| ("scope", one)),
            );
        }
        let answer = http.get(&url, self.basic.clone()).await;
        let token = answer.and_then(|answer| answer.json::<TokenAnswer>()?.token());
        token.map_err(|reason| Reason::Token(Box::new(reason)))
    }

    /// The address of the server that tokens come from, if it may be asked: whoever is on the way to it would learn the
    /// password, and what is asked of it is the registry's to say.
    fn token_server(&self, realm: &str) -> Option<Url> {
        let mut url = Url::parse(realm).ok()?;
        let bare = url.username().is_empty() && url.password().is_none();
        url.set_fragment(None);
        Some(url).filter(|url| bare && (url.scheme() == "https" || url.origin() == self.registry))
    }

    fn keep(&self, resource: &str, token: Token) {
        let mut tokens = self.tokens();
        if tokens.len() >= MAX_TOKENS {
            let now = Instant::now();
            tokens.retain(|_, token| token.good_until > now);
            if tokens.len() >= MAX_TOKENS {
                tokens.clear();
            }
        }
        tokens.insert(resource.to_owned(), token);
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a token server says.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    /// The same by the name that OAuth 2.0 has for it.
    access_token: Option<String>,
    /// Seconds.
    expires_in: Option<u64>,
}

impl TokenAnswer {
    fn token(self) -> Result<Token, Reason> {
        let token = self.token.or(self.access_token).filter(|token| !token.is_empty());
        let header = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let lifetime = self.expires_in.map_or(LIFETIME, Duration::from_secs).min(MAX_LIFETIME);
        Ok(Token {
            header: header.ok_or(Reason::Malformed("there is no token in it"))?,
            good_until: Instant::now() + lifetime.saturating_sub(MARGIN),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(registry: &str) -> Access {
        Access::new(Url::parse(registry).unwrap().origin(), None)
    }

    #[test]
    fn t04_tokens_are_asked_for_where_nobody_listens() {
        for (registry, realm, allowed) in [
            ("https://r.example/", "https://auth.example/token?x=1", true),
            ("https://r.example/", "https://r.example/token", true),
            ("http://r.example:5000/", "http://r.example:5000/auth", true),
            ("http://r.example:5000/", "https://auth.example/token", true),
            ("https://r.example/", "http://r.example/token", false),
            ("https://r.example/", "http://169.254.169.254/latest/meta-data", false),
            ("http://r.example:5000/", "http://r.example:5001/auth", false),
            ("https://r.example/", "https://user:secret@auth.example/token", false),
            ("https://r.example/", "/token", false),
            ("https://r.example/", "file:///etc/passwd", false),
            ("https://r.example/", "", false),
        ] {
            assert_eq!(access(registry).token_server(realm).is_some(), allowed, "{registry} {realm}");
        }
    }

    #[test]
    fn no_more_tokens_are_kept_than_are_of_use() {
        let access = access("https://r.example/");
        for n in 0..3 * MAX_TOKENS {
            let header = HeaderValue::from_static("Bearer x");
            access.keep(&n.to_string(), Token { header, good_until: Instant::now() + LIFETIME });
        }
        assert!(access.tokens().len() <= MAX_TOKENS);
        assert!(access.known(&(3 * MAX_TOKENS - 1).to_string()).is_some());
    }

    #[test]
    fn tokens_end() {
        let token = |json: &str| serde_json::from_str::<TokenAnswer>(json).unwrap().token();
        let left = |json: &str| token(json).unwrap().good_until.saturating_duration_since(Instant::now());
        assert!(left(r#"{"token": "t"}"#) <= LIFETIME);
        assert!(left(r#"{"token": "t", "expires_in": 0}"#).is_zero());
        assert!(
            left(r#"{"access_token": "t", "token": null, "expires_in": 18446744073709551615}"#)
                <= MAX_LIFETIME
        );
        for none in ["{}", r#"{"token": ""}"#, r#"{"token": "a\nb"}"#] {
            assert!(matches!(token(none), Err(Reason::Malformed(_))), "{none}");
        }
    }
}
