use std::fmt;

use nocrd_model::{Namespace, WorkspaceId, id::is_dns_subdomain};

/// The page of an MCP App.
pub(crate) const APP: &str = "ui://nogoo9/app";
/// Templates.
pub(crate) const TEMPLATES: &str = "pod-template://{namespace}/{name}";
/// Workspaces.
pub(crate) const WORKSPACES: &str = "workspace://{namespace}/{id}";

/// What a URI of ours names. The order is that of lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Uri {
    App,
    Template { namespace: Namespace, name: String },
    Workspace { namespace: Namespace, id: WorkspaceId },
}

impl Uri {
    /// Reads a URI. Each thing has one spelling: nothing is decoded, and no case is folded.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == APP {
            return Some(Self::App);
        }
        let (scheme, rest) = text.split_once("://")?;
        let (namespace, name) = rest.split_once('/')?;
        let namespace = Namespace::parse(namespace).ok()?;
        match scheme {
            "pod-template" if is_dns_subdomain(name) => {
                Some(Self::Template { namespace, name: name.to_owned() })
            }
            "workspace" => Some(Self::Workspace { namespace, id: WorkspaceId::parse(name).ok()? }),
            _ => None,
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App => f.write_str(APP),
            Self::Template { namespace, name } => write!(f, "pod-template://{namespace}/{name}"),
            Self::Workspace { namespace, id } => write!(f, "workspace://{namespace}/{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for text in [APP, "pod-template://ns/a.b-1", "workspace://ns/w1"] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn t51_there_is_one_spelling_of_each() {
        for odd in [
            "",
            "ui://nogoo9/app/",
            "ui://nogoo9/../nogoo9/app",
            "UI://nogoo9/app",
            "ui://other/app",
            "workspace://ns/w1/",
            "workspace://ns//w1",
            "workspace:///w1",
            "workspace://ns",
            "workspace://ns/",
            "workspace://ns/../ns/w1",
            "workspace://ns/.",
            "workspace://ns/..",
            "workspace://ns/w1?x=1",
            "workspace://ns/w1#x",
            "workspace://ns/%77%31",
            "workspace://ns/w1%00",
            "workspace://ns/w1\0",
            "workspace://ns/w1\n",
            " workspace://ns/w1",
            "workspace://u@ns/w1",
            "workspace://ns:80/w1",
            "workspace://NS/w1",
            "workspace://ns/W1",
            "workspace://ns/w\u{ff11}",
            "Workspace://ns/w1",
            "workspace:ns/w1",
            "workspace://{namespace}/{id}",
            "pod-template://ns/a/b",
            "pod-template://ns/../../etc/passwd",
            "pod-template://ns/..%2fother%2fx",
            "pod-template://ns\\x/a",
            "pod-template://ns/a..b",
            "file:///etc/passwd",
            "http://ns/w1",
        ] {
            assert_eq!(Uri::parse(odd), None, "{odd:?}");
        }
        assert_eq!(Uri::parse(&format!("pod-template://ns/{}", "a".repeat(254))), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_its_own_spelling(
            text in "(workspace|pod-template|ui)://[a-zA-Z0-9./%\\\\@:?# -]{0,20}"
        ) {
            if let Some(uri) = Uri::parse(&text) {
                prop_assert_eq!(uri.to_string(), text);
            }
        }
    }
}
