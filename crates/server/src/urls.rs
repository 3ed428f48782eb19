use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nocrd_config::Settings;

/// Where a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    local: String,
    users: String,
}

impl Urls {
    pub(crate) fn new(settings: &Settings, address: SocketAddr, tls: bool) -> Self {
        let scheme = if tls { "https" } else { "http" };
        let base = settings.base_url.as_str();
        let ip = match address.ip() {
            ip if !ip.is_unspecified() => ip,
            ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            _ => Ipv6Addr::LOCALHOST.into(),
        };
        let local = format!("{scheme}://{}{base}", SocketAddr::new(ip, address.port()));
        let users = match &settings.public_url {
            // A public URL without a path stands for the host in front of us, one with a path for the whole.
            Some(url) if url.path() == "/" => format!("{}{base}", url.as_str().trim_end_matches('/')),
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            // Which of this machine's addresses users know can't be told from here.
            None if address.ip().is_unspecified() => base.to_owned(),
            None => local.clone(),
        };
        Self { local, users }
    }

    /// URL on this machine, without a slash at its end.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// URL for users, without a slash at its end; only the path prefix when nothing tells by which name they reach the
    /// server.
    #[must_use]
    pub fn users(&self) -> &str {
        &self.users
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn urls(address: &str, tls: bool, env: &[(&str, &str)]) -> (String, String) {
        let env: BTreeMap<_, _> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let urls = Urls::new(&Settings::from_env(&env).unwrap(), address.parse().unwrap(), tls);
        (urls.local, urls.users)
    }

    #[test]
    fn users_get_the_best_name_there_is() {
        let own = |url: &str| (url.to_owned(), url.to_owned());
        let pair = |local: &str, users: &str| (local.to_owned(), users.to_owned());
        assert_eq!(urls("127.0.0.1:3000", false, &[]), own("http://127.0.0.1:3000"));
        assert_eq!(urls("[::1]:443", true, &[("BASE_URL", "/gw")]), own("https://[::1]:443/gw"));
        assert_eq!(
            urls("0.0.0.0:3000", false, &[("BASE_URL", "/gw")]),
            pair("http://127.0.0.1:3000/gw", "/gw")
        );
        assert_eq!(urls("[::]:3000", false, &[]), pair("http://[::1]:3000", ""));
        for (public, users) in [
            ("https://no-crd.example", "https://no-crd.example/gw"),
            ("https://no-crd.example/", "https://no-crd.example/gw"),
            ("https://no-crd.example/front/gw/", "https://no-crd.example/front/gw"),
        ] {
            let env = [("BASE_URL", "/gw"), ("PUBLIC_URL", public)];
            assert_eq!(urls("0.0.0.0:80", false, &env), pair("http://127.0.0.1:80/gw", users));
        }
    }
}
