//! What must not get into a log.

use std::fmt;

/// A value that shows itself to nobody: both `{}` and `{:?}` print `[redacted]`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Redacted<T>(pub T);

impl<T> Redacted<T> {
    /// The value, for whom it is meant.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Headers whose values are credentials, in lower case.
pub const SENSITIVE_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "mcp-session-id",
    "sec-websocket-protocol",
    "x-workspace-jwt",
    "x-refreshed-token",
    "x-nogoo9-internal",
];

/// Whether the value of this header must not be logged.
#[must_use]
pub fn is_sensitive_header(name: &str) -> bool {
    SENSITIVE_HEADERS.iter().any(|sensitive| name.eq_ignore_ascii_case(sensitive))
}

/// A request target without its query, which may hold a token.
#[must_use]
pub fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t54_redacted_shows_nothing() {
        let value = Redacted("hunter2".to_owned());
        assert_eq!(format!("{value} {value:?} {:?}", Some(&value)), "[redacted] [redacted] Some([redacted])");
        assert_eq!(value.into_inner(), "hunter2");
    }

    #[test]
    fn names_are_compared_in_any_case() {
        assert!(is_sensitive_header("Authorization") && is_sensitive_header("SET-COOKIE"));
        assert!(!is_sensitive_header("content-type"));
        assert!(SENSITIVE_HEADERS.iter().all(|name| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn queries_are_cut() {
        assert_eq!(without_query("/route/a/?token=x"), "/route/a/");
        assert_eq!(without_query("/a#token=x?b"), "/a");
        assert_eq!(without_query(""), "");
    }
}
