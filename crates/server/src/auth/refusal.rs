//! Answers to those who are not let in.

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use nocrd_authz::verify::TokenError;
use nocrd_model::{Code, error as codes};
use nocrd_proxy_core::{Failure, page::Offer};

use crate::respond;

/// When asking again may help, where something that we ask does not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Why a request is not served, and what its sender can do about it.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    code: Code,
    message: String,
    /// `WWW-Authenticate` (RFC 6750).
    challenge: Option<HeaderValue>,
    /// `Link`, to the metadata of the resource.
    link: Option<HeaderValue>,
    cookies: Vec<HeaderValue>,
    /// When asking again may help.
    after: Option<Duration>,
    /// What is on the page besides.
    page: Option<Box<OnPage>>,
    /// Why, for the audit log, where that is more than the code says.
    reason: Option<TokenError>,
}

/// What people get to see.
#[derive(Debug, Clone, Default)]
struct OnPage {
    said: Option<Said>,
    /// Where to go on: a text and an address of this site.
    way: Option<(&'static str, String)>,
}

/// A heading and advice, in place of those of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) title: &'static str,
    pub(super) advice: &'static str,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            challenge: None,
            link: None,
            cookies: Vec::new(),
            after: None,
            page: None,
            reason: None,
        }
    }

    /// A layer of ours is missing: better nobody gets in than anybody.
    pub(crate) fn broken() -> Self {
        Self::new(codes::INTERNAL, "the server can't tell where the request comes from")
    }

    /// With a challenge, and a link to the metadata of the resource.
    pub(super) fn challenging(self, challenge: Option<HeaderValue>, link: Option<HeaderValue>) -> Self {
        Self { challenge, link, ..self }
    }

    /// What it is recorded as.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Why, where that is more than the code says.
    pub(crate) fn reason(&self) -> Option<TokenError> {
        self.reason
    }

    /// With what is wrong with the request's token.
    pub(super) fn because(self, reason: TokenError) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Asking again may help after this time.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self { after: Some(time), ..self }
    }

    /// With a heading and advice of its own.
    pub(super) fn saying(mut self, said: Said) -> Self {
        self.page.get_or_insert_default().said = Some(said);
        self
    }

    /// With a way on, for people.
    pub(super) fn leading(mut self, way: Option<(&'static str, String)>) -> Self {
        self.page.get_or_insert_default().way = way;
        self
    }

    pub(super) fn with_cookies(mut self, cookies: Vec<HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// Whether signing in helps.
    pub(super) fn is_unauthenticated(&self) -> bool {
        self.code == codes::UNAUTHENTICATED
    }

    pub(super) fn cookies(&self) -> &[HeaderValue] {
        &self.cookies
    }

    /// The answer, in the form that a request with these headers wants.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response<Bytes> {
        let retry_after = self.after.or((self.code.kind.status() == 503).then_some(RETRY));
        let page = self.page.as_deref();
        let said = page.and_then(|page| page.said);
        let way = page.and_then(|page| page.way.as_ref()).map(|(text, address)| (*text, address.as_str()));
        let offer = Offer {
            title: said.map(|said| said.title),
            advice: said.map(|said| said.advice),
            ways: way.as_slice(),
        };
        let mut answer = Failure { code: self.code, message: &self.message, retry_after, progress: None }
            .response_with(respond::wanted(headers), &offer);
        let fields = answer.headers_mut();
        for (name, value) in [(header::WWW_AUTHENTICATE, &self.challenge), (header::LINK, &self.link)] {
            if let Some(value) = value {
                fields.insert(name, value.clone());
            }
        }
        set_cookies(fields, &self.cookies);
        answer
    }

    /// The answer of the router.
    pub(crate) fn response(&self, headers: &HeaderMap) -> axum::response::Response {
        self.answer(headers).map(axum::body::Body::from)
    }
}

/// Adds `Set-Cookie` headers; what they belong to is then for nobody else.
pub(crate) fn set_cookies(headers: &mut HeaderMap, cookies: &[HeaderValue]) {
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    if !cookies.is_empty() && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Sends a browser elsewhere, with cookies; nothing of this is stored, and nobody is told where it came from.
pub(super) fn see_other(location: HeaderValue, cookies: &[HeaderValue]) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let fields = answer.headers_mut();
    fields.insert(header::LOCATION, location);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    set_cookies(fields, cookies);
    answer
}

/// The same for the router.
pub(crate) fn redirect(location: &str, cookies: &[HeaderValue]) -> axum::response::Response {
    match HeaderValue::from_str(location) {
        Ok(location) => see_other(location, cookies).map(axum::body::Body::from),
        Err(_) => Refusal::new(codes::INTERNAL, "there is nowhere to go").response(&HeaderMap::new()),
    }
}
