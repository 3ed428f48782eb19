//! Who may reach a workspace: the proxy's side of [`Door`].

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ::http::{HeaderValue, Method, Response, request::Parts, uri::PathAndQuery};
use nocrd_authz::authenticator::{Authenticated, Via};
use nocrd_model::{Api, Visibility, WorkspaceId, error as codes};
use nocrd_proxy_core::{Body, BoxFuture, Ended, Guard, Peer, Target, Visitor};

use super::{Door, Refusal, refusal::see_other, sender::wants_page};
use crate::{
    audit::{self, About, Act, Outcome, Who},
    http::guard::authority,
    site::seen,
    visit::Visit,
};

/// Lets visitors into workspaces.
pub(crate) struct Gate {
    door: Arc<Door>,
}

impl Gate {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        Self { door }
    }

    /// When a WebSocket is closed that they open: when the session can't be extended any more as it is now, though the
    /// browser's may be carried on by then, which the WebSocket does not learn of; or, of who came with a token and has no
    /// session, as long after the token's end as a session would last. Whoever is still let in connects again.
    fn end_of(&self, authenticated: &Authenticated) -> Option<SystemTime> {
        let (from, life) = match &authenticated.session {
            Some(session) => (session.latest, Duration::ZERO),
            None => (authenticated.token_expires?, self.door.session_ttl),
        };
        // A time before 1970 is over.
        let from = Duration::from_secs(u64::try_from(from.as_secs()).unwrap_or_default());
        SystemTime::UNIX_EPOCH.checked_add(from)?.checked_add(life)
    }

    /// What closes a WebSocket before: a sign-out, here or on another replica.
    fn ended(&self, authenticated: &Authenticated) -> Option<Ended> {
        let (sid, endings) = (authenticated.session.as_ref()?.sid, self.door.endings.clone());
        Some(Ended::new(move || endings.clone().of(sid)))
    }

    /// What somebody gets who is not recognised: people are sent to where they can sign in.
    fn turn_away(&self, request: seen::Request<'_>, parts: &Parts, refusal: &Refusal) -> Response<Body> {
        let page = request.method == Method::GET && !request.upgrade && wants_page(request.headers);
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let sign_in =
            (page && refusal.is_unauthenticated()).then(|| self.door.sign_in_url(request, target)).flatten();
        let Some(location) = sign_in.and_then(|url| HeaderValue::from_str(&url).ok()) else {
            return refusal.answer(request.headers).map(Body::from);
        };
        see_other(location, refusal.cookies()).map(Body::from)
    }
}

impl Guard for Gate {
    fn authenticate<'a>(
        &'a self,
        parts: &'a Parts,
        peer: &'a Peer,
        upgrade: bool,
    ) -> BoxFuture<'a, Result<Visitor, Response<Body>>> {
        Box::pin(async move {
            let request = seen::Request {
                method: &parts.method,
                headers: &parts.headers,
                host: authority(parts),
                peer,
                upgrade,
            };
            match self.door.who(request, parts.uri.query(), "").await {
                Ok(authenticated) => {
                    if let Some(visit) = Visit::of(&parts.extensions) {
                        visit.note(&authenticated.caller);
                    }
                    Ok(Visitor {
                        ends: self.end_of(&authenticated),
                        ended: if upgrade { self.ended(&authenticated) } else { None },
                        via_cookie: authenticated.via != Via::Bearer,
                        cookies: authenticated.cookies_for(true).to_vec(),
                        caller: authenticated.caller,
                        token: authenticated.token,
                    })
                }
                Err(refusal) => {
                    audit::not_let_in(parts, refusal.code());
                    Err(self.turn_away(request, parts, &refusal))
                }
            }
        })
    }

    fn may_reach(&self, visitor: &Visitor, target: &Target, api: Option<&Api>, write: bool) -> bool {
        let visibility = api.map_or(&Visibility::Private, |api| &api.visibility);
        self.door.policy.may_reach(&visitor.caller, target.owner(), visibility, write)
    }

    fn turned_away(&self, visitor: &Visitor, id: &WorkspaceId, parts: &Parts) {
        Act {
            action: "workspace.access",
            outcome: Outcome::of(codes::WORKSPACE_NOT_FOUND),
            who: Some(Who::from(&visitor.caller)),
            visit: Visit::of(&parts.extensions).map(AsRef::as_ref),
            about: About { workspace: Some(id.as_str()), ..About::default() },
        }
        .record();
    }
}
