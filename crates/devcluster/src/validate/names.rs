//! Names, labels, keys and ports. Each check answers with its objections: none means valid.

pub(crate) use nocrd_model::names::{data_key, dns_label, dns_subdomain, label_value, qualified_name};

/// Name of an environment variable.
pub(crate) fn environment_name(text: &str) -> Vec<String> {
    if text.chars().all(|c| matches!(c, ' '..='~') && c != '=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .into(),
    ]
}

/// Number of a port.
pub(crate) fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        return Vec::new();
    }
    vec!["must be between 1 and 65535, inclusive".into()]
}

/// Name of a port.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if text.len() > 15 {
        objections.push("must be no more than 15 characters".to_owned());
    }
    if !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        objections.push("must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.chars().any(|c| c.is_ascii_lowercase()) {
        objections.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        objections.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        objections.push("must not begin or end with a hyphen".into());
    }
    objections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        for good in ["a", "a-b", "0", &"a".repeat(63)] {
            assert!(dns_label(good).is_empty(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a.b", "ü", &"a".repeat(64)] {
            assert!(!dns_label(bad).is_empty(), "{bad}");
        }
        assert!(dns_subdomain("a.b-c.d").is_empty());
        for bad in ["", "a..b", ".a", "a.", "a.-b", "A.b", "a_b"] {
            assert!(!dns_subdomain(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn keys_and_values() {
        assert!(qualified_name("example.com/My_name.1").is_empty() && qualified_name("x").is_empty());
        for bad in ["", "/x", "x/", "a/b/c", "-x", "Ex ample.com/x", &"a".repeat(64)] {
            assert!(!qualified_name(bad).is_empty(), "{bad}");
        }
        assert!(label_value("").is_empty() && label_value("A_b.c").is_empty());
        assert!(!label_value("a@b").is_empty() && !label_value("-").is_empty());
        assert!(data_key("a.b_c-d").is_empty() && !data_key("..").is_empty() && !data_key("a/b").is_empty());
        assert!(environment_name("A b-1").is_empty() && !environment_name("A=").is_empty());
        assert!(
            port_name("http-1").is_empty() && !port_name("80").is_empty() && !port_name("-a--").is_empty()
        );
    }
}
