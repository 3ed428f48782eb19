//! What the provider remembers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::{Config, Counts, Endpoint, Fault, TokenForm, User, now};
use crate::key::{self, SigningKey};

/// Everything behind the endpoints.
pub(super) struct State {
    pub(super) config: Config,
    pub(super) user: Option<User>,
    pub(super) faults: BTreeMap<Endpoint, Fault>,
    pub(super) counts: Counts,
    /// Keys that sign no more and are still in the key set.
    pub(super) retired: Vec<SigningKey>,
    pub(super) codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Issued>,
    pub(super) refresh: BTreeMap<String, Refresh>,
    /// Sign-ins that have ended: nothing that came from them is good.
    ended: BTreeSet<Uuid>,
}

/// What one sign-in gave a client the right to.
#[derive(Clone)]
pub(super) struct SignIn {
    /// Tells it from others; the `sid` of its tokens.
    pub(super) id: Uuid,
    pub(super) user: User,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) resource: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) at: u64,
}

/// A code on its way to the client.
pub(super) struct Code {
    pub(super) sign_in: SignIn,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) used: bool,
}

/// A refresh token.
pub(super) struct Refresh {
    pub(super) sign_in: SignIn,
    pub(super) expires: u64,
    pub(super) used: bool,
}

/// An access token.
struct Issued {
    claims: Value,
    sign_in: Option<Uuid>,
    revoked: bool,
}

impl State {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            user: None,
            faults: BTreeMap::new(),
            counts: Counts::default(),
            retired: Vec::new(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    /// The key that signs.
    pub(super) fn signing_key(&self) -> SigningKey {
        if !matches!(self.faults.get(&Endpoint::Token), Some(Fault::WrongKeys)) {
            return self.config.key.clone();
        }
        impostor(&self.config.key).with_kid(&self.config.key.kid)
    }

    /// The keys of the key set: an HS256 key is no part of it.
    pub(super) fn published_keys(&self) -> Vec<Value> {
        let wrong = matches!(self.faults.get(&Endpoint::Jwks), Some(Fault::WrongKeys));
        let keys = std::iter::once(&self.config.key).chain(&self.retired);
        keys.filter(|key| key.algorithm != key::Algorithm::HS256)
            .map(|key| if wrong { impostor(key).with_kid(&key.kid).jwk() } else { key.jwk() })
            .collect()
    }

    /// Makes an access token of these claims, and remembers it; gives it and what it is good until.
    pub(super) fn access_token(&mut self, claims: Value, sign_in: Option<Uuid>) -> (String, u64) {
        let token = match self.config.access_tokens {
            TokenForm::Jwt => self.signing_key().sign(&claims),
            TokenForm::Opaque => random(),
        };
        let expires = claims.get("exp").and_then(Value::as_u64).unwrap_or(u64::MAX);
        self.access.insert(token.clone(), Issued { claims, sign_in, revoked: false });
        (token, expires)
    }

    pub(super) fn refresh_token(&mut self, sign_in: SignIn) -> String {
        let token = random();
        let expires = now() + self.config.refresh_lifetime.as_secs();
        self.refresh.insert(token.clone(), Refresh { sign_in, expires, used: false });
        token
    }

    /// The claims of a token that is good now.
    pub(super) fn active(&self, token: &str) -> Option<Value> {
        let issued = self.access.get(token).filter(|issued| !issued.revoked)?;
        let ended = issued.sign_in.is_some_and(|id| self.ended.contains(&id));
        let expired = issued.claims.get("exp").and_then(Value::as_u64).is_some_and(|exp| exp <= now());
        (!ended && !expired).then(|| issued.claims.clone())
    }

    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.get(token) {
            self.ended.insert(refresh.sign_in.id);
        }
        if let Some(issued) = self.access.get_mut(token) {
            issued.revoked = true;
        }
    }

    pub(super) fn end(&mut self, sign_in: Uuid) {
        self.ended.insert(sign_in);
    }

    pub(super) fn end_all(&mut self) {
        self.ended.extend(self.refresh.values().map(|refresh| refresh.sign_in.id));
        self.ended.extend(self.codes.values().map(|code| code.sign_in.id));
        for issued in self.access.values_mut() {
            issued.revoked = true;
        }
    }

    pub(super) fn has_ended(&self, sign_in: Uuid) -> bool {
        self.ended.contains(&sign_in)
    }
}

/// Another key of the same kind.
fn impostor(key: &SigningKey) -> SigningKey {
    match key.algorithm {
        key::Algorithm::RS256 if key.kid != key::other_rs256().kid => key::other_rs256().clone(),
        key::Algorithm::ES256 if key.kid != key::other_es256().kid => key::other_es256().clone(),
        algorithm => SigningKey::generate(algorithm),
    }
}

/// A text that nobody guesses.
pub(super) fn random() -> String {
    Uuid::new_v4().simple().to_string()
}
