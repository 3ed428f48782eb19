//! Every path that is not the proxy's, and who may ask for it. Routes are made from this table only: a route without a row
//! here can't be written.

/// Who may use an endpoint of a server with authentication. A server without lets everybody use all it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it tells nothing about anybody, and changes nothing but the asker's own session.
    Public,
    /// Whoever is signed in, whatever they may do.
    SignedIn,
    /// Whoever may read.
    Reader,
}

/// One path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    path: &'static str,
    methods: &'static [&'static str],
    access: Access,
}

impl Endpoint {
    /// The path below the path prefix.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The methods it is asked with.
    #[must_use]
    pub fn methods(&self) -> &'static [&'static str] {
        self.methods
    }

    /// Who may use it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }
}

macro_rules! endpoints {
    ($($(#[doc = $doc:literal])+ $name:ident = $path:literal [$($method:literal)+] $access:ident;)*) => {
        $($(#[doc = $doc])+ pub(crate) const $name: &Endpoint =
            &Endpoint { path: $path, methods: &[$($method),+], access: Access::$access };)*

        /// All of them.
        pub const TABLE: &[&Endpoint] = &[$($name),*];
    };
}

endpoints! {
    /// What the server is and how to connect.
    HOME = "/" ["GET"] Public;
    /// Whether the server does its work.
    HEALTHZ = "/healthz" ["GET"] Public;
    /// The same, where earlier versions' manifests ask for it.
    MCP_HEALTHZ = "/mcp/healthz" ["GET"] Public;
    /// Whether the process should go on.
    LIVEZ = "/livez" ["GET"] Public;
    /// Whether the server should get requests.
    READYZ = "/readyz" ["GET"] Public;
    /// MCP.
    MCP = "/mcp" ["POST" "GET" "DELETE"] Reader;
    /// MCP.
    MCP_SLASH = "/mcp/" ["POST" "GET" "DELETE"] Reader;
    /// MCP.
    MCP_MCP = "/mcp/mcp" ["POST" "GET" "DELETE"] Reader;
    /// What the server's own identity may do in the cluster.
    PERMISSIONS = "/permissions" ["GET"] Reader;
    /// The same, beside MCP.
    MCP_PERMISSIONS = "/mcp/permissions" ["GET"] Reader;
    /// Begins a sign-in.
    LOGIN = "/auth/login" ["GET"] Public;
    /// Where the identity provider sends browsers back to.
    CALLBACK = "/auth/callback" ["GET"] Public;
    /// Asks a browser that follows a link with a token whether it is to be signed in.
    LINK = "/auth/link" ["GET" "POST"] Public;
    /// Who the caller is.
    SESSION = "/auth/session" ["GET"] SignedIn;
    /// Takes a page's refresh token into a cookie.
    SET_REFRESH = "/auth/set-refresh" ["POST"] SignedIn;
    /// The same, beside MCP.
    MCP_SET_REFRESH = "/mcp/auth/set-refresh" ["POST"] SignedIn;
    /// Where users give what their MCP clients must not see.
    CONTEXT = "/context/{handle}" ["GET" "POST"] SignedIn;
    /// Signs out.
    LOGOUT = "/logout" ["GET" "POST"] Public;
    /// The same, beside MCP.
    MCP_LOGOUT = "/mcp/logout" ["GET" "POST"] Public;
    /// The metadata of the server as an OAuth resource (RFC 9728).
    METADATA = "/.well-known/oauth-protected-resource" ["GET"] Public;
    /// The metadata of the MCP endpoint.
    MCP_METADATA = "/.well-known/oauth-protected-resource/mcp" ["GET"] Public;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn paths_are_unique() {
        let paths: BTreeSet<_> = TABLE.iter().map(|endpoint| endpoint.path).collect();
        assert_eq!(paths.len(), TABLE.len());
    }
}
