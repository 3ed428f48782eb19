//! Middleware of the router's endpoints.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderValue, Version, header, request::Parts};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use nocrd_authz::{authenticator::Authenticated, policy::Action};
use nocrd_model::Caller;

use super::{Door, Refusal, refusal::set_cookies, sender::noted, stay};
use crate::{audit, visit::Visit};

/// Most bytes of a refused request's body that are read all the same, and for how long.
const REFUSED_BODY: usize = 64 * 1024;
const REFUSED_PATIENCE: Duration = Duration::from_secs(1);

/// What an endpoint asks of its callers.
#[derive(Clone)]
pub(crate) struct Admission {
    /// `None` on a server that asks nobody: everybody is the local user.
    pub(crate) door: Option<Arc<Door>>,
    /// What they must be allowed to do; `None` lets in whoever is signed in.
    pub(crate) action: Option<Action>,
    /// The path that challenges are about.
    pub(crate) endpoint: &'static str,
    /// Whether it is a page, whose visitors are sent to sign in and come back.
    pub(crate) page: bool,
}

/// In the extensions of an answer that sets the caller's cookies itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnCookies;

/// Lets in those who may, and tells the handler who they are.
pub(crate) async fn admit(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(door) = &admission.door else {
        parts.extensions.insert(Caller::local());
        return next.run(Request::from_parts(parts, body)).await;
    };
    let authenticated = match check(door, &admission, &parts).await {
        Ok(authenticated) => authenticated,
        Err(refusal) => {
            audit::not_let_in(&parts, &refusal);
            let is_read = is_read_to_its_end(body).await;
            let mut answer = match noted(&parts).filter(|_| admission.page) {
                Some(request) => door.turn_away(request, &parts.uri, &refusal).map(Body::from),
                None => refusal.response(&parts.headers),
            };
            if !is_read && parts.version < Version::HTTP_2 {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            return answer;
        }
    };
    let cookies = authenticated.cookies_for(true).to_vec();
    // For handlers that find out later what is needed.
    let challenge = noted(&parts).and_then(|request| door.challenge(request, admission.endpoint));
    if let Some(challenge) = challenge {
        parts.extensions.insert(challenge);
    }
    let stay = door.stay(authenticated.session.clone(), authenticated.token_expires);
    parts.extensions.insert(authenticated.caller.clone());
    parts.extensions.insert(Arc::new(authenticated));
    let mut answer = next.run(Request::from_parts(parts, body)).await;
    if answer.extensions().get::<OwnCookies>().is_none() {
        set_cookies(answer.headers_mut(), &cookies);
    }
    stay::bound(answer, stay)
}

/// Reads what a refused request still sends, if that is little and comes soon. Otherwise the connection has to be closed
/// after the answer, and a client that does not know that may send its next request into the void.
async fn is_read_to_its_end(body: Body) -> bool {
    let reading = axum::body::to_bytes(body, REFUSED_BODY);
    matches!(tokio::time::timeout(REFUSED_PATIENCE, reading).await, Ok(Ok(_)))
}

async fn check(door: &Door, admission: &Admission, parts: &Parts) -> Result<Authenticated, Refusal> {
    let request = noted(parts).ok_or_else(Refusal::broken)?;
    let authenticated = door.who(request, parts.uri.query(), admission.endpoint).await?;
    if let Some(visit) = Visit::of(&parts.extensions) {
        visit.note(&authenticated.caller);
    }
    if let Some(action) = admission.action {
        door.permit(request, &authenticated, action, admission.endpoint)?;
    }
    Ok(authenticated)
}
