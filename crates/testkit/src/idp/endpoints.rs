//! The endpoints, but for the one that gives tokens.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, LOCATION},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::{
    Endpoint, Fault, Shared, fault,
    grant::{self, Form},
    now,
    state::{Code, SignIn, random},
};

type Provider = State<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize))
        .route("/token", post(grant::token))
        .route("/introspect", post(introspect))
        .route("/revoke", post(revoke))
        .route("/end-session", get(end_session).post(end_session))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), fault::meet))
        .with_state(shared)
}

async fn metadata(State(shared): Provider) -> impl IntoResponse {
    let mut state = shared.state();
    state.counts.discovery += 1;
    let own = &shared.issuer;
    let issuer = match state.faults.get(&Endpoint::Discovery) {
        Some(Fault::WrongIssuer(other)) => other,
        _ => own,
    };
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{own}/authorize"),
        "token_endpoint": format!("{own}/token"),
        "jwks_uri": format!("{own}/jwks"),
        "introspection_endpoint": format!("{own}/introspect"),
        "revocation_endpoint": format!("{own}/revoke"),
        "end_session_endpoint": format!("{own}/end-session"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [state.config.key.algorithm],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(document))
}

async fn jwks(State(shared): Provider) -> impl IntoResponse {
    let mut state = shared.state();
    state.counts.jwks += 1;
    Json(json!({ "keys": state.published_keys() }))
}

async fn authorize(State(shared): Provider, RawQuery(query): RawQuery) -> Response {
    let form = Form::parse(&query.unwrap_or_default());
    let mut state = shared.state();
    let client = state.config.clients.iter().find(|client| Some(&client.id[..]) == form.get("client_id"));
    let Some(client) = client else { return (StatusCode::BAD_REQUEST, "unknown client").into_response() };
    let uri = form.get("redirect_uri").unwrap_or_default();
    let is_own = client.redirect_uris.is_empty() || client.redirect_uris.iter().any(|own| own == uri);
    let Some(mut back) = Url::parse(uri).ok().filter(|_| is_own) else {
        return (StatusCode::BAD_REQUEST, "unknown redirect_uri").into_response();
    };
    let client_id = client.id.clone();

    let challenge = form.get("code_challenge").filter(|_| form.get("code_challenge_method") == Some("S256"));
    let answer = match (form.get("response_type"), challenge, state.user.clone()) {
        (Some("code"), Some(challenge), Some(user)) => {
            state.counts.sign_ins += 1;
            let text = |name: &str| form.get(name).map(str::to_owned);
            let sign_in = SignIn {
                id: Uuid::new_v4(),
                user,
                client_id,
                scope: text("scope").unwrap_or_default(),
                resource: text("resource"),
                nonce: text("nonce"),
                at: now(),
            };
            let code = random();
            let challenge = challenge.to_owned();
            state
                .codes
                .insert(code.clone(), Code { sign_in, redirect_uri: uri.to_owned(), challenge, used: false });
            ("code", code)
        }
        (Some("code"), Some(_), None) => ("error", "access_denied".to_owned()),
        (Some("code"), None, _) => ("error", "invalid_request".to_owned()),
        _ => ("error", "unsupported_response_type".to_owned()),
    };
    let iss = match state.faults.get(&Endpoint::Authorization) {
        Some(Fault::WrongIssuer(other)) => other,
        _ => &shared.issuer,
    };
    back.query_pairs_mut().append_pair(answer.0, &answer.1).append_pair("iss", iss);
    if let Some(text) = form.get("state") {
        back.query_pairs_mut().append_pair("state", text);
    }
    found(&back)
}

async fn introspect(State(shared): Provider, headers: HeaderMap, body: String) -> Response {
    let form = Form::parse(&body);
    let mut state = shared.state();
    let client = grant::client(&state, &headers, &form).filter(|(_, authenticated)| *authenticated);
    if client.is_none() {
        return grant::refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    state.counts.introspections += 1;
    let answer = match state.active(form.get("token").unwrap_or_default()) {
        Some(Value::Object(mut claims)) => {
            claims.insert("active".to_owned(), json!(true));
            Value::Object(claims)
        }
        _ => json!({ "active": false }),
    };
    Json(answer).into_response()
}

async fn revoke(State(shared): Provider, headers: HeaderMap, body: String) -> Response {
    let form = Form::parse(&body);
    let mut state = shared.state();
    if grant::client(&state, &headers, &form).is_none() {
        return grant::refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    state.counts.revocations += 1;
    state.revoke(form.get("token").unwrap_or_default());
    StatusCode::OK.into_response()
}

async fn end_session(State(shared): Provider, RawQuery(query): RawQuery, body: String) -> Response {
    let form = Form::parse(&format!("{}&{body}", query.unwrap_or_default()));
    shared.state().counts.sign_outs += 1;
    let Some(mut back) = form.get("post_logout_redirect_uri").and_then(|uri| Url::parse(uri).ok()) else {
        return "You have signed out.".into_response();
    };
    if let Some(text) = form.get("state") {
        back.query_pairs_mut().append_pair("state", text);
    }
    found(&back)
}

fn found(target: &Url) -> Response {
    (StatusCode::FOUND, [(LOCATION, target.as_str())]).into_response()
}

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }
}
