//! Paths of a workspace that the gateway answers itself, for its owner's pages.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthEndpoint {
    /// `GET _auth/token`: the owner's access token, and who they are.
    Token,
    /// `GET _auth/authorize`: back to a page of the workspace, with the access token in the fragment.
    Authorize,
    /// `POST _auth/refresh`: a new access token.
    Refresh,
}

impl AuthEndpoint {
    /// All of them: no other is served.
    pub const ALL: [Self; 3] = [Self::Token, Self::Authorize, Self::Refresh];

    /// The endpoint at a path below the workspace's. Only the exact path is reserved.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// Its path below the workspace's.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Token => "/_auth/token",
            Self::Authorize => "/_auth/authorize",
            Self::Refresh => "/_auth/refresh",
        }
    }

    /// The method it is asked with.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Token | Self::Authorize => "GET",
            Self::Refresh => "POST",
        }
    }
}
