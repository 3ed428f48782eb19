//! What crosses between client and workspace besides bodies.
//!
//! Of a request, everything is deleted that only this proxy may say (who the user is, where the request came from) or
//! that concerns one connection only (RFC 9110, 7.6.1); then what the proxy has to say is set, last, so that nothing a
//! client writes can undo it. Of a response, everything is deleted or narrowed that speaks for the whole site, because
//! a workspace is only one path of it.

use http::{HeaderMap, HeaderName, header};

pub(crate) mod cookies;
mod csp;
pub(crate) mod host;
mod location;
mod request;
mod response;

pub(crate) use location::Outside;
pub(crate) use request::{Said, clean_request, clean_request_trailers};
pub(crate) use response::{clean_response, clean_response_trailers};

/// Headers that concern one connection only. `Trailer` is not among them: it announces what the end of the body
/// carries, and trailers are passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Deletes the hop-by-hop headers, those that `Connection` declares to be, and those that are not wanted for another
/// reason.
///
/// Not everything may be declared away: the ones that frame or address the message stay.
fn remove_hop_by_hop_and(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let mut found = listed_in_connection(headers);
    // There are fewer headers in a message than names that are not wanted.
    for name in headers.keys().filter(|name| HOP_BY_HOP.contains(name) || is_unwanted(name)) {
        found.get_or_insert_with(Vec::new).push(name.clone());
    }
    for name in found.into_iter().flatten() {
        headers.remove(name);
    }
}

/// The headers that `Connection` names, but for those that are hop-by-hop anyway. Usually there are none.
fn listed_in_connection(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut listed = None;
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|b| *b == b',') {
            let token = token.trim_ascii();
            let common = [&b"keep-alive"[..], b"close", b"upgrade"];
            if token.is_empty() || common.iter().any(|name| token.eq_ignore_ascii_case(name)) {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token)
                && name != header::CONTENT_LENGTH
                && name != header::HOST
            {
                listed.get_or_insert_with(Vec::new).push(name);
            }
        }
    }
    listed
}

/// Tells whether one of the values of a list header is `token`, without regard to case.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
