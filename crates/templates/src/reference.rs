use std::{fmt, str::FromStr};

use nocrd_model::{Namespace, id::is_dns_subdomain};

use crate::Error;

/// Names a template: `name`, `namespace/name` or `pod-template://namespace/name`.
///
/// The namespace matters for templates in ConfigMaps alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateRef {
    /// Namespace of the ConfigMap; the server's when absent.
    pub namespace: Option<Namespace>,
    /// The template's name, a DNS subdomain.
    pub name: String,
}

/// Scheme of the long form.
const SCHEME: &str = "pod-template://";

impl FromStr for TemplateRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::InvalidRef { text: text.chars().take(120).collect() };
        let (long, rest) = text.strip_prefix(SCHEME).map_or((false, text), |rest| (true, rest));
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(Namespace::parse(namespace).map_err(|_| refuse())?), name),
            None if long => return Err(refuse()),
            None => (None, rest),
        };
        if !is_dns_subdomain(name) {
            return Err(refuse());
        }
        Ok(Self { namespace, name: name.to_owned() })
    }
}

impl fmt::Display for TemplateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms() {
        for (text, shown) in [("t", "t"), ("ns/t.v1", "ns/t.v1"), ("pod-template://ns/t", "ns/t")] {
            assert_eq!(text.parse::<TemplateRef>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn k10_nothing_else() {
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "../../etc/passwd",
            "a/../b",
            "A",
            "a b",
            "pod-template://a",
            "a\\b",
            "a/%2e",
            "pod-template://",
            "ns/a,b=c",
            "..",
        ] {
            assert!(matches!(text.parse::<TemplateRef>(), Err(Error::InvalidRef { .. })), "{text}");
        }
    }
}
