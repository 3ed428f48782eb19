//! Paths as a workspace's program writes them, told as the browser has to ask for them.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};

use crate::{Target, path::ROUTE};

/// How a workspace is seen from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outside<'a> {
    /// The server's base path.
    pub(crate) base: &'a str,
    /// `<base>/route/<id>`.
    pub(crate) prefix: &'a str,
    /// The part of the path the program that answers does not see.
    pub(crate) stripped: &'a str,
    /// The pod.
    pub(crate) target: &'a Target,
}

impl Outside<'_> {
    /// The outside form of an absolute path of the program. A program that knows where it is served, because it was told
    /// by `X-Forwarded-Prefix` or `SUBFOLDER`, writes the outside form itself, with or without the server's base path.
    pub(crate) fn path(&self, inside: &str) -> String {
        self.path_at(self.stripped, inside)
    }

    fn path_at(&self, mount: &str, inside: &str) -> String {
        if is_under(inside, self.prefix) {
            return inside.to_owned();
        }
        let routed = self.prefix.strip_prefix(self.base).filter(|routed| routed.starts_with(ROUTE));
        if routed.is_some_and(|routed| is_under(inside, routed)) {
            return [self.base, inside].concat();
        }
        [self.prefix, mount, inside].concat()
    }

    /// The outside form of a link; `None` when it is right as it is.
    fn link(&self, link: &str) -> Option<String> {
        if let Some((authority, path, default_port)) = split_absolute(link) {
            let (ip, port) = split_authority(authority, default_port)?;
            if ip.to_canonical() != self.target.ip().to_canonical() {
                return None;
            }
            let mount = self.target.outside_path(port).unwrap_or_default();
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            return Some(self.path_at(mount, &path));
        }
        link.starts_with('/').then(|| self.path(link))
    }
}

/// Rewrites the headers whose value is a link. Relative ones need no help, and those to other sites are the program's
/// business.
pub(super) fn rewrite(headers: &mut HeaderMap, outside: &Outside<'_>) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(value) = headers.get_mut(name)
            && let Some(link) =
                std::str::from_utf8(value.as_bytes()).ok().and_then(|link| outside.link(link.trim()))
            && let Ok(rewritten) = HeaderValue::from_str(&link)
        {
            *value = rewritten;
        }
    }
}

/// Tells whether a path, which a query may follow, is `prefix` or below it.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// Authority, the rest, and the default port of a link that names a host.
fn split_absolute(link: &str) -> Option<(&str, &str, u16)> {
    let cut = |prefix: &str| {
        link.get(..prefix.len())
            .filter(|front| front.eq_ignore_ascii_case(prefix))
            .and(link.get(prefix.len()..))
    };
    let (rest, port) = if let Some(rest) = cut("http://").or_else(|| cut("//")) {
        (rest, 80)
    } else {
        (cut("https://")?, 443)
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((authority, path, port))
}

fn split_authority(authority: &str, default_port: u16) -> Option<(IpAddr, u16)> {
    let host = authority.rsplit('@').next().unwrap_or_default();
    if let Ok(address) = host.parse::<std::net::SocketAddr>() {
        return Some((address.ip(), address.port()));
    }
    let host = host.strip_suffix(':').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok().map(|ip| (ip, default_port))
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU16;

    use nocrd_model::{Api, Subject, Visibility};

    use super::*;
    use crate::Pod;

    /// A pod at 10.0.0.1, port 3000, with these APIs.
    pub(in crate::headers) fn target(apis: &[(&str, u16, &str)]) -> Target {
        let api = |(name, port, path): &(&str, u16, &str)| Api {
            name: (*name).to_owned(),
            port: NonZeroU16::new(*port).unwrap(),
            path: (*path).to_owned(),
            desc: None,
            methods: Vec::new(),
            refresh: None,
            visibility: Visibility::Private,
            protocol: nocrd_model::Protocol::Http,
        };
        Target::new(Pod {
            uid: "u".into(),
            ip: [10, 0, 0, 1].into(),
            port: NonZeroU16::new(3000).unwrap(),
            apis: apis.iter().map(api).collect(),
            owner: Subject::guest(),
            protocol: nocrd_model::Protocol::Http,
            subfolder: false,
            auth: nocrd_model::AuthMode::default(),
        })
    }

    fn rewritten(base: &str, stripped: &str, link: &str) -> String {
        let target = target(&[("t", 7681, "/term")]);
        let prefix = format!("{base}/route/a");
        let outside = Outside { base, prefix: &prefix, stripped, target: &target };
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, link.parse().unwrap());
        rewrite(&mut headers, &outside);
        headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn t40_d41_links_lead_back_into_the_workspace() {
        for (link, outside) in [
            ("/", "/gw/route/a/"),
            ("/login?next=/x#y", "/gw/route/a/login?next=/x#y"),
            ("/gw/route/a/x", "/gw/route/a/x"),
            ("/gw/route/a", "/gw/route/a"),
            ("/gw/route/a?x", "/gw/route/a?x"),
            ("/route/a/x", "/gw/route/a/x"),
            ("/route/ab/x", "/gw/route/a/route/ab/x"),
            ("/\\evil.example", "/gw/route/a/\\evil.example"),
            ("http://10.0.0.1:3000/x?y", "/gw/route/a/x?y"),
            ("HTTP://10.0.0.1:3000", "/gw/route/a/"),
            ("http://10.0.0.1:3000?x", "/gw/route/a/?x"),
            ("//10.0.0.1:3000/x", "/gw/route/a/x"),
            ("http://[::ffff:10.0.0.1]:3000/x", "/gw/route/a/x"),
            ("http://user@10.0.0.1:3000/x", "/gw/route/a/x"),
            ("http://10.0.0.1:7681/x", "/gw/route/a/term/x"),
            ("https://10.0.0.1/x", "/gw/route/a/x"),
            ("http://10.0.0.1:3000/route/a/x", "/gw/route/a/x"),
        ] {
            assert_eq!(rewritten("/gw", "", link), outside, "{link}");
        }
        for other in [
            "https://example.com/login",
            "//example.com/x",
            "login",
            "../x",
            "?x",
            "#y",
            "",
            "mailto:a@b",
            "http://10.0.0.2:3000/x",
            "http://10.0.0.1.evil.example/",
        ] {
            assert_eq!(rewritten("/gw", "", other), other);
        }
        assert_eq!(rewritten("", "/term", "/login"), "/route/a/term/login");
        assert_eq!(rewritten("", "", "/route/a/x"), "/route/a/x");
        assert_eq!(rewritten("", "/term", "http://10.0.0.1:3000/x"), "/route/a/x");
    }
}
