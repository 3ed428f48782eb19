//! The question to a browser that follows a link with a token: is that you?

use std::sync::Arc;

use ::http::Method;
use axum::{extract::State, response::Response};
use nocrd_authz::authenticator::NotHandedOver;
use nocrd_model::error as codes;
use nocrd_proxy_core::page::escaped;

use super::ask::ask;
use crate::{
    auth::{
        Door, Refusal, door::is_proven, handover::not_handed_over, refusal::Said, refusal::redirect,
        sender::Sender,
    },
    landing::fill_in,
};

const QUESTION: &str = include_str!("link.html");
const OVER: Said = Said {
    title: "You are not signed in",
    advice: "Open the link again, in this browser, and answer within a minute.",
};

/// `GET /auth/link?code=…` asks, `POST` is a yes.
pub(crate) async fn link(State(door): State<Arc<Door>>, sender: Sender) -> Response {
    let code = sender.parameter("code").unwrap_or_default();
    if sender.method != Method::POST {
        return match door.authenticator.asked_about(&sender.headers, &code) {
            Some(pending) => {
                let home = door.seen(sender.request()).home();
                let values = [
                    ("{{name}}", pending.caller.subject.as_str()),
                    ("{{role}}", pending.caller.role.as_str()),
                    ("{{page}}", pending.page.as_str()),
                    ("{{home}}", &home),
                ];
                let question = fill_in(QUESTION, &values.map(|(name, value)| (name, escaped(value))));
                ask("Is that you?", &question)
            }
            None => over(&door, &NotHandedOver::NotBegun).response(&sender.headers),
        };
    }
    if !is_proven(&door.site, sender.request()) {
        let message =
            "this request does not prove that it comes from a page of this site, and so signs nobody in";
        return Refusal::new(codes::HOST_NOT_ALLOWED, message).response(&sender.headers);
    }
    let context = door.site.context(sender.request());
    match door.authenticator.hand_over(&sender.headers, &code, context).await {
        Ok(handed) => {
            door.counting.signed_in(sender.visit(), Ok(&handed.caller));
            tracing::info!(role = ?handed.caller.role, "somebody signed in by a link");
            redirect(&handed.page, &handed.cookies)
        }
        Err(error) => {
            door.counting.signed_in(sender.visit(), Err(error.code()));
            over(&door, &error).response(&sender.headers)
        }
    }
}

fn over(door: &Door, error: &NotHandedOver) -> Refusal {
    let way = door.sign_in_at(None).map(|url| ("Sign in", url));
    not_handed_over(error).saying(OVER).leading(way)
}
