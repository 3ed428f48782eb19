//! Who may reach a workspace: the proxy's side of [`Door`].

use std::sync::Arc;

use ::http::{Response, request::Parts};
use nocrd_authz::{
    authenticator::{Authenticated, Via},
    policy::Action,
    verify::TokenError,
};
use nocrd_model::{Api, Subject, Visibility, WorkspaceId, error as codes};
use nocrd_proxy_core::{AuthEndpoint, Body, BoxFuture, Guard, Peer, Target, Unknown, Visitor};

use super::Door;
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

    fn visitor(&self, authenticated: Authenticated) -> Visitor {
        Visitor {
            via_cookie: authenticated.via != Via::Bearer,
            cookies: authenticated.cookies_for(true).to_vec(),
            stay: self.door.stay(authenticated.session, authenticated.token_expires),
            caller: authenticated.caller,
            token: authenticated.token,
        }
    }
}

/// What decides about the cookies of a request.
fn asked<'a>(parts: &'a Parts, peer: &'a Peer, upgrade: bool) -> seen::Request<'a> {
    seen::Request { method: &parts.method, headers: &parts.headers, host: authority(parts), peer, upgrade }
}

impl Guard for Gate {
    fn authenticate<'a>(
        &'a self,
        parts: &'a Parts,
        peer: &'a Peer,
        upgrade: bool,
    ) -> BoxFuture<'a, Result<Visitor, Unknown>> {
        Box::pin(async move {
            let request = asked(parts, peer, upgrade);
            let visit = Visit::of(&parts.extensions);
            let target = parts.uri.path_and_query();
            if let Some(answer) = self.door.followed_link(request, target, visit.map(AsRef::as_ref)).await {
                let answer = answer.map(Body::from);
                return Err(Unknown { answer, foreign_credentials: false, is_final: true });
            }
            let found = self.door.who(request, parts.uri.query(), "").await;
            let permitted = found.and_then(|authenticated| {
                // Before anything is looked up, so that it tells nothing of what there is.
                let write = upgrade || !parts.method.is_safe();
                let action = if write { Action::WorkspaceWrite } else { Action::Read };
                self.door.permit(request, &authenticated, action, "")?;
                Ok(authenticated)
            });
            match permitted {
                Ok(authenticated) => {
                    if let Some(visit) = visit {
                        visit.note(&authenticated.caller);
                    }
                    Ok(self.visitor(authenticated))
                }
                Err(refusal) => {
                    audit::not_let_in(parts, &refusal);
                    let foreign_credentials = refusal.reason().is_some_and(TokenError::is_foreign);
                    let answer = self.door.turn_away(request, &parts.uri, &refusal).map(Body::from);
                    Err(Unknown { answer, foreign_credentials, is_final: false })
                }
            }
        })
    }

    fn may_reach(&self, visitor: &Visitor, target: &Target, api: Option<&Api>, write: bool) -> bool {
        let visibility = api.map_or(&Visibility::Private, |api| &api.visibility);
        self.door.policy.may_reach(&visitor.caller, target.owner(), visibility, write)
    }

    fn fetch_token<'a>(
        &'a self,
        visitor: &'a Visitor,
        parts: &'a Parts,
        peer: &'a Peer,
    ) -> BoxFuture<'a, Option<Visitor>> {
        Box::pin(async move {
            let context = self.door.site.context(asked(parts, peer, false));
            let subject = &visitor.caller.subject;
            let found = self.door.authenticator.with_token(&parts.headers, context, subject).await?;
            Some(self.visitor(found))
        })
    }

    fn wants_token(&self, parts: &Parts, peer: &Peer) -> Response<Body> {
        // Nobody is sent to sign in: where that yields no token, they would come back here without end.
        self.door.wants_token(asked(parts, peer, false)).answer(&parts.headers).map(Body::from)
    }

    fn auth_endpoint<'a>(
        &'a self,
        endpoint: AuthEndpoint,
        id: &'a WorkspaceId,
        owner: &'a Subject,
        parts: &'a Parts,
        peer: &'a Peer,
    ) -> BoxFuture<'a, Response<Body>> {
        Box::pin(self.door.workspace_endpoint(endpoint, id, owner, asked(parts, peer, false), parts))
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
