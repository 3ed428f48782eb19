//! The site as browsers see it, which is what decides about cookies: by which scheme a browser came, whether one of our own
//! pages sent a request, and where a browser can be sent back to.

use std::net::IpAddr;

use ::http::{HeaderMap, Method, header};
use nocrd_authz::{
    authenticator::{Context, SameOrigin},
    return_to,
};
use nocrd_config::Settings;
use nocrd_proxy_core::Peer;
use url::Url;

use super::{Name, Origins, Site};
use crate::client::TrustedProxies;

/// What stands before us.
#[derive(Debug, Clone, Default)]
pub(super) struct Front {
    /// Where users reach us, if that was said.
    public: Option<Public>,
    /// The path prefix as we know it.
    base: String,
    proxies: TrustedProxies,
    /// Origins whose pages may send cookies.
    with_cookies: Vec<String>,
}

#[derive(Debug, Clone)]
struct Public {
    /// As browsers send it.
    origin: String,
    name: Name,
    secure: bool,
    /// The path prefix as browsers know it.
    base: String,
}

impl Front {
    pub(super) fn new(settings: &Settings) -> Self {
        let base = settings.base_url.clone();
        let public = settings.public_url.as_ref().and_then(|url| {
            Some(Public {
                origin: url.origin().ascii_serialization(),
                name: Name::of_origin(url)?,
                secure: url.scheme() == "https",
                base: base_of(url, &base),
            })
        });
        let with_cookies = match Origins::new(settings) {
            Origins::These(origins) if settings.cors_allow_credentials => origins,
            _ => Vec::new(),
        };
        Self { public, base, proxies: TrustedProxies::new(settings.trusted_proxies.clone()), with_cookies }
    }
}

/// A public URL without a path stands for the host in front of us, one with a path for the whole.
fn base_of(public: &Url, base: &str) -> String {
    match public.path().trim_end_matches('/') {
        "" => base.to_owned(),
        path => path.to_owned(),
    }
}

/// What of a request tells where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r Method,
    pub(crate) headers: &'r HeaderMap,
    /// The authority that was asked for; it was checked.
    pub(crate) host: Option<&'r str>,
    pub(crate) peer: &'r Peer,
    /// Whether it asks for another protocol.
    pub(crate) upgrade: bool,
}

impl Site {
    /// The path prefix as browsers know it: empty, or `/a/b`.
    pub(crate) fn outer_base(&self) -> &str {
        self.front.public.as_ref().map_or(&self.front.base, |public| &public.base)
    }

    /// The path of a request, as browsers know it: what stands in front of us may have changed the prefix.
    pub(crate) fn outward(&self, path_and_query: &str) -> String {
        let rest = path_and_query.strip_prefix(self.front.base.as_str()).unwrap_or(path_and_query);
        format!("{}{rest}", self.outer_base())
    }

    /// Where users reach us, if that was said; without a slash at its end.
    pub(crate) fn public_url(&self) -> Option<String> {
        self.front.public.as_ref().map(|public| format!("{}{}", public.origin, public.base))
    }

    /// What a request's sender may do with cookies.
    pub(crate) fn context(&self, request: Request<'_>) -> Context {
        let secure = self.is_secure(request);
        Context { secure, same_origin: self.same_origin(request, secure) }
    }

    /// Where the browser that sent the request believes to be.
    pub(crate) fn seen(&self, request: Request<'_>) -> return_to::Site {
        match &self.front.public {
            Some(public) => return_to::Site { origin: public.origin.clone(), base: public.base.clone() },
            None => {
                let scheme = if self.is_secure(request) { "https" } else { "http" };
                let host = request.host.unwrap_or("localhost");
                return_to::Site { origin: format!("{scheme}://{host}"), base: self.front.base.clone() }
            }
        }
    }

    /// Whether what this address says about the requests it passes on is believed.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.front.proxies.trusts(ip)
    }

    /// The reverse proxies before us.
    pub(crate) fn proxies(&self) -> &TrustedProxies {
        &self.front.proxies
    }

    /// Whether the browser came by https.
    fn is_secure(&self, request: Request<'_>) -> bool {
        if request.peer.is_tls() {
            return true;
        }
        let Some(public) = self.front.public.as_ref().filter(|public| public.secure) else { return false };
        request.host.and_then(Name::parse).is_some_and(|asked| asked.host == public.name.host)
    }

    /// Whether one of our own pages sent the request, and whether that matters.
    fn same_origin(&self, request: Request<'_>, secure: bool) -> SameOrigin {
        let Request { method, headers, upgrade, .. } = request;
        let fetch = |name: &str| headers.get(name).map(|value| value.as_bytes());
        let (from, mode) = (fetch("sec-fetch-site"), fetch("sec-fetch-mode"));
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => {
                let ours = || {
                    origin.to_str().is_ok_and(|origin| {
                        self.is_own_origin(origin, request.host, secure)
                            || self.front.with_cookies.iter().any(|known| known == origin)
                    })
                };
                // What the browser itself says of both ends is more than we know, but `null` is nobody's origin.
                let told = from == Some(b"same-origin") && origin != "null";
                return if told || ours() { SameOrigin::Proven } else { SameOrigin::Missing };
            }
            (Some(_), Some(_)) => return SameOrigin::Missing,
            (None, _) => {}
        }
        let changes = upgrade || !method.is_safe();
        match from {
            Some(b"same-origin") => SameOrigin::Proven,
            Some(b"none") | None if !changes => SameOrigin::NotNeeded,
            // A link elsewhere leads here: the page is shown, and nothing of it to the page that has the link.
            Some(_) if !changes && mode == Some(b"navigate") => SameOrigin::NotNeeded,
            _ => SameOrigin::Missing,
        }
    }

    /// Whether this is the origin of our own pages. Unlike for [`Site::check_origin`] the port matters, and so does the
    /// scheme as far as we know it: cookies are shared between ports, and trust is not.
    fn is_own_origin(&self, origin: &str, host: Option<&str>, secure: bool) -> bool {
        if self.front.public.as_ref().is_some_and(|public| public.origin == origin) {
            return true;
        }
        let Some(url) = Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return false;
        };
        let (Some(from), Some(asked)) = (Name::of_origin(&url), host.and_then(Name::parse)) else {
            return false;
        };
        let default = if url.scheme() == "https" { 443 } else { 80 };
        from.host == asked.host
            && from.port == Some(asked.port.unwrap_or(default))
            && (url.scheme() == "https" || !secure)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn site(env: &[(&str, &str)]) -> Site {
        let env: BTreeMap<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Site::new(&Settings::from_env(&env).unwrap())
    }

    struct Asked {
        method: Method,
        upgrade: bool,
        tls: bool,
        host: &'static str,
    }

    const GET: Asked = Asked { method: Method::GET, upgrade: false, tls: false, host: "gw.example:3000" };
    const POST: Asked = Asked { method: Method::POST, ..GET };

    fn ask(site: &Site, asked: &Asked, headers: &[(&'static str, &str)]) -> Context {
        let mut request = ::http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let peer = Peer::new("10.0.0.7:5".parse().unwrap(), asked.tls);
        let peer = site.proxies().look_through(&mut request, &peer);
        site.context(Request {
            method: &asked.method,
            headers: request.headers(),
            host: Some(asked.host),
            peer: &peer,
            upgrade: asked.upgrade,
        })
    }

    #[test]
    fn t21_t23_cookies_that_change_something_need_proof() {
        use SameOrigin::{Missing, NotNeeded, Proven};
        let site = site(&[("HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "gw.example")]);
        let upgrade = Asked { upgrade: true, ..GET };
        for (asked, headers, expected) in [
            (&GET, &[][..], NotNeeded),
            (&POST, &[], Missing),
            (&upgrade, &[], Missing),
            (&POST, &[("sec-fetch-site", "same-origin")], Proven),
            (&GET, &[("sec-fetch-site", "same-origin")], Proven),
            (&POST, &[("origin", "http://gw.example:3000")], Proven),
            (&upgrade, &[("origin", "http://gw.example:3000")], Proven),
            // Another port of the host shares its cookies, and is somebody else.
            (&POST, &[("origin", "http://gw.example:8080")], Missing),
            (&POST, &[("origin", "http://gw.example")], Missing),
            (&POST, &[("origin", "http://other.example:3000")], Missing),
            (&POST, &[("origin", "http://sub.gw.example:3000")], Missing),
            (&POST, &[("origin", "null")], Missing),
            (&POST, &[("origin", "null"), ("sec-fetch-site", "same-origin")], Missing),
            (&POST, &[("origin", "http://gw.example:3000"), ("origin", "http://evil.example")], Missing),
            (&POST, &[("sec-fetch-site", "same-site")], Missing),
            (&POST, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], Missing),
            (&POST, &[("sec-fetch-site", "none")], Missing),
            (&GET, &[("sec-fetch-site", "none")], NotNeeded),
            (&GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], NotNeeded),
            (&GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], Missing),
            (&GET, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")], Missing),
            (&GET, &[("origin", "http://evil.example")], Missing),
        ] {
            assert_eq!(ask(&site, asked, headers).same_origin, expected, "{} {headers:?}", asked.method);
        }
    }

    #[test]
    fn t23_behind_https_a_page_of_the_insecure_site_is_a_stranger() {
        let asked = |tls| Asked { tls, host: "gw.example", ..POST };
        let site = site(&[("HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "gw.example")]);
        let proven =
            |tls, origin| ask(&site, &asked(tls), &[("origin", origin)]).same_origin == SameOrigin::Proven;
        assert!(proven(true, "https://gw.example") && !proven(true, "http://gw.example"));
        // Who ends TLS in front of us without saying so.
        assert!(proven(false, "https://gw.example") && proven(false, "http://gw.example"));
    }

    #[test]
    fn t24_only_named_origins_may_send_cookies_and_only_when_that_is_allowed() {
        let page = &[("origin", "https://app.example")];
        for (env, expected) in [
            (&[("CORS_ORIGIN", "https://app.example"), ("CORS_CREDENTIALS", "true")][..], SameOrigin::Proven),
            (&[("CORS_ORIGIN", "https://app.example")], SameOrigin::Missing),
            (&[("CORS_ORIGIN", "*"), ("CORS_CREDENTIALS", "true")], SameOrigin::Missing),
        ] {
            assert_eq!(ask(&site(env), &POST, page).same_origin, expected, "{env:?}");
        }
    }

    #[test]
    fn t13_t31_the_scheme_is_the_browsers_own() {
        let secure = |env: &[(&str, &str)], asked: &Asked, headers| ask(&site(env), asked, headers).secure;
        assert!(!secure(&[], &GET, &[]));
        assert!(secure(&[], &Asked { tls: true, ..GET }, &[]));
        let forwarded = &[("x-forwarded-proto", "https")][..];
        assert!(!secure(&[], &GET, forwarded), "anybody can send that");
        assert!(secure(&[("TRUSTED_PROXIES", "10.0.0.0/24")], &GET, forwarded));
        assert!(!secure(&[("TRUSTED_PROXIES", "10.0.1.0/24")], &GET, forwarded));
        let through_one = &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https, http")];
        assert!(!secure(&[("TRUSTED_PROXIES", "10.0.0.0/24")], &GET, through_one), "the client sent that");
        let through_two = &[("x-forwarded-for", "203.0.113.9, 10.0.0.3"), through_one[1]];
        assert!(secure(&[("TRUSTED_PROXIES", "10.0.0.0/24")], &GET, through_two));
        let public = &[("PUBLIC_URL", "https://gw.example/front")][..];
        assert!(secure(public, &GET, &[]));
        assert!(
            !secure(public, &Asked { host: "127.0.0.1:3000", ..GET }, &[]),
            "a developer beside the front"
        );
    }

    #[test]
    fn the_site_is_what_was_said_or_else_what_was_asked_for() {
        let peer = Peer::new("10.0.0.7:5".parse().unwrap(), false);
        let (method, headers) = (Method::GET, HeaderMap::new());
        let seen = |env: &[(&str, &str)]| {
            let site = site(env);
            let seen = site.seen(Request {
                method: &method,
                headers: &headers,
                host: Some("localhost:3000"),
                peer: &peer,
                upgrade: false,
            });
            assert_eq!(site.outer_base(), seen.base);
            (seen.origin, seen.base)
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(seen(&[("BASE_URL", "/gw")]), pair("http://localhost:3000", "/gw"));
        let url = ("PUBLIC_URL", "https://Gw.example:443/");
        assert_eq!(seen(&[("BASE_URL", "/gw"), url]), pair("https://gw.example", "/gw"));
        let url = ("PUBLIC_URL", "https://gw.example/front/gw/");
        assert_eq!(seen(&[("BASE_URL", "/gw"), url]), pair("https://gw.example", "/front/gw"));
        let front = site(&[("BASE_URL", "/gw"), url]);
        assert_eq!(front.outward("/gw/route/w1/?a=/gw"), "/front/gw/route/w1/?a=/gw");
        assert_eq!(site(&[("BASE_URL", "/gw")]).outward("/gw/route/w1/"), "/gw/route/w1/");
    }
}
