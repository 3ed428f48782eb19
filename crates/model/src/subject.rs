//! Who owns something.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::id::is_label_value;

/// The exact identity of a person or an agent, as the identity provider names it (usually the `sub` claim of a token).
///
/// It is an opaque text. Two subjects are the same only when they are equal byte for byte; the label form is a means
/// to select, never to decide. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "Box<str>")]
pub struct Subject(Arc<str>);

/// Bytes of the SHA-256 digest that go into a label, as hexadecimal digits twice as many.
const HASH_BYTES: usize = 16;
/// Most characters of the subject that stay readable in front of the hash.
const PREFIX_LEN: usize = 30;

impl Subject {
    /// The user of a server that runs without authentication.
    pub const GUEST: &'static str = "guest";

    /// Takes any text as a subject.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// [`Self::GUEST`] as a subject.
    #[must_use]
    pub fn guest() -> Self {
        Self::new(Self::GUEST)
    }

    /// The subject of somebody whom an identity provider calls so. Only [`Self::GUEST`] becomes another one, with a
    /// control character in it, which no subject of a provider may have.
    #[must_use]
    pub(crate) fn verified(self) -> Self {
        if self.as_str() == Self::GUEST { Self::new("verified\t".to_owned() + Self::GUEST) } else { self }
    }

    /// The exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject as the value of the label `nogoo9/user-sub`: the text itself when Kubernetes accepts it as a label
    /// value (as earlier versions wrote it), else a readable prefix and 128 bits of its SHA-256 digest.
    ///
    /// ```
    /// # use nocrd_model::Subject;
    /// assert_eq!(Subject::new("alice").label_value(), "alice");
    /// assert_eq!(Subject::new("alice@example.com").label_value(), "alice-example.com-ff8d9819fc0e12bf0d24892e45987e24");
    /// ```
    #[must_use]
    pub fn label_value(&self) -> String {
        if !self.0.is_empty() && is_label_value(&self.0) {
            return self.0.to_string();
        }
        let readable: String = self
            .0
            .chars()
            .take(PREFIX_LEN)
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
            .collect();
        let prefix = readable.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let prefix = if prefix.is_empty() { "user" } else { prefix };
        format!("{prefix}-{}", self.hex_digest(HASH_BYTES))
    }

    /// The SHA-256 digest of the text: of fixed size, where subjects are counted or compared.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The first bytes of [`Self::digest`], in hexadecimal digits.
    #[must_use]
    pub fn hex_digest(&self, bytes: usize) -> String {
        use fmt::Write as _;
        self.digest().iter().take(bytes).fold(String::with_capacity(2 * bytes), |mut hex, byte| {
            // A `String` takes everything.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<Box<str>> for Subject {
    fn from(text: Box<str>) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn t49_similar_subjects_have_different_labels() {
        let all: Vec<String> =
            ["a@b", "a-b", "a|b", "a b", "ä", "日本", "", &"x".repeat(64), &"x".repeat(65)]
                .iter()
                .map(|s| Subject::new(*s).label_value())
                .collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }

    proptest! {
        #[test]
        fn label_is_always_valid(text in "\\PC{0,200}") {
            let label = Subject::new(text.as_str()).label_value();
            prop_assert!(!label.is_empty() && is_label_value(&label), "{label:?}");
        }
    }
}
