//! Which version of HTTP a port of a workspace speaks: `nogoo9/workspace-protocol` and `nogoo9/api.<name>.protocol`.

/// How requests go to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1, or HTTP/2 for calls that exist in no other version (gRPC).
    #[default]
    Http,
    /// HTTP/2 without TLS and without asking first (RFC 9113, 3.3, "prior knowledge").
    H2c,
}

impl Protocol {
    /// Reads an annotation's value; none is [`Protocol::Http`]. `kubernetes.io/h2c`, the name that Services use
    /// (`appProtocol`), is understood too.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "http" => Ok(Self::Http),
            "h2c" | "kubernetes.io/h2c" => Ok(Self::H2c),
            _ => {
                let shown: String = text.chars().take(40).collect();
                Err(format!("{shown:?} is neither http nor h2c"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_protocols_are_known() {
        for (text, protocol) in [
            ("", Some(Protocol::Http)),
            ("http", Some(Protocol::Http)),
            (" H2C ", Some(Protocol::H2c)),
            ("kubernetes.io/h2c", Some(Protocol::H2c)),
            ("https", None),
            ("http2", None),
        ] {
            assert_eq!(Protocol::parse(text).ok(), protocol, "{text:?}");
        }
        assert!(Protocol::parse(&"x".repeat(1000)).unwrap_err().len() < 100);
    }
}
