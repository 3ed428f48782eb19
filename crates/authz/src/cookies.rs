//! Cookies: which of a request's are ours (RFC 6265 section 5.4, RFC 6265bis), and how ours are set.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::{clock::UnixTime, keys::SealError};

/// The signed-in user.
pub const SESSION: &str = "nocr_sess";
/// The refresh token.
pub const REFRESH: &str = "nocr_refresh";
/// An access token for one workspace's pages.
pub const TOKEN: &str = "nocr_token";
/// A link with a token, and the question that its browser is asked. Of several links the last one counts.
pub const LINK: &str = "nocr_link";
/// Beginning of the names of sign-ins under way.
pub const LOGIN_PREFIX: &str = "nocr_login_";

/// Longest value that is set, so that the value with its name and attributes stays under the 4096 bytes that browsers
/// keep, and longest that is read.
pub const MAX_VALUE: usize = 3800;
/// How many sign-ins under way are looked at.
const MAX_UNDER_WAY: usize = 8;

/// The values of all cookies called `name`, in the order they were sent. A browser sends several when they were set for
/// different paths, or by a neighbouring host; if only the first few were looked at, that host could hide ours. The size
/// of a request's headers is limited, and so is what it takes to look at all.
pub fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    pairs(headers)
        .filter(move |(key, value)| *key == name && !value.is_empty() && value.len() <= MAX_VALUE)
        .map(|(_, value)| value)
}

/// Names of the cookies that begin with `prefix`.
pub(crate) fn names<'h>(headers: &'h HeaderMap, prefix: &str) -> impl Iterator<Item = &'h str> {
    pairs(headers).map(|(name, _)| name).filter(move |name| name.starts_with(prefix)).take(MAX_UNDER_WAY)
}

/// Tells whether a request carries a cookie that could sign it in.
#[must_use]
pub fn has_credentials(headers: &HeaderMap) -> bool {
    pairs(headers).any(|(name, _)| name == SESSION || name == REFRESH)
}

/// All cookies of a request. HTTP/2 may spread them over several headers (RFC 9113 section 8.2.3); a header that is
/// not text is none of ours.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// How cookies are set: for which path, and whether only for https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookiePath {
    base: Box<str>,
}

impl CookiePath {
    /// Cookies for everything under the base prefix, which is empty or begins with `/` and does not end with it.
    ///
    /// # Errors
    /// [`SealError::Malformed`] when the prefix could not stand in a cookie's `Path`.
    pub fn new(base: &str) -> Result<Self, SealError> {
        let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"' | b'\\');
        if base.bytes().all(fits) && (base.is_empty() || (base.starts_with('/') && !base.ends_with('/'))) {
            Ok(Self { base: base.into() })
        } else {
            Err(SealError::Malformed)
        }
    }

    /// The base prefix itself.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    fn path(&self) -> &str {
        if self.base.is_empty() { "/" } else { &self.base }
    }

    /// A `Set-Cookie` for the whole site, good until `expires`.
    ///
    /// # Errors
    /// [`SealError::Malformed`] for a value that would break out of its place.
    pub fn set(
        &self,
        name: &str,
        value: &str,
        now: UnixTime,
        expires: UnixTime,
        secure: bool,
    ) -> Result<HeaderValue, SealError> {
        set_cookie(name, value, self.path(), now.until(expires).as_secs(), secure)
    }

    /// A `Set-Cookie` for the sign-in routes only.
    pub(crate) fn set_for_login(
        &self,
        name: &str,
        value: &str,
        seconds: u64,
        secure: bool,
    ) -> Result<HeaderValue, SealError> {
        set_cookie(name, value, &format!("{}/auth", self.base), seconds, secure)
    }

    /// A `Set-Cookie` that removes the cookie of that name.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn clear(&self, name: &str, secure: bool) -> Result<HeaderValue, SealError> {
        set_cookie(name, "", self.path(), 0, secure)
    }

    /// A `Set-Cookie` that removes one of the sign-in routes.
    pub(crate) fn clear_for_login(&self, name: &str, secure: bool) -> Result<HeaderValue, SealError> {
        set_cookie(name, "", &format!("{}/auth", self.base), 0, secure)
    }
}

/// The header. Never with `Domain`, so that neighbouring hosts don't get it.
fn set_cookie(
    name: &str,
    value: &str,
    path: &str,
    seconds: u64,
    secure: bool,
) -> Result<HeaderValue, SealError> {
    if !name.bytes().all(is_token_byte) || !value.bytes().all(is_cookie_byte) {
        return Err(SealError::Malformed);
    }
    let gone = if seconds == 0 { "; Expires=Thu, 01 Jan 1970 00:00:00 GMT" } else { "" };
    let secure = if secure { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path={path}; Max-Age={seconds}{gone}; HttpOnly; SameSite=Lax{secure}");
    let mut header = HeaderValue::from_str(&text).map_err(|_| SealError::Malformed)?;
    header.set_sensitive(true);
    Ok(header)
}

/// `token` of RFC 9110.
fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// `cookie-octet` of RFC 6265.
fn is_cookie_byte(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|c| (COOKIE, HeaderValue::from_str(c).unwrap())).collect()
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::new(seconds)
    }

    #[test]
    fn all_values_of_a_name_are_found() {
        let headers =
            request(&["a=1; nocr_sess=x=y ;b", "nocr_sess=z;nocr_session=no; NOCR_SESS=no", "nocr_sess="]);
        assert_eq!(values(&headers, SESSION).collect::<Vec<_>>(), ["x=y", "z"]);
        assert!(has_credentials(&headers));
        assert!(!has_credentials(&request(&["xnocr_sess=1; nocr_token=2"])));
    }

    #[test]
    fn t14_oversize_values_are_not_looked_at_and_many_hide_none() {
        let oversize = format!("nocr_sess={}", "x".repeat(MAX_VALUE + 1));
        let mut many = vec![oversize.as_str()];
        many.extend(["nocr_sess=a; nocr_sess=b"; 50]);
        assert_eq!(values(&request(&many), SESSION).count(), 100);
    }

    #[test]
    fn t13_d39_attributes() {
        let root = CookiePath::new("").unwrap();
        let text = |header: HeaderValue| header.to_str().unwrap().to_owned();
        assert_eq!(
            text(root.set(SESSION, "2.k.v", at(100), at(1900), true).unwrap()),
            "nocr_sess=2.k.v; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax; Secure"
        );
        let below = CookiePath::new("/gateway/no-crd").unwrap();
        assert_eq!(
            text(below.set(SESSION, "v", at(0), at(60), false).unwrap()),
            "nocr_sess=v; Path=/gateway/no-crd; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            text(below.clear(REFRESH, false).unwrap()),
            "nocr_refresh=; Path=/gateway/no-crd; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"
        );
        assert!(
            text(below.set_for_login("nocr_login_x", "v", 600, true).unwrap())
                .contains("; Path=/gateway/no-crd/auth;")
        );
        assert!(root.set(SESSION, "v", at(0), at(60), true).unwrap().is_sensitive(), "not for logs");
    }

    #[test]
    fn d16_nothing_breaks_out_of_its_place() {
        for base in ["/a;Domain=evil", "/a,b", "/a b", "a", "/a/", "/ü", "/a\r\n"] {
            assert!(CookiePath::new(base).is_err(), "{base:?}");
        }
        let root = CookiePath::new("").unwrap();
        for value in ["a;b", "a, b", "a b", "a\r\nSet-Cookie: x=y", "ä", "\"a\""] {
            assert!(root.set(TOKEN, value, at(0), at(1), false).is_err(), "{value:?}");
        }
        assert!(root.set("a=b", "v", at(0), at(1), false).is_err());
    }

    proptest! {
        #[test]
        fn what_is_set_is_read(value in "[!#-+\\--:<-\\[\\]-~]{1,60}", other in "[a-z]{1,5}=[^;]{0,10}") {
            let header = CookiePath::new("").unwrap().set(SESSION, &value, at(0), at(9), false).unwrap();
            let pair = header.to_str().unwrap().split(';').next().unwrap().to_owned();
            if let Ok(cookie) = HeaderValue::from_str(&format!("{other}; {pair}; {other}")) {
                let headers: HeaderMap = [(COOKIE, cookie)].into_iter().collect();
                if headers[COOKIE].to_str().is_ok() {
                    prop_assert_eq!(values(&headers, SESSION).collect::<Vec<_>>(), [value.as_str()]);
                }
            }
        }

        #[test]
        fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers: HeaderMap = [(COOKIE, value)].into_iter().collect();
                prop_assert!(values(&headers, SESSION).all(|value| value.len() <= MAX_VALUE));
            }
        }
    }
}
