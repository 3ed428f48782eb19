//! What a refused client is told: challenges (RFC 6750) that lead it to the authorization server (RFC 9728).

use std::fmt::Write as _;

use http::HeaderValue;
use serde::Serialize;
use url::Url;

use crate::verify::TokenError;

/// Path under which metadata of protected resources are, before the resource's own path (RFC 9728 section 3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The challenge of one protected resource, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Where the resource's metadata are.
    resource_metadata: String,
    /// The scopes a client should ask for at first.
    scope: String,
}

impl Challenge {
    /// The challenge that names the metadata at `resource_metadata`, and the scopes to ask for.
    #[must_use]
    pub fn new<'s>(resource_metadata: &Url, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        let scopes: Vec<String> =
            scopes.into_iter().map(scope_token).filter(|scope| !scope.is_empty()).collect();
        Self { resource_metadata: resource_metadata.to_string(), scope: scopes.join(" ") }
    }

    /// `WWW-Authenticate` for a 401. A token that was refused is named as the cause; that none was sent is no error
    /// (RFC 6750 section 3.1).
    #[must_use]
    pub fn unauthorized(&self, refused: Option<&TokenError>) -> HeaderValue {
        match refused {
            None | Some(TokenError::Unavailable) => self.header(None, None, &self.scope),
            Some(error) => self.header(Some("invalid_token"), Some(&error.to_string()), &self.scope),
        }
    }

    /// `WWW-Authenticate` for a 403 that a token with `scope` would turn into a success.
    #[must_use]
    pub fn insufficient_scope(&self, scope: &str) -> HeaderValue {
        self.header(Some("insufficient_scope"), None, &scope_token(scope))
    }

    /// `Link`, for clients that look there.
    #[must_use]
    pub fn link(&self) -> HeaderValue {
        header_value(format!("<{}>; rel=\"oauth-protected-resource\"", self.resource_metadata))
    }

    fn header(&self, error: Option<&str>, description: Option<&str>, scope: &str) -> HeaderValue {
        let mut text = String::from("Bearer ");
        let mut parameter = |name: &str, value: &str| {
            let separator = if text.ends_with(' ') { "" } else { ", " };
            let _ = write!(text, "{separator}{name}=\"{}\"", quotable(value));
        };
        if let Some(error) = error {
            parameter("error", error);
        }
        if let Some(description) = description {
            parameter("error_description", description);
        }
        if !scope.is_empty() {
            parameter("scope", scope);
        }
        parameter("resource_metadata", &self.resource_metadata);
        header_value(text)
    }
}

/// The characters that need no escape in a quoted string; the others are left out.
fn quotable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect()
}

/// The characters of a scope (RFC 6749 section 3.3).
fn scope_token(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '!'..='~') && !matches!(c, '"' | '\\')).collect()
}

fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// The metadata of a protected resource (RFC 9728 section 2). All of it comes from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceMetadata {
    /// The resource's identifier: the URL that clients use, and name as `resource` (RFC 8707).
    pub resource: String,
    /// The issuers whose tokens are accepted.
    pub authorization_servers: Vec<String>,
    /// The scopes there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// How tokens may be sent.
    pub bearer_methods_supported: Vec<&'static str>,
    /// The product's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
}

impl ResourceMetadata {
    /// The metadata of the resource at `resource`. Tokens are accepted in the `Authorization` header only.
    #[must_use]
    pub fn new(resource: &Url, issuer: Option<&str>, scopes: impl IntoIterator<Item = String>) -> Self {
        let mut supported: Vec<String> = Vec::new();
        for scope in scopes {
            if !scope.is_empty() && !supported.contains(&scope) {
                supported.push(scope);
            }
        }
        Self {
            resource: identifier(resource),
            authorization_servers: issuer.map(str::to_owned).into_iter().collect(),
            scopes_supported: supported,
            bearer_methods_supported: vec!["header"],
            resource_name: Some("no-crd".into()),
        }
    }

    /// Where the metadata of the resource at `resource` are: `https://h/p/mcp` has them at
    /// `https://h/.well-known/oauth-protected-resource/p/mcp`.
    #[must_use]
    pub fn location(resource: &Url) -> Url {
        let mut location = resource.clone();
        location.set_path(&format!("{WELL_KNOWN}{}", resource.path().trim_end_matches('/')));
        location.set_query(None);
        location.set_fragment(None);
        location
    }
}

/// A resource's identifier: its URL without query, fragment, and the slash at the end.
fn identifier(resource: &Url) -> String {
    let mut url = resource.clone();
    url.set_query(None);
    url.set_fragment(None);
    let text = url.to_string();
    text.strip_suffix('/').map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
