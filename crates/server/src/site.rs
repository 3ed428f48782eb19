//! Which site this server is: the names under which it is asked, and the pages that may ask.
//!
//! A page of any site can make a browser send requests here, and with DNS rebinding it can even read the answers, under
//! its own name. The `Host` header then holds that name, and `Origin` the page's.

pub(crate) mod seen;

use std::{net::IpAddr, sync::Arc};

use ::http::{HeaderMap, header, uri::Authority};
use arc_swap::ArcSwapOption;
use nocrd_config::{Settings, Source};
use url::{Host, Url};

use seen::Front;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request has no Host header, more than one, or one that is no host name")]
    Unreadable,
    #[error(
        "this server is not {0:?}: use its own address, or add the name to ALLOWED_HOSTS or set PUBLIC_URL"
    )]
    Host(String),
    #[error(
        "pages of {0:?} may not call this server: add the site to ALLOWED_HOSTS or CORS_ALLOWED_ORIGIN to allow it"
    )]
    Origin(String),
    #[error("a page of another site sent this request")]
    CrossSite,
}

/// The names and origins that are served.
#[derive(Debug, Default)]
pub(crate) struct Site {
    names: Vec<Name>,
    /// Whether any IP address is one of ours: the server listens on all of them. Rebinding needs a name.
    any_address: bool,
    origins: Origins,
    front: Front,
    /// The authority that was found to be ours last: nearly all requests name the same one.
    last: ArcSwapOption<Box<str>>,
}

/// Further origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Origins {
    #[default]
    None,
    Any,
    These(Vec<String>),
}

/// A name, and a port when only that one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    host: String,
    port: Option<u16>,
}

impl Site {
    /// The site that the settings describe.
    pub(crate) fn new(settings: &Settings) -> Self {
        let any_address = settings.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        let mut names: Vec<Name> =
            settings.allowed_hosts.iter().filter_map(|name| Name::parse(name)).collect();
        names.extend(settings.public_url.as_ref().and_then(Name::of_url));
        if !any_address {
            names.push(Name { host: normal(&settings.host), port: None });
        }
        let (origins, front) = (Origins::new(settings), Front::new(settings));
        Self { names, any_address, origins, front, last: ArcSwapOption::empty() }
    }

    /// Further names of the site, as authorities: those that only the settings know.
    pub(crate) fn authorities(settings: &Settings) -> Vec<String> {
        let public = settings.public_url.as_ref().and_then(|url| {
            let host = url.host_str()?;
            Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
        });
        settings.allowed_hosts.iter().cloned().chain(public).collect()
    }

    /// Whether requests for this authority are for us.
    pub(crate) fn check_host(&self, authority: &str) -> Result<(), Refused> {
        if self.last.load().as_ref().is_some_and(|last| ***last == *authority) {
            return Ok(());
        }
        let Some(asked) = Name::parse(authority) else { return Err(Refused::Unreadable) };
        if is_loopback(&asked.host) || self.knows(&asked) {
            self.last.store(Some(Arc::new(authority.into())));
            return Ok(());
        }
        Err(Refused::Host(shorten(authority)))
    }

    /// Whether the page that sent a request, if one did, may do so. `host` is the request's authority.
    pub(crate) fn check_origin(&self, headers: &HeaderMap, host: Option<&str>) -> Result<(), Refused> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            // Programs send neither header; a browser always tells a cross-site request as such.
            let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
            return if cross_site { Err(Refused::CrossSite) } else { Ok(()) };
        };
        let refused = || Refused::Origin(shorten(&String::from_utf8_lossy(origin.as_bytes())));
        let text = origin.to_str().ok().filter(|_| origins.next().is_none()).ok_or_else(refused)?;
        if self.origins.allow(text) {
            return Ok(());
        }
        let from = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let from = from.as_ref().and_then(Name::of_origin).ok_or_else(refused)?;
        let asked = host.and_then(Name::parse);
        let own = asked.as_ref().is_some_and(|asked| {
            let same = asked.host == from.host && asked.port.is_none_or(|port| from.port == Some(port));
            // Of two programs on one machine one may be a page under development, or an inspector.
            same || is_loopback(&asked.host) && is_loopback(&from.host)
        });
        if own || self.knows(&from) { Ok(()) } else { Err(refused()) }
    }

    fn knows(&self, asked: &Name) -> bool {
        let is =
            |known: &Name| known.host == asked.host && (known.port.is_none() || known.port == asked.port);
        self.names.iter().any(is) || self.any_address && asked.host.parse::<IpAddr>().is_ok()
    }
}

impl Origins {
    /// What was set on purpose: the default of `*` opens nothing.
    pub(crate) fn new(settings: &Settings) -> Self {
        let origins = &settings.cors_allowed_origin;
        if settings.source("CORS_ALLOWED_ORIGIN") == Source::Default {
            Self::None
        } else if origins.iter().any(|origin| origin == "*") {
            Self::Any
        } else {
            Self::These(origins.clone())
        }
    }

    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|known| known == origin),
        }
    }
}

impl Name {
    /// Reads `host` or `host:port`. User names are refused.
    fn parse(text: &str) -> Option<Self> {
        // A setting may hold a bare IPv6 address.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self { host: normal(&address.to_string()), port: None });
        }
        let authority: Authority = text.parse().ok().filter(|_| !text.contains('@'))?;
        let host = authority.host();
        let port = match text.get(host.len()..)? {
            "" | ":" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        (!host.is_empty()).then(|| Self { host: normal(host), port })
    }

    /// The name in an origin, with its port, which the scheme implies when it is not written.
    fn of_origin(url: &Url) -> Option<Self> {
        Some(Self { host: normal(url.host_str()?), port: url.port_or_known_default() })
    }

    /// The name in the URL that users use, with any port: what stands in front of us may use another one.
    fn of_url(url: &Url) -> Option<Self> {
        Some(Self { host: normal(url.host_str()?), port: None })
    }
}

/// A host in one spelling: lower case, no brackets, no dot at the end.
fn normal(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return ip.to_canonical().to_string();
    }
    // What the URL standard may take for an IPv4 address ends in a number. Nearly every host is told apart here.
    let last = host.rsplit('.').next().unwrap_or_default();
    if is_plain(host) && !last.starts_with(|c: char| c.is_ascii_digit()) {
        return host.to_ascii_lowercase();
    }
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.to_string(),
        _ => host.to_ascii_lowercase(),
    }
}

/// Letters, digits and hyphens, which mean nothing but themselves.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

/// Names of this machine for itself; `localhost` and everything below it never reach DNS (RFC 6761, 6.3).
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(env: &[(&str, &str)]) -> Site {
        let env: std::collections::BTreeMap<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Site::new(&Settings::from_env(&env).unwrap())
    }

    fn origin(site: &Site, origins: &[&str], host: &str) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        site.check_origin(&headers, Some(host)).is_ok()
    }

    #[test]
    fn t22_only_names_of_ours_are_served() {
        let local = site(&[]);
        for host in
            ["localhost", "LOCALHOST:3000", "a.localhost:1", "127.0.0.1:3000", "127.9.9.9", "[::1]:3000"]
        {
            assert_eq!(local.check_host(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:3000",
            "10.0.0.7:3000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            assert_eq!(local.check_host(host), Err(Refused::Host(host.to_owned())), "{host}");
        }
        for host in ["", "a b", "user@localhost", "localhost:x", "localhost:99999", "http://localhost/"] {
            assert_eq!(local.check_host(host), Err(Refused::Unreadable), "{host}");
        }
    }

    #[test]
    fn t22_a_host_has_one_spelling() {
        for (host, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f.0.0.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("[::FFFF:127.0.0.1]", "127.0.0.1"),
            ("::0:1", "::1"),
            ("GW.example.", "gw.example"),
            ("a.1b", "a.1b"),
            ("1.2.example", "1.2.example"),
            ("a_b.example", "a_b.example"),
        ] {
            assert_eq!(normal(host), expected, "{host}");
        }
    }

    #[test]
    fn t22_further_names_are_set() {
        let open = site(&[
            ("HOST", "0.0.0.0"),
            ("PUBLIC_URL", "https://No-Crd.example/gw"),
            ("ALLOWED_HOSTS", "no-crd.nogoo9.svc, one.example:8080"),
        ]);
        for host in [
            "10.0.0.7:3000",
            "[fd00::1]:3000",
            "no-crd.example",
            "no-crd.example.",
            "no-crd.example:8443",
            "no-crd.nogoo9.svc:3000",
            "one.example:8080",
        ] {
            assert_eq!(open.check_host(host), Ok(()), "{host}");
        }
        for host in ["evil.example", "one.example", "one.example:81"] {
            assert!(open.check_host(host).is_err(), "{host}");
        }
        let message = open.check_host("evil.example").unwrap_err().to_string();
        assert!(message.contains("ALLOWED_HOSTS") && message.contains("PUBLIC_URL"), "{message}");
        let bound = site(&[("HOST", "10.0.0.7")]);
        assert!(bound.check_host("10.0.0.7:3000").is_ok() && bound.check_host("10.0.0.8:3000").is_err());
    }

    #[test]
    fn t22_t23_pages_of_other_sites_are_refused() {
        let local = site(&[("ALLOWED_HOSTS", "app.example")]);
        for (from, host) in [
            ("http://localhost:3000", "localhost:3000"),
            ("http://127.0.0.1:3000", "localhost:3000"),
            ("http://localhost:6274", "127.0.0.1:3000"),
            ("https://app.example", "localhost:3000"),
            ("https://app.example:8443", "localhost:3000"),
        ] {
            assert!(origin(&local, &[from], host), "{from} {host}");
        }
        for from in [
            "http://evil.example",
            "https://app.example.evil.example",
            "null",
            "",
            "file://localhost",
            "chrome-extension://localhost",
            "http://localhost.evil.example",
        ] {
            assert!(!origin(&local, &[from], "localhost:3000"), "{from}");
        }
        assert!(!origin(&local, &["http://localhost:3000", "http://evil.example"], "localhost:3000"));

        let public = site(&[("HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "gw.example")]);
        assert!(origin(&public, &["https://gw.example"], "gw.example"));
        // A page on the user's own machine is a stranger to a server elsewhere.
        assert!(!origin(&public, &["http://localhost:5173"], "gw.example"));

        let mut headers = HeaderMap::new();
        assert!(local.check_origin(&headers, Some("localhost")).is_ok());
        headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(local.check_origin(&headers, Some("localhost")), Err(Refused::CrossSite));
    }

    #[test]
    fn t24_cors_opens_only_what_was_set() {
        assert!(!origin(&site(&[]), &["https://app.example"], "localhost"));
        let named = site(&[("CORS_ORIGIN", "https://app.example")]);
        assert!(origin(&named, &["https://app.example"], "localhost"));
        assert!(!origin(&named, &["http://app.example"], "localhost"));
        assert!(origin(&site(&[("CORS_ORIGIN", "*")]), &["https://any.example"], "localhost"));
    }
}
