//! Which pages may open a WebSocket. Browsers let any page open one to any site and send that site's cookies along;
//! only the `Origin` header tells (RFC 6455, 10.2).

use http::{HeaderMap, HeaderName, HeaderValue, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which pages may open WebSockets: those of the site the request itself is for, and of the ones named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPolicy {
    /// Further sites, as `host` or `host:port`: the names under which users see this server, when a reverse proxy in
    /// front replaces `Host`.
    pub hosts: Vec<String>,
    /// Whether a request without `Origin` passes. Programs send none, browsers always do. Default yes, which is right
    /// as long as no cookie opens anything.
    pub allow_missing: bool,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self { hosts: Vec::new(), allow_missing: true }
    }
}

impl OriginPolicy {
    /// Tells whether a request with these headers, for authority `host`, comes from a page that may open a WebSocket.
    pub(crate) fn allows(&self, headers: &HeaderMap, host: Option<&HeaderValue>, tls: bool) -> bool {
        self.judges(headers, host, tls).unwrap_or(self.allow_missing)
    }

    /// Tells whether a request proves to come from such a page. Programs prove nothing; they have no need to, since
    /// nobody makes them send cookies behind their user's back.
    pub(crate) fn proves(&self, headers: &HeaderMap, host: Option<&HeaderValue>, tls: bool) -> bool {
        // What the browser itself says (Fetch Metadata), which pages can't write.
        let mut told = headers.get_all(SEC_FETCH_SITE).iter();
        let same_origin = told.next().is_some_and(|site| site == "same-origin") && told.next().is_none();
        self.judges(headers, host, tls).unwrap_or(same_origin)
    }

    /// Tells whether the request's `Origin` is one of ours; `None` when it has none.
    fn judges(&self, headers: &HeaderMap, host: Option<&HeaderValue>, tls: bool) -> Option<bool> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = origins.next()?;
        Some(origins.next().is_none() && self.is_ours(origin, host, tls))
    }

    fn is_ours(&self, origin: &HeaderValue, host: Option<&HeaderValue>, tls: bool) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(Site::of_origin) else { return false };
        // A page that came unencrypted may be anybody's.
        let own = host.and_then(|host| host.to_str().ok()).filter(|_| !tls || origin.secure);
        own.into_iter().chain(self.hosts.iter().map(String::as_str)).any(|authority| origin.is_at(authority))
    }
}

/// A web origin (RFC 6454).
#[derive(Debug, Clone, Copy)]
struct Site<'a> {
    secure: bool,
    host: &'a str,
    port: u16,
}

impl<'a> Site<'a> {
    fn of_origin(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = split_port(authority)?;
        Some(Self { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }) })
    }

    /// Tells whether `authority` is this site. Without a port it stands for the default port of either scheme: behind a
    /// reverse proxy one can't tell which the client used.
    fn is_at(&self, authority: &str) -> bool {
        let default = if self.secure { 443 } else { 80 };
        split_port(authority).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(self.host) && port.unwrap_or(default) == self.port
        })
    }
}

/// Host and port of an authority; IPv6 addresses keep their brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(host_end..)?.rfind(':') {
        None => Some((authority, None)).filter(|(host, _)| !host.is_empty()),
        Some(colon) => {
            let host = authority.get(..host_end + colon)?;
            let port = authority.get(host_end + colon + 1..)?.parse().ok()?;
            Some((host, Some(port))).filter(|_| !host.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &OriginPolicy, origin: &[&str], host: &str, tls: bool) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origin {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        policy.allows(&headers, Some(&host.parse().unwrap()), tls)
    }

    #[test]
    fn t21_d20_only_pages_of_this_site() {
        let policy = OriginPolicy::default();
        for (origin, host, tls) in [
            ("http://gw.example", "gw.example", false),
            ("https://gw.example", "gw.example", false),
            ("https://GW.example", "gw.EXAMPLE:443", true),
            ("http://gw.example:3000", "gw.example:3000", false),
            ("http://127.0.0.1:3000", "127.0.0.1:3000", false),
            ("http://[::1]:3000", "[::1]:3000", false),
            ("http://[::1]", "[::1]", false),
        ] {
            assert!(allows(&policy, &[origin], host, tls), "{origin} {host}");
        }
        for (origin, host, tls) in [
            ("http://evil.example", "gw.example", false),
            ("http://gw.example.evil.example", "gw.example", false),
            ("http://evilgw.example", "gw.example", false),
            ("http://gw.example:8080", "gw.example", false),
            ("http://gw.example", "gw.example:8080", false),
            ("http://gw.example", "gw.example", true),
            ("https://gw.example:80", "gw.example", false),
            ("null", "gw.example", false),
            ("", "gw.example", false),
            ("http://", "gw.example", false),
            ("gw.example", "gw.example", false),
            ("file://gw.example", "gw.example", false),
            ("http://gw.example:x", "gw.example", false),
            ("http://gw.example/", "gw.example", false),
            ("http://u@gw.example", "gw.example", false),
        ] {
            assert!(!allows(&policy, &[origin], host, tls), "{origin} {host}");
        }
        assert!(!allows(&policy, &["http://gw.example", "http://gw.example"], "gw.example", false));
    }

    #[test]
    fn t23_cookies_count_for_pages_of_this_site_only() {
        let policy = OriginPolicy::default();
        let proves = |headers: &[(&'static str, &str)]| {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            policy.proves(&headers, Some(&"gw.example".parse().unwrap()), false)
        };
        assert!(proves(&[("origin", "https://gw.example")]));
        assert!(proves(&[("sec-fetch-site", "same-origin")]));
        for foreign in [
            &[][..],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!proves(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn t21_missing_origin_and_further_sites_are_policy() {
        let strict = OriginPolicy { hosts: vec!["public.example".into()], allow_missing: false };
        assert!(allows(&OriginPolicy::default(), &[], "gw.example", false));
        assert!(!allows(&strict, &[], "gw.example", false));
        assert!(allows(&strict, &["https://public.example"], "10.0.0.9:3000", false));
        assert!(!allows(&strict, &["https://other.example"], "10.0.0.9:3000", false));
    }
}
