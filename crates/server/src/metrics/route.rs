//! Which part of the server a request is for.

/// The classes of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Passed on to a workspace.
    Workspace,
    Mcp,
    /// Signing in and out, sessions.
    Auth,
    Probe,
    /// Permissions, metadata, the page at the root, pages that ask something.
    About,
    /// Nothing is served there.
    Other,
}

impl Route {
    /// The class of a path that is not the proxy's, below the path prefix `base`.
    pub(crate) fn of(path: &str, base: &str) -> Self {
        let below = path.strip_prefix(base).unwrap_or(path);
        match below {
            "/mcp" | "/mcp/" | "/mcp/mcp" => Self::Mcp,
            "/healthz" | "/livez" | "/readyz" | "/mcp/healthz" => Self::Probe,
            "" | "/" | "/permissions" | "/mcp/permissions" => Self::About,
            "/logout" | "/mcp/logout" => Self::Auth,
            _ if below.starts_with("/auth/") || below.starts_with("/mcp/auth/") => Self::Auth,
            _ if below.starts_with("/context/") => Self::About,
            _ if path.starts_with("/.well-known/") || below.starts_with("/.well-known/") => Self::About,
            _ => Self::Other,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Mcp => "mcp",
            Self::Auth => "auth",
            Self::Probe => "probe",
            Self::About => "about",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::TABLE;

    #[test]
    fn every_endpoint_has_a_class() {
        for endpoint in TABLE {
            for base in ["", "/a/b"] {
                let route = Route::of(&format!("{base}{}", endpoint.path()), base);
                assert_ne!(route, Route::Other, "{base}{}", endpoint.path());
            }
        }
        assert_eq!(Route::of("/mcp", ""), Route::Mcp);
        assert_eq!(Route::of("/gw/logout", "/gw"), Route::Auth);
        assert_eq!(Route::of("/.well-known/oauth-protected-resource/gw/mcp", "/gw"), Route::About);
        for path in ["/wp-login.php", "/mcpx", "/gw"] {
            assert_eq!(Route::of(path, ""), Route::Other, "{path}");
        }
    }
}
