//! The token endpoint.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL},
    },
    response::{IntoResponse, Response},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    Endpoint, Fault, Shared, User, now,
    state::{self, SignIn},
};

/// Fields of a form. Of a field that comes twice, the last.
pub(super) struct Form(pub(super) BTreeMap<String, String>);

impl Form {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The OAuth error code of a refusal.
type Refused = &'static str;

pub(super) async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let form = Form::parse(&body);
    let mut state = shared.state();
    let Some((client_id, authenticated)) = client(&state, &headers, &form) else {
        state.counts.refused_grants += 1;
        return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let issuer = match state.faults.get(&Endpoint::Token) {
        Some(Fault::WrongIssuer(other)) => other.clone(),
        _ => shared.issuer.clone(),
    };
    let mut grant = Grant { state: &mut state, issuer, client_id };
    let given = match form.get("grant_type") {
        Some("authorization_code") => grant.of_code(&form),
        Some("refresh_token") => grant.of_refresh_token(&form),
        Some("client_credentials") if authenticated => Ok(grant.of_client(&form)),
        Some("client_credentials") => Err("unauthorized_client"),
        _ => Err("unsupported_grant_type"),
    };
    match given {
        Ok(answer) => {
            let headers = [(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
            (headers, Json(answer)).into_response()
        }
        Err(code) => {
            state.counts.refused_grants += 1;
            refusal(StatusCode::BAD_REQUEST, code)
        }
    }
}

/// RFC 6749 section 5.2.
pub(super) fn refusal(status: StatusCode, code: &str) -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (status, headers, Json(json!({ "error": code }))).into_response()
}

/// The client that asks, and whether it has proved that by its secret. `None` when it is none of ours, or its secret is
/// wrong or missing.
pub(super) fn client(state: &state::State, headers: &HeaderMap, form: &Form) -> Option<(String, bool)> {
    let (id, secret) = match headers.get(AUTHORIZATION) {
        Some(basic) => {
            let encoded = basic.to_str().ok()?.strip_prefix("Basic ")?;
            let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
            let (id, secret) = text.split_once(':')?;
            (decoded(id), Some(decoded(secret)))
        }
        None => (form.get("client_id")?.to_owned(), form.get("client_secret").map(str::to_owned)),
    };
    let client = state.config.clients.iter().find(|client| client.id == id)?;
    match (&client.secret, secret) {
        (Some(right), Some(given)) => (*right == given).then_some((id, true)),
        (Some(_), None) => client.optional_secret.then_some((id, false)),
        (None, given) => given.is_none_or(|secret| secret.is_empty()).then_some((id, false)),
    }
}

/// RFC 6749 section 2.3.1: id and secret are encoded before they are joined.
fn decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// A request for tokens.
struct Grant<'a> {
    state: &'a mut state::State,
    issuer: String,
    client_id: String,
}

impl Grant<'_> {
    fn of_code(&mut self, form: &Form) -> Result<Value, Refused> {
        let code = self.state.codes.get_mut(form.get("code").unwrap_or_default()).ok_or("invalid_grant")?;
        let sign_in = code.sign_in.clone();
        if std::mem::replace(&mut code.used, true) {
            // Somebody else has it: what the first one got is good no more (RFC 6749 section 4.1.2).
            self.state.counts.reuses += 1;
            self.state.end(sign_in.id);
            return Err("invalid_grant");
        }
        let verifier = form.get("code_verifier").unwrap_or_default();
        let fits = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == code.challenge
            && form.get("redirect_uri") == Some(&code.redirect_uri)
            && sign_in.client_id == self.client_id;
        if !fits || self.state.has_ended(sign_in.id) {
            return Err("invalid_grant");
        }
        self.state.counts.code_grants += 1;
        Ok(self.tokens(sign_in, None))
    }

    fn of_refresh_token(&mut self, form: &Form) -> Result<Value, Refused> {
        let presented = form.get("refresh_token").unwrap_or_default();
        let rotates = self.state.config.rotates_refresh_tokens;
        let refresh = self.state.refresh.get_mut(presented).ok_or("invalid_grant")?;
        let (sign_in, expires) = (refresh.sign_in.clone(), refresh.expires);
        if sign_in.client_id != self.client_id || expires <= now() {
            return Err("invalid_grant");
        }
        if std::mem::replace(&mut refresh.used, rotates) {
            // One of the two who have it is a thief (RFC 9700 section 4.14.2).
            self.state.counts.reuses += 1;
            self.state.end(sign_in.id);
        }
        if self.state.has_ended(sign_in.id) {
            return Err("invalid_grant");
        }
        self.state.counts.refresh_grants += 1;
        Ok(self.tokens(sign_in, (!rotates).then(|| presented.to_owned())))
    }

    fn of_client(&mut self, form: &Form) -> Value {
        self.state.counts.client_credentials += 1;
        let sign_in = SignIn {
            id: Uuid::new_v4(),
            user: User::new(&self.client_id),
            client_id: self.client_id.clone(),
            scope: form.get("scope").unwrap_or_default().to_owned(),
            resource: form.get("resource").map(str::to_owned),
            nonce: None,
            at: now(),
        };
        let (token, expires) = self.access_token(&sign_in);
        json!({
            "access_token": token, "token_type": "Bearer", "expires_in": expires.saturating_sub(now()),
            "scope": sign_in.scope,
        })
    }

    /// Everything that a sign-in gives (OpenID Connect Core 3.1.3.3). `refresh`: the refresh token that stays good.
    fn tokens(&mut self, sign_in: SignIn, refresh: Option<String>) -> Value {
        let (access, expires) = self.access_token(&sign_in);
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": expires.saturating_sub(now()),
            "scope": sign_in.scope,
        });
        let asked = |scope: &str| sign_in.scope.split(' ').any(|each| each == scope);
        if asked("openid") {
            answer["id_token"] = json!(self.id_token(&sign_in, &access));
        }
        if asked("offline_access") {
            if self.state.config.tells_refresh_lifetime {
                answer["refresh_expires_in"] = json!(self.state.config.refresh_lifetime.as_secs());
            }
            answer["refresh_token"] = json!(refresh.unwrap_or_else(|| self.state.refresh_token(sign_in)));
        }
        answer
    }

    /// RFC 9068, more or less.
    fn access_token(&mut self, sign_in: &SignIn) -> (String, u64) {
        let config = &self.state.config;
        let audience = config.audience.clone();
        let audience = audience.or_else(|| sign_in.resource.as_ref().map(|resource| json!(resource)));
        let mut claims = Value::Object(sign_in.user.claims.clone());
        claims["iss"] = json!(self.issuer);
        claims["sub"] = json!(sign_in.user.subject);
        claims["aud"] = audience.unwrap_or_else(|| json!(sign_in.client_id));
        claims["client_id"] = json!(sign_in.client_id);
        claims["iat"] = json!(now());
        claims["exp"] = json!(now() + config.access_lifetime.as_secs());
        claims["jti"] = json!(Uuid::new_v4().simple().to_string());
        claims["sid"] = json!(sign_in.id.simple().to_string());
        // What the user's claims say about scopes is what this user may have, whatever the client asks for.
        if claims.get("scope").is_none() {
            claims["scope"] = json!(sign_in.scope);
        }
        self.state.access_token(claims, Some(sign_in.id))
    }

    fn id_token(&self, sign_in: &SignIn, access: &str) -> String {
        let key = self.state.signing_key();
        let mut claims = Value::Object(sign_in.user.claims.clone());
        claims["iss"] = json!(self.issuer);
        claims["sub"] = json!(sign_in.user.subject);
        claims["aud"] = json!(sign_in.client_id);
        claims["iat"] = json!(now());
        claims["exp"] = json!(now() + self.state.config.id_token_lifetime.as_secs());
        claims["auth_time"] = json!(sign_in.at);
        claims["at_hash"] = json!(at_hash(key.algorithm, access));
        if let Some(nonce) = &sign_in.nonce {
            claims["nonce"] = json!(nonce);
        }
        key.sign(&claims)
    }
}

/// OpenID Connect Core 3.1.3.6: the left half of the hash that goes with the signature's algorithm.
fn at_hash(algorithm: Algorithm, access: &str) -> String {
    let hash = match algorithm {
        Algorithm::ES384 | Algorithm::RS384 | Algorithm::PS384 => Sha384::digest(access).to_vec(),
        Algorithm::EdDSA | Algorithm::RS512 | Algorithm::PS512 => Sha512::digest(access).to_vec(),
        _ => Sha256::digest(access).to_vec(),
    };
    let (left, _) = hash.split_at(hash.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}
