use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use nocrd_model::{AuthMode, Caller, Grants, Protocol, Role, Subject};
use secrecy::SecretString;

use crate::{
    Peer, Pod, Target,
    headers::{self, Outside, Said},
};

const TOKEN: &str = "the-users-own-token";
const PREFIX: &str = "/gw/route/a";

/// Any headers, a line each (`name: value`), of a request, of an answer, and as trailers of both: nothing of the gateway's
/// own gets to a workspace, nobody but the gateway says who asks, and a workspace speaks for nobody else.
pub fn header(input: &[u8]) {
    let lines = input.split(|b| *b == b'\n').filter_map(|line| {
        let at = line.iter().position(|b| *b == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        Some((HeaderName::from_bytes(name).ok()?, value))
    });
    let mut sent = HeaderMap::new();
    for (name, value) in lines.take(200) {
        sent.append(name, value);
    }
    let caller = caller();
    for identity in [None, Some(&caller)] {
        for keeps_authorization in [false, true] {
            request(&sent, identity, keeps_authorization);
        }
    }
    for shut_in in [false, true] {
        for stripped in ["", "/term"] {
            answer(&sent, stripped, shut_in);
        }
    }
    trailers(&sent);
}

fn caller() -> Caller {
    let grants = Grants { named_roles: ["ops".to_owned()].into(), ..Grants::default() };
    Caller::verified("alice".into(), Role::User).with_grants(grants)
}

fn request(sent: &HeaderMap, identity: Option<&Caller>, keeps_authorization: bool) {
    let peer = Peer::new(([192, 0, 2, 7], 1).into(), true);
    let (host, token) = (HeaderValue::from_static("gw.example"), SecretString::from(TOKEN));
    let mut cleaned = sent.clone();
    let said = Said {
        peer: &peer,
        host: Some(&host),
        prefix: HeaderValue::from_static(PREFIX),
        authority: HeaderValue::from_static("10.0.0.1:3000"),
        identity,
        token: identity.map(|_| &token),
        keeps_authorization,
    };
    headers::clean_request(&mut cleaned, said);

    let mut only = vec![
        ("host", "10.0.0.1:3000"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "gw.example"),
        ("x-forwarded-prefix", PREFIX),
        ("x-forwarded-proto", "https"),
    ];
    if identity.is_some() {
        only.extend([("x-user-sub", "alice"), ("x-user-roles", "ops"), ("x-workspace-jwt", TOKEN)]);
    }
    for (name, value) in &only {
        let found: Vec<_> = cleaned.get_all(*name).iter().collect();
        assert_eq!(found, [value], "{name} is not what the gateway says");
    }
    for name in cleaned.keys() {
        let said = only.iter().any(|(known, _)| name == known);
        assert!(said || !speaks_for_the_gateway(name.as_str()), "{name} of the client's is passed on");
    }
    assert!(!keeps_authorization || !cleaned.contains_key(header::AUTHORIZATION));
    for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-authorization", "expect"]
    {
        assert!(!cleaned.contains_key(name), "{name} is passed on");
    }
    assert!(cleaned.get_all(header::TE).iter().all(|te| te == "trailers"));
    let cookies: Vec<_> = cleaned.get_all(header::COOKIE).iter().collect();
    assert!(cookies.len() <= 1, "several lines of cookies");
    for pair in cookies.iter().flat_map(|value| value.as_bytes().split(|b| *b == b';')) {
        assert!(!names_ours(pair), "a cookie of the gateway is passed on");
    }
    unchanged(sent, &cleaned);
}

/// Names that only a program's own can have come through as they are, unless `Connection` says otherwise.
fn unchanged(sent: &HeaderMap, cleaned: &HeaderMap) {
    let listed: BTreeSet<Vec<u8>> = sent
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    for name in sent.keys().filter(|name| name.as_str().starts_with("app-")) {
        if !listed.contains(name.as_str().as_bytes()) {
            assert!(sent.get_all(name).iter().eq(cleaned.get_all(name)), "{name} does not get through");
        }
    }
}

/// Whether a program may take a header of this name for one that the gateway sets. CGI-like interfaces tell `-`, `_` and `.`
/// from each other as little as capital letters.
fn speaks_for_the_gateway(name: &str) -> bool {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    ["x-user-", "x-forwarded-", "x-original-", "x-rewrite-"].iter().any(|family| plain.starts_with(family))
        || ["x-workspace-jwt", "forwarded", "x-real-ip", "true-client-ip"].contains(&&*plain)
}

/// Whether a server may read a pair `name=value` as a cookie of the gateway's.
fn names_ours(pair: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pair.trim_ascii()).to_ascii_lowercase();
    // Some read a pair without a name as one that is only a name.
    let text = text.strip_prefix('=').unwrap_or(&text);
    let name = text.split('=').next().unwrap_or_default().trim();
    let name = ["__host-http-", "__http-", "__host-", "__secure-"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    name.starts_with("nocr_")
}

fn answer(sent: &HeaderMap, stripped: &str, shut_in: bool) {
    let target = Target::new(Pod {
        uid: String::new(),
        ip: [10, 0, 0, 1].into(),
        port: std::num::NonZeroU16::MIN,
        protocol: Protocol::default(),
        apis: Vec::new(),
        owner: Subject::guest(),
        subfolder: false,
        auth: AuthMode::default(),
    });
    let outside = Outside { base: "/gw", prefix: PREFIX, stripped, target: &target };
    let mut cleaned = sent.clone();
    headers::clean_response(&mut cleaned, &outside, shut_in);
    for value in cleaned.get_all(header::SET_COOKIE) {
        let mut parts = value.as_bytes().split(|b| *b == b';');
        let pair = parts.next().unwrap_or_default();
        assert!(!names_ours(pair), "a workspace sets a cookie of the gateway's");
        assert!(!pair.trim_ascii().starts_with(b"=") && pair.contains(&b'='), "a cookie without a name");
        let attributes: Vec<(&[u8], &[u8])> = parts
            .map(|part| {
                let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
                let (key, value) = part.split_at_checked(at).unwrap_or_default();
                (key.trim_ascii(), value.strip_prefix(b"=").unwrap_or_default().trim_ascii())
            })
            .collect();
        let named = |name: &[u8]| -> Vec<&[u8]> {
            let all = attributes.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            all.map(|(_, value)| *value).collect()
        };
        assert!(named(b"domain").is_empty(), "a cookie for other hosts");
        let paths = named(b"path");
        // After a query it is the path of nothing.
        let below = paths
            .first()
            .and_then(|path| path.strip_prefix(PREFIX.as_bytes()))
            .is_some_and(|rest| rest.first().is_none_or(|next| matches!(next, b'/' | b'?' | b'#')));
        assert!(paths.len() == 1 && below, "a cookie beyond the workspace");
    }
    for name in [
        "clear-site-data",
        "service-worker-allowed",
        "strict-transport-security",
        "alt-svc",
        "x-frame-options",
        "x-accel-redirect",
        "x-workspace-jwt",
        "connection",
        "transfer-encoding",
    ] {
        assert!(!cleaned.contains_key(name), "{name} of a workspace's is passed on");
    }
    let policies: Vec<_> = cleaned.get_all(header::CONTENT_SECURITY_POLICY).iter().collect();
    let last = policies.last().map(|policy| policy.as_bytes());
    assert!(
        !shut_in || last.is_some_and(|policy| policy.starts_with(b"sandbox ")),
        "the page is not shut in"
    );
    assert!(policies.iter().any(|policy| {
        policy
            .as_bytes()
            .split(|b| matches!(b, b',' | b';'))
            .any(|one| one.trim_ascii() == b"frame-ancestors 'self'")
    }));
    unchanged(sent, &cleaned);
}

fn trailers(sent: &HeaderMap) {
    let mut cleaned = sent.clone();
    headers::clean_request_trailers(&mut cleaned);
    for name in cleaned.keys() {
        let framing =
            ["host", "cookie", "authorization", "content-length", "transfer-encoding", "connection"];
        assert!(
            !speaks_for_the_gateway(name.as_str()) && !framing.contains(&name.as_str()),
            "{name} in trailers"
        );
    }
    let mut cleaned = sent.clone();
    headers::clean_response_trailers(&mut cleaned);
    for name in ["set-cookie", "location", "clear-site-data", "content-length", "transfer-encoding"] {
        assert!(!cleaned.contains_key(name), "{name} in trailers");
    }
}
