//! `GET` and `POST /context/<handle>`.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use axum::{
    Extension,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    response::Response,
};
use bytes::Bytes;
use nocrd_authz::{authenticator::SameOrigin, error::with_causes};
use nocrd_config::Settings;
use nocrd_model::{Caller, caller::Trust, error as codes};

use super::{Forms, Found, fields, page, store::NotKept};
use crate::{
    audit::{About, Act, Outcome, Who},
    auth::Sender,
    respond,
    site::Site,
};

/// What the pages are made of.
pub(crate) struct Pages {
    forms: Arc<Forms>,
    site: Arc<Site>,
    /// How the product calls itself here.
    product: String,
}

type Asked = Result<Path<String>, PathRejection>;

impl Pages {
    pub(crate) fn new(forms: Arc<Forms>, site: Arc<Site>, settings: &Settings) -> Self {
        Self { forms, site, product: settings.ui_title.clone() }
    }

    /// The page that was asked for, or the answer that is given instead: the same one for what never was, what is over, and what
    /// is somebody else's.
    async fn find(&self, asked: &Asked, caller: &Caller, headers: &HeaderMap) -> Result<Found<'_>, Response> {
        let handle = asked.as_ref().map_or("", |Path(handle)| handle.as_str());
        match self.forms.page(handle, caller).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(no_page(headers)),
            Err(error) => Err(unavailable(headers, &error)),
        }
    }
}

fn no_page(headers: &HeaderMap) -> Response {
    let message =
        "there is no such page for you: it was filled in, it was open for too long, or it is somebody else's";
    respond::failure(headers, codes::ROUTE_NOT_FOUND, message)
}

fn unavailable(headers: &HeaderMap, error: &NotKept) -> Response {
    tracing::warn!("a page for context can't be served: {}", with_causes(error));
    let message = "the server can't keep values now; nothing was taken";
    respond::failure(headers, codes::CLUSTER_UNREACHABLE, message)
}

/// Shows the form.
pub(crate) async fn show(
    State(pages): State<Arc<Pages>>,
    asked: Asked,
    Extension(caller): Extension<Caller>,
    sender: Sender,
) -> Response {
    match pages.find(&asked, &caller, &sender.headers).await {
        Ok(found) => page::form(&pages.product, &found.question, visitor(&caller), &[]),
        Err(answer) => answer,
    }
}

/// Takes what it was filled in with.
pub(crate) async fn receive(
    State(pages): State<Arc<Pages>>,
    asked: Asked,
    Extension(caller): Extension<Caller>,
    sender: Sender,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let headers = &sender.headers;
    // Whoever knows the address of somebody's page could else make their browser fill it in.
    if pages.site.context(sender.request()).same_origin != SameOrigin::Proven {
        let message =
            "this request does not prove that it comes from a page of this site, and so nothing was taken";
        return respond::failure(headers, codes::HOST_NOT_ALLOWED, message);
    }
    let found = match pages.find(&asked, &caller, headers).await {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return respond::failure(headers, codes::BODY_TOO_LARGE, "the form has more than 64 KiB");
        }
        Err(_) => {
            return respond::failure(headers, codes::REQUEST_MALFORMED, "the form did not arrive as a whole");
        }
    };
    let values = match fields::read(&body, &found.question.names) {
        Ok(values) => values,
        Err(problems) => {
            return page::form(&pages.product, &found.question, visitor(&caller), &problems);
        }
    };
    match pages.forms.give(&found, &values).await {
        Ok(true) => {
            record(&found, &caller, &sender);
            page::taken(&pages.product)
        }
        Ok(false) => no_page(headers),
        Err(error) => unavailable(headers, &error),
    }
}

/// Whom the page names: with authentication, whoever has signed in.
fn visitor(caller: &Caller) -> Option<&Caller> {
    Some(caller).filter(|caller| caller.trust == Trust::Verified)
}

fn record(found: &Found<'_>, caller: &Caller, sender: &Sender) {
    let question = &found.question;
    Act {
        action: "context.give",
        outcome: Outcome::Done,
        who: Some(Who::from(caller)),
        visit: Some(sender.visit()),
        about: About {
            workspace: question.name.as_deref(),
            template: question.template.as_deref(),
            ..About::default()
        },
    }
    .record();
}
