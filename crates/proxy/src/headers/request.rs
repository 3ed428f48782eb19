//! Headers on their way to a workspace.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use nocrd_model::Caller;
use secrecy::{ExposeSecret as _, SecretString};

use super::{cookies, has_token, remove_hop_by_hop_and};
use crate::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_USER_SUB: HeaderName = HeaderName::from_static("x-user-sub");
const X_USER_ROLES: HeaderName = HeaderName::from_static("x-user-roles");
const X_WORKSPACE_JWT: HeaderName = HeaderName::from_static("x-workspace-jwt");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What the proxy tells a workspace about a request.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    /// Who sent it.
    pub(crate) peer: &'a Peer,
    /// The authority the client asked; `None` when it told none (HTTP/1.0).
    pub(crate) host: Option<&'a HeaderValue>,
    /// The path under which the client sees the workspace.
    pub(crate) prefix: HeaderValue,
    /// The value of `Host`.
    pub(crate) authority: HeaderValue,
    /// On whose behalf, when that was verified.
    pub(crate) identity: Option<&'a Caller>,
    /// Their access token, where the workspace may have it.
    pub(crate) token: Option<&'a SecretString>,
    /// Whether `Authorization` was for us.
    pub(crate) keeps_authorization: bool,
}

/// Deletes what clients may not say to workspaces, and says what the proxy has to say.
///
/// `Expect` goes too: what may be expected of the pod is for the proxy to say.
pub(crate) fn clean_request(headers: &mut HeaderMap, said: Said<'_>) {
    let takes_trailers = has_token(headers, &header::TE, "trailers");
    remove_hop_by_hop_and(headers, |name| {
        *name == header::EXPECT || *name == HTTP2_SETTINGS || is_ours(name.as_str())
    });
    cookies::strip_request(headers);
    if said.keeps_authorization {
        headers.remove(header::AUTHORIZATION);
    }

    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    headers.insert(header::HOST, said.authority);
    headers.insert(X_FORWARDED_FOR, said.peer.forwarded_for());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(said.peer.scheme()));
    if let Some(host) = said.host {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    headers.insert(X_FORWARDED_PREFIX, said.prefix);
    if let Some(caller) = said.identity {
        identify(headers, caller);
    }
    if let Some(mut token) = said.token.and_then(|token| exact(token.expose_secret())) {
        token.set_sensitive(true);
        headers.insert(X_WORKSPACE_JWT, token);
    }
}

/// Says who the user is. What would read differently at the other end is left out rather than bent.
fn identify(headers: &mut HeaderMap, caller: &Caller) {
    if let Some(subject) = exact(caller.subject.as_str()) {
        headers.insert(X_USER_SUB, subject);
    }
    // A role with a comma would be two.
    let roles = caller.grants.named_roles.iter().map(String::as_str);
    let plain: Vec<_> = roles.filter(|role| !role.contains(',') && exact(role).is_some()).collect();
    if let Some(roles) = exact(&plain.join(",")) {
        headers.insert(X_USER_ROLES, roles);
    }
}

/// A text as the value of a header, when it survives that: nothing is trimmed from it, and it is not empty.
fn exact(text: &str) -> Option<HeaderValue> {
    if text.is_empty() || text.trim() != text {
        return None;
    }
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// Deletes from a request's trailers what must not be merged into its headers behind our back.
pub(crate) fn clean_request_trailers(trailers: &mut HeaderMap) {
    const NOT_AT_THE_END: [HeaderName; 5] =
        [header::HOST, header::COOKIE, header::AUTHORIZATION, header::CONTENT_LENGTH, header::EXPECT];
    remove_hop_by_hop_and(trailers, |name| NOT_AT_THE_END.contains(name) || is_ours(name.as_str()));
}

/// Tells whether only the proxy may set `name` (in lower case), in any spelling that a program may take for it.
///
/// Programs behind CGI-like interfaces can't tell `-` from `_`, some not from `.` either. A name with such a character
/// is therefore also ours when it reads like one that frames, addresses or identifies a request.
fn is_ours(name: &str) -> bool {
    if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return is_reserved(name);
    }
    let dashed: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    is_reserved(&dashed)
        || matches!(
            dashed.as_str(),
            "host"
                | "cookie"
                | "authorization"
                | "content-length"
                | "content-type"
                | "transfer-encoding"
                | "connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "upgrade"
                | "expect"
                | "origin"
        )
        || dashed.starts_with("proxy-")
}

fn is_reserved(name: &str) -> bool {
    // Nearly every header fails here.
    if !name.starts_with("x-") {
        return matches!(name, "forwarded" | "true-client-ip");
    }
    const FAMILIES: [&str; 5] = ["x-user-", "x-forwarded-", "x-original-", "x-rewrite-", "x-nogoo9-"];
    FAMILIES.iter().any(|family| name.starts_with(family))
        || matches!(
            name,
            "x-user"
                | "x-forwarded"
                | "x-workspace-jwt"
                | "x-real-ip"
                | "x-client-ip"
                | "x-cluster-client-ip"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(pairs: &[(&str, &str)]) -> HeaderMap {
        cleaned_for(None, pairs)
    }

    fn cleaned_for(identity: Option<&Caller>, pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let peer = Peer::new("192.0.2.7:1".parse().unwrap(), true);
        let host = HeaderValue::from_static("gw.example");
        clean_request(
            &mut headers,
            Said {
                peer: &peer,
                host: Some(&host),
                prefix: HeaderValue::from_static("/gw/route/a"),
                authority: HeaderValue::from_static("10.0.0.1:3000"),
                identity,
                token: None,
                keeps_authorization: identity.is_some(),
            },
        );
        headers
    }

    const SAID: [(&str, &str); 5] = [
        ("host", "10.0.0.1:3000"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "gw.example"),
        ("x-forwarded-prefix", "/gw/route/a"),
        ("x-forwarded-proto", "https"),
    ];

    fn sorted(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn t29_t31_what_only_the_proxy_says_is_deleted_in_every_spelling() {
        for name in [
            "x-user-sub",
            "X-User-Sub",
            "X_USER_SUB",
            "x_user-sub",
            "x-user_roles",
            "x.user.sub",
            "X-User-Anything",
            "x-user",
            "x-workspace-jwt",
            "X_Workspace_Jwt",
            "x-forwarded-user",
            "x_forwarded_user",
            "x-forwarded-for",
            "X_Forwarded_For",
            "x-forwarded-proto",
            "x-forwarded-uri",
            "x-forwarded-email",
            "forwarded",
            "Forwarded",
            "x-real-ip",
            "X_Real_IP",
            "x-original-url",
            "x_original_url",
            "X-Original-URI",
            "x-rewrite-url",
            "X_Rewrite_Url",
            "x-nogoo9-internal",
            "content_length",
            "transfer_encoding",
            "host_",
            "HOST.",
            "proxy_authorization",
            "true_client_ip",
        ] {
            let headers = cleaned(&[(name, "evil"), (name, "twice")]);
            let left: Vec<_> =
                headers.iter().filter(|(_, value)| *value == "evil" || *value == "twice").collect();
            // A name that only looks like ours when a character is cut off stays.
            assert_eq!(left.is_empty(), !matches!(name, "host_" | "HOST."), "{name}: {left:?}");
        }
    }

    #[test]
    fn t30_connection_cannot_remove_what_the_proxy_says() {
        let headers = cleaned(&[
            ("connection", "close, X-Forwarded-For, x-forwarded-prefix, host, x-custom"),
            ("connection", "x-forwarded-proto,content-length , , \"bad\""),
            ("x-custom", "1"),
            ("content-length", "5"),
        ]);
        let mut expected = SAID.to_vec();
        expected.push(("content-length", "5"));
        expected.sort_unstable();
        assert_eq!(sorted(&headers), expected);
    }

    #[test]
    fn t29_t30_t32_d31_the_verified_user_is_told_and_nobody_else() {
        let grants = nocrd_model::Grants {
            named_roles: ["ops", "a,admin", " b", "c\n", "dé", ""].map(str::to_owned).into(),
            roles: ["viewer".to_owned()].into(),
            ..nocrd_model::Grants::default()
        };
        let caller = |subject: &str| {
            Caller::verified(subject.into(), nocrd_model::Role::Viewer).with_grants(grants.clone())
        };
        let evil = [
            ("x-user-sub", "evil"),
            ("x_user_sub", "evil"),
            ("x-user-roles", "admin"),
            ("connection", "x-user-sub, x-user-roles"),
            ("authorization", "Bearer secret"),
        ];
        let headers = cleaned_for(Some(&caller("jürgen")), &evil);
        assert_eq!(headers["x-user-sub"].as_bytes(), "jürgen".as_bytes());
        assert_eq!(headers["x-user-roles"].as_bytes(), "dé,ops".as_bytes());
        assert_eq!((headers.len(), headers.get("authorization")), (SAID.len() + 2, None));
        for odd in ["", " alice", "alice\t", "a\nb", "a\0"] {
            assert_eq!(cleaned_for(Some(&caller(odd)), &evil).get("x-user-sub"), None, "{odd:?}");
        }
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let headers = cleaned(&[
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers;q=1"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("expect", "100-continue"),
        ]);
        assert_eq!(sorted(&headers), SAID);
        let with_trailers = cleaned(&[("te", "gzip;q=0.5, Trailers"), ("trailer", "x-sum")]);
        assert_eq!(
            (&with_trailers["te"], &with_trailers["trailer"]),
            (&"trailers".parse().unwrap(), &"x-sum".parse().unwrap())
        );
    }

    #[test]
    fn everything_else_passes() {
        let other = [
            ("accept", "*/*"),
            ("authorization", "Basic eA=="),
            ("cookie", "a=1"),
            ("origin", "https://gw.example"),
            ("x-custom", "1"),
            ("x_custom", "2"),
        ];
        let headers = cleaned(&other);
        for (name, value) in other {
            assert_eq!(headers[name], value);
        }
    }

    #[test]
    fn t29_trailers_cannot_carry_identity() {
        let mut trailers = HeaderMap::new();
        for name in
            ["x-user-sub", "x_user_sub", "host", "cookie", "authorization", "content-length", "x-checksum"]
        {
            trailers.insert(name, "v".parse().unwrap());
        }
        clean_request_trailers(&mut trailers);
        assert_eq!(sorted(&trailers), [("x-checksum", "v")]);
    }
}
