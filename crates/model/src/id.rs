//! Checked identifiers. Workspace ids and namespaces are DNS labels (RFC 1123), so that they are valid label values, path
//! segments and parts of object names without escaping; names of pods may have several such parts.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest DNS label, in bytes (RFC 1123).
pub const MAX_LABEL_LEN: usize = 63;

/// Why a text is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: use {rule}, beginning and ending with a letter or digit")]
pub struct InvalidName {
    /// What the text was meant to be, for example `workspace id`.
    pub what: &'static str,
    /// The refused text, cut to a readable length.
    pub value: String,
    rule: &'static str,
}

/// A form that names have.
struct Form {
    matches: fn(&str) -> bool,
    rule: &'static str,
}

const LABEL: Form = Form { matches: is_dns_label, rule: "1 to 63 lower-case letters, digits or '-'" };
const SUBDOMAIN: Form =
    Form { matches: is_dns_subdomain, rule: "1 to 253 lower-case letters, digits, '-' or '.'" };

impl Form {
    fn check(&self, what: &'static str, text: &str) -> Result<(), InvalidName> {
        if (self.matches)(text) {
            return Ok(());
        }
        Err(InvalidName { what, value: text.chars().take(80).collect(), rule: self.rule })
    }
}

/// Tells whether `text` is a DNS label: 1 to 63 of `[a-z0-9-]`, alphanumeric at both ends.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.len() <= MAX_LABEL_LEN
        && bytes.first().is_some_and(alnum)
        && bytes.last().is_some_and(alnum)
        && bytes.iter().all(|b| alnum(b) || *b == b'-')
}

/// Tells whether `text` is a DNS subdomain (RFC 1123): dot-separated labels of `[a-z0-9-]`, at most 253 bytes. This is
/// what Kubernetes asks of most object names.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|part| {
            let bytes = part.as_bytes();
            let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            bytes.first().is_some_and(alnum)
                && bytes.last().is_some_and(alnum)
                && bytes.iter().all(|b| alnum(b) || *b == b'-')
        })
}

/// Tells whether `text` is a valid Kubernetes label value: empty, or at most 63 of `[A-Za-z0-9._-]`, alphanumeric at
/// both ends.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.is_empty()
        || (bytes.len() <= MAX_LABEL_LEN
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $form:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            #[doc = concat!("Checks `text` and makes it a ", $what, ".")]
            ///
            /// # Errors
            /// [`InvalidName`] when `text` has another form.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                $form.check($what, text)?;
                Ok(Self(text.into()))
            }

            /// The checked text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                $form.check($what, &text)?;
                Ok(Self(text.into_boxed_str()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into_string()
            }
        }
    };
}

name!(
    /// Identifies a workspace: unique over everything one server watches, part of its URL (`/route/<id>/`) and of its
    /// pod's name and labels.
    WorkspaceId,
    "workspace id",
    LABEL
);

name!(
    /// A Kubernetes namespace name.
    Namespace,
    "namespace",
    LABEL
);

name!(
    /// The name of a pod: a DNS subdomain (RFC 1123).
    PodName,
    "pod name",
    SUBDOMAIN
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_dns_labels_only() {
        for good in ["a", "0", "agent-1", &"a".repeat(63)] {
            assert!(WorkspaceId::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "A", "-a", "a-", "a.b", "a_b", "a,b=c", "a/b", "ä", " a", "a\n", "a\0", long.as_str()]
        {
            assert!(WorkspaceId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pods_may_have_dots_in_their_names() {
        for good in ["a", "a.b-c.0", &format!("{}.b", "a".repeat(251))] {
            assert!(PodName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a/b", "a-.b", &"a".repeat(254)] {
            assert!(PodName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refusal_names_the_value_but_not_megabytes_of_it() {
        let message = WorkspaceId::parse(&"A".repeat(10_000)).unwrap_err().to_string();
        assert!(message.starts_with("workspace id \"AAAA"), "{message}");
        assert!(message.len() < 300, "{}", message.len());
    }

    proptest! {
        #[test]
        fn every_id_is_a_label_value_and_a_path_segment(text in "\\PC{0,70}") {
            if let Ok(id) = WorkspaceId::parse(&text) {
                prop_assert!(is_label_value(id.as_str()) && is_dns_subdomain(id.as_str()));
                prop_assert!(!id.as_str().contains(['/', '%', '.', '\\']));
            }
        }
    }
}
