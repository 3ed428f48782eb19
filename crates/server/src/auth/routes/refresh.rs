//! A refresh token that a page obtained itself, taken into the keeping of a cookie that the page can't read.

use std::{sync::Arc, time::Duration};

use ::http::StatusCode;
use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use nocrd_authz::authenticator::Authenticated;
use nocrd_model::error as codes;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::{
    auth::{Door, Refusal, admit::OwnCookies, refusal::set_cookies, sender::Sender},
    respond,
};

/// Longest token that is looked at. A longer one would not fit into a cookie.
const MAX_TOKEN: usize = 4096;

/// What the page sends.
#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    refresh_token: String,
    /// Seconds, as a number that some identity providers make a fraction or negative.
    refresh_expires_in: Option<f64>,
}

/// `POST /auth/set-refresh`.
pub(crate) async fn set_refresh(
    State(door): State<Arc<Door>>,
    Extension(authenticated): Extension<Arc<Authenticated>>,
    sender: Sender,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let refuse = |code, message: &str| Refusal::new(code, message).response(&sender.headers);
    let body = match body {
        Ok(Json(body)) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refuse(codes::BODY_TOO_LARGE, "the body has more than 64 KiB");
        }
        Err(_) => {
            let message = "the body must be a JSON object with a text `refresh_token`";
            return refuse(codes::INVALID_ARGUMENT, message);
        }
    };
    if body.refresh_token.is_empty() {
        return refuse(codes::INVALID_ARGUMENT, "Missing refresh_token in request body");
    }
    if body.refresh_token.len() > MAX_TOKEN {
        return refuse(codes::INVALID_ARGUMENT, "refresh_token is too long to be kept");
    }
    if authenticated.session.is_none() {
        let message =
            "only a page of this site can leave a refresh token here, because it is kept in the browser";
        return refuse(codes::HOST_NOT_ALLOWED, message);
    }
    let life = body
        .refresh_expires_in
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let context = door.site.context(sender.request());
    let token = SecretString::from(body.refresh_token);
    match door.authenticator.keep_refresh_token(&authenticated, token, life, context) {
        Ok(cookies) => {
            let done = respond::fresh(StatusCode::OK, json!({ "ok": true }));
            let mut answer = (Extension(OwnCookies), done).into_response();
            set_cookies(answer.headers_mut(), &cookies);
            answer
        }
        Err(error) => refuse(error.code(), &error.to_string()),
    }
}
