//! Signing in with a browser.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use nocrd_authz::{
    error::with_causes,
    login::{Login, LoginError},
    provider::ProviderError,
};
use nocrd_model::error as codes;

use super::failed::told;
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
            tracing::warn!("nobody can sign in: {}", with_causes(&error));
            let page = return_to.and_then(|target| site.page(&target));
            told(&error).leading(again(&door, page.as_deref())).response(&sender.headers)
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
            tracing::warn!(
                error_description = failed.description,
                "a sign-in failed: {}{}",
                with_causes(&failed.error),
                hint(&failed.error, login)
            );
            // What the address holds is used up: a page that asked for it again would fail for that.
            let way = again(&door, failed.return_to.as_deref());
            told(&failed.error).leading(way).with_cookies(failed.cookies).response(&sender.headers)
        }
    }
}

/// What an operator can look at.
fn hint(error: &LoginError, login: &Login) -> String {
    let LoginError::Exchange(ProviderError::Misconfigured(code)) = error else { return String::new() };
    match code.as_str() {
        "invalid_scope" => format!(
            "; it was asked for the scopes {:?}, which OAUTH_SCOPES and the AUTH_REQUIRED_…_SCOPE settings name",
            login.scopes().join(" ")
        ),
        "invalid_client" | "unauthorized_client" => {
            "; check OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET, and what the client may do there".to_owned()
        }
        _ => String::new(),
    }
}

/// The way to another try.
fn again(door: &Door, page: Option<&str>) -> Option<(&'static str, String)> {
    let text = if page.is_some() { "Try again" } else { "Sign in" };
    Some((text, door.sign_in_at(page)?))
}

fn configured(door: &Door) -> Result<&Login, Refusal> {
    door.login.as_ref().ok_or_else(|| {
        let message = format!(
            "signing in with a browser is not set up here: send a bearer token, or ask the operator to set {}",
            door.lacking.join(" and ")
        );
        Refusal::new(codes::ROUTE_NOT_FOUND, message)
    })
}
