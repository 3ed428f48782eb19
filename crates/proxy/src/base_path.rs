//! The path prefix under which the whole server lives.

use std::{fmt, str::FromStr};

/// The value of `BASE_URL`: empty, or absolute segments without a slash at the end, as in `/gateway/no-crd`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BasePath(Box<str>);

/// Why a text is not a [`BasePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no base path: write plain segments, as in `/gateway/no-crd`")]
pub struct InvalidBasePath(String);

impl BasePath {
    /// Reads a prefix. A slash is added in front when it is missing, and taken off the end; the empty text and `/` mean
    /// no prefix.
    ///
    /// # Errors
    /// [`InvalidBasePath`] for empty segments, dot segments, and bytes other than RFC 3986's unreserved ones: such a
    /// prefix could be written in more than one way.
    pub fn parse(text: &str) -> Result<Self, InvalidBasePath> {
        if matches!(text, "" | "/") {
            return Ok(Self::default());
        }
        let inner = text.strip_prefix('/').unwrap_or(text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        let segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(plain);
        if !inner.split('/').all(segment) {
            return Err(InvalidBasePath(text.chars().take(200).collect()));
        }
        Ok(Self(format!("/{inner}").into()))
    }

    /// The prefix, ready to be put in front of a path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BasePath {
    type Err = InvalidBasePath;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form() {
        for (text, prefix) in [
            ("", ""),
            ("/", ""),
            ("a", "/a"),
            ("/a/", "/a"),
            ("gateway/no-crd", "/gateway/no-crd"),
            ("/a.b/_~", "/a.b/_~"),
        ] {
            assert_eq!(BasePath::parse(text).unwrap().as_str(), prefix, "{text:?}");
        }
        for bad in
            ["//", "/a//b", "/..", "/./a", "/a%2f", "https://host/x", "/a b", "/a?b", "/ä", "/a;b", "a\\b"]
        {
            assert!(BasePath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
