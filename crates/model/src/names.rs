//! What Kubernetes asks of names and labels, in its own sentences. Each check answers with its objections: none means
//! valid.
//!
//! Where a yes or no is enough, [`id`](crate::id) has it without the texts.

const ALNUM: &str = "alphanumeric characters";

fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn bounded(text: &str, edge: fn(char) -> bool, inner: impl Fn(char) -> bool) -> bool {
    !text.is_empty()
        && text.chars().all(|c| edge(c) || inner(c))
        && text.starts_with(edge)
        && text.ends_with(edge)
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

/// DNS label (RFC 1123): names of namespaces, containers and volumes.
#[must_use]
pub fn dns_label(text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if text.len() > 63 {
        objections.push(too_long(63));
    }
    if !bounded(text, is_lower, |c| c == '-') {
        objections.push(format!("a lowercase RFC 1123 label must consist of lower case {ALNUM} or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"));
    }
    objections
}

/// Key in the data of a ConfigMap or Secret.
#[must_use]
pub fn data_key(text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if text.len() > 253 {
        objections.push(too_long(253));
    }
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        objections.push(format!("a valid config key must consist of {ALNUM}, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"));
    }
    match text {
        "." => objections.push("must not be '.'".into()),
        ".." => objections.push("must not be '..'".into()),
        _ if text.starts_with("..") => objections.push("must not start with '..'".into()),
        _ => {}
    }
    objections
}

/// DNS subdomain (RFC 1123): names of most objects, and prefixes of keys.
#[must_use]
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if text.len() > 253 {
        objections.push(too_long(253));
    }
    if !text.split('.').all(|label| bounded(label, is_lower, |c| c == '-')) {
        objections.push(format!("a lowercase RFC 1123 subdomain must consist of lower case {ALNUM}, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"));
    }
    objections
}

/// Key of a label or annotation: `[prefix/]name`.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    let form = format!(
        "must consist of {ALNUM}, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    );
    let mut objections = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                objections.push("prefix part must be non-empty".to_owned());
            } else {
                objections.extend(
                    dns_subdomain(prefix).into_iter().map(|objection| format!("prefix part {objection}")),
                );
            }
            name
        }
    };
    if name.is_empty() {
        objections.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        objections.push(format!("name part {}", too_long(63)));
    }
    if !bounded(name, |c| c.is_ascii_alphanumeric(), |c| matches!(c, '-' | '_' | '.')) {
        objections.push(format!("name part {form}"));
    }
    objections
}

/// Value of a label: at most 63 characters, or none.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if text.len() > 63 {
        objections.push(too_long(63));
    }
    let formed =
        text.is_empty() || bounded(text, |c| c.is_ascii_alphanumeric(), |c| matches!(c, '-' | '_' | '.'));
    if !formed {
        objections.push(format!("a valid label must be an empty string or consist of {ALNUM}, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"));
    }
    objections
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id;

    #[test]
    fn keys_and_values() {
        assert!(dns_subdomain("a.b-c.d").is_empty());
        for bad in ["", "a..b", ".a", "a.", "a.-b", "A.b", "a_b"] {
            assert!(!dns_subdomain(bad).is_empty(), "{bad}");
        }
        assert!(qualified_name("example.com/My_name.1").is_empty() && qualified_name("x").is_empty());
        for bad in ["", "/x", "x/", "a/b/c", "-x", "Ex ample.com/x", "\u{fc}", &"a".repeat(64)] {
            assert!(!qualified_name(bad).is_empty(), "{bad}");
        }
        assert!(label_value("").is_empty() && label_value("A_b.c").is_empty());
        assert!(!label_value("a@b").is_empty() && !label_value("-").is_empty());
    }

    proptest! {
        #[test]
        fn the_sentences_agree_with_the_plain_answers(text in "[a-zA-Z0-9._/\\-]{0,70}|\\PC{0,5}") {
            prop_assert_eq!(label_value(&text).is_empty(), id::is_label_value(&text));
            prop_assert_eq!(dns_subdomain(&text).is_empty(), id::is_dns_subdomain(&text));
        }
    }
}
