//! Cookies: the gateway's own never reach a workspace, and a workspace sets none but for its own path.

use http::{HeaderMap, HeaderValue, header};

use super::Outside;

/// What the names of the gateway's cookies begin with.
const OURS: &str = "nocr_";

/// Prefixes by which browsers tie a cookie's name to its attributes (RFC 6265bis, 4.1.3).
const NAME_PREFIXES: [&str; 4] = ["__host-http-", "__host-", "__secure-", "__http-"];

fn is_ours(name: &[u8]) -> bool {
    // Programs trim more than spaces.
    let blanks = name.iter().take_while(|byte| **byte <= b' ').count();
    let name = name.get(blanks..).unwrap_or_default();
    let begins = |name: &[u8], with: &str| {
        name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    let prefix = NAME_PREFIXES.iter().find(|prefix| begins(name, prefix)).map_or(0, |prefix| prefix.len());
    name.get(prefix..).is_some_and(|name| begins(name, OURS))
}

/// Takes the gateway's cookies out of a request. Several `Cookie` headers, as HTTP/2 allows, become one (RFC 9113,
/// 8.2.3).
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::COOKIE).iter();
    let Some(first) = values.next() else { return };
    let single = values.next().is_none();
    if single && !contains_ours(first.as_bytes()) {
        return;
    }
    let mut kept: Vec<u8> = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        for pair in value.as_bytes().split(|b| *b == b';').map(<[u8]>::trim_ascii) {
            // A pair without a name may be read as one whose name is its value.
            let bare = pair.trim_ascii_start().strip_prefix(b"=").unwrap_or(pair);
            let name = bare.split(|b| *b == b'=').next().unwrap_or_default();
            if pair.is_empty() || is_ours(name) {
                continue;
            }
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    headers.remove(header::COOKIE);
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(kept))
    {
        headers.insert(header::COOKIE, value);
    }
}

/// A quick look whether there can be anything to strip.
fn contains_ours(value: &[u8]) -> bool {
    value.windows(OURS.len()).any(|window| window.eq_ignore_ascii_case(OURS.as_bytes()))
}

/// Narrows the cookies that a workspace sets to its own path, and drops those that only the gateway sets.
pub(super) fn narrow_response(headers: &mut HeaderMap, outside: &Outside<'_>) {
    let header::Entry::Occupied(entry) = headers.entry(header::SET_COOKIE) else { return };
    let (_, values) = entry.remove_entry_mult();
    let narrowed: Vec<HeaderValue> = values.filter_map(|value| narrow(&value, outside)).collect();
    for value in narrowed {
        headers.append(header::SET_COOKIE, value);
    }
}

/// One `Set-Cookie` value: without `Domain`, and with exactly one `Path`, under the workspace's.
///
/// A cookie without a name is dropped: browsers send its value alone, and `nocr_sess=x` as a value would look like ours.
/// Bytes that are no UTF-8 are kept as they are.
fn narrow(value: &HeaderValue, outside: &Outside<'_>) -> Option<HeaderValue> {
    let mut parts = value.as_bytes().split(|b| *b == b';');
    let pair = parts.next().unwrap_or_default();
    let at = pair.iter().position(|b| *b == b'=')?;
    let name = pair.get(..at)?.trim_ascii();
    if name.is_empty() || is_ours(name) {
        return None;
    }
    let mut out = pair.to_vec();
    let mut path = None;
    for attribute in parts {
        let (key, rest) = split_attribute(attribute);
        if key.eq_ignore_ascii_case(b"path") {
            // The last one counts (RFC 6265, 5.3).
            path = std::str::from_utf8(rest).ok();
        } else if !key.eq_ignore_ascii_case(b"domain") {
            out.push(b';');
            out.extend_from_slice(attribute);
        }
    }
    let path = outside.path(path.filter(|path| path.starts_with('/')).unwrap_or("/"));
    // It would be another attribute.
    if path.contains(';') {
        return None;
    }
    out.extend_from_slice(b"; Path=");
    out.extend_from_slice(path.as_bytes());
    HeaderValue::from_bytes(&out).ok()
}

fn split_attribute(attribute: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = attribute.splitn(2, |b| *b == b'=');
    let key = halves.next().unwrap_or_default();
    (key.trim_ascii(), halves.next().unwrap_or_default().trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::location::tests::target, *};

    fn sent(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::COOKIE, value.parse().unwrap());
        }
        strip_request(&mut headers);
        assert!(headers.get_all(header::COOKIE).iter().count() <= 1);
        headers.get(header::COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn t32_gateway_cookies_never_reach_a_workspace() {
        for ours in [
            "nocr_sess=x",
            "nocr_refresh=x",
            "nocr_token=x",
            "NOCR_SESS=x",
            "__Host-nocr_sess=x",
            "__Secure-Nocr_x=y",
            "nocr_sess = x",
            "nocr_sess",
            "=nocr_sess=x",
            "__Host-Http-nocr_a=1",
            " \tnocr_sess=x",
            "\t \tNOCR_=",
        ] {
            assert_eq!(sent(&[ours]), None, "{ours}");
            assert_eq!(sent(&[&format!("a=1; {ours}; b=2")]).as_deref(), Some("a=1; b=2"), "{ours}");
            assert_eq!(sent(&[ours, "a=1"]).as_deref(), Some("a=1"), "{ours}");
        }
        assert_eq!(sent(&["a=\"x; nocr_sess=s\""]).as_deref(), Some("a=\"x"));
    }

    #[test]
    fn other_cookies_pass_as_they_are() {
        for other in ["a=1;b=2", "not_nocr_sess=1", "a=nocr_sess", "nocr=1", "a=\"b c\",d"] {
            assert_eq!(sent(&[other]).as_deref(), Some(other));
        }
        assert_eq!(sent(&["a=1", "b=2"]).as_deref(), Some("a=1; b=2"));
    }

    fn set(value: &str) -> Option<String> {
        let target = target(&[("t", 7681, "/term")]);
        let outside = Outside { base: "/gw", prefix: "/gw/route/a", stripped: "", target: &target };
        let mut headers = HeaderMap::new();
        headers.insert(header::SET_COOKIE, value.parse().unwrap());
        narrow_response(&mut headers, &outside);
        headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn t25_d22_workspaces_set_cookies_for_their_own_path_only() {
        for (value, narrowed) in [
            ("a=1", "a=1; Path=/gw/route/a/"),
            ("a=1; Path=/", "a=1; Path=/gw/route/a/"),
            ("a=1; path=/x; HttpOnly", "a=1; HttpOnly; Path=/gw/route/a/x"),
            ("a=1; Path=/gw/route/a/x", "a=1; Path=/gw/route/a/x"),
            ("a=1; Path=/gw/route/a", "a=1; Path=/gw/route/a"),
            ("a=1; Path=/route/a/x", "a=1; Path=/gw/route/a/x"),
            ("a=1; Path=/gw/route/ab", "a=1; Path=/gw/route/a/gw/route/ab"),
            ("a=1; Path=/x; PATH = /y ", "a=1; Path=/gw/route/a/y"),
            ("a=1; Path=x", "a=1; Path=/gw/route/a/"),
            ("a=1; Path", "a=1; Path=/gw/route/a/"),
            ("a=1; Domain=example.com; Secure", "a=1; Secure; Path=/gw/route/a/"),
            ("a=1; DOMAIN =.example.com", "a=1; Path=/gw/route/a/"),
            ("a=1;SameSite=Lax;Max-Age=5", "a=1;SameSite=Lax;Max-Age=5; Path=/gw/route/a/"),
            (
                "a==;Expires=Wed, 21 Oct 2015 07:28:00 GMT",
                "a==;Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/gw/route/a/",
            ),
        ] {
            assert_eq!(set(value).as_deref(), Some(narrowed), "{value}");
        }
        for ours in [
            "nocr_sess=x",
            "NOCR_token=x; Path=/route/a",
            " nocr_refresh = x",
            "__Host-nocr_sess=x",
            "=nocr_sess=x",
            "nocr_sess",
            "",
            ";",
        ] {
            assert_eq!(set(ours), None, "{ours}");
        }
    }

    #[test]
    fn t25_d16_no_path_of_an_api_adds_to_a_cookie() {
        let target = target(&[]);
        for stripped in ["/x;path=/", "/x;Domain=evil.example"] {
            let outside = Outside { base: "", prefix: "/route/a", stripped, target: &target };
            let mut headers = HeaderMap::new();
            headers.insert(header::SET_COOKIE, HeaderValue::from_static("a=1; Path=/"));
            narrow_response(&mut headers, &outside);
            assert_eq!(headers.get(header::SET_COOKIE), None, "{stripped}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_set_has_one_path_under_the_workspaces(value in "[a-zA-Z_=;/. ]{0,40}") {
            if let Some(narrowed) = set(&value) {
                let paths: Vec<_> = narrowed
                    .split(';').skip(1)
                    .filter_map(|attribute| attribute.split_once('='))
                    .filter(|(key, _)| key.trim().eq_ignore_ascii_case("path"))
                    .collect();
                prop_assert_eq!(paths.len(), 1);
                prop_assert!(paths[0].1.starts_with("/gw/route/a"));
                prop_assert!(!narrowed.to_ascii_lowercase().trim_start().starts_with("nocr_"));
            }
        }
    }
}
