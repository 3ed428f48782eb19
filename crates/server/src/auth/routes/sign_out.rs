//! Signing out.
//!
//! A page elsewhere must not be able to sign anybody out. So a browser's request needs the proof that one of our own pages
//! sent it, or that the user did; whoever comes by a link is asked first.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::{extract::State, response::Response};
use nocrd_authz::cookies;
use nocrd_model::error as codes;
use nocrd_proxy_core::page::escaped;
use serde_json::json;

use super::ask::ask;
use crate::{
    auth::{
        Counting, Door, Refusal,
        door::is_proven,
        refusal::{redirect, set_cookies},
        sender::Sender,
    },
    respond,
};

const QUESTION: &str = include_str!("sign_out.html");

/// What is done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    SignOut,
    /// There is nobody to sign out.
    Nothing,
    Ask,
    Refuse,
}

/// `GET` or `POST /logout`.
pub(crate) async fn logout(State(door): State<Option<Arc<Door>>>, sender: Sender) -> Response {
    let Some(door) = door else { return done() };
    let proven = is_proven(&door.site, sender.request());
    match course(&sender, proven) {
        Course::SignOut => sign_out(&door, &sender).await,
        Course::Nothing => done(),
        Course::Ask => {
            let home = door.seen(sender.request()).home();
            ask("Sign out?", &QUESTION.replace("{{home}}", &escaped(&home)))
        }
        Course::Refuse => {
            let message = "this request does not prove that it comes from a page of this site, and so signs nobody out: \
                           send it with this site as its Origin";
            Refusal::new(codes::HOST_NOT_ALLOWED, message).response(&sender.headers)
        }
    }
}

fn course(sender: &Sender, proven: bool) -> Course {
    let told = |name: &str| sender.headers.get(name).map(HeaderValue::as_bytes);
    let (from, mode) = (told("sec-fetch-site"), told("sec-fetch-mode"));
    if proven {
        return Course::SignOut;
    }
    let is_program = from.is_none() && !sender.headers.contains_key(header::ORIGIN) && !sender.is_browser();
    if sender.method == Method::POST {
        let nobody = is_program && !cookies::has_credentials(&sender.headers);
        return if nobody { Course::Nothing } else { Course::Refuse };
    }
    match from {
        // Typed by the user.
        Some(b"none") => Course::SignOut,
        None if is_program && !cookies::has_credentials(&sender.headers) => Course::SignOut,
        // Over plain http browsers don't tell where a request comes from, not even that of a script elsewhere that asks for
        // JSON.
        None if is_program && wants_json(&sender.headers) => Course::Refuse,
        None if !sender.headers.contains_key(header::ORIGIN) => Course::Ask,
        Some(_) if mode == Some(b"navigate") => Course::Ask,
        _ => Course::Refuse,
    }
}

async fn sign_out(door: &Door, sender: &Sender) -> Response {
    let request = sender.request();
    let signed_out = door.authenticator.logout(&sender.headers, door.site.context(request)).await;
    if let Some(subject) = &signed_out.subject {
        Counting::signed_out(sender.visit(), subject);
        tracing::info!(everywhere = signed_out.recorded, "somebody signed out");
    }
    let site = door.seen(request);
    if sender.is_browser() {
        let end = door.authenticator.end_session_url(&site).await;
        let home = site.home();
        return redirect(end.as_ref().map_or(home.as_str(), |url| url.as_str()), &signed_out.cookies);
    }
    let mut answer = if signed_out.recorded {
        done()
    } else {
        let message = "Logged out here; other replicas of the server do not know of it yet";
        respond::fresh(StatusCode::OK, json!({ "message": message, "everywhere": false }))
    };
    set_cookies(answer.headers_mut(), &signed_out.cookies);
    answer
}

/// Whether the answer is to be JSON, by name.
fn wants_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = values.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    })
}

fn done() -> Response {
    respond::fresh(StatusCode::OK, json!({ "message": "Logged out" }))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderName;

    use super::*;

    #[test]
    fn d23_t23_nobody_is_signed_out_from_elsewhere() {
        const PAGE: (&str, &str) = ("accept", "text/html");
        const COOKIE: (&str, &str) = ("cookie", "nocr_sess=x");
        for (method, proven, headers, expected) in [
            (Method::POST, true, &[PAGE, COOKIE][..], Course::SignOut),
            (Method::POST, true, &[], Course::SignOut),
            (Method::POST, false, &[], Course::Nothing),
            (Method::POST, false, &[COOKIE], Course::Refuse),
            // Cookies are not sent along, but an answer could still delete them.
            (Method::POST, false, &[PAGE, ("sec-fetch-site", "cross-site")], Course::Refuse),
            (Method::POST, false, &[PAGE, ("origin", "https://evil.example")], Course::Refuse),
            (Method::POST, false, &[PAGE], Course::Refuse),
            (Method::GET, true, &[PAGE, COOKIE], Course::SignOut),
            (Method::GET, false, &[PAGE, COOKIE, ("sec-fetch-site", "none")], Course::SignOut),
            (Method::GET, false, &[], Course::SignOut),
            // A browser over plain http, which tells nothing: an image, or a script.
            (Method::GET, false, &[("accept", "text/plain, application/json;q=0.9"), COOKIE], Course::Refuse),
            (Method::GET, false, &[COOKIE], Course::Ask),
            (Method::GET, false, &[("accept", "*/*"), COOKIE], Course::Ask),
            (Method::GET, false, &[("accept", "image/avif,image/*,*/*;q=0.8"), COOKIE], Course::Ask),
            (
                Method::GET,
                false,
                &[PAGE, COOKIE, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                Course::Ask,
            ),
            (Method::GET, false, &[PAGE, COOKIE], Course::Ask),
            (
                Method::GET,
                false,
                &[("accept", "image/*"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
                Course::Refuse,
            ),
            (Method::GET, false, &[PAGE, ("origin", "null")], Course::Refuse),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
                .collect();
            let sender = Sender::test(method.clone(), map);
            assert_eq!(course(&sender, proven), expected, "{method} {proven} {headers:?}");
        }
    }
}
