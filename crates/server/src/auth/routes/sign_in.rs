//! Signing in with a browser.

use std::{error::Error as _, sync::Arc};

use axum::{extract::State, response::Response};
use nocrd_authz::login::Login;
use nocrd_model::error as codes;

use crate::auth::{Door, Refusal, refusal::redirect, sender::Sender};

/// `GET /auth/login?redirect_uri=…`: sends the browser to the identity provider.
pub(crate) async fn login(State(door): State<Arc<Door>>, sender: Sender) -> Response {
    let login = match configured(&door) {
        Ok(login) => login,
        Err(refusal) => return refusal.response(&sender.headers),
    };
    let site = door.seen(sender.request());
    let return_to = sender.parameter("redirect_uri");
    match login.begin(&sender.headers, &site, return_to.as_deref()).await {
        Ok(begun) => redirect(begun.location.as_str(), &begun.cookies),
        Err(error) => {
            tracing::warn!(cause = error.source(), "nobody can sign in: {error}");
            Refusal::new(error.code(), error.to_string()).response(&sender.headers)
        }
    }
}

/// `GET /auth/callback`: the identity provider's answer, brought by the browser.
pub(crate) async fn callback(State(door): State<Arc<Door>>, sender: Sender) -> Response {
    let login = match configured(&door) {
        Ok(login) => login,
        Err(refusal) => return refusal.response(&sender.headers),
    };
    let site = door.seen(sender.request());
    match login.finish(sender.uri.query().unwrap_or_default(), &sender.headers, &site).await {
        Ok(signed_in) => {
            door.counting.signed_in(sender.visit(), Ok(&signed_in.caller));
            tracing::info!(role = ?signed_in.caller.role, "somebody signed in");
            redirect(&signed_in.return_to, &signed_in.cookies)
        }
        Err(failed) => {
            door.counting.signed_in(sender.visit(), Err(failed.error.code()));
            tracing::warn!(cause = failed.error.source(), "a sign-in failed: {}", failed.error);
            let refusal = Refusal::new(failed.error.code(), failed.error.to_string());
            refusal.with_cookies(failed.cookies).response(&sender.headers)
        }
    }
}

fn configured(door: &Door) -> Result<&Login, Refusal> {
    door.login.as_ref().ok_or_else(|| {
        Refusal::new(
            codes::ROUTE_NOT_FOUND,
            "signing in with a browser is not set up here: send a bearer token, or ask the operator to set OAUTH_CLIENT_ID",
        )
    })
}
