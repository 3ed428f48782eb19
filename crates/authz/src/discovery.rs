//! What an identity provider publishes about itself (OpenID Connect Discovery 1.0, RFC 8414).

use std::{fmt, sync::Arc, time::Duration};

use futures::FutureExt as _;
use serde::Deserialize;
use url::Url;

use crate::{
    cached::Cached,
    clock::Clock,
    error::{Error, shortened},
    http::{FetchError, Http, address, parse_url},
};

const WHAT: &str = "the identity provider's metadata";
/// What comes behind an issuer to make the address of its metadata (OpenID Connect Discovery 1.0, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
const FRESH: Duration = Duration::from_secs(5 * 60);
/// Endpoints hardly ever change, so an old answer is better than none for long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// What of it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// Who it is: the `iss` of its tokens.
    pub issuer: String,
    /// Where browsers sign in.
    pub authorization_endpoint: Option<String>,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Option<String>,
    /// Where its public keys are.
    pub jwks_uri: Option<String>,
    /// Where browsers sign out.
    pub end_session_endpoint: Option<String>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where tokens are asked about (RFC 7662).
    pub introspection_endpoint: Option<String>,
    /// How clients may authenticate at the token endpoint.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The methods of PKCE it knows (RFC 7636).
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Whether its answers to browsers name it (RFC 9207).
    pub authorization_response_iss_parameter_supported: Option<bool>,
}

impl ProviderMetadata {
    fn endpoints(&self) -> impl Iterator<Item = &str> {
        [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.jwks_uri,
            &self.end_session_endpoint,
            &self.revocation_endpoint,
            &self.introspection_endpoint,
        ]
        .into_iter()
        .flatten()
        .map(String::as_str)
    }

    /// Refuses what a tampered or misconfigured provider would send: another issuer, or endpoints that are less
    /// protected than the metadata itself.
    fn check(&self, from: &Url, issuer: Option<&str>) -> Result<(), FetchError> {
        if self.issuer.is_empty() {
            return Err(FetchError::Malformed("it names no issuer"));
        }
        if let Some(expected) = issuer.filter(|expected| !same_issuer(expected, &self.issuer)) {
            return Err(FetchError::Issuer { expected: expected.to_owned(), found: shortened(&self.issuer) });
        }
        for endpoint in self.endpoints() {
            let endpoint = parse_url(endpoint, WHAT)
                .map_err(|_| FetchError::Malformed("one of its endpoints is no http or https URL"))?;
            if from.scheme() == "https" && endpoint.scheme() != "https" {
                return Err(FetchError::Malformed("it is read over https, and one of its endpoints is not"));
            }
        }
        Ok(())
    }
}

/// Tells whether two issuers are the same: letter for letter, but for a slash at the end, which people get wrong.
pub(crate) fn same_issuer(one: &str, other: &str) -> bool {
    let trimmed = |text: &str| text.strip_suffix('/').unwrap_or(text).len();
    one.get(..trimmed(one)) == other.get(..trimmed(other))
}

/// The metadata of one identity provider, kept for five minutes, and for a day while the provider does not answer.
pub struct Discovery {
    url: Url,
    cached: Cached<ProviderMetadata>,
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Discovery {
    /// The metadata at `url`, which must be those of `issuer`, if that is given. Nothing is asked yet.
    #[must_use]
    pub fn new(url: Url, issuer: Option<String>, http: Arc<Http>, clock: Clock) -> Self {
        let from = url.clone();
        let cached = Cached::new(WHAT, FRESH, STALE, clock, move || {
            let (from, issuer, http) = (from.clone(), issuer.clone(), http.clone());
            async move {
                let failed = |source| Error::Fetch { what: WHAT, at: Some(address(&from)), source };
                let metadata: ProviderMetadata = http.get_json(&from).await.map_err(failed)?;
                metadata.check(&from, issuer.as_deref()).map_err(failed)?;
                Ok(metadata)
            }
            .boxed()
        });
        Self { url, cached }
    }

    /// Where the metadata of an issuer are: `<issuer>/.well-known/openid-configuration`.
    ///
    /// # Errors
    /// When the issuer is no http or https URL.
    pub fn url_of(issuer: &str) -> Result<Url, Error> {
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        parse_url(&format!("{base}{WELL_KNOWN}"), "the issuer")
    }

    /// Whose the metadata at `url` must be, when nothing else is known: the reverse of [`Self::url_of`] (OpenID Connect
    /// Discovery 1.0, section 4.3). `None` for an address that is not the standard's.
    #[must_use]
    pub fn issuer_of(url: &Url) -> Option<String> {
        url.as_str().strip_suffix(WELL_KNOWN).map(str::to_owned)
    }

    /// Where the metadata are read.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The metadata.
    ///
    /// # Errors
    /// When the provider has not given them, now or within the last day.
    pub async fn metadata(&self) -> Result<Arc<ProviderMetadata>, Error> {
        self.cached.get().await
    }

    /// Why they could not be read when they were last asked for, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.cached.failure()
    }
}

#[cfg(test)]
mod tests;
