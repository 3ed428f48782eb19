//! The opening handshake (RFC 6455, 4.2), as both sides write it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use sha1::{Digest as _, Sha1};

use crate::{Error, headers::has_token};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const WEBSOCKET: &str = "websocket";

/// A client's well-formed wish for a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// What a pod that agrees answers.
    accept: String,
}

impl Handshake {
    /// Reads a request's wish to upgrade. `None` is an ordinary request, and so is one that wishes for another protocol:
    /// a server may ignore that (RFC 9110, 7.8), and the wish is not passed on.
    ///
    /// # Errors
    /// [`Error::UpgradeRefused`] for a handshake that is malformed.
    pub(crate) fn wanted(
        method: &Method,
        version: Version,
        headers: &HeaderMap,
        has_body: bool,
    ) -> Result<Option<Self>, Error> {
        // HTTP/2 has no such upgrade; HTTP/1.0 must not have one.
        if version != Version::HTTP_11
            || !has_token(headers, &header::UPGRADE, WEBSOCKET)
            || !has_token(headers, &header::CONNECTION, "upgrade")
        {
            return Ok(None);
        }
        if method != Method::GET {
            return Err(Error::UpgradeRefused("a WebSocket handshake is a GET request"));
        }
        if has_body {
            return Err(Error::UpgradeRefused("a WebSocket handshake has no body"));
        }
        if only(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Error::UpgradeRefused("only WebSocket version 13 is supported"));
        }
        let key = only(headers, &header::SEC_WEBSOCKET_KEY)
            .filter(|key| BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16))
            .ok_or(Error::UpgradeRefused("Sec-WebSocket-Key is not 16 bytes in base64"))?;
        Ok(Some(Self { accept: accept_value(key.as_bytes()) }))
    }

    /// Writes the wish into a request's cleaned headers.
    pub(crate) fn write_request(headers: &mut HeaderMap) {
        write_upgrade(headers);
    }

    /// Tells whether a pod's answer agrees to this handshake.
    pub(crate) fn is_agreed(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS
            && has_token(headers, &header::UPGRADE, WEBSOCKET)
            && has_token(headers, &header::CONNECTION, "upgrade")
            && only(headers, &header::SEC_WEBSOCKET_ACCEPT)
                .is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes())
    }

    /// Writes the agreement into an answer's cleaned headers.
    pub(crate) fn write_response(headers: &mut HeaderMap) {
        write_upgrade(headers);
        // A 101 has no body (RFC 9110, 8.6), and nothing that could be shown in a frame.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONTENT_SECURITY_POLICY);
    }
}

fn write_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

fn accept_value(key: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The one value of a header; `None` when there is none, or more than one.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn with(name: &str, value: Option<&str>) -> HeaderMap {
        let mut headers = headers(&GOOD);
        headers.remove(name);
        if let Some(value) = value {
            headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn wanted(headers: &HeaderMap) -> Result<Option<Handshake>, Error> {
        Handshake::wanted(&Method::GET, Version::HTTP_11, headers, false)
    }

    #[test]
    fn the_example_of_rfc_6455() {
        let handshake = wanted(&headers(&GOOD)).unwrap().unwrap();
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn t37_other_upgrades_are_ordinary_requests() {
        for headers in [
            with("upgrade", Some("h2c")),
            with("upgrade", Some("TLS/1.0, h2c")),
            with("upgrade", None),
            with("connection", Some("keep-alive")),
            with("connection", None),
            HeaderMap::new(),
        ] {
            assert_eq!(wanted(&headers).unwrap(), None, "{headers:?}");
        }
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(Handshake::wanted(&Method::GET, version, &headers(&GOOD), false).unwrap(), None);
        }
    }

    #[test]
    fn t37_malformed_handshakes_are_refused() {
        let mut twice = headers(&GOOD);
        twice.append("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        for headers in [
            with("sec-websocket-version", None),
            with("sec-websocket-version", Some("8")),
            with("sec-websocket-version", Some("13, 8")),
            with("sec-websocket-key", None),
            with("sec-websocket-key", Some("")),
            with("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ")),
            with("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZTEy")),
            with("sec-websocket-key", Some("not base64 at all!!!!!!==")),
            twice,
        ] {
            assert!(matches!(wanted(&headers), Err(Error::UpgradeRefused(_))), "{headers:?}");
        }
        let good = headers(&GOOD);
        for (method, has_body) in [(Method::POST, false), (Method::HEAD, false), (Method::GET, true)] {
            assert!(Handshake::wanted(&method, Version::HTTP_11, &good, has_body).is_err());
        }
    }

    #[test]
    fn t37_only_a_matching_101_is_an_agreement() {
        let handshake = wanted(&headers(&GOOD)).unwrap().unwrap();
        let answer = |accept: &str| {
            headers(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", accept)])
        };
        let good = answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(handshake.is_agreed(StatusCode::SWITCHING_PROTOCOLS, &good));
        assert!(!handshake.is_agreed(StatusCode::OK, &good));
        assert!(
            !handshake.is_agreed(StatusCode::SWITCHING_PROTOCOLS, &answer("AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
        );
        for missing in ["connection", "upgrade", "sec-websocket-accept"] {
            let mut answer = good.clone();
            answer.remove(missing);
            assert!(!handshake.is_agreed(StatusCode::SWITCHING_PROTOCOLS, &answer), "{missing}");
        }
    }
}
