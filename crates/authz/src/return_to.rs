//! Where a browser goes after it signed in: to a page of this site, and nowhere else.

use percent_encoding::percent_decode_str;
use url::Url;

/// The site as browsers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Scheme, host and port: `https://host` or `http://host:3000`. From the configuration, or from a `Host` that was
    /// checked against it.
    pub origin: String,
    /// The base prefix: empty, or `/prefix`.
    pub base: String,
}

/// Longest target that is kept.
const MAX_TARGET: usize = 2048;

impl Site {
    /// Tells whether browsers reach the site by https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.origin.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// The URL that the identity provider sends the browser back to.
    #[must_use]
    pub fn callback(&self) -> String {
        format!("{}{}/auth/callback", self.origin, self.base)
    }

    /// The site's first page.
    #[must_use]
    pub fn home(&self) -> String {
        format!("{}/", self.base)
    }

    /// `target` as path, query and fragment, if it is a page of this site: an absolute path under the base prefix, or
    /// a URL of the same origin. Sign-in and sign-out routes are no pages to return to.
    #[must_use]
    pub fn page(&self, target: &str) -> Option<String> {
        // Browsers drop tabs and line breaks from URLs and read a backslash as a slash.
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if target.len() > MAX_TARGET || target.contains(odd) {
            return None;
        }
        let origin = Url::parse(&self.origin).ok()?;
        let is_path = target.starts_with('/') && !target.starts_with("//");
        let url = if is_path { origin.join(target).ok()? } else { Url::parse(target).ok()? };
        let same = url.origin() == origin.origin() && url.username().is_empty() && url.password().is_none();
        if !same || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let path = url.path();
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        if decoded.starts_with("//") || decoded.contains(|c: char| c.is_control() || c == '\\') {
            return None;
        }
        // What a server behind us might make of dot segments that are encoded twice is not for us to find out.
        if decoded.split('/').any(|segment| matches!(segment, "." | "..")) {
            return None;
        }
        let below = path.strip_prefix(self.base.as_str())?;
        if !(below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let below = decoded.get(self.base.len()..).unwrap_or_default();
        let first = below.split('/').nth(1).unwrap_or_default();
        if matches!(first, "auth" | "logout") || below.starts_with("/mcp/logout") {
            return None;
        }
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        Some(format!("{path}{query}{fragment}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site(base: &str) -> Site {
        Site { origin: "https://gate.example".into(), base: base.into() }
    }

    #[test]
    fn pages_of_the_site_are_kept() {
        for (base, target, page) in [
            ("", "/", "/"),
            ("", "/route/ws-1/a%20b?x=1&y=/%2F#top", "/route/ws-1/a%20b?x=1&y=/%2F#top"),
            ("", "https://gate.example/route/ws-1/", "/route/ws-1/"),
            ("", "HTTPS://GATE.example:443/x", "/x"),
            ("", "/authors", "/authors"),
            ("", "/@evil.example", "/@evil.example"),
            ("", "/route/ws-1//double", "/route/ws-1//double"),
            ("/gw", "/gw", "/gw"),
            ("/gw", "/gw/ui?redirect=//evil.example", "/gw/ui?redirect=//evil.example"),
        ] {
            assert_eq!(site(base).page(target).as_deref(), Some(page), "{target}");
        }
    }

    #[test]
    fn t26_nothing_leads_elsewhere() {
        for (base, target) in [
            ("", ""),
            ("", "route"),
            ("", "//evil.example"),
            ("", "///evil.example"),
            ("", "/\\evil.example"),
            ("", "\\\\evil.example"),
            ("", "/route/..\\..\\x"),
            ("", "/\t/evil.example"),
            ("", "/\n/evil.example"),
            ("", "/x\r\nSet-Cookie: a=b"),
            ("", " //evil.example"),
            ("", "/%2f%2fevil.example"),
            ("", "/%2Fevil.example"),
            ("", "/%5cevil.example"),
            ("", "/%0d%0aSet-Cookie:%20a=b"),
            ("", "/.//evil.example"),
            ("", "/a/..//evil.example"),
            ("", "https://evil.example/"),
            ("", "https://gate.example.evil.example/"),
            ("", "https://gate.example@evil.example/"),
            ("", "https://user@gate.example/"),
            ("", "https://gate.example:8443/"),
            ("", "http://gate.example/"),
            ("", "https:evil.example"),
            ("", "https:/\\evil.example"),
            ("", "javascript:alert(1)"),
            ("", "data:text/html,x"),
            ("", "/%252e%252e/../..%2f..%2fx/%2e%2e%2fy"),
            ("", "/auth/login"),
            ("", "/%61uth/callback"),
            ("", "/logout"),
            ("", "/mcp/logout"),
            ("/gw", "/"),
            ("/gw", "/gwx"),
            ("/gw", "/gw/../x"),
            ("/gw", "/gw/%2e%2e/x"),
            ("/gw", "/gw/auth/login"),
            ("/gw", "/gw/logout"),
            ("", &format!("/{}", "x".repeat(MAX_TARGET))),
        ] {
            assert_eq!(site(base).page(target), None, "{target:?}");
        }
    }

    proptest! {
        #[test]
        fn t26_whatever_is_kept_stays_on_the_origin(target in "[/\\\\a-z.:@%2fF5cC#? ]{0,24}") {
            let site = site("/gw");
            if let Some(page) = site.page(&target) {
                let at = Url::parse("https://gate.example/").unwrap().join(&page).unwrap();
                prop_assert_eq!(at.origin(), Url::parse(&site.origin).unwrap().origin());
                prop_assert!(at.path() == "/gw" || at.path().starts_with("/gw/"), "{}", page);
                prop_assert!(page.is_ascii() && !page.contains(|c: char| c.is_control()));
            }
        }
    }
}
