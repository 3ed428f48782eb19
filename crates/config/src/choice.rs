//! Settings that take one of a few words.

use crate::{kind::Kind, value::Value};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $first:ident = $first_word:literal: $first_doc:literal, $($variant:ident = $word:literal: $variant_doc:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name {
            #[doc = $first_doc] #[default] $first,
            $(#[doc = $variant_doc] $variant,)*
        }

        impl $name {
            /// The words, in the order of the variants.
            pub const WORDS: &[&str] = &[$first_word, $($word,)*];

            /// The word an operator writes.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Value for $name {
            fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
                match kind.check(text)?.as_str() {
                    $first_word => Ok(Self::$first),
                    $($word => Ok(Self::$variant),)*
                    _ => Err(String::new()),
                }
            }
        }
    };
}

choice!(
    /// How MCP clients reach the server.
    Transport {
        Http = "http": "The HTTP server only.",
        Stdio = "stdio": "MCP over standard input and output only; no port is opened.",
        Both = "both": "The HTTP server, and one MCP session over standard input and output.",
    }
);

impl Transport {
    /// Whether the HTTP server runs.
    #[must_use]
    pub fn serves_http(self) -> bool {
        self != Self::Stdio
    }

    /// Whether standard output belongs to the MCP protocol.
    #[must_use]
    pub fn uses_stdio(self) -> bool {
        self != Self::Http
    }
}

choice!(
    /// How far the server reaches in the cluster.
    Mode {
        Cluster = "cluster": "All namespaces, as far as RBAC and `ALLOWED_NAMESPACES` allow.",
        Namespaced = "namespaced": "The configured namespace only.",
    }
);

choice!(
    /// Lowest level that is logged.
    LogLevel {
        Debug = "debug": "Everything.",
        Info = "info": "What an operator wants to know.",
        Warning = "warning": "What an operator should look at.",
        Error = "error": "Failures.",
        Fatal = "fatal": "Failures that end the process.",
    }
);

choice!(
    /// Form of a log line.
    LogFormat {
        Text = "text": "For people.",
        Json = "json": "One JSON object a line, for log collectors.",
    }
);

choice!(
    /// What pods may ask for.
    PodSecurity {
        Baseline = "baseline": "No host access and no privileged containers (Pod Security Standards, baseline).",
        Restricted = "restricted": "Baseline, and no root, no capabilities, a seccomp profile (Pod Security Standards, restricted).",
        Privileged = "privileged": "Anything the cluster allows.",
    }
);

choice!(
    /// How the dashboard signs users in.
    LoginMethod {
        Redirect = "redirect": "In the same window.",
        Popup = "popup": "In a window of its own.",
    }
);
