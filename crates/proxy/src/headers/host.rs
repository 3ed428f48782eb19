//! The authority a client asked.

use http::{HeaderMap, HeaderValue, Uri, Version, header};

use crate::Error;

/// Longest authority: a DNS name (RFC 1035) and a port.
const MAX_LEN: usize = 253 + 6;

/// The authority of a request: that of an absolute target (which overrides `Host`; RFC 9112, 3.2.2), else `Host`. `None`
/// for an HTTP/1.0 request without either.
///
/// # Errors
/// [`Error::Malformed`] when there is none, more than one, or none that is a host and a port.
pub(crate) fn of_request(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
) -> Result<Option<HeaderValue>, Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Error::Malformed("the request has more than one Host header"));
    }
    let host = match (uri.authority(), host) {
        (Some(authority), _) => HeaderValue::from_str(authority.as_str()).ok(),
        (None, Some(host)) => Some(host.clone()),
        (None, None) if version < Version::HTTP_11 => return Ok(None),
        (None, None) => return Err(Error::Malformed("the request has no Host header")),
    };
    match host {
        Some(host) if is_authority(host.as_bytes()) => Ok(Some(host)),
        _ => Err(Error::Malformed("the request's Host header is no host name")),
    }
}

/// Host characters of RFC 3986 but for escapes, and no user name.
fn is_authority(text: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= MAX_LEN && text.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uri: &str, hosts: &[&str], version: Version) -> Result<Option<String>, Error> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        let found = of_request(&uri.parse().unwrap(), &headers, version)?;
        Ok(found.map(|host| host.to_str().unwrap().to_owned()))
    }

    #[test]
    fn one_authority_or_none_for_http_1_0() {
        for (uri, hosts, version, expected) in [
            ("/x", &["gw.example:8080"][..], Version::HTTP_11, Some("gw.example:8080")),
            ("/x", &["[::1]:80"], Version::HTTP_11, Some("[::1]:80")),
            ("http://a.example/x", &["b.example"], Version::HTTP_11, Some("a.example")),
            ("https://a.example/x", &[], Version::HTTP_2, Some("a.example")),
            ("/x", &[], Version::HTTP_10, None),
        ] {
            assert_eq!(host(uri, hosts, version).unwrap().as_deref(), expected);
        }
    }

    #[test]
    fn t35_t40_ambiguous_and_odd_hosts_are_refused() {
        let long = "a".repeat(300);
        for hosts in [
            &[][..],
            &["a", "a"],
            &["a", "b"],
            &[""],
            &["a b"],
            &["a/b"],
            &["user@a"],
            &["a,b"],
            &["a\"b"],
            &["a%00"],
            &["a?x"],
            &[long.as_str()],
        ] {
            assert!(matches!(host("/x", hosts, Version::HTTP_11), Err(Error::Malformed(_))), "{hosts:?}");
        }
    }
}
